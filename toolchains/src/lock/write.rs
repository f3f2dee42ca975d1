//! Locks as text: one text for one lock, so that a lock that means the same is the same file.

use std::fmt::{self, Display};

use super::{
    Archive, LockedInput, LockedPackage, LockedSource, LockedToolchain, Phase, ProjectLock,
    ToolchainLock,
};

/// The first line of every lock.
pub const HEADER: &str = "# Written by repro. Do not edit.\n";

/// A text of tables. Values come from types whose characters need no escape, or are quoted as
/// TOML does.
#[derive(Default)]
pub(super) struct Writer(String);

impl Writer {
    pub(super) fn line(&mut self, key: &str, value: impl Display) {
        self.0.push_str(&format!("{key} = {value}\n"));
    }

    pub(super) fn text(&mut self, key: &str, value: impl Display) {
        self.line(key, quoted(&value.to_string()));
    }

    pub(super) fn head(&mut self, head: &str) {
        self.0.push('\n');
        self.0.push_str(head);
        self.0.push('\n');
    }

    fn archive(&mut self, head: &str, archive: &Archive) {
        let Archive {
            suite,
            component,
            date,
            in_release_sha256,
            signed_by,
            index,
            index_sha256,
        } = archive;
        self.head(head);
        self.text("suite", suite);
        self.text("component", component);
        self.text("date", date);
        self.text("in-release-sha256", in_release_sha256);
        let keys: Vec<String> = signed_by
            .iter()
            .map(|key| quoted(&key.to_string()))
            .collect();
        self.line("signed-by", format_args!("[{}]", keys.join(", ")));
        self.text("index", index);
        self.text("index-sha256", index_sha256);
    }

    fn package(&mut self, head: &str, package: &LockedPackage) {
        let LockedPackage {
            name,
            version,
            architecture,
            phase,
            file,
        } = package;
        self.head(head);
        self.text("name", name);
        self.text("version", version);
        self.text("architecture", architecture);
        self.text("phase", phase);
        self.text("path", &file.path);
        self.line("size", file.size);
        self.text("sha256", file.sha256);
    }

    /// What the lock of a toolchain has besides its name and platform.
    fn toolchain(&mut self, prefix: &str, lock: &ToolchainLock) {
        self.line("source-date-epoch", lock.epoch.seconds());
        self.archive(&format!("[{prefix}archive]"), &lock.archive);
        for package in &lock.packages {
            self.package(&format!("[[{prefix}package]]"), package);
        }
    }

    fn locked_toolchain(&mut self, name: &str, locked: &LockedToolchain) {
        self.head("[[toolchain]]");
        self.text("name", name);
        self.text("platform", &locked.platform);
        match &locked.source {
            LockedSource::Shipped { uses, lock, .. } => {
                self.text("use", uses);
                self.text("lock", lock);
            }
            LockedSource::Own(lock) => {
                self.text("definition", lock.definition);
                self.toolchain("toolchain.", lock);
            }
        }
    }

    fn input(&mut self, name: &str, input: &LockedInput) {
        self.head("[[input]]");
        self.text("name", name);
        self.text("purl", &input.purl);
        self.text("platform", &input.platform);
        self.archive("[input.archive]", &input.archive);
        for file in &input.files {
            self.head("[[input.file]]");
            self.text("name", &file.name);
            self.text("path", &file.file.path);
            self.line("size", file.file.size);
            self.text("sha256", file.file.sha256);
        }
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

impl Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bootstrap => "bootstrap",
            Self::Install => "install",
        })
    }
}

impl ToolchainLock {
    /// The text of `NAME.lock`; [`Self::parse`] reads it back.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut writer = Writer(HEADER.to_owned());
        writer.line("version", 1);
        writer.text("name", &self.name);
        writer.text("definition", self.definition);
        writer.text("platform", &self.platform);
        writer.toolchain("", self);
        writer.finish()
    }
}

impl ProjectLock {
    /// The text of `repro.lock`; [`Self::parse`] reads it back.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut writer = Writer(HEADER.to_owned());
        writer.line("version", 1);
        writer.line("ruleset", u32::from(self.ruleset));
        writer.text("checksum", self.checksum());
        for base in self.bases.values() {
            writer.head("[[base]]");
            writer.text("reference", &base.reference);
            writer.text("digest", base.digest);
            writer.text("platform", &base.platform);
        }
        for (name, toolchain) in &self.toolchains {
            writer.locked_toolchain(name, toolchain);
        }
        for (name, input) in &self.inputs {
            writer.input(name, input);
        }
        writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The locks that are shipped are what would be written of them, but for the first line.
    #[test]
    fn a_lock_that_is_read_is_written_the_same() {
        for text in [
            include_str!("../../defs/busybox.lock"),
            include_str!("../../defs/debian-c.lock"),
        ] {
            let lock = ToolchainLock::parse("x.lock", text).unwrap();
            let written = lock.to_toml();
            let rest = |text: &str| text.split_once('\n').map(|(_, rest)| rest.to_owned());
            assert_eq!(rest(&written), rest(text));
            assert_eq!(ToolchainLock::parse("x.lock", &written).unwrap(), lock);
        }
    }

    #[test]
    fn a_projects_lock_is_written_the_same() {
        let text = include_str!("../../../examples/zlib/repro.lock");
        let lock = ProjectLock::parse("repro.lock", text).unwrap();
        let rest = |text: &str| text.split_once('\n').map(|(_, rest)| rest.to_owned());
        assert_eq!(rest(&lock.to_toml()), rest(text));
    }

    #[test]
    fn a_toolchain_of_ones_own_is_in_the_projects_lock_whole() {
        let whole = include_str!("../../defs/busybox.lock");
        let own = ToolchainLock::parse("x.lock", whole).unwrap();
        let text = include_str!("../../../examples/stamp/repro.lock");
        let mut lock = ProjectLock::parse("repro.lock", text).unwrap();
        let own = ToolchainLock {
            name: "tools".into(),
            ..own
        };
        let locked = LockedToolchain::own(own);
        lock.toolchains.insert("tools".into(), locked);
        let again = ProjectLock::parse("repro.lock", &lock.to_toml()).unwrap();
        assert_eq!(again.toolchains["tools"], lock.toolchains["tools"]);
    }

    #[test]
    fn strings_are_quoted() {
        assert_eq!(quoted("a \"b\" \\ \n"), r#""a \"b\" \\ \u000A""#);
    }
}
