"$MEBENCH" embed --device cpu --tmr "$MADE/tmr.safetensors" --generated "$MADE/samples" --out e.npy | head -n 3
"$MEBENCH" inspect --no-hash e.npy
"$MEBENCH" embed --device cpu --threads 1 --precision fp32 --gelu erf --tmr "$MADE/tmr.safetensors" --dataset "$MADE/d.pth.tar" --split source --out s.npy | tail -n 1
"$MEBENCH" embed --device cpu --tmr "$MADE/tmr.safetensors" --dataset "$MADE/d.pth.tar" --part all --split target --out t.npy | wc -l
"$MEBENCH" embed --device cpu --tmr "$MADE/tmr.safetensors" --dataset "$MADE/d.pth.tar" --generated "$MADE/samples" -o g.npy | tail -n 1
"$MEBENCH" embed --tmr "$MADE/tmr.safetensors" --split target --out t.npy
