"$MEBENCH" eval --device cpu --dataset "$MADE/d.pth.tar" --generated "$MADE/samples" --tmr nowhere
