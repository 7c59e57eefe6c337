small="--device cpu --threads 1 --text hash:32 --text-cache= --width 16 --ff 24 --heads 2 --layers 4 --fusion-layers 1 --head-width 8 --diffusion-steps 6 --batch 8"
score="--quiet --device cpu --threads 1 --dataset d.pth.tar --tmr random:1 --resamples 20 --shuffles 2 --format csv"
"$MEBENCH" synth --quiet --out d.pth.tar --pairs 24 --min-frames 40 --max-frames 100 --seed 2 --val 0.1 --test 0.25 >/dev/null
"$MEBENCH" train --quiet --model omnime --dataset d.pth.tar --out run $small --steps 2 --no-tensorboard >/dev/null
"$MEBENCH" sample --quiet --device cpu --threads 1 --text-cache= --model run/last.safetensors --dataset d.pth.tar --out samples
"$MEBENCH" eval $score --generated samples --name same >files.csv
"$MEBENCH" eval $score --generated editor:run/last.safetensors --name same >made.csv && cmp files.csv made.csv && grep -c same made.csv
"$MEBENCH" eval $score --generated editor:none.safetensors; echo $?
"$MEBENCH" eval $score --generated editor:d.pth.tar; echo $?
