"$MEBENCH" eval --device cpu --resamples 0 --shuffles 0 --dataset "$MADE/d.pth.tar" --generated "$MADE/samples" --tmr random:1 --format csv --no-baselines --precision bf16
"$MEBENCH" eval --dataset "$MADE/d.pth.tar" --generated "$MADE/samples" --tmr random:x
