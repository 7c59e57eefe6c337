"$MEBENCH" eval --device cpu --resamples 20 --shuffles 2 --dataset "$MADE/d.pth.tar" --tmr "$MADE/tmr.safetensors" --generated "$MADE/samples" -q --json --name ours >r.json
for f in table csv markdown latex; do "$MEBENCH" report --format $f --no-baselines --no-source-table --no-published r.json; done
"$MEBENCH" report --format json r.json | cmp - r.json
