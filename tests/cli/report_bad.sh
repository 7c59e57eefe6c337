echo "{}" >r.json; "$MEBENCH" report r.json
