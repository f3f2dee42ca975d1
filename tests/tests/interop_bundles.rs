//! Evidence in the hands of others: `repro verify`, and libraries that share no code with it:
//! `securesystemslib` and `in-toto-attestation` from `PyPI`, `@sigstore/verify` from npm.
//! `tests/run` installs them below `target/interop/`.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test panics where the test fails"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use repro_tests::{
    Repro, TestContext, files_below, program, root, statement, succeeds, target, tool,
};
use serde_json::{Value, json};

/// A pack of a real build, signed by a key that stays.
struct SignedPack {
    context: TestContext,
    dir: PathBuf,
    public: PathBuf,
}

impl SignedPack {
    fn build(kind: &str, example: &str, code: i32) -> Self {
        let context = TestContext::new();
        let name = context.path("signing");
        context
            .repro(["keygen", "--type", kind])
            .arg(&name)
            .run()
            .exits(0);
        let project = context.example(example);
        let (build, dir) = context.build(&project);
        build
            .arg("--key")
            .arg(context.path("signing.key"))
            .run()
            .exits(code);
        let public = context.path("signing.pub");
        Self {
            context,
            dir,
            public,
        }
    }

    fn verify(&self) -> Repro {
        self.context
            .repro(["verify"])
            .arg(&self.dir)
            .arg("--key")
            .arg(&self.public)
    }

    /// Every bundle with the type of its predicate.
    fn bundles(&self) -> Vec<(PathBuf, String)> {
        files_below(&self.dir)
            .into_iter()
            .filter(|path| path.display().to_string().ends_with(".sigstore.json"))
            .map(|path| {
                let kind = statement(&path)["predicateType"].clone();
                (path, kind.as_str().unwrap().to_owned())
            })
            .collect()
    }
}

/// A verifier that shares no code with ours.
struct Oracle {
    program: PathBuf,
    script: PathBuf,
}

impl Oracle {
    fn all() -> [Self; 2] {
        let interop = target().join("interop");
        let oracles = [
            Self {
                program: interop.join("venv/bin/python"),
                script: root().join("tests/interop/verify_bundle.py"),
            },
            Self {
                program: tool("node"),
                // A module finds its dependencies beside itself.
                script: interop.join("node/verify_bundle.mjs"),
            },
        ];
        for oracle in &oracles {
            for path in [&oracle.program, &oracle.script] {
                assert!(
                    path.exists(),
                    "{} is missing; `tests/run` installs it",
                    path.display()
                );
            }
        }
        oracles
    }

