# The file's size and hashes follow from the commit that its metadata names.
"$MEBENCH" inspect --no-hash "$MADE/tmr.safetensors" | grep -v "sha256\|written_by\|^mebench" | sed 's/, [0-9]* bytes//'
"$MEBENCH" inspect --all "$MADE/tmr.safetensors" | grep -c motion_encoder
