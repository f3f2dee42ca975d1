#!/usr/bin/env bash
# Measures `repro diff` on two directories against diffoscope on the same two: time, memory, and how much
# each says. Not part of tests/run, because diffoscope takes minutes.
#
#     cargo build --release
#     tests/bench/diff.sh [DIR]
#
# DIR (target/bench unless given) takes five gigabytes while it runs. Needs python3, GNU time and diffoscope.
set -euo pipefail
cd "$(dirname "$0")/../.."
# Absolute, since a bare relative path is the name of an image.
dir=$(realpath --canonicalize-missing "${1:-target/bench}")
repro=${REPRO_BIN:-$PWD/target/release/repro}
mkdir -p "$dir"
export REPRO_STORE=$dir/store

for tool in python3 /usr/bin/time diffoscope "$repro"; do
    command -v "$tool" >/dev/null || { echo "tests/bench/diff.sh: $tool is missing" >&2; exit 1; }
done

# measure NAME COMMAND...: seconds, peak kilobytes and CPU seconds into $dir/NAME.time, output into $dir/NAME.out
measure() {
    local name=$1 code=0
    shift
    /usr/bin/time --quiet --format '%e %M %U %S' --output "$dir/$name.time" "$@" >"$dir/$name.out" 2>"$dir/$name.err" ||
        code=$?
    # Both say with 1 that the trees differ.
    [ "$code" -eq 1 ] || { echo "$name ended with $code" >&2; tail -5 "$dir/$name.err" >&2; exit 1; }
}

for size in 256 1024; do
    python3 tests/bench/trees.py "$dir/trees-$size" "$size"
    # Once before, so that both find the files in memory.
    find "$dir/trees-$size" -type f -exec cat {} + >/dev/null
    measure "repro-$size" "$repro" diff "$dir/trees-$size/a" "$dir/trees-$size/b"
    read -r seconds memory user system <"$dir/repro-$size.time"
    echo "repro, $size MiB: $seconds s ($user user, $system system), $((memory / 1024)) MiB of memory, $(wc -l <"$dir/repro-$size.out") lines"
done
size=1024
measure "diffoscope-$size" diffoscope --no-progress --text - --max-text-report-size 0 \
    "$dir/trees-$size/a" "$dir/trees-$size/b"
read -r theirs memory user system <"$dir/diffoscope-$size.time"
echo "diffoscope, $size MiB: $theirs s ($user user, $system system), $((memory / 1024)) MiB of memory, $(wc -l <"$dir/diffoscope-$size.out") lines"
# Again, so that neither had the better moment.
measure "repro-$size" "$repro" diff "$dir/trees-$size/a" "$dir/trees-$size/b"
read -r ours _ <"$dir/repro-$size.time"
python3 - "$theirs" "$ours" <<'END'
import sys
theirs, ours = map(float, sys.argv[1:])
ratio = theirs / max(ours, 0.01)
print(f"repro is {ratio:.0f} times as fast")
sys.exit(ratio < 10)
END
