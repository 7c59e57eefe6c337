#!/bin/sh
# What `make demo` shows: a synthetic benchmark with an editor's samples scored beside copies of the source, and pairs
# cut from real mocap.
# Everything it makes goes to out-demo/.
set -e
M=${BUILD:-build}/mebench
out=out-demo
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() {
    say "\$ mebench $*"
    "$M" "$@"
}
rm -rf "$out"
mkdir "$out" "$out/synth" "$out/cmu"

tmr=tmr/shipped.safetensors
editor=models/shipped.safetensors
run synth --out $out/synth/test.pth.tar --pairs 256 --max-frames 66 --val 0 --test 1 --seed 99 --quiet
run inspect $out/synth/test.pth.tar | head -n 14
run sample --model $editor --dataset $out/synth/test.pth.tar --steps 25 --guidance 1,1 --heading source --out $out/samples --quiet
run eval --dataset $out/synth/test.pth.tar --generated $out/samples --tmr $tmr --name "OmniME, shipped" --out $out/result
run edit --model $editor --motion $out/synth/test.pth.tar --key 000003 --guidance 1,1 --out $out/edited.bvh --quiet

takes=/usr/share/assimp/models/BVH
if [ -f $takes/01_01.bvh ]; then
    run pairs $takes/01_01.bvh $takes/01_03.bvh --out $out/cmu/all.pth.tar --quiet
    run eval --dataset $out/cmu/all.pth.tar --generated baseline:copy-source-resampled --tmr $tmr --no-source-table
    echo
    echo "The takes were obtained from mocap.cs.cmu.edu; the database was created with funding from NSF EIA-0196217."
else
    say "no real mocap at $takes (Debian: assimp-testmodels); that part is left out"
fi

say "Embedder and editor were trained on synthetic motions (README): these scores are not comparable with published ones."
say "Made: $out/ (samples as the field writes them, edited.bvh, result.json, ranks.csv, tables). Yours next:"
echo "  mebench eval --dataset motionfix_test.pth.tar --generated SAMPLES --tmr eval-deps"
