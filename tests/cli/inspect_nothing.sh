"$MEBENCH" inspect
