"$MEBENCH" eval --dataset x
