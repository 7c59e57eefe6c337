"$MEBENCH" eval --device cpu --resamples 20 --shuffles 2 --dataset "$MADE/d.pth.tar" --tmr "$MADE/tmr.safetensors" --generated baseline:mean_motion -q --format csv --no-baselines
"$MEBENCH" eval --device cpu --resamples 20 --shuffles 2 --dataset "$MADE/d.pth.tar" --tmr "$MADE/tmr.safetensors" --generated baseline:nothing
