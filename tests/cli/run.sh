#!/bin/sh
# Runs every tests/cli/NAME.sh in an empty folder of its own and compares its stdout, stderr and exit status
# with NAME.out, NAME.err and NAME.code. UPDATE=1 writes them instead. A case sees $MEBENCH, $DATA (tests/data)
# and $MADE, what is made once below: a synthetic dataset, sample files and an embedder.
# Usage: BUILD=build sh tests/cli/run.sh [NAME...]
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
case ${BUILD:-build} in /*) build=$BUILD ;; *) build=$root/${BUILD:-build} ;; esac
MEBENCH=$build/mebench
DATA=$root/tests/data
work=$(mktemp -d)
MADE=$work/made
export MEBENCH DATA MADE
export LC_ALL=C OPENBLAS_NUM_THREADS=1 OMP_WAIT_POLICY=passive # spinning threads are slow on a busy machine
trap 'rm -rf "$work"' EXIT
mkdir "$MADE" || exit 1
(
    cd "$MADE" &&
        "$MEBENCH" synth --quiet --out d.pth.tar --pairs 40 --max-frames 60 --seed 3 --test 1 --val 0 &&
        "$MEBENCH" convert --quiet --baseline copy-source d.pth.tar samples &&
        "$MEBENCH" convert --quiet random:1 tmr.safetensors
) >"$work/made.log" 2>&1 || { cat "$work/made.log"; echo "cli: the inputs could not be made"; exit 1; }

passed=0
failed=0
for script in ${*:-$(ls "$here"/*.sh)}; do
    name=$(basename "$script" .sh)
    [ "$name" = run ] && continue
    rm -rf "$work/case"
    mkdir "$work/case"
    (cd "$work/case" && sh "$here/$name.sh") >"$work/out" 2>"$work/err" </dev/null
    echo $? >"$work/code"
    # Places and the version differ from machine to machine.
    for part in out err; do
        sed -e "s|$MADE|MADE|g; s|$DATA|DATA|g; s|$work|WORK|g" "$work/$part" >"$work/$part.clean"
        mv "$work/$part.clean" "$work/$part"
    done
    if [ -n "$UPDATE" ]; then
        for part in out err code; do cp "$work/$part" "$here/$name.$part"; done
        continue
    fi
    good=1
    for part in out err code; do
        if ! cmp -s "$work/$part" "$here/$name.$part"; then
            good=0
            echo "cli $name: $part differs"
            diff -u "$here/$name.$part" "$work/$part" | head -n 30
        fi
    done
    if [ $good = 1 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done
[ -n "$UPDATE" ] && { echo "cli tests: rewritten"; exit 0; }
[ -z "$TALLY" ] || echo "$passed $failed" >>"$TALLY"
echo "cli tests: $passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
