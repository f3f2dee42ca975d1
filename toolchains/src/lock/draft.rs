//! Locks as text: one lock, one text, so that a lock that means the same is the same file.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use repro_core::{digest::Digest, platform::Platform, reference::ImageRef, ruleset::Ruleset};

use super::{
    Archive, LockedFetch, LockedInput, LockedSource, LockedStep, LockedToolchain, Phase,
    ToolchainLock,
};

/// First line of a lock.
const HEAD: &str = "# Written by `repro lock`. Do not edit.\n";

/// First line of the lock of a toolchain.
const TOOLCHAIN_HEAD: &str = "# Written by `repro toolchain lock`. Do not edit.\n";

/// Everything that a lock says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockDraft {
    /// Rules that decide the bytes.
    pub ruleset: Ruleset,
    /// Checksum of what the lock is made from.
    pub checksum: Digest,
    /// `[[base]]`.
    pub bases: BTreeMap<(ImageRef, Platform), Digest>,
    /// `[[toolchain]]`, by name in the project.
    pub toolchains: BTreeMap<String, LockedToolchain>,
    /// `[[input]]`, by name in the project.
    pub inputs: BTreeMap<String, LockedInput>,
    /// `[[step]]` and `[[fetch]]`.
    pub steps: Vec<LockedStep>,
}

impl LockDraft {
    /// The text of `repro.lock`. Entries are sorted, so that the same lock is the same text and a
    /// changed entry is a changed paragraph.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut out = Toml(HEAD.to_owned());
        out.field("version", 1_u32);
        out.field("ruleset", u32::from(self.ruleset));
        out.text("checksum", self.checksum);
        for ((reference, platform), digest) in &self.bases {
            out.table("[[base]]");
            out.text("reference", reference);
            out.text("digest", digest);
            out.text("platform", platform);
        }
        for (name, toolchain) in &self.toolchains {
            out.locked_toolchain(name, toolchain);
        }
        for (name, input) in &self.inputs {
            out.input(name, input);
        }
        let mut steps: Vec<&LockedStep> = self.steps.iter().collect();
        steps.sort_by_key(|step| (&step.platform, &step.name));
        for step in steps {
            out.table("[[step]]");
            out.text("name", &step.name);
            out.text("platform", &step.platform);
            out.text("instruction", step.instruction);
            let mut fetches: Vec<&LockedFetch> = step.fetches.iter().collect();
            fetches.sort_by_key(|fetch| (&fetch.key, fetch.turn));
            for fetch in fetches {
                out.fetch(step, fetch);
            }
        }
        out.0
    }
}

impl ToolchainLock {
    /// The text of `NAME.lock`; [`Self::parse`] reads it back.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut out = Toml(TOOLCHAIN_HEAD.to_owned());
        out.field("version", 1_u32);
        out.text("name", &self.name);
        out.text("definition", self.definition);
        out.text("platform", &self.platform);
        out.packages("", self);
        out.0
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bootstrap => "bootstrap",
            Self::Install => "install",
        })
    }
}

/// Text in the making.
struct Toml(String);

impl Toml {
    fn table(&mut self, head: &str) {
        self.0.push('\n');
        self.0.push_str(head);
        self.0.push('\n');
    }

    fn field(&mut self, key: &str, value: impl fmt::Display) {
        // A String takes everything.
        let _ = writeln!(self.0, "{key} = {value}");
    }

    fn text(&mut self, key: &str, value: impl fmt::Display) {
        self.field(key, Quoted(&value.to_string()));
    }

    fn input(&mut self, name: &str, input: &LockedInput) {
        self.table("[[input]]");
        self.text("name", name);
        self.text("purl", &input.purl);
        self.text("platform", &input.platform);
        self.archive("[input.archive]", &input.archive);
        for file in &input.files {
            self.table("[[input.file]]");
            self.text("name", &file.name);
            self.text("path", &file.file.path);
            self.field("size", file.file.size);
            self.text("sha256", file.file.sha256);
        }
    }

