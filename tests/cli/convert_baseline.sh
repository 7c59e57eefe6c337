"$MEBENCH" convert --baseline noise --seed 4 "$MADE/d.pth.tar" n | tail -n 1; ls n | wc -l; "$MEBENCH" convert --baseline none "$MADE/d.pth.tar" n
