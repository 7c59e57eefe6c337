#!/bin/sh
# Kills a study in the middle of a training and in the middle of a sampling, lets it finish, and compares its results
# with those of a study that nothing disturbed; then RUNS times with two kills at random moments each.
# Usage: MEBENCH=build/mebench sh tests/tools/kill_reproduce.sh [RUNS [SEED]]
# Prints a line for each and fails where results differ.
mebench=${MEBENCH:-build/mebench}
runs=${1:-5}
seed=${2:-1}
plan=$(cd "$(dirname "$0")/../data/reproduce" && pwd)/kill.json
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_WAIT_POLICY=passive
bad=0

study() { # OUT
    exec "$mebench" reproduce --quiet --out "$1" "$plan" >"$1.table" 2>>"$work/log"
}

finish() { # OUT LABEL
    (study "$1") || { cat "$work/log"; exit 3; }
    if cmp -s "$work/whole/results.json" "$1/results.json" && cmp -s "$work/whole.table" "$1.table"; then
        echo "$2: equal results"
    else
        echo "$2: results differ"
        bad=1
    fi
}

# Kills with SIGNAL once FILE is there, and says whether the stage was cut short.
kill_at() { # OUT SIGNAL FILE RECORD LABEL
    (study "$1") &
    job=$!
    tries=0
    while ! ls $3 >/dev/null 2>&1 && kill -0 $job 2>/dev/null && [ $tries -lt 6000 ]; do
        sleep 0.01
        tries=$((tries + 1))
    done
    kill -"$2" $job 2>/dev/null
    wait $job 2>/dev/null
    if [ -e "$4" ]; then echo "$5: came too late"; else echo "$5: killed"; fi
}

start=$(date +%s%N)
(study "$work/whole") || { cat "$work/log"; exit 3; }
took=$((($(date +%s%N) - start) / 1000000))

one=$work/one
at=$one/rows/omnime/seed-1
kill_at "$one" KILL "$at/train/last.safetensors" "$at/train.json" "in training, SIGKILL"
kill_at "$one" TERM "$at/train/curves.csv" "$at/train.json" "in training, SIGTERM"
kill_at "$one" KILL "$at/samples/*.npy" "$at/sample.json" "in sampling, SIGKILL"
kill_at "$one" TERM "$at/samples/*.npy" "$at/sample.json" "in sampling, SIGTERM"
finish "$one" "four kills"

i=0
for moment in $(awk -v n="$runs" -v t="$took" -v s="$seed" 'BEGIN { srand(s); for (i = 0; i < 2 * n; i++) print rand() * t * 0.0009 }'); do
    i=$((i + 1))
    out=$work/run
    [ $((i % 2)) = 1 ] && rm -rf "$out"
    case $((i % 3)) in 0) signal=KILL ;; *) signal=TERM ;; esac
    (study "$out") &
    job=$!
    sleep "$moment"
    kill -$signal $job 2>/dev/null
    wait $job 2>/dev/null
    [ $((i % 2)) = 1 ] || finish "$out" "run $((i / 2)), two kills at random moments"
done
exit $bad
