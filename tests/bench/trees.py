#!/usr/bin/env python3
"""Makes two trees like those of an installed system, for measuring comparisons.

usage: trees.py DIR MEGABYTES

DIR/a and DIR/b hold the same files of about so many megabytes, made from a fixed seed and from the programs
and libraries of this machine. In b, 9,200 files and directories of a gigabyte's 20,000 have another time, and
some forty differ in content: logs, archives with other times of their members, compiled Python with another
time of its source, programs with another text, a database, keys. The numbers shrink with the size.
"""

import gzip
import io
import os
import pathlib
import random
import shutil
import sqlite3
import struct
import sys
import tarfile
import zipfile

MEGABYTE = 1 << 20
EPOCH = 1_700_000_000


def words(rng, count, vocabulary):
    text = []
    for _ in range(count):
        text.append(rng.choice(vocabulary))
        if rng.random() < 0.12:
            text.append("\n")
    return " ".join(text).encode()


def make_archive(rng, vocabulary, time):
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as packed:
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for number in range(6):
                data = words(rng, 400, vocabulary)
                member = tarfile.TarInfo(f"share/part-{number}.txt")
                member.size = len(data)
                member.mtime = time
                tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def make_zip(rng, vocabulary, year):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(6):
            member = zipfile.ZipInfo(f"module/part{number}.py", (year, 1, 2, 3, 4, 6))
            archive.writestr(member, words(rng, 300, vocabulary))
    return out.getvalue()


def make_pyc(rng, time):
    head = struct.pack("<HHIII", 3531, 0x0A0D, 0, time, 4096)
    return head + rng.randbytes(3000)


def make_database(path, stamp):
    with sqlite3.connect(path) as database:
        database.execute("create table packages(name text primary key, installed integer)")
        rows = [(f"package-{number}", stamp) for number in range(500)]
        database.executemany("insert into packages values(?, ?)", rows)
    database.close()


def programs(limit):
    """ELF files of this machine, the larger ones left out."""
    found = []
    for directory in ["/usr/bin", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/sbin"]:
        for path in sorted(pathlib.Path(directory).glob("*")):
            if path.is_file() and not path.is_symlink() and path.stat().st_size < limit:
                with path.open("rb") as file:
                    if file.read(4) == b"\x7fELF":
                        found.append(path)
    return found


def main():
    root, size = pathlib.Path(sys.argv[1]), int(sys.argv[2]) * MEGABYTE
    rng = random.Random(1)
    vocabulary = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 11))) for _ in range(4000)]
    share = size / (1024 * MEGABYTE)
    files, times, contents = int(20_000 * share), int(9_200 * share), max(4, int(40 * share))
    a, b = root / "a", root / "b"
    shutil.rmtree(root, ignore_errors=True)
    a.mkdir(parents=True)

    # Half of the bytes are programs, as often as it takes.
    elves = programs(4 * MEGABYTE)
    written, number = 0, 0
    while written < size // 2:
        source = elves[number % len(elves)]
        directory = a / "usr" / "lib" / f"set-{number // len(elves)}"
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, directory / source.name)
        written += source.stat().st_size
        number += 1
    each = max(1024, (size - written) // max(1, files - number))
    for number in range(number, files):
        directory = a / "usr" / "share" / f"package-{number // 12}"
        directory.mkdir(parents=True, exist_ok=True)
        length = rng.randint(each // 4, each * 7 // 4)
        kind = number % 12
        if kind == 0:
            data, name = make_archive(rng, vocabulary, EPOCH), "data.tar.gz"
        elif kind == 1:
            data, name = make_zip(rng, vocabulary, 2023), "module.zip"
        elif kind in (2, 3):
            data, name = make_pyc(rng, EPOCH), f"module{kind}.cpython-312.pyc"
        elif kind == 4:
            data, name = rng.randbytes(length), "image.bin"
        else:
            text = words(rng, min(length // 8 + 1, 500), vocabulary)
            data, name = (text * (length // len(text) + 1))[:length], f"text{kind}.txt"
        (directory / name).write_bytes(data)
    for directory, _, names in os.walk(a):
        for name in names + [""]:
            os.utime(os.path.join(directory, name), (EPOCH, EPOCH))

    shutil.copytree(a, b, symlinks=True)
    everything = sorted(path for path in b.rglob("*"))
    for path in b.rglob("*"):
        os.utime(path, (EPOCH, EPOCH))
    chosen = rng.sample([path for path in everything if path.is_file()], contents)
    for number, path in enumerate(chosen):
        local = random.Random(number)
        other = a / path.relative_to(b)
        kind = number % 8
        if kind == 0:
            one, two = (make_archive(random.Random(number), vocabulary, EPOCH + n) for n in (0, 77))
        elif kind == 1:
            one, two = (make_zip(random.Random(number), vocabulary, year) for year in (2023, 2024))
        elif kind == 2:
            one, two = (make_pyc(random.Random(number), EPOCH + n) for n in (0, 5))
            path, other = path.with_suffix(".pyc"), other.with_suffix(".pyc")
        elif kind == 3:
            one = two = None
            for place, stamp in [(other, EPOCH), (path, EPOCH + 9)]:
                place.unlink()
                make_database(place, stamp)
        elif kind == 4:
            data = bytearray(elves[number % len(elves)].read_bytes())
            one = bytes(data)
            at = data.find(b"GNU")
            data[at if at > 0 else len(data) // 2] ^= 1
            two = bytes(data)
        else:
            text = words(local, 2000, vocabulary)
            one = text + b"\nbuilt on Mon Nov 23 21:33:27 UTC 2026\n" + text
            two = text + b"\nbuilt on Mon Nov 23 21:33:29 UTC 2026\n" + text
        if one is not None:
            other.write_bytes(one)
            path.write_bytes(two)
        for place in (other, path):
            os.utime(place, (EPOCH, EPOCH))
    for directory, _, _ in os.walk(a):
        os.utime(directory, (EPOCH, EPOCH))
        os.utime(os.path.join(b, os.path.relpath(directory, a)), (EPOCH, EPOCH))
    for path in rng.sample(everything, min(times, len(everything))):
        os.utime(path, (EPOCH + 60, EPOCH + 60))
    total = sum(path.stat().st_size for path in a.rglob("*") if path.is_file())
    print(f"{len(everything)} entries, {total / MEGABYTE:.0f} MiB in each tree, {times} times and {contents} contents differ")


main()
