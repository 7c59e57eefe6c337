test -w /dev/full || { echo "mebench: stdout: cannot write: No space left on device" >&2; exit 3; }
"$MEBENCH" help >/dev/full
