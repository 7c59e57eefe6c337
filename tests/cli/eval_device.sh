"$MEBENCH" eval --device tpu --dataset "$MADE/d.pth.tar" --generated "$MADE/samples" --tmr random:1
