//! `Packages` and `Sources`.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    ops::Range,
};

use repro_core::digest::Digest;

use super::{
    control::{ControlError, Paragraph, paragraphs},
    release::IndexEntry,
};
use crate::{
    lock::{PoolFile, PoolPath},
    purl,
};

/// Why an index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It cannot be read or decompressed.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// Larger than any index is.
    #[error("it has {0} bytes, which no index has")]
    Large(u64),
    /// What it holds, decompressed, is not what the release says.
    #[error("decompressed, it is not what the release says")]
    Differs,
    /// Not a text.
    #[error("it is not UTF-8")]
    Text,
    /// Not paragraphs.
    #[error("paragraph {paragraph} is malformed")]
    Control {
        /// Which, from 1.
        paragraph: usize,
        /// Why.
        #[source]
        source: ControlError,
    },
    /// A paragraph without what it must have.
    #[error("paragraph {paragraph} has no usable field {field}")]
    Field {
        /// Which, from 1.
        paragraph: usize,
        /// The field.
        field: &'static str,
    },
}

/// Reads an index to its end and holds it against what the release says of it, uncompressed.
pub(super) fn read_plain(
    reader: impl Read,
    expected: IndexEntry,
) -> io::Result<Result<String, IndexError>> {
    let mut bytes = Vec::new();
    reader
        .take(expected.size.saturating_add(1))
        .read_to_end(&mut bytes)?;
    let found = IndexEntry {
        size: bytes.len() as u64,
        sha256: Digest::of(&bytes),
    };
    if found != expected {
        return Ok(Err(IndexError::Differs));
    }
    Ok(String::from_utf8(bytes).map_err(|_| IndexError::Text))
}

/// A text of paragraphs and where each name is in it.
#[derive(Debug)]
struct Index {
    text: String,
    by_name: BTreeMap<String, Vec<(usize, Range<usize>)>>,
}

impl Index {
    fn parse(text: String) -> Result<Self, IndexError> {
        let mut by_name: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for (paragraph, range) in (1..).zip(paragraphs(&text)) {
            // Checked whole when it is used: an index has sixty thousand, and a lock needs a few.
            let begin = text[range.clone()].strip_prefix("Package:");
            let name = begin.and_then(|rest| rest.lines().next()).map(str::trim);
            let name = name.filter(|name| purl::is_package_name(name));
            let name = name.ok_or(IndexError::Field {
                paragraph,
                field: "Package",
            })?;
            by_name
                .entry(name.to_owned())
                .or_default()
                .push((paragraph, range));
        }
        Ok(Self { text, by_name })
    }

    /// The paragraphs of a name, with their numbers.
    fn named(&self, name: &str) -> impl Iterator<Item = Result<Fields<'_>, IndexError>> {
        let places = self
            .by_name
            .get(name)
            .map(Vec::as_slice)
            .unwrap_or_default();
        places.iter().map(|(paragraph, range)| {
            let parsed = Paragraph::parse(&self.text[range.clone()]);
            let source = |source| IndexError::Control {
                paragraph: *paragraph,
                source,
            };
            parsed.map_err(source).map(|fields| Fields {
                paragraph: *paragraph,
                fields,
            })
        })
    }
}

/// One paragraph with its number, for messages.
#[derive(Clone, Copy)]
struct Fields<'a> {
    paragraph: usize,
    fields: Paragraph<'a>,
}

impl<'a> Fields<'a> {
    /// A field that must be there.
    fn needed(self, field: &'static str) -> Result<&'a str, IndexError> {
        self.fields.field(field).ok_or(self.error(field))
    }

    /// A field that must be there and mean something.
    fn parsed<T>(
        self,
        field: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, IndexError> {
        parse(self.needed(field)?).ok_or(self.error(field))
    }

    const fn error(self, field: &'static str) -> IndexError {
        IndexError::Field {
            paragraph: self.paragraph,
            field,
        }
    }
}

fn version(text: &str) -> Option<String> {
    purl::is_version(text).then(|| text.to_owned())
}

/// One package of `Packages`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BinaryPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture, or `all`.
    pub architecture: String,
    /// What it needs to be unpacked and to run: a list of alternatives each, by name.
    pub needs: Vec<Vec<String>>,
    /// The `.deb`.
    pub file: PoolFile,
}

/// `Packages` of one component and architecture.
#[derive(Debug)]
pub struct PackageIndex {
    index: Index,
    /// Packages by the names that they provide.
    provided: BTreeMap<String, Vec<String>>,
}

impl PackageIndex {
    /// Its path below the suite's directory.
    #[must_use]
    pub fn path(component: &str, architecture: &str) -> String {
        format!("{component}/binary-{architecture}/Packages")
    }

