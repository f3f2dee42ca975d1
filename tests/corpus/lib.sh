# The words in which the cases of the corpus are written. A file of cases is read by plant.sh.
#
#   needs TOOL...                       the file cannot be planted without them
#   plant NAME CAUSES ROLE PATH <<END   a case: the script on standard input runs once for each
#                                       side, in a directory of its own
#   shape REASON NAME CAUSES ROLE PATH  the same for a case whose tool cannot be had here, so that
#                                       the script only writes what that tool would: says why
#
# CAUSES is the code that the difference at PATH must have; codes behind a `+` may stand beside it.
# ROLE is `primary`, or `derived` where it follows from another difference. PATH may hold `*`.
#
# A script sees $side (a or b), $other (one or two), $epoch (a time of its own, in the past), $tmp
# (an empty directory, of the same name for both sides, that is no part of the case), `pick A B`
# (prints the word of its side), and in side B a clock that is ahead as that of run B.

needs() {
    for tool in "$@"; do
        command -v "$tool" > /dev/null || {
            echo "corpus: $tool is missing; tests/run installs what the corpus needs" >&2
            exit 1
        }
    done
}

words='pick() { if [ "$side" = a ]; then echo "$1"; else echo "$2"; fi; }
'

plant() {
    of=real
    case_of "$@"
}

shape() {
    of=shape
    shift
    case_of "$@"
}

case_of() {
    name=$1 causes=$2 role=$3 path=$4
    script=$(cat)
    for side in a b; do
        if [ $side = a ]; then
            epoch=1700000000 other=one ahead=
        else
            epoch=1734567890 other=two ahead=$clock
        fi
        mkdir -p "$out/$side/$name"
        rm -rf "$tmp"
        mkdir -p "$tmp"
        (
            cd "$out/$side/$name"
            # Run B's clock is 398 days, 5 hours and 17 minutes ahead; times of files are real.
            env -i PATH="$PATH" HOME="$home" LC_ALL=C TZ=UTC side=$side epoch=$epoch other=$other tmp="$tmp" \
                RUSTUP_HOME="$RUSTUP_HOME" CARGO_HOME="$CARGO_HOME" npm_config_update_notifier=false \
                LD_PRELOAD="$ahead" FAKETIME=+34406220 NO_FAKE_STAT=1 DONT_FAKE_MONOTONIC=1 \
                timeout 120 sh -euc "$words$script"
        ) > "$tmp.log" 2>&1 || {
            echo "corpus: $name, side $side:" >&2
            cat "$tmp.log" >&2
            exit 1
        }
    done
    # shellcheck disable=SC2086 # the path may be a pattern; the first that fits is meant
    first=$(cd "$out/a/$name" && ls -d $path 2> /dev/null | head -n 1)
    echo "$family $name $causes $role $of ${first:-$path}" >> "$out/expected.$family"
}
