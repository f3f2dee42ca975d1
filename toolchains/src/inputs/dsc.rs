//! The `.dsc` of a source package (deb-src-control(5)): which files it has, and what each is.

use std::collections::BTreeMap;

use repro_core::digest::Digest;

use crate::{
    codec::Codec,
    lock::{LockedInput, LockedSourceFile},
};

/// Why files are not a source package that can be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DscError {
    /// None or several.
    #[error("{0} files end in .dsc, one should")]
    Count(usize),
    /// Not text, or a line that is no field.
    #[error("the .dsc is malformed")]
    Malformed,
    /// A field that is not there.
    #[error("the .dsc has no field {0}")]
    Field(&'static str),
    /// A format without tars, or one of tomorrow.
    #[error("source format {0:?} cannot be unpacked, 3.0 (quilt) and 3.0 (native) can")]
    Format(String),
    /// Another package than the one asked for.
    #[error("the .dsc is of {found}, not of {expected}")]
    OtherPackage {
        /// Name and version that were asked for.
        expected: String,
        /// Name and version that the file has.
        found: String,
    },
    /// The lock and the `.dsc` disagree on the files.
    #[error("lock and .dsc disagree on {0}")]
    Files(String),
    /// A file whose name says nothing.
    #[error("{0} is no part of a source package that is known")]
    Role(String),
}

/// What a tar of a source package is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    /// Upstream's, or a native package's.
    Upstream(Codec),
    /// A further part of upstream, with its name.
    Component(String, Codec),
    /// `debian/`.
    Debian(Codec),
}

/// A source package whose files agree with its lock.
#[derive(Debug)]
pub(super) struct Dsc<'a> {
    /// In the order in which they are unpacked.
    pub(super) tars: Vec<(Role, &'a LockedSourceFile)>,
}

/// The one `.dsc` among `files`.
pub(super) fn find(files: &[LockedSourceFile]) -> Result<&LockedSourceFile, DscError> {
    let found: Vec<_> = files.iter().filter(|file| is_dsc(file)).collect();
    match found[..] {
        [one] => Ok(one),
        _ => Err(DscError::Count(found.len())),
    }
}

fn is_dsc(file: &LockedSourceFile) -> bool {
    extension(&file.name) == "dsc"
}

/// What follows the last dot.
fn extension(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, last)| last)
}

impl<'a> Dsc<'a> {
    /// Parses the `.dsc` and holds it against the lock. Its signature is not looked at: that of
    /// the archive covers it, by way of the lock.
    pub(super) fn parse(bytes: &[u8], input: &'a LockedInput) -> Result<Self, DscError> {
        let text = std::str::from_utf8(bytes).map_err(|_| DscError::Malformed)?;
        let fields = fields(text)?;
        let field = |name| fields.get(name).ok_or(DscError::Field(name));
        let format = field("Format")?.trim();
        if !matches!(format, "3.0 (quilt)" | "3.0 (native)") {
            return Err(DscError::Format(format.chars().take(40).collect()));
        }
        let (name, version) = (field("Source")?.trim(), field("Version")?.trim());
        if (name, version) != (input.purl.name(), input.purl.version()) {
            return Err(DscError::OtherPackage {
                expected: format!("{} {}", input.purl.name(), input.purl.version()),
                found: format!("{name} {version}").chars().take(120).collect(),
            });
        }
        let said = checksums(field("Checksums-Sha256")?)?;
        let mut tars = Vec::new();
        for file in input.files.iter().filter(|file| !is_dsc(file)) {
            if said.get(file.name.as_str()) != Some(&(file.file.sha256, file.file.size)) {
                return Err(DscError::Files(file.name.clone()));
            }
            // Signatures of upstream come along, and are no part of the tree.
            if extension(&file.name) != "asc" {
                tars.push((role(&file.name)?, file));
            }
        }
        if let Some(missing) = said
            .keys()
            .find(|name| !input.files.iter().any(|f| f.name == **name))
        {
            return Err(DscError::Files((*missing).to_owned()));
        }
        tars.sort_by_key(|(role, file)| {
            let rank = match role {
                Role::Upstream(_) => 0,
                Role::Component(..) => 1,
                Role::Debian(_) => 2,
            };
            (rank, file.name.as_str())
        });
        Ok(Self { tars })
    }
}

fn role(name: &str) -> Result<Role, DscError> {
    let unknown = || DscError::Role(name.to_owned());
    let at = name.rfind(".tar").ok_or_else(unknown)?;
    let codec = Codec::of_suffix(&name[at + 4..]).ok_or_else(unknown)?;
    let stem = &name[..at];
    match extension(stem) {
        "debian" => return Ok(Role::Debian(codec)),
        "orig" => return Ok(Role::Upstream(codec)),
        _ => {}
    }
    match stem.rsplit_once(".orig-") {
        // dpkg-source(1): alphanumeric characters and hyphens.
        Some((_, part))
            if !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') =>
        {
            Ok(Role::Component(part.to_owned(), codec))
        }
        Some(_) => Err(unknown()),
        None => Ok(Role::Upstream(codec)),
    }
}

