#!/bin/sh
# One line a speed figure. `make bench` runs this.
#
# BUILD: where the programs are. FIXTURES: where eval-classic is. TORCH_ANCHOR: a Python program that
# takes `tmr-encode` and times the same network in PyTorch on the GPU.
set -u
BUILD=${BUILD:-build}
FIXTURES=${FIXTURES:-../shared/fixtures}
run=$BUILD/bench-process
work=$(mktemp -d "${TMPDIR:-/tmp}/mebench-bench.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT

for precision in fp32 tf32 bf16; do
    "$BUILD/bench-embed" --device cuda --precision $precision 2>"$work/error" ||
        { echo "embed+rank, cuda: skipped ($(head -n 1 "$work/error"))"; break; }
done
"$BUILD/bench-embed" --device cpu --pairs 64 --runs 3

if "$BUILD/mebench" synth --out "$work/pairs.pth.tar" --pairs 1013 --val 0 --test 1 \
    --max-frames 150 --quiet >/dev/null; then
    "$run" --load "$work/pairs.pth.tar"
    "$run" "eval of 1013 synthetic pairs, files to table" "$BUILD/mebench" eval \
        --dataset "$work/pairs.pth.tar" --generated baseline:random-other --tmr random:1 --quiet
fi

classic=$FIXTURES/eval-classic
if [ -d "$classic" ]; then
    "$run" "eval-classic, cpu" "$BUILD/mebench" eval --dataset "$classic/motionfix_test.pth.tar" \
        --generated "$classic/samples" --tmr "$classic/eval-deps" --device cpu --quiet
else
    echo "eval-classic: skipped (no $classic)"
fi

if [ -z "${TORCH_ANCHOR:-}" ]; then
    echo "PyTorch beside it: skipped (TORCH_ANCHOR names no program)"
elif ! python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    echo "PyTorch beside it: skipped (no python3 with torch that sees a GPU)"
else
    echo "PyTorch beside it: $(python3 "$TORCH_ANCHOR" tmr-encode 2>/dev/null | tail -n 1)"
fi
