"$MEBENCH" train; echo $?
"$MEBENCH" train --dataset "$MADE/d.pth.tar"; echo $?
"$MEBENCH" train --model tmt --dataset "$MADE/d.pth.tar" --out run; echo $?
"$MEBENCH" train --dataset "$MADE/d.pth.tar" --out run --widht 8; echo $?
"$MEBENCH" train --device cpu --dataset "$MADE/d.pth.tar" --out run; echo $?
"$MEBENCH" train --device cpu --dataset "$MADE/d.pth.tar" --out run --text bert; echo $?
"$MEBENCH" train --device cpu --dataset "$MADE/nothing.pth.tar" --out run; echo $?
"$MEBENCH" synth --quiet --out d.safetensors --pairs 16 --min-frames 40 --max-frames 100 --no-joints --seed 2 --val 0 --test 0
small="--quiet --device cpu --threads 1 --text hash:32 --width 16 --ff 24 --heads 2 --layers 1 --batch 8 --no-tensorboard --no-export"
"$MEBENCH" train --dataset d.safetensors --out run $small --steps 1 >/dev/null; echo $?
"$MEBENCH" train --dataset d.safetensors --out run $small --steps 2; echo $?
"$MEBENCH" train --dataset d.safetensors --out run $small --steps 2 --resume --lr 0.5; echo $?
"$MEBENCH" train --dataset d.safetensors --out wild $small --steps 40 --lr 10 --w-kl 1000000 --log-every 1 2>&1 | sed 's/step [0-9]*:/step N:/; s/: [a-z.A-Z0-9_]* holds.*/: .../; s/: the loss is.*/: .../'
"$MEBENCH" retrieve --tmr "$MADE/tmr.safetensors" --dataset d.safetensors --device cpu; echo $?
"$MEBENCH" retrieve --tmr run --dataset d.safetensors --device cpu --split test; echo $?
"$MEBENCH" retrieve --tmr run --dataset d.safetensors --device cpu --text hash:64; echo $?
"$MEBENCH" retrieve --dataset d.safetensors; echo $?
"$MEBENCH" embed --device cpu --tmr run --text nowhere.txt --out t.npy; echo $?
"$MEBENCH" embed --device cpu --tmr run --text nowhere.txt --dataset d.safetensors --out t.npy; echo $?
