cp -r "$MADE/samples" s && rm s/000003.npy
"$MEBENCH" eval --device cpu --resamples 20 --shuffles 2 --dataset "$MADE/d.pth.tar" --tmr "$MADE/tmr.safetensors" --generated s --strict
