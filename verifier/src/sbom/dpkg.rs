//! Debian's `status`: paragraphs of `Field: value` (deb-control(5)).

use super::inventory::{Package, PackageKind, one_line};

/// The packages that are installed.
pub(super) fn packages(text: &str) -> Vec<Package> {
    text.split("\n\n").filter_map(package).collect()
}

fn package(paragraph: &str) -> Option<Package> {
    let field = |name: &str| {
        let value = paragraph.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value)
        });
        value.map(one_line).filter(|value| !value.is_empty())
    };
    // Removed packages whose settings stay have a paragraph too. The files of distroless images
    // have no status: what is there is installed.
    if let Some(status) = field("Status")
        && status.split(' ').next_back() != Some("installed")
    {
        return None;
    }
    let version = field("Version")?;
    let mut package = Package::new(PackageKind::Deb, &field("Package")?, &version);
    package.arch = field("Architecture").unwrap_or_default();
    package.source =
        field("Source").map_or_else(String::new, |source| match source.split_once(" (") {
            Some((name, own)) => format!("{name} {}", own.trim_end_matches(')')),
            None => format!("{source} {version}"),
        });
    Some(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_packages_and_no_others() {
        let status = "\
Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc
Version: 2.36-9+deb12u4
Description: the C library
 Package: not-a-field

Package: gone
Status: deinstall ok config-files
Version: 1

Package: libgcc-s1
Status: hold ok installed
Source: gcc-12 (12.2.0-14)
Version: 12.2.0-14+b1

Package: half
Status: install ok half-installed
Version: 2

Package: noversion
Status: install ok installed
";
        let found = packages(status);
        let short: Vec<_> = found
            .iter()
            .map(|p| (p.name.as_str(), p.version.as_str(), p.source.as_str()))
            .collect();
        assert_eq!(
            short,
            [
                ("libc6", "2.36-9+deb12u4", "glibc 2.36-9+deb12u4"),
                ("libgcc-s1", "12.2.0-14+b1", "gcc-12 12.2.0-14"),
            ]
        );
        assert_eq!(found[0].arch, "amd64");
        assert_eq!(packages("Package: base-files\nVersion: 12\n").len(), 1);
        assert_eq!(packages(""), []);
    }
}
