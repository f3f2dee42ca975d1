//! Causes that content shows whatever its format: values of the run that got into files.

use repro_core::build::Axis;

use super::{Cause, CauseInfo, links};

pub(super) const CONTENT: &[(Cause, CauseInfo)] = &[
    (
        Cause::EmbeddedTimestamp,
        CauseInfo {
            title: "the time of the build is in the file",
            meaning: "A program wrote the current time into the file, so every build gives \
                          other bytes. Typical sources are `date`, `__DATE__` and `__TIME__` in C, \
                          banners of generators, and headers of archives and compiled caches.",
            detection: "The differing text is a date, a time of day or a number of seconds, \
                            milliseconds, microseconds or nanoseconds since 1970 in both files. It \
                            is certain when each lies between start and end of its own run.",
            remedy: "Use SOURCE_DATE_EPOCH, which every step has in its environment: \
                         `date -u -d \"@$SOURCE_DATE_EPOCH\"` in a shell; compilers and most \
                         generators read it by themselves. Or leave the time out, or remove the \
                         file in the same RUN if nothing needs it (logs, caches).",
            axis: Some(Axis::Clock),
            links: links::GENERAL,
        },
    ),
    (
        Cause::EmbeddedHostname,
        CauseInfo {
            title: "the name of the build host is in the file",
            meaning: "A program wrote the host name or the domain name of the machine that \
                          builds into the file.",
            detection: "Run B has a host name that exists nowhere else. A file of run B that \
                            contains it where run A's file has other bytes proves the cause.",
            remedy: "Set the name explicitly where the program takes one (an option, a \
                         configuration file, an environment variable such as HOSTNAME), or remove \
                         the line from the generated file.",
            axis: Some(Axis::Hostname),
            links: links::GENERAL,
        },
    ),
    (
        Cause::LocalTime,
        CauseInfo {
            title: "a time is told by the clock of a place",
            meaning: "Both runs hold the same moment, as clocks of two time zones show it.",
            detection: "One moment with two zones; or two times that name no zone, or zones by \
                        their abbreviations, and differ by a multiple of 15 minutes, by 26 hours \
                        at most, with equal seconds.",
            remedy: "Write UTC: `TZ=UTC` for the step, `date -u`, `gmtime` in place of \
                     `localtime`.",
            axis: Some(Axis::Caller),
            links: links::GENERAL,
        },
    ),
    (
        Cause::EmbeddedKernel,
        CauseInfo {
            title: "the name of the kernel is in the file",
            meaning: "A program wrote what `uname` says of the build machine's kernel into the \
                          file: its release, or its version.",
            detection: "The kernel of run B has a release that exists nowhere else. A file of run \
                            B that contains it where run A's file has other bytes proves the cause.",
            remedy: "Do not record `uname -r` or `uname -v`: name the kernel that the program is \
                         meant for, or leave the line out (configure scripts often have a variable \
                         for the system's type: `--build=x86_64-linux-gnu`).",
            axis: Some(Axis::KernelName),
            links: links::GENERAL,
        },
    ),
    (
        Cause::EmbeddedCpuCount,
        CauseInfo {
            title: "the number of CPUs is in the file",
            meaning: "A program asked how many CPUs there are and wrote the answer, or a value \
                          computed from it, into the file.",
            detection: "A number differs; in run B, which may use one CPU, it is 1, and in run \
                            A it is the number of CPUs. It is certain where run A's number is known \
                            and the line speaks of CPUs.",
            remedy: "Give the number explicitly (`make -j4`, a configure option, GOMAXPROCS) \
                         instead of `nproc`, and keep it out of files that are shipped.",
            axis: Some(Axis::Cpus),
            links: links::GENERAL,
        },
    ),
    (
        Cause::EmbeddedProcessId,
        CauseInfo {
            title: "a process id is in the file or its name",
            meaning: "A temporary name, a log line or a lock file holds the id of the process \
                          that wrote it.",
            detection: "A number differs; in run A it is small, as ids start at 2, and in run B \
                            it is a little above 20011, where ids start there.",
            remedy: "Use a fixed name instead of `$$`, remove temporary and lock files in the \
                         same RUN, or strip the id from the log.",
            axis: Some(Axis::Pids),
            links: links::GENERAL,
        },
    ),
    (
        Cause::EmbeddedAddress,
        CauseInfo {
            title: "a memory address is in the file",
            meaning: "A program printed the address of an object, or sorted by addresses.",
            detection: "A hexadecimal number differs that in both files lies where Linux puts \
                            programs, heaps, stacks or libraries.",
            remedy: "Print a stable name instead of the address (in Python, define __repr__; in \
                         C, do not print %p), and sort by value instead of by address.",
            axis: Some(Axis::AddressSpace),
            links: links::GENERAL,
        },
    ),
    (
        Cause::RandomContent,
        CauseInfo {
            title: "random bytes are in the file or its name",
            meaning: "A program drew random numbers: a UUID, a token, a temporary name, a seed, \
                          a salt.",
            detection: "A text of the same length and alphabet, or bytes of high entropy, \
                            differ as a whole, and are no time, no address and no number of the \
                            other causes.",
            remedy: "Seed the generator with a constant, derive the id from the content, use a \
                         fixed name, or make the value when the container starts.",
            axis: None,
            links: links::GENERAL,
        },
    ),
    (
        Cause::GeneratedKey,
        CauseInfo {
            title: "a key or certificate was made during the build",
            meaning: "The file holds key material that a package or a step made. Every image \
                          built from this Dockerfile has another key, and everyone who has the \
                          image has the key.",
            detection: "Both files have the marker of a key or certificate container (PEM, \
                            OpenSSH, PKCS, JKS) and their contents differ. No excerpt is taken.",
            remedy: "Remove the key in the same RUN (`rm -f /etc/ssh/ssh_host_*`) and make it \
                         when the container starts; bring certificates in with COPY or a secret \
                         mount.",
            axis: None,
            links: links::GENERAL,
        },
    ),
    (
        Cause::LineOrder,
        CauseInfo {
            title: "the same lines stand in another order",
            meaning: "The file was written from a directory listing, a hash table or parallel \
                          jobs, in the order in which things came.",
            detection: "Both files have the same lines, each as often and with the same ends; \
                        only the order differs.",
            remedy: "Sort before writing (`sort`, `$(sort $(wildcard ...))`, sorted(...)); set \
                         PYTHONHASHSEED=0 or PERL_HASH_SEED=0; for parallel jobs, collect the \
                         results and write them in one order.",
            axis: None,
            links: links::GENERAL,
        },
    ),
    (
        Cause::FileTime,
        CauseInfo {
            title: "the modification time of an entry differs",
            meaning: "A program gave the entry a time of its own that is older than \
                          SOURCE_DATE_EPOCH and differs between the runs. Newer times are brought \
                          back to the epoch and never differ.",
            detection: "Only the times of the entry differ.",
            remedy: "Set the time explicitly: `touch -d \"@$SOURCE_DATE_EPOCH\" FILE` at the \
                         end of the same RUN.",
            axis: Some(Axis::Clock),
            links: links::GENERAL,
        },
    ),
    (
        Cause::MissingFile,
        CauseInfo {
            title: "an entry is on one side only",
            meaning: "One run made the entry and the other did not: a race, a condition that \
                          depends on the environment, or a name that changes and was not \
                          recognised.",
            detection: "The path is in the layer of one run only, no entry with a similar name in \
                            the same directory is its counterpart, and the layers below the other \
                            have it not.",
            remedy: "Look at what makes the file. Remove it in the same RUN if it is a \
                         leftover (cache, log, temporary file); otherwise make its writing \
                         unconditional, or build with one job to see whether it is a race.",
            axis: None,
            links: links::GENERAL,
        },
    ),
    (
        Cause::OneSidedWrite,
        CauseInfo {
            title: "one run writes an entry that the other leaves as it was",
            meaning: "Both file systems have the entry with one content. The layer of one run holds it; \
                      in the other run it is that of the layers below, with its time. A condition \
                      that depends on the environment, or a race, decided whether it was written.",
            detection: "The path is in the layer of one run only, and what shows through from the \
                        layers below the other differs from it in its time at most.",
            remedy: "Write it in every run or in none. Where a program rewrites what is there already, \
                     leave that out (`install -C`, `cmp -s new old ||`).",
            axis: None,
            links: links::GENERAL,
        },
    ),
    (
        Cause::LayerCompression,
        CauseInfo {
            title: "the same layer is compressed differently",
            meaning: "The uncompressed layers are equal bit for bit; the compressed blobs are \
                          not, because two encoders or levels were used.",
            detection: "The diffIDs are equal and the blob digests differ.",
            remedy: "Compare images made by one version and ruleset of repro, or compare \
                         diffIDs.",
            axis: None,
            links: links::GENERAL,
        },
    ),
    (
        Cause::LimitReached,
        CauseInfo {
            title: "a limit was reached before the content was taken apart",
            meaning: "The content is larger than what is read, or has a format that is looked \
                          into but is larger, nests deeper or unpacks to more than is allowed. It \
                          was compared as bytes or by its digest, so what differs inside is not \
                          named.",
            detection: "Content above 512 MiB, or beyond 4 GiB of a pair of layers. With a format: \
                            content above 64 MiB, nesting deeper than 8, or unpacking to more than \
                            200 times its size, 128 MiB or 100,000 parts; JSON above 8 MiB.",
            remedy: "Compare it by itself: a file with `cmp` or a tool for what it holds; of an \
                         archive unpack both and give the two directories to `repro diff`. A small \
                         file that unpacks to gigabytes is a bomb.",
            axis: None,
            links: links::GENERAL,
        },
    ),
    (
        Cause::FailsUnderVariation,
        CauseInfo {
            title: "the build fails in the varied environment",
            meaning: "Run B failed, and succeeded when it was repeated without variation: the \
                          build depends on something that must not matter, such as the number of \
                          CPUs or the host name.",
            detection: "Run B was repeated with run A's environment after it had failed.",
            remedy: "Read the output of the failed step in the log of run B. `--bisect-axes` runs \
                         the build again with fewer axes and names the one that breaks it.",
            axis: None,
            links: links::GENERAL,
        },
    ),
    (
        Cause::FailsByChance,
        CauseInfo {
            title: "the build fails now and then",
            meaning: "Run A succeeded, and a run in the same environment failed: the build has a \
                          race, or depends on something random.",
            detection: "`--control` ran the build once more as run A, and a step failed.",
            remedy: "Read the output of the failed step in the log of the control run. A failure \
                         that goes away with one job (`make -j1`) is a race between the jobs.",
            axis: None,
            links: links::GENERAL,
        },
    ),
    (
        Cause::Unknown,
        CauseInfo {
            title: "the cause was not recognised",
            meaning: "The contents differ, and what differs has no shape that the catalogue \
                          knows.",
            detection: "No detector recognised the differing bytes, or no excerpt of the file \
                            may be read. Offsets, digests and, where allowed, both excerpts are in \
                            the report.",
            remedy: "Look at the excerpts and at what the instruction runs. If another file of \
                         the same step has a named cause, remove that one first: this difference \
                         may follow from it.",
            axis: None,
            links: links::TOOLS,
        },
    ),
];
