#!/bin/sh
# Layers, doors, symbols and kernels. Usage: lint.sh BUILD "folder:dep dep" ...
# Prints each offence and fails when there is one.
build=$1
shift
bad=0

# Layers: a folder includes itself and what its row of DEPS names, nothing else.
for row; do
    folder=${row%%:*}
    allowed=" $folder ${row#*:} "
    find "$folder" -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' | sort | xargs awk -v allowed="$allowed" '
        /^#include "/ { split($2, part, /["\/]/); if (!index(allowed, " " part[2] " ")) {
            print FILENAME ":" FNR ": layer: " $2; bad = 1 } }
        END { exit bad }' || bad=1
done

# Doors: a library is included in one place.
door() { # header pattern, allowed path pattern
    git grep -nE "#include <($1)" -- '*.c' '*.h' '*.cu' '*.cuh' | grep -vE "^($2)" | sed 's/$/   door/' | grep . && bad=1
}
door 'cjson|cJSON' 'core/json\.c:'
door 'csv\.h' 'core/csv\.c:'
door 'zip\.h' 'core/zip\.c:|tests/'
door 'bzlib|lzma|lz4' 'core/compress\.c:|tests/'
door 'cblas|openblas' 'nn/cpu/'
door 'cublas' 'nn/cuda/'
door 'utf8proc' 'nn/text_bpe\.c:'
door 'criterion' 'tests/'

# Symbols: what an archive exports begins with its folder's prefix.
prefix() {
    case $1 in
    core) echo 'me_|ME_' ;; nn) echo 'nn_' ;; motion) echo 'motion_' ;; metrics) echo 'metric_|metrics_' ;; tmr) echo 'tmr_' ;;
    models) echo 'model_' ;; baselines) echo 'baseline_' ;; reports) echo 'report_' ;; eval) echo 'eval_|main$' ;;
    esac
}
for row; do
    folder=${row%%:*}
    nm -g --defined-only "$build/lib$folder.a" 2>/dev/null | awk -v ok="^($(prefix "$folder"))" '
        NF == 3 && $2 ~ /[TDBRVWC]/ && $3 !~ ok && $3 !~ /^(_Z|__|fatbin|_fini|_init|[.]gomp|DW[.]ref)/ { print "symbol: " $3 " in '"$folder"'"; bad = 1 }
        END { exit bad }' || bad=1
done

# Kernels: each begins with nn_cuda_begin() and is launched by nn_cuda_launch() (nn/cuda/cuda_launch.cuh says why).
find nn/cuda -name '*.cu' -o -name '*.cuh' | sort | xargs awk '
    /^ *(\/\*|\*)/ { next }
    /<<</ { print FILENAME ":" FNR ": launch: not by nn_cuda_launch()"; bad = 1 }
    body { if ($0 !~ /^ *nn_cuda_begin\(\);$/) { print body ": kernel: does not begin with nn_cuda_begin()"; bad = 1 }
           body = kernel = "" }
    /__global__/ { kernel = FILENAME ":" FNR }
    kernel && /;$/ { kernel = "" }
    kernel && /[{]/ { body = kernel }
    END { exit bad }' || bad=1
[ $bad = 0 ] && echo "layers, doors, symbols, kernels: ok"
exit $bad
