#!/bin/sh
# Runs Criterion binaries one after another and adds up what they say. A sanitizer's report fails the run
# even where Criterion does not notice it (a leak), so those go to files that must stay absent.
# Usage: run.sh BINARY...
# Waiting threads give the processor up: on a busy machine spinning makes short tests take six times as long.
export OMP_WAIT_POLICY=passive
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
passed=0
failed=0
for binary; do
    ASAN_OPTIONS=log_path=$log/san:detect_leaks=${LEAKS:-1} UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
        "$binary" >"$log/out" 2>&1
    status=$?
    line=$(sed 's/\x1b\[[0-9;]*m//g' "$log/out" | grep 'Synthesis:' | tail -n 1)
    tested=$(echo "$line" | sed -n 's/.*Tested: *\([0-9]*\).*/\1/p')
    ok=$(echo "$line" | sed -n 's/.*Passing: *\([0-9]*\).*/\1/p')
    tested=${tested:-0}
    ok=${ok:-0}
    if [ $status != 0 ] || [ "$tested" = 0 ] || ls "$log"/san.* >/dev/null 2>&1; then
        sed 's/\x1b\[[0-9;]*m//g' "$log/out"
        cat "$log"/san.* 2>/dev/null
        rm -f "$log"/san.*
        [ "$tested" = "$ok" ] && failed=$((failed + 1))
    fi
    printf '%-24s %s of %s\n' "$(basename "$binary")" "$ok" "$tested"
    passed=$((passed + ok))
    failed=$((failed + tested - ok))
done
[ -z "$TALLY" ] || echo "$passed $failed" >>"$TALLY"
echo "unit tests: $passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
