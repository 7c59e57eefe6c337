#!/bin/sh
# Trains a small TMR once without a stop, then RUNS times with two kills at random moments each (SIGTERM, which
# saves, or SIGKILL, which does not) until it has finished, and compares the last checkpoints byte by byte.
# Usage: MEBENCH=build/mebench sh tests/tools/kill_resume.sh [RUNS [DEVICE [SEED]]]
# Prints a line a run that differs and a closing count; fails when any does.
mebench=${MEBENCH:-build/mebench}
runs=${1:-100}
device=${2:-cpu}
seed=${3:-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
log=$work/log
[ "$device" = cpu ] && export OMP_WAIT_POLICY=passive
"$mebench" synth --quiet --out "$work/d.safetensors" --pairs 32 --min-frames 40 --max-frames 100 --no-joints --seed 2 \
    --test 0 >/dev/null || exit 3

train() { # OUT
    exec "$mebench" train --quiet --dataset "$work/d.safetensors" --out "$1" --device "$device" --resume \
        --text hash:32 --width 32 --ff 48 --heads 2 --layers 2 --batch 8 --steps 150 --lr 1e-3 --ema 0.99 \
        --log-every 7 --validate-every 40 --save-minutes 0.002 --seed 3 --threads 2 >>"$log" 2>&1
}

start=$(date +%s%N)
(train "$work/whole") || { cat "$log"; exit 3; }
took=$((($(date +%s%N) - start) / 1000000))

# Milliseconds below 0.9 of a whole run, one for each kill.
moments=$(awk -v n="$runs" -v t="$took" -v s="$seed" 'BEGIN { srand(s); for (i = 0; i < 2 * n; i++) print int(rand() * t * 0.9) }')
equal=0
kills=0
i=0
for moment in $moments; do
    i=$((i + 1))
    out=$work/run
    [ $((i % 2)) = 1 ] && rm -rf "$out"
    case $((i % 3)) in 0) signal=KILL ;; *) signal=TERM ;; esac
    (train "$out") &
    job=$!
    sleep "$(awk -v m="$moment" 'BEGIN { printf "%.3f", m / 1000 }')"
    kill -$signal $job 2>/dev/null && kills=$((kills + 1))
    wait $job 2>/dev/null
    [ $((i % 2)) = 1 ] && continue # every run is killed twice, then left to finish
    (train "$out") || { cat "$log"; exit 3; }
    if cmp -s "$work/whole/last.safetensors" "$out/last.safetensors"; then
        equal=$((equal + 1))
    else
        echo "run $((i / 2)): last.safetensors differs"
    fi
done
echo "$equal of $runs runs killed at random moments ($kills kills) end bit-equal, $device"
[ $equal = "$runs" ]
