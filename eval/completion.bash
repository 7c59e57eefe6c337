# bash completion of mebench: commands, their options and files. It asks the program, so it never lags behind.
_mebench() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} words
    if [ "$COMP_CWORD" = 1 ] || { [ "$command" = help ] && [ "$COMP_CWORD" = 2 ]; }; then
        words=$(mebench list commands 2>/dev/null | awk '{print $1}')
    elif [ "$command" = list ] && [ "$COMP_CWORD" = 2 ]; then
        words="metrics baselines models reports devices traps commands"
    elif [ "$before" = --device ]; then
        words="auto cpu cuda"
    elif [ "$before" = --format ]; then
        words=$(mebench list reports 2>/dev/null | awk '{print $1}')
    elif [[ $word == -* ]]; then
        words=$(mebench "$command" --help 2>/dev/null | awk '$1 ~ /^--/ {print $1}')
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    [ ${#COMPREPLY[@]} = 0 ] && COMPREPLY=($(compgen -f -- "$word"))
}
complete -o filenames -F _mebench mebench
