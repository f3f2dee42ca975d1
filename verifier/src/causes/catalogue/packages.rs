//! Causes that package managers of distributions leave.

use repro_core::build::Axis;

use super::{Cause, CauseInfo, links};

pub(super) const PACKAGES: &[(Cause, CauseInfo)] = &[
    (
        Cause::DpkgLog,
        CauseInfo {
            title: "dpkg logs with times",
            meaning: "dpkg writes each action with its time into `var/log/dpkg.log`.",
            detection: "The path.",
            remedy: "Remove it in the same RUN: `rm -f /var/log/dpkg.log`.",
            axis: Some(Axis::Clock),
            links: links::DISTRO,
        },
    ),
    (
        Cause::AptLog,
        CauseInfo {
            title: "apt logs with times",
            meaning: "apt keeps its history, the terminal's output and the solver's input below \
                      `var/log/apt`.",
            detection: "The path.",
            remedy: "`rm -rf /var/log/apt` in the same RUN.",
            axis: Some(Axis::Clock),
            links: links::DISTRO,
        },
    ),
    (
        Cause::AlternativesLog,
        CauseInfo {
            title: "update-alternatives logs with times",
            meaning: "Each change of an alternative is logged with its time.",
            detection: "The path.",
            remedy: "`rm -f /var/log/alternatives.log` in the same RUN.",
            axis: Some(Axis::Clock),
            links: links::DISTRO,
        },
    ),
    (
        Cause::BootstrapLog,
        CauseInfo {
            title: "the installation of the base system was logged",
            meaning: "debootstrap and installers keep a log.",
            detection: "The path.",
            remedy: "`rm -f /var/log/bootstrap.log`.",
            axis: Some(Axis::Clock),
            links: links::DISTRO,
        },
    ),
    (
        Cause::DnfLog,
        CauseInfo {
            title: "dnf, yum or zypper log with times",
            meaning: "They log below `var/log`.",
            detection: "The path.",
            remedy: "`rm -rf /var/log/dnf* /var/log/yum* /var/log/zypp*` in the same RUN.",
            axis: Some(Axis::Clock),
            links: links::DISTRO,
        },
    ),
    (
        Cause::AptCache,
        CauseInfo {
            title: "lists and caches of apt are kept",
            meaning: "They follow the state of the archive and the memory layout of apt.",
            detection: "The path: `var/lib/apt/lists`, `var/cache/apt`.",
            remedy: "`rm -rf /var/lib/apt/lists/* /var/cache/apt/*` in the same RUN, or cache \
                     mounts.",
            axis: None,
            links: links::DISTRO,
        },
    ),
    (
        Cause::LdconfigCache,
        CauseInfo {
            title: "ldconfig remembers inodes and times",
            meaning: "`var/cache/ldconfig/aux-cache` speeds up the next call and is of no use \
                      in an image.",
            detection: "The path, or its magic.",
            remedy: "`rm -f /var/cache/ldconfig/aux-cache` in the same RUN.",
            axis: Some(Axis::InodeNumbers),
            links: links::DISTRO,
        },
    ),
    (
        Cause::FontconfigCache,
        CauseInfo {
            title: "fontconfig caches the times of directories",
            meaning: "Its cache files hold the time of the directory they describe.",
            detection: "The path, or the magic of version 8 and later.",
            remedy: "`fc-cache` with SOURCE_DATE_EPOCH, or `rm -rf /var/cache/fontconfig`.",
            axis: Some(Axis::Clock),
            links: links::DISTRO,
        },
    ),
    (
        Cause::MachineId,
        CauseInfo {
            title: "a machine id was made",
            meaning: "The id is random and meant to be made at the first start.",
            detection: "The path, or 32 hexadecimal digits in it.",
            remedy: "Leave `etc/machine-id` empty (`: > /etc/machine-id`) and remove \
                     `var/lib/dbus/machine-id`.",
            axis: None,
            links: links::DISTRO,
        },
    ),
    (
        Cause::ShadowDay,
        CauseInfo {
            title: "the day of the last password change is kept",
            meaning: "Field 3 of `etc/shadow` is the day on which the user was made.",
            detection: "Only that field of lines of `etc/shadow` differs.",
            remedy: "shadow 4.13 and later read SOURCE_DATE_EPOCH; else `chage -d 0 USER`. \
                     Remove `etc/shadow-`.",
            axis: Some(Axis::Clock),
            links: links::DISTRO,
        },
    ),
    (
        Cause::PasswordHash,
        CauseInfo {
            title: "a password hash has a random salt",
            meaning: "The same password gives another hash each time.",
            detection: "Field 2 of a line of `etc/shadow` differs.",
            remedy: "Lock the account, or write a fixed hash; better, set passwords when a \
                     container starts.",
            axis: None,
            links: links::DISTRO,
        },
    ),
    (
        Cause::SnakeoilCertificate,
        CauseInfo {
            title: "a self-signed certificate was made",
            meaning: "The package ssl-cert makes a random key with the host's name and today's \
                      date.",
            detection: "The path.",
            remedy: "Remove it and make one when a container starts: `make-ssl-cert \
                     generate-default-snakeoil`.",
            axis: None,
            links: links::DISTRO,
        },
    ),
    (
        Cause::SshHostKey,
        CauseInfo {
            title: "host keys of SSH were made",
            meaning: "Every image of that build shares them, which is a fault of its own.",
            detection: "The path, or an SSH public key.",
            remedy: "`rm -f /etc/ssh/ssh_host_*` and `ssh-keygen -A` when a container starts.",
            axis: None,
            links: links::DISTRO,
        },
    ),
    (
        Cause::JavaKeystore,
        CauseInfo {
            title: "a Java key store holds dates",
            meaning: "Each certificate is kept with the time of its import, and a digest over \
                      all of it.",
            detection: "The magic of JKS, or the path of Java's certificates.",
            remedy: "Make it with `trust extract --format=java-cacerts`, which reads \
                     SOURCE_DATE_EPOCH.",
            axis: Some(Axis::Clock),
            links: links::DISTRO,
        },
    ),
    (
        Cause::ApkScripts,
        CauseInfo {
            title: "apk keeps scripts in an archive with times",
            meaning: "`lib/apk/db/scripts.tar` holds the scripts of packages with the time of \
                      the installation.",
            detection: "The path.",
            remedy: "apk reads SOURCE_DATE_EPOCH; upgrade, or remove the database if nothing is \
                     installed later.",
            axis: Some(Axis::Clock),
            links: links::DISTRO,
        },
    ),
    (
        Cause::ApkVirtual,
        CauseInfo {
            title: "a virtual package is named after the time",
            meaning: "`apk add --virtual NAME` gives it a version made of date and time.",
            detection: "A version of the form NAME=YYYYMMDD.HHMMSS in the database of apk.",
            remedy: "`apk add --virtual NAME=0`.",
            axis: Some(Axis::Clock),
            links: links::DISTRO,
        },
    ),
    (
        Cause::ApkDatabase,
        CauseInfo {
            title: "the database of apk differs",
            meaning: "The order of its blocks, or what is installed, differs.",
            detection: "The path.",
            remedy: "Pin versions; install in one `apk add`.",
            axis: None,
            links: links::DISTRO,
        },
    ),
    (
        Cause::RpmDatabase,
        CauseInfo {
            title: "the database of rpm holds times",
            meaning: "Times and transaction ids of the installation are kept for each package.",
            detection: "The path.",
            remedy: "Build with SOURCE_DATE_EPOCH and an rpm that reads it, or `rpm \
                     --rebuilddb` afterwards.",
            axis: Some(Axis::Clock),
            links: links::DISTRO,
        },
    ),
    (
        Cause::DnfState,
        CauseInfo {
            title: "state of dnf is kept",
            meaning: "History and caches hold times and what the repositories had.",
            detection: "The path.",
            remedy: "`dnf clean all`, and remove `var/lib/dnf`.",
            axis: Some(Axis::Clock),
            links: links::DISTRO,
        },
    ),
    (
        Cause::PacmanState,
        CauseInfo {
            title: "pacman keeps dates and keys",
            meaning: "The date of each installation is in its database; its keyring has a \
                      random key.",
            detection: "The path.",
            remedy: "Build with SOURCE_DATE_EPOCH; remove the log and `etc/pacman.d/gnupg`.",
            axis: Some(Axis::Clock),
            links: links::DISTRO,
        },
    ),
    (
        Cause::DebconfCache,
        CauseInfo {
            title: "debconf keeps the previous state",
            meaning: "Its files are written anew in an order that may vary; `-old` files hold \
                      the state before.",
            detection: "The path.",
            remedy: "`rm -f /var/cache/debconf/*-old`.",
            axis: None,
            links: links::DISTRO,
        },
    ),
    (
        Cause::StatusBackup,
        CauseInfo {
            title: "dpkg keeps the state before the last change",
            meaning: "Files that end in `-old` are backups.",
            detection: "The path.",
            remedy: "`rm -f /var/lib/dpkg/*-old`.",
            axis: None,
            links: links::DISTRO,
        },
    ),
    (
        Cause::ManIndex,
        CauseInfo {
            title: "the index of manual pages differs",
            meaning: "man-db keeps times in a database.",
            detection: "The path.",
            remedy: "`rm -rf /var/cache/man`.",
            axis: Some(Axis::Clock),
            links: links::DISTRO,
        },
    ),
    (
        Cause::TriggerCache,
        CauseInfo {
            title: "a cache made by a trigger differs",
            meaning: "Caches of icons, modules or types follow the order of directories or hold \
                      times.",
            detection: "The path is one of the known caches.",
            remedy: "Upgrade the tool (newer ones sort), or remove the cache if it is made \
                     again on use.",
            axis: Some(Axis::DirectoryOrder),
            links: links::DISTRO,
        },
    ),
    (
        Cause::UpdateStamp,
        CauseInfo {
            title: "a stamp or seed of the first start",
            meaning: "`.updated` files and random seeds belong to a machine, not to an image.",
            detection: "The path.",
            remedy: "Remove them in the same RUN.",
            axis: Some(Axis::Clock),
            links: links::DISTRO,
        },
    ),
    (
        Cause::AccountBackup,
        CauseInfo {
            title: "backups of account files are kept",
            meaning: "`useradd` and others keep the previous file with a `-` behind its name.",
            detection: "The path.",
            remedy: "`rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- \
                     /etc/subgid-`.",
            axis: None,
            links: links::DISTRO,
        },
    ),
    (
        Cause::MailName,
        CauseInfo {
            title: "a service was set up with the host's name",
            meaning: "Mail servers take the name of the host when they are installed.",
            detection: "The path.",
            remedy: "Set the name explicitly, by debconf or in its configuration.",
            axis: Some(Axis::Hostname),
            links: links::DISTRO,
        },
    ),
    (
        Cause::PackageVersion,
        CauseInfo {
            title: "another version of a package is installed",
            meaning: "The archive moved on between the builds.",
            detection: "The `Version` of a package in the database of dpkg differs.",
            remedy: "Pin with a lock: `repro lock`, a snapshot of the archive, or versions in \
                     the Dockerfile.",
            axis: None,
            links: links::DISTRO,
        },
    ),
    (
        Cause::KernelList,
        CauseInfo {
            title: "a list of kernels names the running one",
            meaning: "The hook of a kernel package writes `01autoremove-kernels` with the name of \
                      the kernel of the build machine.",
            detection: "The path.",
            remedy: "`rm -f /etc/apt/apt.conf.d/01autoremove-kernels` in the same RUN.",
            axis: Some(Axis::KernelName),
            links: links::DISTRO,
        },
    ),
    (
        Cause::InitramfsImage,
        CauseInfo {
            title: "an initial RAM disk was made",
            meaning: "It holds times and inodes in an archive.",
            detection: "The path.",
            remedy: "Make it with SOURCE_DATE_EPOCH, or do not install a kernel into an image.",
            axis: Some(Axis::Clock),
            links: links::DISTRO,
        },
    ),
    (
        Cause::FilesystemImage,
        CauseInfo {
            title: "an image of a file system has an id and times",
            meaning: "Whoever makes a file system gives it a random id, a hash seed and the time, \
                      and writes files in the order of the directory.",
            detection: "The magic of squashfs, ext, FAT, ISO 9660, XFS, Btrfs, EROFS or cramfs.",
            remedy: "squashfs: SOURCE_DATE_EPOCH and `-reproducible`. ext: `mke2fs -U UUID -E \
                     hash_seed=UUID` with `E2FSPROGS_FAKE_TIME`. FAT: `mkfs.vfat --invariant -i \
                     ID`. ISO: `xorriso` with SOURCE_DATE_EPOCH.",
            axis: Some(Axis::Clock),
            links: links::DISTRO,
        },
    ),
];
