"$MEBENCH" reproduce --quiet --out study "$DATA/reproduce/tiny.json" >table 2>/dev/null; echo $?
find study -type f ! -name '*.npy' | sort
# Numbers of four steps of training differ from processor to processor.
grep -E '^(###|- )' study/results.md | grep -v Warning | sed 's/[0-9][0-9]*\.[0-9][0-9]*/X/g'
"$MEBENCH" report --format csv study/results.json | cut -d, -f1-6
grep -E '^ {2}"[a-z]*"' study/results.json | cut -d: -f1
# Nothing is done twice.
"$MEBENCH" reproduce --out study/ "$DATA/reproduce/tiny.json" 2>err >again
cat err
cmp table again
rm study/rows/omnime-6/seed-3/eval.json
"$MEBENCH" reproduce --out study "$DATA/reproduce/tiny.json" --format markdown 2>err >again
grep -F '[' err | grep -v warning
cmp again study/results.md
"$MEBENCH" reproduce --out study "$DATA/reproduce/tiny.json" --dry-run | grep -v '^ '
# Results of two studies do not mix.
sed 's/"steps": 3, "text-cache": "", "t/"steps": 4, "text-cache": "", "t/' "$DATA/reproduce/tiny.json" >other.json
"$MEBENCH" reproduce --quiet --out study other.json 2>&1; echo $?
sed 's/"seed": 2/"seed": 3/' "$DATA/reproduce/tiny.json" >other.json
"$MEBENCH" reproduce --quiet --out study other.json 2>&1; echo $?
# Nor do those of two files of one name.
cp "$MADE/tmr.safetensors" t.safetensors
printf '{"dataset": "%s", "tmr": "t.safetensors", "device": "cpu", "eval": {"resamples": 0}, "rows": [{"name": "a", "generated": "baseline:noise"}]}' "$MADE/d.pth.tar" >plain.json
"$MEBENCH" reproduce --quiet plain.json 2>/dev/null | head -n 1
"$MEBENCH" reproduce --quiet plain.json 2>&1 | tail -n 1
"$MEBENCH" convert --quiet random:2 t.safetensors >/dev/null 2>&1
"$MEBENCH" reproduce --quiet plain.json 2>&1; echo $?
