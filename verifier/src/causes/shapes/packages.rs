//! Databases of accounts and packages.

use std::collections::BTreeMap;

use repro_core::tree::show_bytes;

use super::{Detector, Pair, holds, starts};
use crate::causes::Cause;

pub(super) const DETECTORS: [Detector; 6] = [shadow, machine_id, ssh_key, key_store, apk, versions];

/// Lines of `etc/shadow` by user: which field differs.
fn shadow(pair: &Pair<'_>) -> Option<Cause> {
    if !pair.is("etc/shadow") {
        return None;
    }
    let users = |bytes| -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
        let lines = <[u8]>::split(bytes, |byte| *byte == b'\n');
        let fields = lines.map(|line| line.split(|byte| *byte == b':').map(<[u8]>::to_vec));
        fields
            .map(Iterator::collect::<Vec<_>>)
            .filter_map(|fields| Some((fields.first()?.clone(), fields)))
            .collect()
    };
    let (a, b) = (users(pair.a), users(pair.b));
    if !a.keys().eq(b.keys()) {
        return None;
    }
    let differ = |index: usize| {
        a.iter()
            .any(|(user, fields)| fields.get(index) != b[user].get(index))
    };
    let others = (3..9).any(differ);
    match (differ(1), differ(2), others) {
        (false, true, false) => Some(Cause::ShadowDay),
        (true, _, false) => Some(Cause::PasswordHash),
        _ => None,
    }
}

/// The id anywhere: 32 hexadecimal digits in a file of that name.
fn machine_id(pair: &Pair<'_>) -> Option<Cause> {
    let id = |bytes: &[u8]| {
        let text = bytes.trim_ascii_end();
        text.len() == 32 && text.iter().all(u8::is_ascii_hexdigit)
    };
    (pair.name() == b"machine-id" && id(pair.a) && id(pair.b)).then_some(Cause::MachineId)
}

/// A public key, or an OpenSSH private one.
fn ssh_key(pair: &Pair<'_>) -> Option<Cause> {
    let key = |bytes: &[u8]| {
        starts(bytes, "ssh-")
            || starts(bytes, "ecdsa-sha2-")
            || starts(bytes, "-----BEGIN OPENSSH PRIVATE KEY")
    };
    (holds(pair.name(), "ssh_host_") && key(pair.a) && key(pair.b)).then_some(Cause::SshHostKey)
}

/// JKS.
fn key_store(pair: &Pair<'_>) -> Option<Cause> {
    let store = |bytes: &[u8]| bytes.starts_with(&[0xfe, 0xed, 0xfe, 0xed]);
    (store(pair.a) && store(pair.b)).then_some(Cause::JavaKeystore)
}

/// A virtual package that is named after the time.
fn apk(pair: &Pair<'_>) -> Option<Cause> {
    if !pair.is("etc/apk/world") && !pair.ends("lib/apk/db/installed") {
        return None;
    }
    let timed = |line: &[u8]| {
        line.windows(15).any(|text| {
            text[8] == b'.'
                && text
                    .iter()
                    .enumerate()
                    .all(|(at, byte)| at == 8 || byte.is_ascii_digit())
        })
    };
    pair.all_changed(|line| timed(line) || starts(line, "C:"))
        .then_some(Cause::ApkVirtual)
}

/// Versions of packages.
fn versions(pair: &Pair<'_>) -> Option<Cause> {
    changed_versions(pair.path, pair.a, pair.b).map(|_| Cause::PackageVersion)
}

/// Packages that an excerpt names at most.
const NAMED: usize = 3;

/// The packages that have another version, each with that of its side: `curl 7.88, libssl3 3.0`.
pub(in crate::causes) fn changed_versions(
    path: &[u8],
    a: &[u8],
    b: &[u8],
) -> Option<(String, String)> {
    let keys = database(path)?;
    let (a, b) = (installed(a, keys), installed(b, keys));
    let differ: Vec<&String> = a
        .keys()
        .chain(b.keys().filter(|name| !a.contains_key(*name)))
        .filter(|name| a.get(*name) != b.get(*name))
        .collect();
    if differ.is_empty() {
        return None;
    }
    let told = |side: &BTreeMap<String, String>| {
        let mut told: Vec<String> = differ
            .iter()
            .take(NAMED)
            .map(|name| match side.get(*name) {
                Some(version) => format!("{name} {version}"),
                None => format!("{name} absent"),
            })
            .collect();
        if differ.len() > NAMED {
            told.push(format!("and {} more", differ.len() - NAMED));
        }
        told.join(", ")
    };
    Some((told(&a), told(&b)))
}

/// How a database says name and version, if `path` is one of packages.
fn database(path: &[u8]) -> Option<(&'static str, &'static str)> {
    let is = |text: &str| path == text.as_bytes();
    let dpkg = is("var/lib/dpkg/status") || path.starts_with(b"var/lib/dpkg/status.d/");
    let wheel = path.ends_with(b".dist-info/METADATA") || path.ends_with(b".egg-info/PKG-INFO");
    match () {
        () if dpkg => Some(("Package: ", "Version: ")),
        () if path.ends_with(b"lib/apk/db/installed") => Some(("P:", "V:")),
        () if wheel => Some(("Name: ", "Version: ")),
        () => None,
    }
}

/// Names and versions; names of hostile images are made printable.
fn installed(bytes: &[u8], (name, version): (&str, &str)) -> BTreeMap<String, String> {
    /// Longest name or version that is shown.
    const LONGEST: usize = 80;
    let mut installed = BTreeMap::new();
    let mut of: Option<String> = None;
    for line in bytes.split(|byte| *byte == b'\n') {
        let value = |key: &str| {
            let value = line.strip_prefix(key.as_bytes())?;
            Some(show_bytes(&value[..value.len().min(LONGEST)]).into_owned())
        };
        if let Some(name) = value(name) {
            of = Some(name);
        } else if let Some(version) = value(version)
            && let Some(name) = of.take()
        {
            installed.insert(name, version);
        }
    }
    installed
}
