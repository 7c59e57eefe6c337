# The shipped editor beats copying the source in the eyes of the shipped embedder.
root="$DATA/../.."
"$MEBENCH" synth --quiet --out d.safetensors --pairs 96 --max-frames 66 --seed 5 --val 0 --test 1
"$MEBENCH" sample --quiet --model "$root/models/shipped.safetensors" --dataset d.safetensors --device cpu --text-cache= --steps 15 --guidance 1,1 --heading source --out s
"$MEBENCH" eval --quiet --device cpu --resamples 0 --dataset d.safetensors --generated s --tmr "$root/tmr/shipped.safetensors" --name editor --format csv >r.csv
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
    $0 ~ /full/ && $0 ~ /target/ { for (i = 1; i <= 3; i++) if ($i == "editor" || $i == "copy-source") rank[$i] = $at["AvgR"] }
    END { print (rank["editor"] + 0 > 0 && rank["editor"] < 0.4 * rank["copy-source"]) ? "better" : "not better: " rank["editor"] " " rank["copy-source"] }' r.csv
