"$MEBENCH" help
