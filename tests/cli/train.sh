small="--device cpu --threads 1 --text hash:32 --width 16 --ff 24 --heads 2 --layers 1 --batch 8"
"$MEBENCH" synth --quiet --out d.safetensors --pairs 64 --min-frames 40 --max-frames 100 --no-joints --seed 2 --val 0.5 --test 0
"$MEBENCH" train --dataset d.safetensors --out run $small --steps 6 --log-every 3 --no-tensorboard 2>err | sed 's/[0-9.]*$/X/'
sed 's/^mebench: [0-9.]* s, .*/TIME/; s/  [tm]2[mt]_.*//; s/products, .*/products, RATE/' err
ls run run/tmr
head -n 1 run/curves.csv run/validation.csv
cut -d, -f1-3 run/curves.csv
"$MEBENCH" train --dataset d.safetensors --out run $small --steps 9 --resume --quiet --json --no-tensorboard --no-export >j.json
grep -E '"(schema|model|finished|step|steps|items|validated)":' j.json
"$MEBENCH" retrieve --device cpu --tmr run --dataset d.safetensors --split val --batch 8 --format csv | cut -d, -f1-4
"$MEBENCH" retrieve --device cpu --tmr run/last.safetensors --dataset d.safetensors --split val --captions instruction --json | grep -E '"(schema|batch_size|threshold)":'
printf 'a person walks\nraise the left arm\r\n' | "$MEBENCH" embed --device cpu --tmr run --text - --out t.npy
"$MEBENCH" inspect --no-hash t.npy
"$MEBENCH" inspect --no-hash run/tmr/last_weights/motion_encoder.pt | head -n 2
"$MEBENCH" embed --device cpu --tmr run/tmr --dataset d.safetensors --part val --split target --out m.npy | wc -l
"$MEBENCH" embed --device cpu --tmr run/tmr/tmr.safetensors --dataset d.safetensors --part val --split target --out n.npy | wc -l
cmp m.npy n.npy
