"$MEBENCH" reproduce --example >example.json
(cd "$DATA/../.." && "$MEBENCH" reproduce --dry-run --out study "$OLDPWD/example.json") >list; echo $?
grep -v '^ ' list
"$MEBENCH" reproduce --dry-run "$DATA/reproduce/kill.json" --out study
ls
