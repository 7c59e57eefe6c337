"$MEBENCH" list metrics && "$MEBENCH" list baselines && "$MEBENCH" list reports && "$MEBENCH" list commands && "$MEBENCH" list traps -v
