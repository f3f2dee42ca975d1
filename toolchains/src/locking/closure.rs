//! What a program needs to run, near enough.

use std::collections::BTreeSet;

use crate::{
    archive::{BinaryPackage, IndexError, PackageIndex},
    lock::PoolFile,
};

/// The files of `roots` and of what they need, sorted by name: of each list of alternatives the
/// first that there is, of a virtual package the first provider. No versions, no conflicts: this
/// is only for having the real resolver run, which then decides everything.
pub(super) fn of(index: &PackageIndex, roots: &[&str]) -> Result<Vec<PoolFile>, IndexError> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut waiting: Vec<String> = roots.iter().map(|root| (*root).to_owned()).collect();
    let mut files = Vec::new();
    while let Some(name) = waiting.pop() {
        if names.contains(&name) {
            continue;
        }
        let Some(package) = index.package(&name, None)? else {
            continue;
        };
        names.insert(name);
        waiting.extend(needs(index, &package));
        files.push(package.file);
    }
    files.sort();
    Ok(files)
}

fn needs(index: &PackageIndex, package: &BinaryPackage) -> Vec<String> {
    let choose = |alternatives: &Vec<String>| {
        let real = alternatives.iter().find(|name| index.has(name));
        let virtual_one = || {
            let mut all = alternatives.iter().flat_map(|name| index.providers(name));
            all.next()
        };
        real.or_else(virtual_one).cloned()
    };
    package.needs.iter().filter_map(choose).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(packages: &[(&str, &str)]) -> PackageIndex {
        let hex = "0".repeat(64);
        let text = packages.iter().map(|(name, fields)| {
            format!(
                "Package: {name}\nVersion: 1\nArchitecture: all\n{fields}\
                 Filename: pool/{name}.deb\nSize: 1\nSHA256: {hex}\n\n"
            )
        });
        PackageIndex::parse(text.collect()).unwrap()
    }

    #[test]
    fn alternatives_virtual_packages_and_rings() {
        let index = index(&[
            ("aa", "Pre-Depends: bb (>= 1), gone | cc:any [amd64]\n"),
            ("bb", "Depends: aa, virtual\n"),
            ("cc", "Recommends: ee\n"),
            ("dd", "Provides: other, virtual (= 2)\n"),
            ("ee", ""),
        ]);
        let names: Vec<String> = of(&index, &["aa", "nothing"])
            .unwrap()
            .iter()
            .map(|file| file.path.to_string())
            .collect();
        assert_eq!(
            names,
            ["pool/aa.deb", "pool/bb.deb", "pool/cc.deb", "pool/dd.deb"]
        );
    }
}
