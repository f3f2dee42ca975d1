#!/usr/bin/env bash
# What the shifted clock costs: builds the same steps with the machine's clock (run A) and with the
# shifted one (run B, two seconds later), and prints B's time by A's, step by step. Between the steps both
# wait, so that no step of one run meets another of the other. Equal runs come first, side by side: they
# show how far the machine's other work moves the numbers. Then what a listing of a directory costs, which
# every run pays: inside a step, and on the machine itself.
#
#   tests/bench/axes.sh [ROUNDS]     REPRO_BIN names the program, else it is built (release)
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-3} n=0
if [ -z "${REPRO_BIN:-}" ]; then
    cargo build --release --quiet
    REPRO_BIN="$PWD/target/release/repro"
fi
dir=$(mktemp -d "$PWD/target/bench-axes.XXXXXX")
trap 'rm -rf "$dir"' EXIT

cp examples/zlib/repro.toml examples/zlib/repro.lock "$dir/"
cat >"$dir/loops.c" <<'C'
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static double now(clockid_t clock) {
  struct timespec at;
  clock_gettime(clock, &at);
  return at.tv_sec * 1e6 + at.tv_nsec / 1e3;
}
int main(int count, char **arguments) {
  double began = now(CLOCK_MONOTONIC);
  if (count < 2) {
    for (int i = 0; i < 100000; i++) now(CLOCK_REALTIME);
    return printf("%.2f us a question for the time\n", (now(CLOCK_MONOTONIC) - began) / 100000) < 0;
  }
  for (int i = 0; i < 5000; i++) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%d", arguments[1], i % 1000);
    DIR *directory = opendir(path);
    while (readdir(directory) != NULL) {
    }
    closedir(directory);
  }
  return printf("%.1f us a directory of 12 files\n", (now(CLOCK_MONOTONIC) - began) / 5000) < 0;
}
C
# The first name is built from the lock beside it.
cat >"$dir/Dockerfile" <<'DOCKER'
FROM c AS build
COPY --from=zlib / /src
WORKDIR /src
RUN sleep 8
# configure
RUN ./configure --prefix=/usr >/dev/null
RUN sleep 8
# compile
RUN make -j2 >/dev/null
RUN sleep 8
# packages made
RUN set -e; for i in $(seq 40); do p=/tmp/p$i; mkdir -p $p/DEBIAN $p/usr/share/p$i; \
    for f in $(seq 50); do echo $f >$p/usr/share/p$i/$f; done; \
    printf 'Package: p%s\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example>\nDescription: x\n' $i >$p/DEBIAN/control; \
    printf '#!/bin/sh\nset -e\ntrue\n' >$p/DEBIAN/postinst; chmod 755 $p/DEBIAN/postinst; \
    dpkg-deb --build $p /tmp/p$i.deb >/dev/null; done
RUN sleep 8
# packages installed
RUN dpkg -i /tmp/*.deb >/dev/null
RUN sleep 8
# processes
RUN for i in $(seq 1000); do /bin/true; done
COPY loops.c /
RUN gcc -O2 -o /bin/loops /loops.c
RUN sleep 8
# questions
RUN loops
RUN sleep 8
# files
RUN mkdir /many; cd /many; for i in $(seq 0 999); do mkdir $i; cd $i; for f in 1 2 3 4 5 6 7 8 9 a b c; do : >$f; done; cd ..; done
RUN sleep 8
# find
RUN for i in 1 2 3 4 5; do find /many >/dev/null; done
RUN sleep 8
# listing
RUN loops /many
DOCKER

build() { # AXES
    # That a run differs is not the question here.
    "$REPRO_BIN" build --quiet --vary "$1" --on-difference warn --evidence "$dir/out" "$dir" >/dev/null 2>"$dir/said" ||
        { cat "$dir/said" >&2; return 1; }
}

build none # what is downloaded and unpacked once is not measured
for axes in none clock; do
    for _ in $(seq "$rounds"); do
        build "$axes"
        cp "$dir/out/reproducibility/report.json" "$dir/$axes.$((++n)).json"
    done
done
python3 - "$dir" <<'PYTHON'
import collections, glob, json, os, sys
directory = sys.argv[1]
names, last = {}, None
for number, line in enumerate(open(directory + "/Dockerfile"), 1):
    if line.startswith("# "):
        last = line[2:].strip()
    elif line.startswith("RUN ") and last:
        names[number], last = last, None
def times(axes):
    found = {"a": collections.defaultdict(list), "b": collections.defaultdict(list)}
    for path in glob.glob(f"{directory}/{axes}.*.json"):
        for run in json.load(open(path))["runs"]:
            for step in run["steps"]:
                if run["id"] in found and step["line"] in names:
                    found[run["id"]][step["line"]].append(step["wallMs"])
    return found
none, clock = times("none"), times("clock")
print(f"{'step':20} {'A, ms':>8} {'B, ms':>8} {'B by A':>7} {'equal runs':>11}")
for line, name in names.items():
    a, b = (min(clock[run][line]) for run in "ab")
    plain = min(none["b"][line]) / max(1, min(none["a"][line]))
    print(f"{name:20} {a:8} {b:8} {b / max(1, a):7.2f} {plain:11.2f}")
PYTHON
said() { grep --no-filename "us a" "$dir/out/logs/run-$1"/*; }
gcc -O2 -o "$dir/loops" "$dir/loops.c"
mkdir "$dir/many"
(cd "$dir/many" && for i in $(seq 0 999); do mkdir "$i" && (cd "$i" && touch 1 2 3 4 5 6 7 8 9 a b c); done)
echo "on the machine:  $("$dir/loops"), $("$dir/loops" "$dir/many")"
echo "in run A:        $(said a | paste -sd, | sed 's/,/, /')"
echo "in run B:        $(said b | paste -sd, | sed 's/,/, /')"
