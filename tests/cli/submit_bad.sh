eval="$MEBENCH eval --quiet --device cpu --dataset $MADE/d.pth.tar --tmr $MADE/tmr.safetensors --resamples 0 --shuffles 0 --no-baselines"
try() { "$MEBENCH" submit --dataset "$MADE/d.pth.tar" --name x --out x.zip "$@" >out; echo $?; cat out; }
# An npy of the shape (frames, columns) whose bytes are all the same.
npy() {
    head="{'descr': '<f4', 'fortran_order': False, 'shape': ($2, $3), }"
    printf '\223NUMPY\001\000' >"$1"
    printf "\\$(printf %o $((${#head} + 1)))\\000%s\n" "$head" >>"$1"
    head -c $((4 * $2 * $3)) /dev/zero | tr '\0' "$4" >>"$1"
}
cp -r "$MADE/samples" s
rm s/000003.npy s/000004.npy
cp s/000001.npy s/000777.npy
cp s/000001.npy s/000001.npy.npy
npy s/000005.npy 4 263 '\0'
npy s/000006.npy 2 135 '\377'
npy s/000007.npy 0 135 '\0'
echo broken >s/000008.npy
echo hello >s/readme.txt
echo "--- all that is wrong at once"
try s
try s --check
echo "--- ids without zeros, nothing usable, frames, a result of other motions"
mkdir unpadded few && for i in 1 2 3; do cp "$MADE/samples/00000$i.npy" unpadded/$i.npy; done
try unpadded
npy few/000001.npy 4 207 '\0'
try few
try "$MADE/samples" --exact-frames
$eval --generated baseline:noise --out noise >/dev/null 2>&1
try "$MADE/samples" --result noise
rm -r s && mkdir s && cp "$MADE/samples/000000.npy" s
try s --check
try s --check -v | tail -n 4
echo "--- usage"
"$MEBENCH" submit "$MADE/samples"; echo $?
"$MEBENCH" submit --dataset "$MADE/d.pth.tar" "$MADE/samples"; echo $?
"$MEBENCH" submit --dataset "$MADE/d.pth.tar" "$MADE/samples" --out x.zip; echo $?
try "$MADE/samples" --out x.tar
try
try "$MADE/samples" --split dev
echo "--- unreadable"
try nowhere
mkdir empty && try empty
echo PK >bad.zip && try bad.zip
try "$MADE/samples" --result nowhere
echo "{}" >r.json && try "$MADE/samples" --result r.json
"$MEBENCH" submit --dataset nowhere "$MADE/samples" --check; echo $?
try "$MADE/samples" --out nofolder/x.zip | tail -n 1
test ! -e x.zip
