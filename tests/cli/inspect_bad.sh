printf "\200\004cos\nsystem\n(S\"touch owned\"\ntR." >x.pkl; "$MEBENCH" inspect x.pkl; ls
