run="$MEBENCH eval --quiet --device cpu --dataset $MADE/d.pth.tar --tmr $MADE/tmr.safetensors --resamples 20 --shuffles 0 --json"
$run --generated baseline:copy-source --name copied >copied.json 2>/dev/null
mkdir noise
$run --generated baseline:noise --name noise --out noise >/dev/null 2>&1
$run --generated "$MADE/samples" --name "copied too" >again.json 2>/dev/null
for i in 01 03 05 07 09 11 13 15 17 19; do echo 0000$i; done >half.txt
$run --generated baseline:copy-source --subset half.txt --name half >half.json 2>/dev/null
"$MEBENCH" leaderboard noise copied.json again.json
"$MEBENCH" leaderboard noise copied.json --no-source-table --no-baselines --sort AvgR --protocol batch32 --format csv
"$MEBENCH" leaderboard copied.json copied.json --format markdown --no-source-table --no-baselines --no-published | grep '^| copied'
# Other items: refused, or apart.
"$MEBENCH" leaderboard copied.json half.json; echo $?
"$MEBENCH" leaderboard copied.json half.json --groups --format json --name board >board.json
"$MEBENCH" report board.json --no-source-table --no-published
"$MEBENCH" leaderboard; echo $?
"$MEBENCH" leaderboard board.json; echo $?
"$MEBENCH" leaderboard copied.json --sort R@4; echo $?
"$MEBENCH" leaderboard copied.json --format pdf; echo $?
"$MEBENCH" leaderboard half.txt; echo $?
sed 's/keys_sha256/keys_md5/' copied.json >bad.json
"$MEBENCH" leaderboard bad.json; echo $?
printf '{"schema": "mebench.board/1", "groups": [{}]}' >bad.json
"$MEBENCH" report bad.json; echo $?
