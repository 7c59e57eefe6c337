rows='"rows": [{"name": "A", "model": "omnime"}]'
data="\"dataset\": \"$MADE/d.pth.tar\""
tmr="\"tmr\": \"$MADE/tmr.safetensors\""
try() { printf '%s\n' "$1" >f.json; "$MEBENCH" reproduce --dry-run --out o f.json 2>&1; echo $?; }
"$MEBENCH" reproduce; echo $?
"$MEBENCH" reproduce nowhere.json; echo $?
"$MEBENCH" reproduce --dry-run README; echo $?
"$MEBENCH" reproduce --format pdf f.json; echo $?
try '{"rows": [}'
try '[]'
try '{}'
try "{\"datasets\": \"x\", $rows}"
try "{\"colour\": 1, $rows}"
try "{$rows}"
try "{$rows, \"dataset\": 3}"
try "{$rows, \"dataset\": \"nowhere.pth.tar\"}"
try "{$rows, \"dataset\": {\"synth\": {}, \"pairs\": {}}}"
try "{$rows, \"dataset\": {\"synth\": {\"pair\": 4}}}"
try "{$rows, \"dataset\": {\"synth\": {\"out\": \"x\"}}}"
try "{$rows, \"dataset\": {\"pairs\": {}}}"
try "{$rows, \"dataset\": {\"pairs\": {\"from\": \"nowhere\"}}}"
try "{$rows, $data}"
try "{$rows, $data, \"tmr\": \"nowhere\"}"
try "{$rows, $data, \"tmr\": {\"train\": {\"widht\": 8}}}"
try "{$rows, $data, $tmr}"
try "{$rows, $data, $tmr, \"seeds\": 3}"
try "{$rows, $data, $tmr, \"seeds\": []}"
try "{$rows, $data, $tmr, \"seeds\": [1, -2]}"
try "{$rows, $data, $tmr, \"seeds\": [1, 2, 1]}"
try "{$rows, $data, $tmr, \"seeds\": [1], \"device\": 3}"
try "{$rows, $data, $tmr, \"seeds\": [1], \"precision\": \"fp8\"}"
try "{$rows, $data, $tmr, \"seeds\": [1], \"benchmark\": \"kitml\"}"
try "{$rows, $data, $tmr, \"seeds\": [1], \"train\": {\"lr\": \"fast\"}}"
try "{$rows, $data, $tmr, \"seeds\": [1], \"train\": {\"seed\": 4}}"
try "{$rows, $data, $tmr, \"seeds\": [1], \"sample\": {\"guidence\": \"2\"}}"
try "{$rows, $data, $tmr, \"seeds\": [1], \"eval\": {\"resamples\": -1}}"
try "{$data, $tmr, \"seeds\": [1], \"rows\": []}"
try "{$data, $tmr, \"seeds\": [1], \"rows\": [4]}"
row() { try "{$data, $tmr, \"seeds\": [1], \"rows\": [$1]}"; }
row '{"model": "omnime"}'
row '{"name": "?", "model": "omnime"}'
row '{"name": "A"}'
row '{"name": "A", "model": "omnime", "checkpoint": "x"}'
row '{"name": "A", "model": "omnimi"}'
row '{"name": "A", "model": "tmr"}'
row '{"name": "A", "model": "omnime", "ablation": "all"}'
row '{"name": "A", "model": "omnime", "ablation": 9}'
row '{"name": "A", "model": "omnime", "published": "OmniMe"}'
row '{"name": "A", "model": "omnime", "option": {}}'
row '{"name": "A", "checkpoint": "nowhere.ckpt"}'
row '{"name": "A", "generated": "baseline:noise", "seeds": [1]}'
row '{"name": "A", "generated": "baseline:noise", "train": {}}'
row '{"name": "A b", "model": "omnime"}, {"name": "a-B", "model": "omnime"}'
row '{"name": "A", "model": "omnime", "train": {"dataset": "x"}}'
ls
