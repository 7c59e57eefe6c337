run="$MEBENCH eval --quiet --device cpu --dataset $MADE/d.pth.tar --tmr $MADE/tmr.safetensors --resamples 0 --shuffles 0"
for b in copy-source noise ground-truth; do $run --generated baseline:$b --name $b --out $b >/dev/null 2>&1; done
"$MEBENCH" compare copy-source noise/result.json
echo "--- several: Holm"
"$MEBENCH" compare copy-source noise ground-truth --against noise --no-source-table --resamples 500 --seed 7
echo "--- the same, by operand and from a document"
"$MEBENCH" compare copy-source ground-truth noise --against noise --json --resamples 500 --seed 7 >c.json
"$MEBENCH" compare copy-source ground-truth noise --against noise/result.json --json >/dev/null; echo $?
"$MEBENCH" report c.json --no-source-table --format csv | cut -d , -f 1-17 | head -n 8
grep -c p_holm c.json
"$MEBENCH" compare copy-source noise --format markdown | head -n 13
"$MEBENCH" compare copy-source noise --format latex --no-source-table | head -n 12
echo "--- a result and itself"
"$MEBENCH" compare noise noise --no-source-table --format csv | cut -d , -f 1-5,9-17
echo "--- judging"
"$MEBENCH" compare copy-source noise --fail-on-regression >/dev/null; echo $?
"$MEBENCH" compare copy-source ground-truth noise --fail-on-regression --metric R@5 --protocol batch32 >/dev/null; echo $?
"$MEBENCH" compare noise copy-source --fail-on-regression >/dev/null; echo $?
"$MEBENCH" compare copy-source noise --fail-on-regression --metric R@1 >/dev/null; echo $?
"$MEBENCH" compare copy-source noise --fail-on-regression --metric R@1 --level 0.5 >/dev/null; echo $?
