data="--dataset $MADE/d.pth.tar --quiet"
"$MEBENCH" similarity $data --out scores.npy | sed 's/[0-9]*\.[0-9]*/X/g'
"$MEBENCH" similarity $data --key 000003 --plots one | head -n 2 | cut -d, -f1
ls one
grep -c circle one/000003.svg
"$MEBENCH" similarity $data --plots all | wc -l
ls all | wc -l
cmp one/000003.svg all/000003.svg
# Scores of a file have no MotionSNR, and say nothing about the target's frames.
"$MEBENCH" similarity $data --scores scores.npy --key 000003 --plots read >curve.csv
grep -c -E 'MotionSNR|target to source' read/000003.svg
"$MEBENCH" similarity $data --sweep --plots sweep | wc -l
ls sweep
head -n 3 sweep/sweep.svg
"$MEBENCH" similarity $data --key nobody; echo $?
"$MEBENCH" similarity $data --key 000003 --sweep; echo $?
"$MEBENCH" similarity $data --plots scores.npy; echo $?
"$MEBENCH" similarity --plots x; echo $?
