"$MEBENCH" pairs --out x.safetensors
"$MEBENCH" pairs somewhere
