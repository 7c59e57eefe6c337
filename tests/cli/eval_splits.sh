cp "$MADE/d.pth.tar" . && printf '{"train": [], "val": ["000000"], "test": ["000001", "000002"]}' >s.json
"$MEBENCH" eval --device cpu --resamples 0 --dataset d.pth.tar --generated "$MADE/samples" --tmr "$MADE/tmr.safetensors" --protocol full --no-baselines --format csv
"$MEBENCH" eval --device cpu --resamples 0 --dataset d.pth.tar --generated "$MADE/samples" --tmr "$MADE/tmr.safetensors" --protocol full --no-baselines --format csv --splits s.json
