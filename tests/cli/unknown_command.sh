"$MEBENCH" inspekt
