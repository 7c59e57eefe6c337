"$MEBENCH" eval --device cpu --resamples 20 --shuffles 2 --dataset "$MADE/d.pth.tar" --tmr "$MADE/tmr.safetensors" --generated baseline:noise --seed 1 -q --json >a.json; "$MEBENCH" eval --device cpu --resamples 20 --shuffles 2 --dataset "$MADE/d.pth.tar" --tmr "$MADE/tmr.safetensors" --generated baseline:noise --seed 2 -q --json >b.json
cmp -s a.json b.json && echo same || echo different
