#!/bin/sh
# All that needs a GPU, in one call: right answers first, times last. Nothing is built here, so that it can run
# where only the programs were carried.
#
# usage: gpu_check.sh BIN FIXTURES OUT [PART...]
#   BIN       folder with mebench, parity and bench-embed; and with mebench-poison for initcheck (part_sanitize)
#   FIXTURES  the folder that `make parity` reads; parts that lack it are skipped
#   OUT       folder for logs; the last lines of each go to stdout too
#   PART      parity selftest sanitize embed tmr editor anchor (all but anchor when none is named)
# TORCH_ANCHOR names the PyTorch program of the part `anchor`. SECONDS_EACH bounds every command (120).
set -u
[ $# -ge 3 ] || { sed -n '5,10p' "$0"; exit 2; }
BIN=$1 FIXTURES=$2 OUT=$3
shift 3
PATH=$BIN:$PATH
bound=${SECONDS_EACH:-120}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
mkdir -p "$OUT"
failed=0

# Runs a command with its output in OUT/NAME.txt and shows the last line of that.
logged() {
    name=$1
    shift
    if timeout "$bound" "$@" >"$OUT/$name.txt" 2>&1; then verdict=ok; else verdict="status $?"; fi
    [ "$verdict" = ok ] || failed=$((failed + 1))
    printf '%-28s %s: %s\n' "$name" "$verdict" "$(tail -n 1 "$OUT/$name.txt" | cut -c 1-140)"
}

part_parity() {
    [ -d "$FIXTURES" ] || { echo "parity: skipped (no $FIXTURES)"; return; }
    logged parity parity --device cuda "$FIXTURES"
}

part_selftest() {
    logged selftest mebench selftest --device cuda
    logged selftest-grad mebench selftest --device cuda --grad
}

# Two reports are not of our kernels and come with `linear` in bf16 alone: racecheck's of cuBLASLt's nvjet kernels, whose barriers
# it does not follow, and initcheck's of what reads their results, which they write by tensor copies that it does not see. The second
# is not there in mebench-poison, build/mebench of a build folder of its own with NVCC_EXTRA=-DNN_CUDA_POISON (nn/cuda/cuda_gemm.cu).
# One process an operation and tool, four at a time: racecheck is slow, and one of them all would hide the rest.
part_sanitize() {
    command -v compute-sanitizer >/dev/null || { echo "sanitize: skipped (no compute-sanitizer)"; return; }
    mebench selftest --grad --list >"$work/grad"
    for op in $(mebench selftest --list | cut -d ' ' -f 1 | sort -u); do
        grep -q "^$op " "$work/grad" && form=--grad || form=--quiet # no backward; xargs wants some third word
        for tool in memcheck racecheck initcheck; do echo "$tool $op $form"; done
    done >"$work/jobs"
    export OUT bound
    xargs -P 4 -L 1 sh -c '
        program=mebench
        [ "$0" = initcheck ] && command -v mebench-poison >/dev/null && program=mebench-poison
        timeout "$bound" compute-sanitizer --tool "$0" --error-exitcode 9 $program selftest --device cuda $2 --op "$1" \
            >"$OUT/sanitize-$0-$1.txt" 2>&1
        echo "$0 $1 $?" >>"$OUT/sanitize.txt"' <"$work/jobs"
    for tool in memcheck racecheck initcheck; do
        echo "sanitize $tool: $(grep -c "^$tool .* 0$" "$OUT/sanitize.txt") operations clean;" \
            "others: $(grep "^$tool " "$OUT/sanitize.txt" | grep -v ' 0$' | cut -d ' ' -f 2,3 | tr '\n' ' ')"
    done
    grep -qv ' 0$' "$OUT/sanitize.txt" && failed=$((failed + 1))
}

part_embed() {
    for p in fp32 tf32 bf16; do logged "embed-$p" bench-embed --device cuda --precision $p --runs 21; done
}

# Milliseconds a step over the last rows of a run's curve.
pace() {
    awk -F, -v name="$1" 'NR > 1 { rate[NR] = $4 } END {
        for (i = NR; i > NR - 3 && i > 2; i--) { sum += 1000 / rate[i]; n++ }
        printf "%-28s %.2f ms a step\n", name, sum / n }' "$2/curves.csv" | tee -a "$OUT/steps.txt"
}

part_tmr() {
    # 1024 motions of 100 frames on average to train on: every batch is a whole one.
    mebench synth --quiet --out "$work/tmr.safetensors" --pairs 1178 --max-frames 135 --seed 8 >/dev/null
    for batch in 32 256; do
        for p in fp32 tf32 bf16; do
            run=$work/tmr-$batch-$p
            logged "tmr-$batch-$p" mebench train --quiet --model tmr --dataset "$work/tmr.safetensors" --out "$run" \
                --device cuda --precision $p --batch $batch --steps $((batch == 32 ? 480 : 160)) \
                --log-every $((batch == 32 ? 80 : 24)) --no-tensorboard --no-export --text-cache=
            pace "tmr batch $batch $p" "$run"
        done
    done
}

part_editor() {
    mkdir -p "$work/e"
    mebench synth --quiet --out "$work/e/d.safetensors" --pairs 3600 --val 0.01 --test 0.282 --min-frames 80 \
        --max-frames 120 --seed 8 >/dev/null
    # Packed: what the reference pads is left out, as --triplet-pool valid allows; padded: its defaults.
    for p in bf16 tf32; do
        for form in packed padded; do
            pool="--triplet-pool valid --retro-mask valid"
            [ $form = padded ] && pool=
            run=$work/e/$p-$form
            logged "omnime-$p-$form" mebench train --quiet --model omnime --dataset "$work/e/d.safetensors" --out "$run" \
                --device cuda --precision $p --batch 128 --steps 80 --log-every 20 --no-tensorboard --text-cache= $pool
            pace "omnime batch 128 $p $form" "$run"
        done
    done
    start=$(date +%s.%N)
    logged sample mebench sample --quiet --model "$work/e/bf16-packed/last.safetensors" --dataset "$work/e/d.safetensors" \
        --split test --out "$work/e/samples" --device cuda --precision bf16 --text-cache=
    echo "$(find "$work/e/samples" -name "*.npy" | wc -l) motions of 300 steps, whole process:" \
        "$(echo "$(date +%s.%N) $start" | awk '{ printf "%.1f", $1 - $2 }') s" | tee -a "$OUT/steps.txt"
}

part_anchor() {
    [ -n "${TORCH_ANCHOR:-}" ] || { echo "anchor: skipped (TORCH_ANCHOR names no program)"; return; }
    for what in tmr-encode tmr-train omnime-train omnime-sample; do
        logged "anchor-$what" python3 "$TORCH_ANCHOR" "$what"
        cat "$OUT/anchor-$what.txt"
    done
}

for part in ${*:-parity selftest sanitize embed tmr editor}; do
    case $part in
    parity | selftest | sanitize | embed | tmr | editor | anchor) "part_$part" ;;
    *) echo "gpu_check: no part $part"; exit 2 ;;
    esac
done
echo "gpu_check: $failed commands failed"
[ "$failed" = 0 ]
