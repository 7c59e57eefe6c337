"$MEBENCH" synth
"$MEBENCH" synth --out x.safetensors --min-frames 90 --max-frames 60
"$MEBENCH" synth --out x.safetensors --val 0.6 --test 0.6
"$MEBENCH" synth --out x.safetensors --pairs 0
"$MEBENCH" synth --out x.safetensors --max-frames 54