    fn archive(&mut self, head: &str, archive: &Archive) {
        self.table(head);
        self.text("suite", &archive.suite);
        self.text("component", &archive.component);
        self.text("date", &archive.date);
        self.text("in-release-sha256", archive.in_release_sha256);
        let keys = archive.signed_by.iter();
        let keys: Vec<String> = keys
            .map(|key| Quoted(&key.to_string()).to_string())
            .collect();
        self.field("signed-by", format_args!("[{}]", keys.join(", ")));
        self.text("index", &archive.index);
        self.text("index-sha256", archive.index_sha256);
    }

    fn locked_toolchain(&mut self, name: &str, locked: &LockedToolchain) {
        self.table("[[toolchain]]");
        self.text("name", name);
        self.text("platform", &locked.platform);
        match &locked.source {
            LockedSource::Shipped { uses, lock, .. } => {
                self.text("use", uses);
                self.text("lock", lock);
            }
            LockedSource::Own(lock) => {
                self.text("definition", lock.definition);
                self.packages("toolchain.", lock);
            }
        }
    }

    /// What the lock of a toolchain has besides its name, platform and definition.
    fn packages(&mut self, prefix: &str, lock: &ToolchainLock) {
        self.field("source-date-epoch", lock.epoch.seconds());
        self.archive(&format!("[{prefix}archive]"), &lock.archive);
        for package in &lock.packages {
            self.table(&format!("[[{prefix}package]]"));
            self.text("name", &package.name);
            self.text("version", &package.version);
            self.text("architecture", &package.architecture);
            self.text("phase", package.phase);
            self.text("path", &package.file.path);
            self.field("size", package.file.size);
            self.text("sha256", package.file.sha256);
        }
    }

    fn fetch(&mut self, step: &LockedStep, fetch: &LockedFetch) {
        self.table("[[fetch]]");
        self.text("step", &step.name);
        self.text("platform", &step.platform);
        self.text("method", &fetch.key.method);
        self.text("url", &fetch.key.url);
        if let Some(body) = fetch.key.body {
            self.text("body", body);
        }
        if let Some(accept) = &fetch.key.accept {
            self.text("accept", accept);
        }
        if fetch.turn > 1 {
            self.field("turn", fetch.turn);
        }
        self.field("status", fetch.status);
        self.field("size", fetch.size);
        self.text("sha256", fetch.sha256);
        if !fetch.headers.is_empty() {
            let headers = fetch.headers.iter();
            let headers: Vec<String> = headers
                .map(|(name, value)| format!("{} = {}", Key(name), Quoted(value)))
                .collect();
            self.field("headers", format_args!("{{ {} }}", headers.join(", ")));
        }
    }
}

/// A key that is bare where it can be.
struct Key<'a>(&'a str);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
        if !self.0.is_empty() && self.0.bytes().all(bare) {
            f.write_str(self.0)
        } else {
            Quoted(self.0).fmt(f)
        }
    }
}

