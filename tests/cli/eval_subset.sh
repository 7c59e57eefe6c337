printf '000001\n000002\n000005\n' >keys.txt
"$MEBENCH" eval --device cpu --resamples 20 --shuffles 2 --dataset "$MADE/d.pth.tar" --tmr "$MADE/tmr.safetensors" --generated "$MADE/samples" --subset keys.txt --format csv --no-baselines --protocol full
"$MEBENCH" eval --device cpu --resamples 20 --shuffles 2 --dataset "$MADE/d.pth.tar" --tmr "$MADE/tmr.safetensors" --generated "$MADE/samples" --subset legacy506-omnime --format csv --no-baselines --protocol full
