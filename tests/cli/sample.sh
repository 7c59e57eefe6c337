small="--device cpu --threads 1 --text hash:32 --text-cache= --width 16 --ff 24 --heads 2 --layers 4 --fusion-layers 1 --head-width 8 --diffusion-steps 10 --batch 8"
how="--device cpu --threads 1 --text-cache= --steps 4"
"$MEBENCH" synth --quiet --out d.safetensors --pairs 24 --min-frames 40 --max-frames 100 --seed 2 --val 0.1 --test 0.25
"$MEBENCH" similarity --dataset d.safetensors --split train --out scores.npy | sed 's/[0-9.]*%/X/g; s/[0-9]*\.[0-9]*/X/g; s/[0-9]* teach/N teach/'
"$MEBENCH" similarity --dataset d.safetensors --sweep | head -n 1
"$MEBENCH" train --quiet --model omnime --dataset d.safetensors --scores scores.npy --out run $small --steps 2 --ablation 7 --no-tensorboard | sed 's/[0-9.]*$/X/'
head -n 1 run/curves.csv run/validation.csv
"$MEBENCH" train --quiet --model simmotionedit --dataset d.safetensors --out star $small --steps 1 --dit-text none --no-tensorboard >/dev/null; head -n 1 star/curves.csv
"$MEBENCH" sample --quiet --model run/last.safetensors --dataset d.safetensors --out samples --safetensors all.safetensors $how
ls samples
mkdir again && cp samples/*.json again
"$MEBENCH" sample --quiet --model run/last.safetensors --dataset d.safetensors --out again --resume --batch 2 $how
for f in samples/*.npy; do cmp "$f" again/$(basename "$f"); done
"$MEBENCH" sample --quiet --model run/last.safetensors --dataset d.safetensors --out again --resume --seed 7 $how; echo $?
"$MEBENCH" eval --quiet --device cpu --dataset d.safetensors --generated samples --tmr random:1 --json | grep -c '"full"'
key=$(basename "$(ls samples/*.npy | head -n 1)" .npy)
"$MEBENCH" edit --quiet --model run/last.safetensors --motion d.safetensors --key "$key" --frames 45 --out one.bvh $how
"$MEBENCH" edit --quiet --model run/last.safetensors --motion one.bvh --text "raise the left arm" --out two.npy $how
"$MEBENCH" edit --quiet --model run/last.safetensors --motion one.bvh --out two.npy $how; echo $?
"$MEBENCH" edit --quiet --model run/last.safetensors --motion d.safetensors --text x --out two.npy $how; echo $?
"$MEBENCH" edit --quiet --model d.safetensors --motion one.bvh --text x --out two.npy $how; echo $?
"$MEBENCH" sample --quiet --model run/last.safetensors --dataset d.safetensors --out other --guidance two $how; echo $?
"$MEBENCH" sample --quiet --model run/last.safetensors --dataset d.safetensors --out other --text-encoder hash:48 $how; echo $?
