eval="$MEBENCH eval --quiet --device cpu --dataset $MADE/d.pth.tar --tmr $MADE/tmr.safetensors --resamples 0 --shuffles 0 --no-baselines"
$eval --generated "$MADE/samples" --name copy --out result >direct.txt 2>/dev/null
# The git commit in submission.json moves the hash of the file.
submit() { "$MEBENCH" submit --dataset "$MADE/d.pth.tar" "$@" | sed -E 's/^sha256 [0-9a-f]{64}$/sha256 HASH/; s/, [0-9]+ bytes$/, BYTES/'; }
submit "$MADE/samples" --check
echo "--- packed, with its result"
submit "$MADE/samples" --name Copy --authors "A. Author; B. Author" --url https://example.org --result result --out s.zip
"$MEBENCH" inspect --no-hash s.zip | sed -E 's/[0-9]+ bytes/BYTES/' | head -n 6
echo "--- scored again: the same motions, the same numbers"
$eval --generated s.zip --name copy >packed.txt 2>warnings.txt && cmp direct.txt packed.txt && grep -c ignored warnings.txt
$eval --generated s.zip --json 2>/dev/null | grep generated_sha256 >hash.txt
grep generated_sha256 result/result.json | cmp - hash.txt && echo same
echo "--- the same bytes from another form, and from itself"
"$MEBENCH" convert "$MADE/samples" s.safetensors >/dev/null
submit s.safetensors --name Copy --out a.zip >/dev/null
submit a.zip --name Copy --out b.zip
cmp a.zip b.zip && echo same
echo "--- a subset"
for i in 01 03 05 07 09 11 13 15 17 19; do echo 0000$i; done >half.txt
submit s.zip --subset half.txt --name Half --out half.zip
submit half.zip --subset half.txt --check --exact-frames
