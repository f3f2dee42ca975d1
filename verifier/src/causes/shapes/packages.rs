//! Databases of accounts and packages.

use std::collections::BTreeMap;

use super::{Detector, Pair, holds, starts};
use crate::causes::Cause;

pub(super) const DETECTORS: [Detector; 6] =
    [shadow, machine_id, ssh_key, key_store, apk, dpkg_status];

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
fn dpkg_status(pair: &Pair<'_>) -> Option<Cause> {
    let database =
        pair.is("var/lib/dpkg/status") || pair.path.starts_with(b"var/lib/dpkg/status.d/");
    let changed = |line: &[u8]| starts(line, "Version:");
    (database && pair.changed().into_iter().any(changed)).then_some(Cause::PackageVersion)
}