    fn accepts(&self, bundle: &Path, key: &Path, predicate: &str) -> bool {
        let mut command = Command::new(&self.program);
        command.arg(&self.script).arg(bundle).arg(key);
        if self
            .script
            .extension()
            .is_some_and(|extension| extension == "py")
        {
            command.arg(predicate);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        // A script that breaks must not pass for one that refuses.
        match output.status.code() {
            Some(0) if said.starts_with("accepted") => true,
            Some(1) if said.starts_with("refused") => false,
            _ => panic!("{command:?}: {output:?}"),
        }
    }
}

/// Flips the lowest bit of the byte that stands in the middle of a base64 field.
fn flip(bundle: &Path, field: &str, to: &Path) {
    let script = "\
import base64, json, sys
bundle = json.load(open(sys.argv[1]))
envelope = bundle['dsseEnvelope']
holder, key = (envelope, 'payload') if sys.argv[2] == 'payload' else (envelope['signatures'][0], 'sig')
data = bytearray(base64.b64decode(holder[key]))
data[len(data) // 2] ^= 1
holder[key] = base64.b64encode(data).decode()
json.dump(bundle, open(sys.argv[3], 'w'))
";
    let mut python = Command::new(tool("python3"));
    succeeds(python.args(["-c", script]).arg(bundle).arg(field).arg(to));
}

#[test]
fn other_verifiers_accept_the_bundles_of_a_build_and_refuse_them_after_one_bit() {
    for (kind, example, code) in [("p256", "stamp", 1), ("ed25519", "static-hello", 0)] {
        let pack = SignedPack::build(kind, example, code);
        let bundles = pack.bundles();
        let types: Vec<&str> = bundles
            .iter()
            .map(|(_, predicate)| predicate.as_str())
            .collect();
        assert!(
            types.contains(&"https://slsa.dev/provenance/v1"),
            "{types:?}"
        );
        assert!(
            types.contains(&"https://intelgraph.io/repro/reproducibility/v1"),
            "{types:?}"
        );
        for more in [
            "https://in-toto.io/attestation/test-result/v0.1",
            "https://in-toto.io/attestation/runtime-trace/v0.1",
            "https://spdx.dev/Document",
        ] {
            assert!(types.contains(&more), "{more}: {types:?}");
        }
        let scai = types.contains(&"https://in-toto.io/attestation/scai/v0.3");
        assert_eq!(
            scai,
            code == 0,
            "said of what is reproducible, and only of it"
        );
        pack.context
            .repro(["keygen", "--type", kind, "other"])
            .run()
            .exits(0);
        let other = pack.context.path("other.pub");
        for (bundle, predicate) in &bundles {
            let bad = pack.context.path("flipped.json");
            for oracle in Oracle::all() {
                let name = format!("{}: {kind}: {}", oracle.script.display(), bundle.display());
                assert!(
                    oracle.accepts(bundle, &pack.public, predicate),
                    "{name} is refused"
                );
                // Refusals are the same for all: one statement shows them.
                if *predicate != "https://slsa.dev/provenance/v1" {
                    continue;
                }
                assert!(
                    !oracle.accepts(bundle, &other, predicate),
                    "{name}: another key"
                );
                for field in ["payload", "sig"] {
                    flip(bundle, field, &bad);
                    assert!(
                        !oracle.accepts(&bad, &pack.public, predicate),
                        "{name}: {field}"
                    );
                }
            }
        }
    }
}

#[test]
fn verify_accepts_a_pack_without_a_network_and_refuses_each_flipped_byte() {
    let pack = SignedPack::build("p256", "stamp", 1);
    // A pack with a bad verdict is good evidence.
    pack.verify()
        .run()
        .exits(0)
        .prints(["verified", "not reproducible"]);
    let wrapper = ["unshare", "--user", "--map-root-user", "--net"];
    pack.verify().through(&wrapper).run().exits(0);
    let all = files_below(&pack.dir);
    assert!(all.len() > 10, "{all:?}");
    for path in all {
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        let middle = bytes.len() / 2;
        if bytes.is_empty() {
            bytes.push(b'x');
        } else {
            bytes[middle] ^= 1;
        }
        fs::write(&path, &bytes).unwrap();
        let ended = pack.verify().run().any();
        assert_eq!(ended.code, Some(4), "{}: {ended}", path.display());
        fs::write(&path, &whole).unwrap();
    }
    // One more file, one fewer.
    let extra = pack.dir.join("provenance/run-c.sigstore.json");
    fs::write(&extra, "not listed").unwrap();
    pack.verify()
        .run()
        .exits(4)
        .prints(["provenance/run-c.sigstore.json"]);
    fs::remove_file(&extra).unwrap();
    let log = pack.dir.join("reproducibility/report.md");
    let kept = fs::read(&log).unwrap();
    fs::remove_file(&log).unwrap();
    pack.verify()
        .run()
        .exits(4)
        .prints(["reproducibility/report.md"]);
    fs::write(&log, kept).unwrap();
    pack.verify().run().exits(0);
}

#[test]
fn another_key_verifies_nothing() {
    let pack = SignedPack::build("p256", "stamp", 1);
    let other = pack.context.path("other");
    pack.context.repro(["keygen"]).arg(&other).run().exits(0);
    let verify = pack.context.repro(["verify"]).arg(&pack.dir);
    verify
        .clone()
        .arg("--key")
        .arg(pack.context.path("other.pub"))
        .run()
        .exits(4);
    // Nobody's key: whole perhaps, but by whom?
    let ended = verify.run().any();
    assert!(matches!(ended.code, Some(2 | 4)), "{ended}");
    assert!(ended.stderr.contains("--key"), "{ended}");
}

#[test]
fn a_key_made_for_one_build_is_said_to_prove_little() {
    let context = TestContext::new();
    let project = context.example("stamp");
    let (build, evidence) = context.build(&project);
    let ended = build.run().exits(1);
    ended.says(["--key"]);
    let ephemeral = evidence.join("ephemeral.pub");
    assert!(ephemeral.is_file());
    // Its own key shows that the pack is whole, and no more.
    let ended = context
        .repro(["verify"])
        .arg(&evidence)
        .arg("--key")
        .arg(&ephemeral)
        .run()
        .any();
    assert_eq!(ended.code, Some(4), "{ended}");
    assert!(ended.stdout.contains("anyone"), "{ended}");
}

#[test]
fn openssl_reads_both_halves_of_a_key() {
    let context = TestContext::new();
    for kind in ["p256", "ed25519"] {
        context
            .repro(["keygen", "--type", kind, kind])
            .run()
            .exits(0);
        let private = context.path(&format!("{kind}.key"));
        let text = fs::read_to_string(&private).unwrap();
        assert!(text.starts_with("-----BEGIN PRIVATE KEY-----"), "PKCS #8");
        let mut openssl = Command::new(tool("openssl"));
        let derived = succeeds(openssl.args(["pkey", "-pubout", "-in"]).arg(&private));
        let public = fs::read_to_string(context.path(&format!("{kind}.pub"))).unwrap();
        assert_eq!(derived, public);
    }
}

/// A file of envelopes, a line each: read as such, and each line by another library.
#[test]
fn statements_are_lines_of_envelopes_too() {
    // Of one image: what is said of another is no line of its file.
    let pack = SignedPack::build("p256", "static-hello", 0);
    let file = pack.context.path("app.intoto.jsonl");
    let place = format!("jsonl:{}", file.display());
    let attest = pack.context.repro(["attest", &place, "--evidence"]);
    attest.arg(&pack.dir).run().exits(0);
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    // All but that on the pack, of which a file of lines is none.
    let bundles = pack.bundles();
    assert_eq!(lines.len(), bundles.len() - 1);
    for line in lines {
        let envelope: Value = serde_json::from_str(line).unwrap();
        let fields: Vec<&String> = envelope.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["payload", "payloadType", "signatures"]);
        assert_eq!(envelope["payloadType"], "application/vnd.in-toto+json");
        let payload = STANDARD
            .decode(envelope["payload"].as_str().unwrap())
            .unwrap();
        let statement: Value = serde_json::from_slice(&payload).unwrap();
        let kind = statement["predicateType"].as_str().unwrap();
        let bundle = json!({"dsseEnvelope": envelope});
        let path = pack.context.write("line.json", bundle.to_string());
        let mut oracle = Command::new(target().join("interop/venv/bin/python"));
        let oracle = oracle.arg(root().join("tests/interop/verify_bundle.py"));
        succeeds(oracle.arg(path).arg(&pack.public).arg(kind));
    }
    // A pack that was changed is none.
    fs::write(pack.dir.join("reproducibility/report.md"), "x").unwrap();
    let attest = pack.context.repro(["attest", &place, "--evidence"]);
    attest.arg(&pack.dir).run().exits(6);
}

/// Both versions of cosign that Debian has, on every form that they read. Not of every run: it installs two
/// suites of Debian below `target/interop/`.
#[test]
#[ignore = "installs cosign of two suites of Debian: cargo test -p repro-tests --test interop_bundles -- --ignored"]
fn cosign_reads_every_form() {
    let mut cosign = Command::new(root().join("tests/interop/cosign"));
    let said = succeeds(cosign.env("REPRO_BIN", program()));
    let count = |word: &str| said.lines().filter(|line| line.starts_with(word)).count();
    assert_eq!((count("accepted"), count("refused")), (11, 8), "{said}");
}
