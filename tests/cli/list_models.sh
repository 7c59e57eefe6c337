"$MEBENCH" list models
