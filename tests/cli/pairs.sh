for n in 1 2 3 4 5; do "$MEBENCH" convert "$MADE/samples/00000$n.npy" "0${n}_01.bvh" -q >/dev/null; done
printf 'file,description\n01_01.bvh,wave\n' >m.csv
"$MEBENCH" pairs -q --out a.safetensors --per-window 2 --min-frames 30 --max-frames 40 --stride 20 --limit 6 --seed 2 --val 0.2 --test 0.4 --manifest m.csv .
"$MEBENCH" pairs -q --out b.safetensors --per-window 2 --min-frames 30 --max-frames 40 --stride 20 --limit 6 --seed 2 --val 0.2 --test 0.4 --manifest m.csv .
cmp a.safetensors b.safetensors; ls *.safetensors splits.json
