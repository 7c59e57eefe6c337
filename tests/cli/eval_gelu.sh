"$MEBENCH" eval --device cpu --resamples 20 --shuffles 2 --dataset "$MADE/d.pth.tar" --tmr "$MADE/tmr.safetensors" --generated "$MADE/samples" --gelu erf --protocol full --format csv --no-baselines
"$MEBENCH" eval --device cpu --resamples 20 --shuffles 2 --dataset "$MADE/d.pth.tar" --tmr "$MADE/tmr.safetensors" --generated "$MADE/samples" --gelu both --format csv --no-baselines
