//! Causes that a path tells: files that programs leave at known places.

use super::Cause;

/// A place in a tree. Paths have no leading slash.
enum At {
    /// Exactly this path.
    Is(&'static str),
    /// A path that begins so.
    Begins(&'static str),
    /// Such a run of names anywhere in the path, between slashes.
    Holds(&'static str),
    /// A file name that is so.
    Name(&'static str),
    /// A path that ends so.
    Ends(&'static str),
    /// Both.
    Both(&'static At, &'static At),
}

impl At {
    fn holds(&self, path: &str) -> bool {
        match self {
            Self::Is(text) => path == *text,
            Self::Begins(text) => path.starts_with(text),
            Self::Holds(text) => format!("/{path}").contains(text),
            Self::Name(text) => path.rsplit('/').next() == Some(text),
            Self::Ends(text) => path.ends_with(text),
            Self::Both(one, other) => one.holds(path) && other.holds(path),
        }
    }
}

use At::{Begins, Both, Ends, Holds, Is, Name};

/// The first place that fits decides: the more special ones come first.
const TRACES: &[(At, Cause)] = &[
    (Is("var/log/dpkg.log"), Cause::DpkgLog),
    (Begins("var/log/apt/"), Cause::AptLog),
    (Is("var/log/alternatives.log"), Cause::AlternativesLog),
    (Is("var/log/bootstrap.log"), Cause::BootstrapLog),
    (Begins("var/log/dnf"), Cause::DnfLog),
    (Begins("var/log/yum"), Cause::DnfLog),
    (Begins("var/log/zypp"), Cause::DnfLog),
    (Begins("var/lib/apt/lists/"), Cause::AptCache),
    (Begins("var/cache/apt/"), Cause::AptCache),
    (Begins("var/cache/ldconfig/"), Cause::LdconfigCache),
    (Begins("var/cache/fontconfig/"), Cause::FontconfigCache),
    (Holds("/.cache/fontconfig/"), Cause::FontconfigCache),
    (Is("etc/machine-id"), Cause::MachineId),
    (Is("var/lib/dbus/machine-id"), Cause::MachineId),
    (
        Is("etc/ssl/certs/ssl-cert-snakeoil.pem"),
        Cause::SnakeoilCertificate,
    ),
    (
        Is("etc/ssl/private/ssl-cert-snakeoil.key"),
        Cause::SnakeoilCertificate,
    ),
    (Begins("etc/ssh/ssh_host_"), Cause::SshHostKey),
    (Is("etc/ssl/certs/java/cacerts"), Cause::JavaKeystore),
    (Ends("lib/apk/db/scripts.tar"), Cause::ApkScripts),
    (Ends("lib/apk/db/scripts.tar.gz"), Cause::ApkScripts),
    (Ends("lib/apk/db/installed"), Cause::ApkDatabase),
    (Begins("var/lib/rpm/"), Cause::RpmDatabase),
    (Begins("usr/lib/sysimage/rpm/"), Cause::RpmDatabase),
    (Begins("var/lib/dnf/"), Cause::DnfState),
    (Begins("var/cache/dnf/"), Cause::DnfState),
    (Begins("var/cache/yum/"), Cause::DnfState),
    (Begins("var/cache/zypp/"), Cause::DnfState),
    (Begins("var/lib/pacman/local/"), Cause::PacmanState),
    (Is("var/log/pacman.log"), Cause::PacmanState),
    (Begins("etc/pacman.d/gnupg/"), Cause::PacmanState),
    (Begins("var/cache/debconf/"), Cause::DebconfCache),
    (
        Both(&Begins("var/lib/dpkg/"), &Ends("-old")),
        Cause::StatusBackup,
    ),
    (Begins("var/cache/man/"), Cause::ManIndex),
    (Name("loaders.cache"), Cause::TriggerCache),
    (Name("giomodule.cache"), Cause::TriggerCache),
    (Name("immodules.cache"), Cause::TriggerCache),
    (Name("mimeinfo.cache"), Cause::TriggerCache),
    (Name("icon-theme.cache"), Cause::TriggerCache),
    (Begins("var/cache/cracklib/"), Cause::TriggerCache),
    (Is("etc/.updated"), Cause::UpdateStamp),
    (Is("var/.updated"), Cause::UpdateStamp),
    (Is("var/lib/systemd/random-seed"), Cause::UpdateStamp),
    (Is("var/lib/systemd/catalog/database"), Cause::UpdateStamp),
    (Is("etc/passwd-"), Cause::AccountBackup),
    (Is("etc/group-"), Cause::AccountBackup),
    (Is("etc/shadow-"), Cause::AccountBackup),
    (Is("etc/gshadow-"), Cause::AccountBackup),
    (Is("etc/subuid-"), Cause::AccountBackup),
    (Is("etc/subgid-"), Cause::AccountBackup),
    (Is("etc/mailname"), Cause::MailName),
    (Begins("etc/exim4/"), Cause::MailName),
    (Begins("etc/postfix/"), Cause::MailName),
    (
        Is("etc/apt/apt.conf.d/01autoremove-kernels"),
        Cause::KernelList,
    ),
    (Begins("boot/initrd.img"), Cause::InitramfsImage),
    (Begins("boot/initramfs"), Cause::InitramfsImage),
    (Is("etc/resolv.conf"), Cause::MountPoint),
    (Is("etc/hosts"), Cause::MountPoint),
    (Is("etc/hostname"), Cause::MountPoint),
    (Holds("/.git/"), Cause::GitState),
    (
        Both(&Holds(".dist-info/"), &Name("direct_url.json")),
        Cause::WheelMetadata,
    ),
    (
        Both(&Holds(".dist-info/"), &Name("uv_cache.json")),
        Cause::WheelMetadata,
    ),
    (
        Both(&Holds(".dist-info/"), &Name("INSTALLER")),
        Cause::WheelMetadata,
    ),
    (Holds("/.cache/pip/"), Cause::PipCache),
    (Holds("/.cache/uv/"), Cause::PipCache),
    (Name("pyvenv.cfg"), Cause::VenvPath),
    (Both(&Holds("/bin/"), &Name("activate")), Cause::VenvPath),
    (
        Both(&Holds("/bin/"), &Name("activate.csh")),
        Cause::VenvPath,
    ),
    (
        Both(&Holds("/bin/"), &Name("activate.fish")),
        Cause::VenvPath,
    ),
    (Holds("/.npm/"), Cause::NpmCache),
    (Holds("/node-compile-cache/"), Cause::NodeCompileCache),
    (
        Both(&Holds("/node_modules/"), &Name(".modules.yaml")),
        Cause::NodeModulesState,
    ),
    (
        Both(&Holds("/node_modules/"), &Name(".yarn-state.yml")),
        Cause::NodeModulesState,
    ),
    (
        Both(&Holds("/node_modules/"), &Name(".package-lock.json")),
        Cause::NodeModulesState,
    ),
    (Ends(".next/BUILD_ID"), Cause::BundlerId),
    (Name("mkmf.log"), Cause::GemLog),
    (Name("gem_make.out"), Cause::GemLog),
    (
        Both(&Holds("/.m2/"), &Name("_remote.repositories")),
        Cause::MavenState,
    ),
    (
        Both(&Holds("/.m2/"), &Ends(".lastUpdated")),
        Cause::MavenState,
    ),
    (
        Both(&Holds("/.m2/"), &Name("resolver-status.properties")),
        Cause::MavenState,
    ),
    (Holds("/.gradle/"), Cause::GradleState),
    (
        Both(&Holds("/conda-meta/"), &Name("history")),
        Cause::CondaHistory,
    ),
    (Name("ls-R"), Cause::CompiledForms),
    (Ends(".elc"), Cause::CompiledForms),
    (Ends(".fmt"), Cause::CompiledForms),
    (Is("usr/share/info/dir"), Cause::CompiledForms),
    (Name(".bash_history"), Cause::TemporaryFile),
    (Name(".wget-hsts"), Cause::TemporaryFile),
    (Name(".lesshst"), Cause::TemporaryFile),
    (Name(".viminfo"), Cause::TemporaryFile),
    (Name(".python_history"), Cause::TemporaryFile),
    (Ends(".gnupg/random_seed"), Cause::TemporaryFile),
    (Holds("/.gnupg/"), Cause::GeneratedKey),
    (Begins("tmp/"), Cause::TemporaryFile),
    (Begins("var/tmp/"), Cause::TemporaryFile),
];

/// The cause of a difference at `path`, if programs are known to leave something there.
pub(super) fn trace(path: &[u8]) -> Option<Cause> {
    let path = std::str::from_utf8(path).ok()?;
    let found = TRACES.iter().find(|(at, _)| at.holds(path));
    found.map(|(_, cause)| *cause)
}

/// Paths, relative to the root, that runtimes mount something on.
const MOUNT_POINTS: [&str; 8] = [
    "proc",
    "sys",
    "dev",
    "run/secrets",
    "etc/resolv.conf",
    "etc/hosts",
    "etc/hostname",
    "etc/mtab",
];

/// The cause of an entry that only one side has.
pub(crate) fn trace_of_entry(path: &[u8]) -> Option<Cause> {
    let text = std::str::from_utf8(path).ok()?;
    let mounted = MOUNT_POINTS.contains(&text)
        || ["proc/", "sys/", "dev/"]
            .iter()
            .any(|top| text.starts_with(top));
    if mounted {
        return Some(Cause::MountPoint);
    }
    trace(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_tell_causes_and_their_neighbours_do_not() {
        for (path, cause) in [
            ("var/log/dpkg.log", Some(Cause::DpkgLog)),
            ("srv/var/log/dpkg.log", None),
            ("root/.npm/_cacache/index-v5/00/aa", Some(Cause::NpmCache)),
            ("root/x.npm/a", None),
            (".git/index", Some(Cause::GitState)),
            ("app/.github/x", None),
            ("usr/lib/python3/x.dist-info/RECORD", None),
            ("etc/passwd", None),
            ("etc/passwd-", Some(Cause::AccountBackup)),
        ] {
            assert_eq!(trace(path.as_bytes()), cause, "{path}");
        }
        assert_eq!(trace_of_entry(b"proc"), Some(Cause::MountPoint));
        assert_eq!(trace(b"\xff"), None);
    }
}
