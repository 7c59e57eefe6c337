how="--quiet --device cpu --threads 1 --text-cache= --steps 2 --model $DATA/lightning/last.ckpt --heads 1 --text-encoder hash:16 --text raise --motion m.npy"
"$MEBENCH" convert --quiet --baseline mean-motion "$MADE/d.pth.tar" m >/dev/null; cp m/$(ls m | head -n 1) m.npy
"$MEBENCH" edit $how --s-max 150 --stats "$DATA/lightning/statistics.npy" --out a.npy; echo $?
"$MEBENCH" inspect a.npy | tail -n 3
"$MEBENCH" edit $how --out b.npy; echo $?
"$MEBENCH" edit $how --stats m.npy --out b.npy; echo $?
"$MEBENCH" edit $how --stats none.npy --out b.npy; echo $?
ls *.npy
