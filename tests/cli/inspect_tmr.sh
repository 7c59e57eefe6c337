"$MEBENCH" inspect --no-hash "$MADE/tmr.safetensors" | grep -v "sha256\|written_by\|^mebench"; "$MEBENCH" inspect --all "$MADE/tmr.safetensors" | grep -c motion_encoder
