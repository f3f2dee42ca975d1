#!/usr/bin/env python3
"""Runs every suite of the workspace, two at a time: most of them wait more than they compute.

usage: suites.py [CARGO OPTIONS]

`cargo test --workspace` runs the same suites one after another. Here what a suite prints is in
target/suites/NAME.log, and is printed where it fails, as a whole and not between the lines of another. What
REPRO_BIN names is tested; CARGO OPTIONS, such as `--release`, go to cargo.
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOGS = ROOT / "target" / "suites"
# More would only share the cores; fewer leave them idle while a build keeps its distance from the other run.
AT_ONCE = 2
# Those that take minutes begin first, so that none of them is left over when all others are done.
LONGEST = ["conformance", "examples", "build", "sandbox", "toolchain_lock", "interop", "one_id", "bad_input"]

Suite = collections.namedtuple("Suite", "name program directory")


def built(options):
    """The suites, by what cargo says that it built."""
    command = ["cargo", "test", "--workspace", "--no-run", "--quiet", "--message-format=json-render-diagnostics"]
    told = subprocess.run(command + options, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    suites = []
    for line in told.stdout.splitlines():
        message = json.loads(line)
        if message["reason"] == "compiler-artifact" and message["profile"]["test"] and message["executable"]:
            directory = pathlib.Path(message["manifest_path"]).parent
            name = f"{directory.relative_to(ROOT).as_posix().replace('/', '-')}-{message['target']['name']}"
            suites.append(Suite(name, message["executable"], directory))

    def place(suite):
        last = suite.name.rsplit("-", 1)[-1]
        return (LONGEST.index(last) if last in LONGEST else len(LONGEST), suite.name)

    return sorted(suites, key=place)


def run(suite):
    """Whether the suite passed, and its counts; prints one line on it, and all that it said if it did not."""
    log = LOGS / f"{suite.name}.log"
    began = time.monotonic()
    with log.open("wb") as out:
        ended = subprocess.run([suite.program], cwd=suite.directory, stdout=out, stderr=subprocess.STDOUT, check=False)
    seconds = time.monotonic() - began
    said = log.read_text(errors="replace")
    counts = re.findall(r"^test result: .*?(\d+) passed; (\d+) failed; (\d+) ignored", said, re.MULTILINE)
    counts = [sum(int(count) for count in column) for column in zip(*counts)] or [0, 0, 0]
    good = ended.returncode == 0
    line = f"{'ok' if good else 'FAILED':6} {suite.name:32} {seconds:6.1f} s  {in_words(counts)}"
    print(line if good else f"{said}\n{line}", flush=True)
    return good, counts


def in_words(counts):
    passed, failed, ignored = counts
    return f"{passed} passed; {failed} failed; {ignored} ignored"


def main():
    options = sys.argv[1:]
    LOGS.mkdir(parents=True, exist_ok=True)
    # As many tests as cores would leave the cores idle: a build waits two seconds between its runs.
    os.environ.setdefault("RUST_TEST_THREADS", str(3 * (os.cpu_count() or 1)))
    suites = built(options)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        ended = list(pool.map(run, suites))
    failed = [suite.name for suite, (good, _) in zip(suites, ended) if not good]
    print(f"{len(suites)} suites, {len(failed)} failed {' '.join(failed)}".rstrip(), flush=True)
    counts = [sum(column) for column in zip(*(counts for _, counts in ended))]
    print(f"test result: {'FAILED' if failed else 'ok'}. {in_words(counts)}", flush=True)
    examples = subprocess.run(["cargo", "test", "--workspace", "--doc", "--quiet", *options], cwd=ROOT, check=False)
    sys.exit(bool(failed) or examples.returncode != 0)


if __name__ == "__main__":
    main()
