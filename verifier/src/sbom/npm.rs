//! `package.json` of what lies below `node_modules`.

use repro_core::tree::TreePath;
use serde_json::Value;

use super::inventory::{Package, PackageKind, license, one_line};

/// The package that a file describes. Its name is that of its directory: what a file says of itself
/// can be another, and is not what programs load it by.
pub(super) fn package(path: &TreePath, bytes: &[u8]) -> Option<Package> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let version = one_line(value.get("version")?.as_str()?);
    let names: Vec<String> = path
        .names()
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    let [.., above, name, _] = names.as_slice() else {
        return None;
    };
    let mut package = Package::new(PackageKind::Npm, &one_line(name), &version);
    if above.starts_with('@') {
        package.namespace = one_line(above);
    }
    package.license = value
        .get("license")
        .and_then(Value::as_str)
        .map(license)
        .unwrap_or_default();
    Some(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_namespaces_and_directories_are_names() {
        let path = |text: &str| TreePath::parse(text.as_bytes()).unwrap();
        let json = br#"{"name": "other", "version": "1.2.3", "license": "MIT"}"#;
        let found = package(&path("app/node_modules/@acme/x/package.json"), json).unwrap();
        assert_eq!(
            (
                found.namespace.as_str(),
                found.name.as_str(),
                found.version.as_str()
            ),
            ("@acme", "x", "1.2.3")
        );
        let found = package(&path("app/node_modules/y/package.json"), json).unwrap();
        assert_eq!((found.namespace.as_str(), found.name.as_str()), ("", "y"));
        assert_eq!(package(&path("node_modules/y/package.json"), b"{}"), None);
        assert_eq!(package(&path("node_modules/y/package.json"), b"no"), None);
    }
}