    /// Reads the text of an index.
    pub fn parse(text: String) -> Result<Self, IndexError> {
        let index = Index::parse(text)?;
        let mut provided: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, places) in &index.by_name {
            for (_, range) in places {
                // Most paragraphs provide nothing: they are not parsed for that.
                let paragraph = &index.text[range.clone()];
                let Some(at) = paragraph.find("\nProvides:") else {
                    continue;
                };
                let line = paragraph[at + 10..].lines().next().unwrap_or_default();
                for virtual_name in relation_names(line).flatten() {
                    provided.entry(virtual_name).or_default().push(name.clone());
                }
            }
        }
        Ok(Self { index, provided })
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.index.text
    }

    /// Whether there is a package of that name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.index.by_name.contains_key(name)
    }

    /// The package of that name and version, or the last listed one; `None` if there is none.
    pub fn package(
        &self,
        name: &str,
        version: Option<&str>,
    ) -> Result<Option<BinaryPackage>, IndexError> {
        let mut found = None;
        for fields in self.index.named(name) {
            let package = binary(name, fields?)?;
            if version.is_none_or(|version| version == package.version) {
                found = Some(package);
            }
        }
        Ok(found)
    }

    /// Names of the packages that provide `name`, sorted.
    #[must_use]
    pub fn providers(&self, name: &str) -> &[String] {
        self.provided
            .get(name)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }
}

fn binary(name: &str, fields: Fields<'_>) -> Result<BinaryPackage, IndexError> {
    let hex = |text: &str| Digest::from_hex(text).ok();
    let needs = ["Pre-Depends", "Depends"].into_iter().flat_map(|field| {
        let text = fields.fields.field(field).unwrap_or_default();
        relation_names(text).collect::<Vec<_>>()
    });
    Ok(BinaryPackage {
        name: name.to_owned(),
        version: fields.parsed("Version", version)?,
        architecture: fields.needed("Architecture")?.to_owned(),
        needs: needs.collect(),
        file: PoolFile {
            path: fields.parsed("Filename", |text| text.parse::<PoolPath>().ok())?,
            size: fields.parsed("Size", |text| text.parse().ok())?,
            sha256: fields.parsed("SHA256", hex)?,
        },
    })
}

/// The alternatives of each relation of a list, by name alone.
fn relation_names(list: &str) -> impl Iterator<Item = Vec<String>> {
    let name = |text: &str| {
        let text = text.trim_start();
        let end = text.find([' ', '(', '[', '<', ':', '\n']);
        let name = text[..end.unwrap_or(text.len())].trim();
        purl::is_package_name(name).then(|| name.to_owned())
    };
    list.split(',')
        .map(move |relation| relation.split('|').filter_map(name).collect::<Vec<_>>())
        .filter(|alternatives| !alternatives.is_empty())
}

/// One package of `Sources`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePackage {
    /// Its files, sorted by name.
    pub files: BTreeMap<String, PoolFile>,
}

/// `Sources` of one component.
#[derive(Debug)]
pub struct SourceIndex(Index);

impl SourceIndex {
    /// Its path below the suite's directory.
    #[must_use]
    pub fn path(component: &str) -> String {
        format!("{component}/source/Sources")
    }

    /// Reads the text of an index.
    pub fn parse(text: String) -> Result<Self, IndexError> {
        Index::parse(text).map(Self)
    }

    /// The source package of that name and version; `None` if there is none. Entries that are
    /// only kept for what was built from them are passed over.
    pub fn package(&self, name: &str, wanted: &str) -> Result<Option<SourcePackage>, IndexError> {
        for fields in self.0.named(name) {
            let fields = fields?;
            let kept = fields.fields.field("Extra-Source-Only") == Some("yes");
            if kept || fields.parsed("Version", version)? != wanted {
                continue;
            }
            let directory = fields.needed("Directory")?;
            let mut files = BTreeMap::new();
            for line in fields.needed("Checksums-Sha256")?.lines() {
                let error = || fields.error("Checksums-Sha256");
                let words: Vec<&str> = line.split_whitespace().collect();
                let [hex, size, file] = words[..] else {
                    return Err(error());
                };
                let pool = PoolFile {
                    path: format!("{directory}/{file}").parse().map_err(|_| error())?,
                    size: size.parse().map_err(|_| error())?,
                    sha256: Digest::from_hex(hex).map_err(|_| error())?,
                };
                if files.insert(file.to_owned(), pool).is_some() {
                    return Err(error());
                }
            }
            return Ok(Some(SourcePackage { files }));
        }
        Ok(None)
    }

    /// The versions of a name, for a message.
    pub fn versions(&self, name: &str) -> Result<Vec<String>, IndexError> {
        let all = self.0.named(name);
        all.map(|fields| fields?.parsed("Version", version))
            .collect()
    }
}
