"$MEBENCH" report nothing.json
