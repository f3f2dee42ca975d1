//! Alpine's `installed`: paragraphs of one letter, a colon and a value.

use super::inventory::{Package, PackageKind, license, one_line};

/// The packages of the database.
pub(super) fn packages(text: &str) -> Vec<Package> {
    text.split("\n\n").filter_map(package).collect()
}

fn package(paragraph: &str) -> Option<Package> {
    let field = |key: &str| {
        let value = paragraph.lines().find_map(|line| line.strip_prefix(key));
        value.map(one_line).filter(|value| !value.is_empty())
    };
    let version = field("V:")?;
    let mut package = Package::new(PackageKind::Apk, &field("P:")?, &version);
    package.arch = field("A:").unwrap_or_default();
    package.license = field("L:").as_deref().map(license).unwrap_or_default();
    package.source = field("o:").map_or_else(String::new, |origin| format!("{origin} {version}"));
    Some(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_versions_and_licences() {
        let found = packages(
            "C:Q1x=\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\no:musl\nF:lib\nR:ld-musl.so.1\n\nP:only-a-name\n",
        );
        let [musl] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(musl.name, "musl");
        assert_eq!(musl.version, "1.2.5-r0");
        assert_eq!(musl.arch, "x86_64");
        assert_eq!(musl.license, "MIT");
        assert_eq!(musl.source, "musl 1.2.5-r0");
    }
}
