#!/usr/bin/env python3
"""Writes the locks of toolchains and of projects.

    toolchains/lock.py toolchain NAME...    defs/NAME.toml -> defs/NAME.lock
    toolchains/lock.py project DIR...       DIR/repro.toml, DIR/Dockerfile -> DIR/repro.lock

Needs Debian's python3 (3.11 or later), apt, gpgv and debian-archive-keyring; no root. Packages
are resolved by apt itself with a state of its own in a temporary directory: nothing of the
machine's installed packages, pins or options takes part, and nothing on the machine changes.
The mirror is --mirror or REPRO_MIRROR, else the machine's first apt source. It is never
written down: a lock holds pool paths and digests.

Trust: apt checks the signature of InRelease against the archive's keyring and refuses an index
or a signature that does not fit; this script then follows InRelease -> index -> entry again and
writes each link into the lock.
"""

import argparse
import email.utils
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEFS = pathlib.Path(__file__).resolve().parent / "defs"
HEX64 = re.compile(r"[0-9a-f]{64}\Z")


class Refused(Exception):
    """Something that must not get into a lock, in words for the user."""


def machine_mirror():
    """The first http(s) URI of the machine's apt sources, one-line or deb822."""
    etc = pathlib.Path("/etc/apt")
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    for file in files:
        if file.suffix not in (".list", ".sources") or not file.is_file():
            continue
        for line in file.read_text().splitlines():
            if re.match(r"(deb\s|URIs:)", line):
                found = re.search(r"https?://\S+", line)
                if found:
                    return found.group().rstrip("/")
    raise Refused("no mirror: give --mirror or set REPRO_MIRROR")


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Archive:
    """One suite and component of the archive, with its signature checked."""

    def __init__(self, root, mirror, suite, component, architecture):
        self.component, self.architecture, self.suite = component, architecture, suite
        for name in ("lists/partial", "archives/partial", "etc"):
            (root / name).mkdir(parents=True)
        (root / "status").touch()
        line = f"[signed-by={KEYRING}] {mirror} {suite} {component}\n"
        (root / "etc/sources.list").write_text(f"deb {line}deb-src {line}")
        options = {
            "Dir::State": root,
            "Dir::State::lists": root / "lists",
            "Dir::State::status": root / "status",
            "Dir::Cache": root,
            "Dir::Cache::archives": root / "archives",
            "Dir::Etc": root / "etc",
            "Dir::Etc::Parts": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null",
            "Dir::Etc::SourceList": root / "etc/sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",
            "Acquire::Languages": "none",
            "Acquire::AllowInsecureRepositories": "false",
        }
        self.options = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
        self.apt("update")
        (in_release,) = (root / "lists").glob("*_InRelease")
        self.in_release = in_release.read_bytes()
        self.keys = self.signing_keys(in_release)
        self.body = in_release.read_text()
        self.date = re.search(r"^Date: (.+)$", self.body, re.M).group(1)
        self.epoch = int(email.utils.parsedate_to_datetime(self.date).timestamp())
        self.lists = root / "lists"

    def apt(self, *arguments):
        run = subprocess.run(
            ["apt-get", *self.options, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
        )
        if run.returncode != 0 or re.search(r"^[WE]:", run.stderr, re.M):
            raise Refused(f"apt-get {' '.join(arguments)}: {run.stderr.strip()}")
        return run.stdout

    @staticmethod
    def signing_keys(in_release):
        run = subprocess.run(
            ["gpgv", "--keyring", KEYRING, "--status-fd", "1", str(in_release)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        # The last field of VALIDSIG is the primary key, the first one a signing subkey.
        keys = sorted({
            line.split()[-1] for line in run.stdout.splitlines()
            if line.startswith("[GNUPG:] VALIDSIG ")
        })
        if run.returncode != 0 or not keys:
            raise Refused("InRelease has no valid signature of the archive's keyring")
        return keys

    def index(self, pattern, path):
        """An index as paragraphs, after comparing it with what InRelease says of it."""
        (file,) = self.lists.glob(pattern)
        data = subprocess.run(
            ["/usr/lib/apt/apt-helper", "cat-file", str(file)], stdout=subprocess.PIPE, check=True,
        ).stdout
        said = re.search(rf"^ ([0-9a-f]{{64}}) +(\d+) {re.escape(path)}$", self.body, re.M)
        if not said or (sha256(data), len(data)) != (said.group(1), int(said.group(2))):
            raise Refused(f"{path} is not the index that InRelease names")
        return data.decode(), {"path": path, "size": len(data), "sha256": sha256(data)}

    def packages(self):
        return self.index("*_Packages*", f"{self.component}/binary-{self.architecture}/Packages")

    def sources(self):
        return self.index("*_Sources*", f"{self.component}/source/Sources")

    def record(self, index):
        return [
            ("suite", self.suite),
            ("component", self.component),
            ("date", self.date),
            ("in-release-sha256", "sha256:" + sha256(self.in_release)),
            ("signed-by", self.keys),
            ("index", index["path"]),
            ("index-sha256", "sha256:" + index["sha256"]),
        ]

    def simulate(self, *wanted):
        """Names and versions in the order in which apt would unpack them on an empty system."""
        out = self.apt("-s", "install", *wanted)
        return re.findall(r"^Inst (\S+) \((\S+) ", out, re.M)


def paragraphs(text):
    for block in text.split("\n\n"):
        fields, key = {}, None
        for line in block.splitlines():
            if line[:1] in " \t":
                fields[key] += "\n" + line.strip()
            elif ":" in line:
                key, _, value = line.partition(":")
                fields[key] = value.strip()
        if fields:
            yield fields


def value(item):
    if isinstance(item, int):
        return str(item)
    if isinstance(item, list):
        return "[" + ", ".join(value(part) for part in item) + "]"
    if not re.fullmatch(r"[ !#-\[\]-~]*", item):
        raise Refused(f"not plain text: {item!r}")
    return f'"{item}"'


def table(head, pairs):
    return f"\n{head}\n" + "".join(f"{key} = {value(item)}\n" for key, item in pairs)


def package_entry(fields, bootstrap):
    if not HEX64.match(fields["SHA256"]):
        raise Refused(f"{fields['Package']}: no SHA256 in the index")
    return [
        ("name", fields["Package"]),
        ("version", fields["Version"]),
        ("architecture", fields["Architecture"]),
        ("phase", "bootstrap" if bootstrap else "install"),
        ("path", fields["Filename"]),
        ("size", int(fields["Size"])),
        ("sha256", "sha256:" + fields["SHA256"]),
    ]


def lock_toolchain(name, archive_of):
    source = (DEFS / f"{name}.toml").read_bytes()
    definition = tomllib.loads(source.decode())
    if (definition["version"], definition["name"]) != (1, name):
        raise Refused(f"{name}.toml: version 1 and name {name!r} expected")
    architecture = definition["architecture"]
    archive = archive_of(definition["suite"], definition["component"], architecture)
    text, index = archive.packages()
    known = {}
    for fields in paragraphs(text):
        known[fields["Package"], fields["Version"]] = fields
    wanted = definition["packages"]
    if definition["method"] == "unpack":
        order = [found for found in archive.simulate(*wanted) if found[0] in wanted]
        bootstrap = set(order)
    else:
        base = ["?essential", "usr-is-merged"]
        bootstrap = set(archive.simulate(*base))
        order = archive.simulate(*base, "?priority(required)", "apt", *wanted)
        if not bootstrap <= set(order):
            raise Refused(f"{name}: the bootstrap set is not part of the whole")
    if {name for name, _ in order} < set(wanted):
        raise Refused(f"{name}: not every package was resolved")
    lock = "# Written by toolchains/lock.py. Do not edit.\n"
    lock += "version = 1\n"
    lock += f"name = {value(name)}\n"
    lock += f"definition = {value('sha256:' + sha256(source))}\n"
    lock += f"platform = {value('linux/' + architecture)}\n"
    lock += f"source-date-epoch = {archive.epoch}\n"
    lock += table("[archive]", archive.record(index))
    for found in order:
        lock += table("[[package]]", package_entry(known[found], found in bootstrap))
    (DEFS / f"{name}.lock").write_text(lock)
    return f"{name}: {len(order)} packages"


def external_references(dockerfile, declared):
    """Names after FROM and --from that are neither a stage nor declared in repro.toml."""
    text = re.sub(r"\\\n", " ", dockerfile)
    stages, names = set(), set()
    for line in text.splitlines():
        stage = re.match(r"\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?\s*$", line, re.I)
        if stage:
            names.add(stage.group(1))
        copy = re.match(r"\s*COPY\s.*?--from=(\S+)", line, re.I)
        if copy and not copy.group(1).isdigit():
            names.add(copy.group(1))
        names -= {name for name in names if name.lower() in stages}
        if stage and stage.group(2):
            stages.add(stage.group(2).lower())
    names -= declared | {"scratch"}
    if names:
        raise Refused(f"images of a registry cannot be locked yet: {', '.join(sorted(names))}")
    return []


def lock_input(name, declared, archive_of):
    purl = declared["purl"]
    found = re.fullmatch(r"pkg:deb/debian/([a-z0-9][a-z0-9+.-]+)@([^?]+)\?arch=source", purl)
    if not found:
        raise Refused(f"input {name}: {purl} is not pkg:deb/debian/NAME@VERSION?arch=source")
    package, version = found.group(1), found.group(2).replace("%3A", ":").replace("%2B", "+")
    archive = archive_of("bookworm", "main", "amd64")
    text, index = archive.sources()
    entries = [
        fields for fields in paragraphs(text)
        if fields["Package"] == package and fields["Version"] == version
        and fields.get("Extra-Source-Only") != "yes"
    ]
    if len(entries) != 1:
        raise Refused(f"input {name}: {package} {version} is not in bookworm")
    lock = table("[[input]]", [("name", name), ("purl", purl), ("platform", "any")])
    lock += table("[input.archive]", archive.record(index))
    for line in sorted(entries[0]["Checksums-Sha256"].split("\n"), key=lambda l: l.split()[-1:]):
        if not line:
            continue
        digest, size, file = line.split()
        lock += table("[[input.file]]", [
            ("name", file),
            ("path", f"{entries[0]['Directory']}/{file}"),
            ("size", int(size)),
            ("sha256", "sha256:" + digest),
        ])
    return lock


def lock_project(directory, archive_of):
    project = tomllib.loads((directory / "repro.toml").read_text())
    toolchains, inputs = project.get("toolchain", {}), project.get("inputs", {})
    dockerfile = (directory / project.get("build", {}).get("dockerfile", "Dockerfile")).read_text()
    # The same document as LockBasis in src/lock/basis.rs; a test compares the two.
    basis = {
        "external": external_references(dockerfile, set(toolchains) | set(inputs)),
        "inputs": {name: declared["purl"] for name, declared in inputs.items()},
        "network": sorted(project.get("network", {}).get("allow", [])),
        "platforms": ["linux/amd64"],
        "ruleset": 1,
        "target": None,
        "toolchains": {name: {"use": declared["use"]} for name, declared in toolchains.items()},
        "version": 1,
    }
    canonical = json.dumps(basis, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    lock = "# Written by toolchains/lock.py. Do not edit.\n"
    lock += "version = 1\nruleset = 1\n"
    lock += f"checksum = {value('sha256:' + sha256(canonical.encode()))}\n"
    for name in sorted(toolchains):
        use = toolchains[name]["use"]
        shipped = (DEFS / f"{use}.lock").read_bytes()
        lock += table("[[toolchain]]", [
            ("name", name),
            ("platform", "linux/amd64"),
            ("use", use),
            ("lock", "sha256:" + sha256(shipped)),
        ])
    for name in sorted(inputs):
        lock += lock_input(name, inputs[name], archive_of)
    (directory / "repro.lock").write_text(lock)
    return f"{directory}: {len(toolchains)} toolchains, {len(inputs)} inputs"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--mirror", default=os.environ.get("REPRO_MIRROR"))
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("toolchain").add_argument("names", nargs="+")
    commands.add_parser("project").add_argument("directories", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        archives = {}

        def archive_of(*key):
            if key not in archives:
                root = pathlib.Path(temporary) / str(len(archives))
                mirror = (arguments.mirror or machine_mirror()).rstrip("/")
                archives[key] = Archive(root, mirror, *key)
            return archives[key]

        try:
            if arguments.command == "toolchain":
                for name in arguments.names:
                    print(lock_toolchain(name, archive_of), file=sys.stderr)
            else:
                for directory in arguments.directories:
                    print(lock_project(directory, archive_of), file=sys.stderr)
        except (Refused, OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"lock.py: {error}")


if __name__ == "__main__":
    main()
