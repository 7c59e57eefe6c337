#!/bin/sh
# Runs libFuzzer targets for some seconds each, starting from the committed seeds; a finding stops the run.
# Usage: run.sh SECONDS TARGET...
seconds=$1
shift
status=0
for target; do
    work=$BUILD/corpus-$target
    mkdir -p "$work"
    log=$BUILD/fuzz_$target.log
    if "$BUILD/fuzz_$target" -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=4096 -timeout=20 -artifact_prefix="$BUILD/" \
        -print_final_stats=1 "$work" "tests/fuzz/corpus/$target" >"$log" 2>&1; then
        printf '%-16s %s runs in %s s, no finding\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" "$seconds"
    else
        tail -n 30 "$log"
        echo "$target: FINDING, see $log"
        status=1
    fi
done
exit $status
