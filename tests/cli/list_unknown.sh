"$MEBENCH" list metric
