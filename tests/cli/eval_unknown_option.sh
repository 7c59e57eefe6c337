"$MEBENCH" eval --generatd x
