"$MEBENCH" list metrics -v && "$MEBENCH" list baselines -v && "$MEBENCH" list reports -v
