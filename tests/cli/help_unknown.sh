"$MEBENCH" help evall
