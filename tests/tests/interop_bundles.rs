//! Bundles in the hands of verifiers that share no code with ours: `securesystemslib` and
//! `in-toto-attestation` from `PyPI`, `@sigstore/verify` from npm. `tests/run` installs them
//! below `target/interop/`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use repro_core::digest::Digest;
use repro_verifier::{
    attestation::Attestation,
    keys::{KeyKind, SigningKey},
    predicate::{Predicate as _, evidence_index::EvidenceIndex},
    statement::Subject,
};

struct Oracle {
    program: PathBuf,
    script: PathBuf,
    /// Whether the script also compares the predicate type.
    takes_type: bool,
}

impl Oracle {
    fn all() -> [Self; 2] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let interop = root.join("target/interop");
        let oracles = [
            Self {
                program: interop.join("venv/bin/python"),
                script: root.join("tests/interop/verify_bundle.py"),
                takes_type: true,
            },
            Self {
                program: "node".into(),
                // A module finds its dependencies beside itself.
                script: interop.join("node/verify_bundle.mjs"),
                takes_type: false,
            },
        ];
        for oracle in &oracles {
            assert!(
                oracle.script.exists(),
                "{} is missing; `tests/run` installs it",
                oracle.script.display()
            );
        }
        oracles
    }

    fn run(&self, bundle: &Path, key: &Path) -> Output {
        let mut command = Command::new(&self.program);
        command.arg(&self.script).arg(bundle).arg(key);
        if self.takes_type {
            command.arg(EvidenceIndex::TYPE);
        }
        match command.output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => panic!(
                "{} is missing; `tests/run` installs it",
                self.program.display()
            ),
            other => other.expect("the verifier starts"),
        }
    }

    fn accepts(&self, bundle: &Path, key: &Path) -> bool {
        let output = self.run(bundle, key);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        // A script that breaks must not pass for one that refuses.
        match (output.status.code(), said.starts_with("accepted")) {
            (Some(0), true) => true,
            (Some(1), false) if said.starts_with("refused") => false,
            _ => panic!("{}: {output:?}", self.script.display()),
        }
    }
}

fn key(kind: KeyKind, seed: u8) -> SigningKey {
    SigningKey::generate(kind, &mut |bytes| {
        bytes.fill(seed);
        Ok(())
    })
    .expect("any seed but zero is a key")
}

fn bundle(key: &SigningKey) -> Vec<u8> {
    let predicate = EvidenceIndex {
        files: 3,
        invocation_id: "inv-1".into(),
        image: Some(Digest::of(b"manifest")),
    };
    let subject = Subject {
        name: "index.json".into(),
        digest: Digest::of(b"index"),
    };
    let statement = predicate.statement(vec![subject]).expect("no fractions");
    let signed = Attestation::sign(statement, key).expect("no fractions");
    signed.to_bytes().expect("no fractions")
}

#[test]
fn others_accept_our_bundles_and_refuse_them_after_one_flipped_bit() {
    let dir = tempfile::tempdir().unwrap();
    for kind in [KeyKind::P256, KeyKind::Ed25519] {
        let signing = key(kind, 1);
        let write = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(format!("{kind}-{name}"));
            fs::write(&path, bytes).unwrap();
            path
        };
        let whole = bundle(&signing);
        let good = write("good.json", &whole);
        let public = write("key.pub", signing.public_key().to_pem().as_bytes());
        let other = write("other.pub", key(kind, 2).public_key().to_pem().as_bytes());
        let flipped: Vec<PathBuf> = ["payload", "sig"]
            .into_iter()
            .map(|field| {
                let mut value: serde_json::Value = serde_json::from_slice(&whole).unwrap();
                let text = match field {
                    "payload" => &mut value["dsseEnvelope"]["payload"],
                    _ => &mut value["dsseEnvelope"]["signatures"][0]["sig"],
                };
                *text = flip(text.as_str().unwrap()).into();
                write(field, &serde_json::to_vec(&value).unwrap())
            })
            .collect();
        for oracle in Oracle::all() {
            let name = oracle.script.display();
            assert!(oracle.accepts(&good, &public), "{name} refuses {kind}");
            assert!(
                !oracle.accepts(&good, &other),
                "{name} accepts another {kind} key"
            );
            for bad in &flipped {
                assert!(
                    !oracle.accepts(bad, &public),
                    "{name} accepts {}",
                    bad.display()
                );
            }
        }
    }
}

/// Flips one bit of what `base64` encodes: a letter in the middle that stays a letter.
fn flip(base64: &str) -> String {
    let mut bytes = base64.as_bytes().to_vec();
    let middle = bytes.len() / 2;
    let at = (middle..bytes.len())
        .find(|at| bytes[*at].is_ascii_alphabetic() && (bytes[*at] ^ 0x20).is_ascii_alphabetic())
        .expect("base64 of this length has letters");
    // A and a are 26 apart in the alphabet of base64: other bits, same length.
    bytes[at] ^= 0x20;
    String::from_utf8(bytes).expect("letters for letters")
}
