mkdir -p t/last_weights t/stats
"$MEBENCH" eval --device cpu --dataset "$MADE/d.pth.tar" --generated "$MADE/samples" --tmr t