/// A basic string.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "\\u{:04X}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;
    use crate::lock::{FetchKey, ProjectLock};

    fn fetches() -> impl Strategy<Value = Vec<LockedFetch>> {
        let value = "[^\\p{Cc}]{0,12}";
        let fetch = (
            "[!-\"$-~]{0,20}",
            prop_oneof![Just("GET"), Just("POST"), Just("HEAD")],
            proptest::option::of(any::<u64>()),
            proptest::option::of(value),
            (1_u32..4, 200_u16..600, any::<u32>()),
            collection::btree_map("[a-z-]{1,8}", value, 0..3),
        );
        let fetch = fetch.prop_map(|(path, method, body, accept, answer, headers)| {
            let (turn, status, size) = answer;
            LockedFetch {
                key: FetchKey {
                    url: format!("https://h/{path}"),
                    method: method.to_owned(),
                    body: body.map(|body| Digest::of(&body.to_le_bytes())),
                    accept,
                },
                turn,
                status,
                size: size.into(),
                sha256: Digest::of(&size.to_le_bytes()),
                headers,
            }
        });
        collection::vec(fetch, 0..6).prop_map(|mut fetches| {
            fetches.sort_by_key(|fetch| (fetch.key.clone(), fetch.turn));
            fetches.dedup_by_key(|fetch| (fetch.key.clone(), fetch.turn));
            fetches
        })
    }

    fn rest(text: &str) -> &str {
        text.split_once('\n').map_or("", |(_, rest)| rest)
    }

    /// The locks that are shipped are what would be written of them, but for the first line.
    #[test]
    fn a_lock_that_is_read_is_written_the_same() {
        for text in [
            include_str!("../../defs/busybox.lock"),
            include_str!("../../defs/debian-c.lock"),
        ] {
            let lock = ToolchainLock::parse("x.lock", text).unwrap();
            let written = lock.to_toml();
            assert_eq!(rest(&written), rest(text));
            assert_eq!(ToolchainLock::parse("x.lock", &written).unwrap(), lock);
        }
    }

    fn draft(lock: &ProjectLock, text: &str) -> LockDraft {
        let checksum = text
            .lines()
            .find_map(|line| line.strip_prefix("checksum = \""));
        let checksum = checksum.and_then(|rest| rest.strip_suffix('"')).unwrap();
        LockDraft {
            ruleset: lock.ruleset,
            checksum: checksum.parse().unwrap(),
            bases: BTreeMap::new(),
            toolchains: lock.toolchains.clone(),
            inputs: lock.inputs.clone(),
            steps: lock.steps.clone(),
        }
    }

    #[test]
    fn a_projects_lock_is_written_the_same() {
        let text = include_str!("../../../examples/zlib/repro.lock");
        let lock = ProjectLock::parse("repro.lock", text).unwrap();
        assert_eq!(rest(&draft(&lock, text).to_toml()), rest(text));
    }

    #[test]
    fn a_toolchain_of_ones_own_is_in_the_projects_lock_whole() {
        let whole = include_str!("../../defs/busybox.lock");
        let own = ToolchainLock {
            name: "tools".into(),
            ..ToolchainLock::parse("x.lock", whole).unwrap()
        };
        let text = include_str!("../../../examples/stamp/repro.lock");
        let lock = ProjectLock::parse("repro.lock", text).unwrap();
        let mut draft = draft(&lock, text);
        let locked = LockedToolchain::own(own);
        draft.toolchains.insert("tools".into(), locked.clone());
        let text = draft.to_toml();
        let again = ProjectLock::parse("repro.lock", &text).unwrap();
        assert_eq!(again.toolchains["tools"], locked);
        for (from, to, word) in [
            ("definition =", "lock =", "either use and lock"),
            ("phase = \"bootstrap\"", "phase = \"later\"", "later"),
            ("_amd64.deb\"\nsize", "_amd64.dsc\"\nsize", "package"),
        ] {
            let error = ProjectLock::parse("repro.lock", &text.replace(from, to)).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(fetches in fetches()) {
            let step = |fetches| LockedStep {
                platform: "linux/amd64".parse().unwrap(),
                name: "build/2".parse().unwrap(),
                instruction: Digest::of(b"RUN x"),
                fetches,
            };
            let draft = |fetches| LockDraft {
                ruleset: Ruleset::V1,
                checksum: Digest::of(b"basis"),
                bases: BTreeMap::new(),
                toolchains: BTreeMap::new(),
                inputs: BTreeMap::new(),
                steps: vec![step(fetches)],
            };
            let shuffled = fetches.iter().rev().cloned().collect();
            let text = draft(fetches.clone()).to_toml();
            prop_assert_eq!(&draft(shuffled).to_toml(), &text);
            let lock = ProjectLock::parse("repro.lock", &text).unwrap();
            prop_assert_eq!(lock.steps, vec![step(fetches)]);
        }
    }
}
