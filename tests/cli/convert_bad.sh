"$MEBENCH" convert "$MADE/samples" x.gif
"$MEBENCH" convert "$MADE/samples" x.bvh
"$MEBENCH" convert random:1 x.npy
"$MEBENCH" convert one
