run="$MEBENCH eval --quiet --device cpu --dataset $MADE/d.pth.tar --resamples 0 --shuffles 0 --no-baselines --generated baseline:noise"
one() { name=$1; shift; $run --tmr "$MADE/tmr.safetensors" --name "$name" --out "$name" "$@" >/dev/null 2>&1; }
try() { "$MEBENCH" compare "$@" >out; echo $?; cat out; }
one a
one b --seed 1
one full --protocol full
one batches --protocol batch32
one erf --gelu erf
for i in 01 03 05 07 09 11 13 15 17 19; do echo 0000$i; done >half.txt
one half --subset half.txt
$run --tmr random:2 --name other --out other >/dev/null 2>&1
try a
try a b --format pdf
try a b --against c
try a b --metric MedR
try a b --resamples 0
echo "--- not comparable"
try a half
try a other
try a erf
try full batches
try a full --fail-on-regression --protocol batch32
mkdir seeds && sed 's/"seed": 0/"seed": 1/' b/result.json >seeds/result.json
try a seeds
echo "--- no ranks, or another run's"
mkdir alone && cp a/result.json alone
try b alone
cp b/ranks.csv alone
try b alone
{ head -n 1 a/ranks.csv; sort -r a/ranks.csv | grep -v key; } >alone/ranks.csv
try b alone
cut -d , -f 1-3 a/ranks.csv >alone/ranks.csv
try b alone
sed '3s/,[0-9.]*/,/' a/ranks.csv >alone/ranks.csv
try b alone
sed '3s/,[0-9.]*/,inf/' a/ranks.csv >alone/ranks.csv
try b alone
echo "--- no results"
try a nowhere
try a half.txt
"$MEBENCH" compare a b --json >c.json
try a c.json
printf '{"schema": "mebench.reproduction/1", "samples": {}, "protocols": {}, "provenance": {"keys_sha256": "x"}, "rows": [{"name": "r", "results": ["rows/r/seed-1/eval/result.json"]}]}' >results.json
try results.json a
printf '{"schema": "mebench.comparison/1"}' >bad.json
"$MEBENCH" report bad.json; echo $?
