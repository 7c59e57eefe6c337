"$MEBENCH" eval --device cpu --resamples 20 --shuffles 2 --dataset "$MADE/d.pth.tar" --tmr "$MADE/tmr.safetensors" --generated "$MADE/samples" --duplicates --no-baselines --protocol full --format csv
