cp -r "$MADE/samples" s && rm s/000003.npy && mv s/000004.npy s/999999.npy && echo hi >s/note.txt && cp s/000005.npy s/000005_source.npy
"$MEBENCH" eval --device cpu --resamples 20 --shuffles 2 --dataset "$MADE/d.pth.tar" --tmr "$MADE/tmr.safetensors" --generated s --format csv --no-baselines --protocol full
