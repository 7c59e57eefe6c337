# Three processes at one study end with the table that one makes.
"$MEBENCH" reproduce --quiet --out alone "$DATA/reproduce/tiny.json" >table 2>/dev/null; echo $?
for i in 1 2 3; do "$MEBENCH" reproduce --out together "$DATA/reproduce/tiny.json" >table$i 2>err$i & done
wait
for i in 1 2 3; do cmp table table$i; done
cmp alone/results.json together/results.json
# Each stage was run once.
cat err1 err2 err3 | grep -o '\[[0-9]*/[0-9]*\]' | sort | uniq -d
