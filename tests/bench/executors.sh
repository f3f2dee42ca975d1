#!/usr/bin/env bash
# What a step costs in each place where steps run: builds a Dockerfile of one step and one of twenty-one that
# do next to nothing, and prints the time of both and what a step adds; then examples/service, as a build
# of usual size. One run each, nothing varied. The engines are those that answer (DOCKER_HOST,
# CONTAINER_HOST, or their usual sockets); one that does not is passed over, which is said.
#
#   tests/bench/executors.sh [ROUNDS]     REPRO_BIN names the program, else it is built (release)
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-3}
if [ -z "${REPRO_BIN:-}" ]; then
    cargo build --release --quiet
    REPRO_BIN="$PWD/target/release/repro"
fi
dir=$(mktemp -d "$PWD/target/bench-executors.XXXXXX")
trap 'rm -rf "$dir"' EXIT
export REPRO_STORE=$dir/store

# project STEPS
project() {
    mkdir -p "$dir/$1"
    printf '[toolchain.busybox]\nuse = "busybox"\n' >"$dir/$1/repro.toml"
    {
        echo 'FROM busybox'
        for step in $(seq "$1"); do echo "RUN echo $step >/$step"; done
    } >"$dir/$1/Dockerfile"
}
project 1
project 21

# seconds EXECUTOR PROJECT: the shortest of all rounds
seconds() {
    local best=999999 round started ended
    for round in $(seq "$rounds"); do
        started=$(date +%s%N)
        "$REPRO_BIN" build --executor "$1" --runs 1 --evidence "$dir/out" "$2" >/dev/null 2>"$dir/log" ||
            { tail -5 "$dir/log" >&2; exit 1; }
        ended=$(date +%s%N)
        best=$(awk -v best="$best" -v took="$(((ended - started) / 1000000))" 'BEGIN { print took < best ? took : best }')
    done
    awk -v ms="$best" 'BEGIN { printf "%.2f", ms / 1000 }'
}

printf '%-10s %10s %10s %14s %12s\n' executor '1 step' '21 steps' 'a step' 'service'
native=
for executor in native docker podman; do
    if ! "$REPRO_BIN" build --executor "$executor" --runs 1 --evidence "$dir/out" "$dir/1" >/dev/null 2>"$dir/log"; then
        echo "$executor: passed over: $(grep -m1 '^error' "$dir/log")"
        continue
    fi
    # Once before, so that the base is loaded.
    "$REPRO_BIN" build --executor "$executor" --runs 1 --evidence "$dir/out" examples/service >/dev/null 2>&1
    one=$(seconds "$executor" "$dir/1") many=$(seconds "$executor" "$dir/21")
    whole=$(seconds "$executor" examples/service)
    each=$(awk -v one="$one" -v many="$many" 'BEGIN { printf "%.3f", (many - one) / 20 }')
    native=${native:-$each}
    ratio=$(awk -v each="$each" -v native="$native" 'BEGIN { printf "%.1f", each / native }')
    printf '%-10s %8s s %8s s %6s s (%sx) %9s s\n' "$executor" "$one" "$many" "$each" "$ratio" "$whole"
done
