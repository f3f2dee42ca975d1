#!/bin/sh
# Builds the targets with the compiler of the workspace and runs one: run.sh TARGET [SECONDS].
#
# `cargo fuzz` wants a nightly compiler for the address sanitizer alone. There is no unsafe code in
# what these targets reach, so coverage is all that is needed, and a stable compiler gives that.
set -eu
cd "$(dirname "$0")"
target=$1
seconds=${2:-600}
coverage="-Cpasses=sancov-module -Ccodegen-units=1 --cfg fuzzing"
for option in level=4 inline-8bit-counters pc-table trace-compares; do
    coverage="$coverage -Cllvm-args=-sanitizer-coverage-$option"
done
host=$(rustc -vV | sed -n 's/^host: //p')
# A target of its own keeps the flags from build scripts and macros.
RUSTFLAGS=$coverage cargo build --release --target "$host" --bin "$target"
mkdir -p "corpus/$target" "artifacts/$target"
set -- "corpus/$target"
if [ -d "seeds/$target" ]; then
    set -- "$@" "seeds/$target"
fi
exec "target/$host/release/$target" "$@" -max_len=8192 -use_value_profile=1 \
    -artifact_prefix="artifacts/$target/" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024
