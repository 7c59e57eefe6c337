small="--device cpu --threads 1 --text hash:32 --text-cache= --width 16 --ff 24 --heads 2 --layers 4 --fusion-layers 1 --head-width 8 --s-max 150 --batch 8"
how="--quiet --device cpu --threads 1 --text-cache= --dataset d.safetensors --steps 3"
"$MEBENCH" synth --quiet --out d.safetensors --pairs 16 --min-frames 40 --max-frames 100 --seed 2 --val 0 --test 0.25
"$MEBENCH" train --quiet --model omnime --dataset d.safetensors --out run $small --steps 3 --ema 0.9 --no-tensorboard >/dev/null
"$MEBENCH" convert run/last.safetensors slim.safetensors
"$MEBENCH" convert --half run/last.safetensors half.safetensors
"$MEBENCH" convert run/last.safetensors theirs.ckpt
"$MEBENCH" convert slim.safetensors again.pt
cmp theirs_stats.npy again_stats.npy
for m in run/last slim half; do "$MEBENCH" sample --model $m.safetensors $how --out $(basename $m); done
"$MEBENCH" sample --model theirs.ckpt --stats theirs_stats.npy --heads 2 --text-encoder hash:32 --s-max 150 $how --out theirs; echo $?
for f in last/*.npy; do cmp "$f" slim/$(basename "$f"); cmp "$f" theirs/$(basename "$f"); done
for f in last/*.npy; do cmp -s "$f" half/$(basename "$f") && echo same; done
"$MEBENCH" sample --model slim.safetensors --stats theirs_stats.npy $how --out other; echo $?
"$MEBENCH" sample --model theirs.ckpt $how --out other; echo $?
"$MEBENCH" convert --half d.safetensors e.safetensors; echo $?
"$MEBENCH" convert d.safetensors e.ckpt; echo $?
