"$MEBENCH" convert "$MADE/d.pth.tar" d.safetensors && "$MEBENCH" convert d.safetensors back.pth.tar && "$MEBENCH" inspect --no-hash back.pth.tar | head -n 6
"$MEBENCH" eval --device cpu --resamples 0 --shuffles 0 -q --dataset d.safetensors --generated "$MADE/samples" --tmr "$MADE/tmr.safetensors" --format csv >a
"$MEBENCH" eval --device cpu --resamples 0 --shuffles 0 -q --dataset "$MADE/d.pth.tar" --generated "$MADE/samples" --tmr "$MADE/tmr.safetensors" --format csv >b
cmp a b
