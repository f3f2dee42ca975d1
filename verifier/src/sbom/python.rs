//! Python's core metadata (PEP 566 and after), in `METADATA` and `PKG-INFO`.

use super::inventory::{Package, PackageKind, license, one_line};

/// The package that a file describes.
pub(super) fn package(text: &str) -> Option<Package> {
    // The description follows behind an empty line.
    let fields = text.split("\n\n").next().unwrap_or(text);
    let field = |name: &str| {
        let value = fields.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value)
        });
        value.map(one_line).filter(|value| !value.is_empty())
    };
    let mut package = Package::new(
        PackageKind::Pypi,
        &normalised(&field("Name")?),
        &field("Version")?,
    );
    package.license = field("License-Expression")
        .or_else(|| field("License"))
        .as_deref()
        .map(license)
        .unwrap_or_default();
    Some(package)
}

/// The name as the index has it (PEP 503): `Foo_.Bar` is `foo-bar`.
fn normalised(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    let parts: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_the_metadata_counts() {
        let text = "Metadata-Version: 2.4\r\nName: Typing_.Extensions\r\nVersion: 4.12.2\r\n\
                    License-Expression: PSF-2.0\r\nLicense: x\r\n";
        let found = package(text).unwrap();
        assert_eq!(
            (found.name.as_str(), found.version.as_str()),
            ("typing-extensions", "4.12.2")
        );
        assert_eq!(found.license, "PSF-2.0");
        assert_eq!(
            package("Name: x\n\nVersion: 1\n"),
            None,
            "that is the description"
        );
    }
}
