mkdir s && cp "$MADE/samples/000007.npy" s/7.npy
"$MEBENCH" eval --device cpu --resamples 20 --shuffles 2 --dataset "$MADE/d.pth.tar" --tmr "$MADE/tmr.safetensors" --generated s