/// The fields of the first paragraph, without the armour of a signature around it.
fn fields(text: &str) -> Result<BTreeMap<&str, String>, DscError> {
    let mut lines = text.lines();
    if text.starts_with("-----BEGIN PGP SIGNED MESSAGE-----") {
        // The armour's own headers end in an empty line.
        lines.by_ref().find(|line| line.is_empty());
    }
    let mut fields = BTreeMap::new();
    let mut last: Option<&str> = None;
    for line in lines.take_while(|line| !line.trim().is_empty()) {
        if line.starts_with([' ', '\t']) {
            let name = last.ok_or(DscError::Malformed)?;
            let value: &mut String = fields.entry(name).or_default();
            value.push('\n');
            value.push_str(line.trim());
        } else {
            let (name, value) = line.split_once(':').ok_or(DscError::Malformed)?;
            if fields.insert(name, value.trim().to_owned()).is_some() {
                return Err(DscError::Malformed);
            }
            last = Some(name);
        }
    }
    Ok(fields)
}

/// Lines of digest, size and name.
fn checksums(value: &str) -> Result<BTreeMap<&str, (Digest, u64)>, DscError> {
    let mut said = BTreeMap::new();
    for line in value.lines().filter(|line| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [digest, size, name] = words[..] else {
            return Err(DscError::Malformed);
        };
        let digest = Digest::from_hex(digest).map_err(|_| DscError::Malformed)?;
        let size = size.parse().map_err(|_| DscError::Malformed)?;
        if said.insert(name, (digest, size)).is_some() {
            return Err(DscError::Malformed);
        }
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::lock::PoolFile;

    fn file(name: &str) -> LockedSourceFile {
        LockedSourceFile {
            name: name.to_owned(),
            file: PoolFile {
                path: format!("pool/main/x/x/{name}").parse().unwrap(),
                size: 7,
                sha256: Digest::of(name.as_bytes()),
            },
        }
    }

    fn input(names: &[&str]) -> LockedInput {
        LockedInput {
            purl: "pkg:deb/debian/xy@1:2-3?arch=source".parse().unwrap(),
            platform: "any".parse().unwrap(),
            archive: crate::definition::shipped("busybox")
                .unwrap()
                .unwrap()
                .lock
                .archive,
            files: names.iter().map(|name| file(name)).collect(),
        }
    }

    fn text(names: &[&str]) -> String {
        let mut lines = String::new();
        for name in names {
            let digest = Digest::of(name.as_bytes()).hex();
            writeln!(lines, " {digest} 7 {name}").unwrap();
        }
        format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nFormat: 3.0 (quilt)\n\
             Source: xy\nBinary: a,\n b\nVersion: 1:2-3\nChecksums-Sha256:\n{lines}\
             \n-----BEGIN PGP SIGNATURE-----\nFormat: 1.0\n"
        )
    }

    const NAMES: [&str; 4] = [
        "xy_2-3.debian.tar.xz",
        "xy_2.orig-part.tar.gz",
        "xy_2.orig.tar.bz2",
        "xy_2.orig.tar.bz2.asc",
    ];

    #[test]
    fn upstream_comes_first_and_debian_last() {
        let mut all = NAMES.to_vec();
        all.push("xy_2-3.dsc");
        let input = input(&all);
        assert_eq!(find(&input.files).unwrap().name, "xy_2-3.dsc");
        let dsc = Dsc::parse(text(&NAMES).as_bytes(), &input).unwrap();
        let roles: Vec<_> = dsc.tars.into_iter().map(|(role, _)| role).collect();
        let expected = [
            Role::Upstream(Codec::Bzip2),
            Role::Component("part".into(), Codec::Gzip),
            Role::Debian(Codec::Xz),
        ];
        assert_eq!(roles, expected);
    }

    #[test]
    fn lock_and_dsc_must_agree() {
        let good = text(&NAMES);
        let input = input(&NAMES);
        let parse = |text: &str| Dsc::parse(text.as_bytes(), &input).unwrap_err();
        assert!(matches!(parse(&text(&NAMES[1..])), DscError::Files(_)));
        let more = [&NAMES[..], &["xy_2.orig-more.tar.gz"]].concat();
        assert!(matches!(parse(&text(&more)), DscError::Files(_)));
        assert!(matches!(
            parse(&good.replace(" 7 ", " 8 ")),
            DscError::Files(_)
        ));
        let other = good.replace("Version: 1:2-3", "Version: 1:2-4");
        assert!(matches!(parse(&other), DscError::OtherPackage { .. }));
        assert!(matches!(
            parse(&good.replace("3.0 (quilt)", "1.0")),
            DscError::Format(_)
        ));
        assert!(matches!(
            parse(&good.replace("Source", "Sauce")),
            DscError::Field("Source")
        ));
        assert!(matches!(parse("x"), DscError::Malformed));
        assert_eq!(find(&input.files), Err(DscError::Count(0)));
    }

    #[test]
    fn names_say_what_a_tar_is() {
        assert_eq!(role("x_1.tar.xz"), Ok(Role::Upstream(Codec::Xz)));
        for name in [
            "x_1.diff.gz",
            "x_1.orig-..tar.gz",
            "x_1.orig-.tar.gz",
            "x_1.tar.lz",
        ] {
            assert!(role(name).is_err(), "{name}");
        }
    }
}
