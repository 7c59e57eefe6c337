"$MEBENCH" --help; "$MEBENCH" eval --help; "$MEBENCH" embed --help; "$MEBENCH" report -h; "$MEBENCH" inspect --help
"$MEBENCH" convert --help; "$MEBENCH" synth --help; "$MEBENCH" pairs --help; "$MEBENCH" list --help; "$MEBENCH" selftest --help
