//! Summaries written and read back, and those that are refused (N27).

use std::{path::Path, sync::LazyLock};

use repro_core::digest::Digest;
use serde_json::{Value, json};

use super::*;
use crate::{
    attestation::Attestation,
    keys::{KeyKind, PublicKey},
    pack::Signer,
    predicate::{Predicate as _, vsa::Vsa},
    statement::{Statement, Subject},
    terms::{Policy, Terms, Trust, TrustRules, trust::BuildLevel},
    testing::{Case, NOW, key, verify_packs},
    verify::{Status, Verification},
};

const URI: &str = "pkg:oci/app@sha256:x";
const VERIFIER: &str = "https://acme.example/verifier";

static RULES: LazyLock<TrustRules> = LazyLock::new(|| {
    let text = format!(
        "version = 1\n[[verifier]]\nid = {VERIFIER:?}\nslsa-build-level = 2\nkey = [{{ file = \"7\" }}]\n\
         [[verifier]]\nid = \"https://other.example\"\nkey = [{{ file = \"8\" }}]"
    );
    TrustRules::parse(&text, &mut |path| {
        let seed = path.to_str().unwrap().parse().unwrap();
        Ok(key(KeyKind::P256, seed).public_key().to_pem())
    })
    .unwrap()
});

fn verified(policy: Option<&Policy>, keys: &[PublicKey]) -> (Verification, Digest) {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("pack");
    let case = Case::reproducible();
    case.write(&place, Signer::Key(&key(KeyKind::P256, 1)))
        .unwrap();
    let terms = Terms {
        policy,
        ..Terms::new(Trust::Keys(keys), NOW)
    };
    let packs = [("pack".to_owned(), Path::new(&place))];
    let verification = verify_packs(&packs, &terms, None).unwrap();
    (
        verification,
        case.record.runs[0].image.as_ref().unwrap().manifest,
    )
}

fn ours() -> Vec<PublicKey> {
    vec![key(KeyKind::P256, 1).public_key()]
}

fn issued(verification: &Verification) -> Vec<Summary> {
    let key = key(KeyKind::P256, 7);
    let issuer = Issuer {
        id: VERIFIER,
        version: "0.1.0",
        time: NOW,
        resource_uri: Some(URI),
        key: &key,
    };
    issue(verification, &issuer).unwrap()
}

fn payload(bundle: &[u8]) -> Value {
    let bytes = Attestation::parse(bundle)
        .unwrap()
        .claims()
        .unwrap()
        .to_bytes()
        .unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn held<'a>(bytes: &[u8], image: Digest, edit: impl Fn(&mut Expected<'a>)) -> (Status, String) {
    let mut expected = Expected {
        rules: &RULES,
        image: Some(image),
        resource_uri: URI,
        level: Some(BuildLevel::ONE),
        policy: None,
        statements: &[],
        now: NOW,
    };
    edit(&mut expected);
    let check = check(bytes, &expected);
    assert_eq!(check.code.code(), "V27");
    let failed = check
        .findings
        .iter()
        .filter(|one| one.status == Status::Failed);
    let failed: Vec<String> = failed
        .map(|one| format!("{}: {}", one.on, one.detail))
        .collect();
    (check.status, failed.join("; "))
}

#[test]
fn what_was_verified_is_summarised_and_read_back() {
    let (verification, image) = verified(None, &ours());
    let summaries = issued(&verification);
    let names: Vec<&str> = summaries.iter().map(|summary| summary.name).collect();
    assert_eq!(names, ["vsa", "svr"], "one builder reproduces nothing");
    for bytes in [&summaries[0].bundle, &summaries[0].envelope] {
        let (status, failed) = held(bytes, image, |_| {});
        assert_eq!(status, Status::Passed, "{failed}");
    }
    let vsa = &payload(&summaries[0].bundle)["predicate"];
    assert_eq!(vsa["verifiedLevels"], json!(["SLSA_BUILD_LEVEL_1"]));
    assert_eq!(vsa["verificationResult"], "PASSED");
    assert_eq!(vsa["timeVerified"], "2027-01-15T08:00:00Z");
    assert_eq!(vsa["policy"]["uri"], crate::uris::DEFAULT_POLICY);
    // Eight statements on the image, two links, and the index.
    assert_eq!(vsa["inputAttestations"].as_array().unwrap().len(), 11);
    // The envelope alone is what slsa-verifier reads: nothing around it, no key id.
    let envelope: Value = serde_json::from_slice(&summaries[0].envelope).unwrap();
    let keys: Vec<&String> = envelope.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["payload", "payloadType", "signatures"]);
    assert_eq!(envelope["signatures"][0].get("keyid"), None);
    let svr = &payload(&summaries[1].bundle)["predicate"];
    let properties = svr["properties"].as_array().unwrap();
    assert!(properties.contains(&json!("REPRO_V07")), "{properties:?}");
    assert!(properties.contains(&json!("REPRO_REPRODUCIBLE")));
    assert!(
        !properties.contains(&json!("REPRO_V18")),
        "no policy named base images"
    );
    assert_eq!(svr["verifier"], json!({"id": VERIFIER, "policies": []}));
}

#[test]
fn what_was_refused_is_summarised_as_failed() {
    let policy = Policy::parse("version = 1\n[allow]\nbase-images = []").unwrap();
    let (verification, image) = verified(Some(&policy), &ours());
    let summaries = issued(&verification);
    let vsa = &payload(&summaries[0].bundle)["predicate"];
    assert_eq!(vsa["verificationResult"], "FAILED");
    assert_eq!(vsa["verifiedLevels"], json!(["FAILED"]));
    assert_eq!(
        vsa["policy"]["digest"]["sha256"],
        policy.digest.unwrap().hex()
    );
    assert_eq!(
        payload(&summaries[1].bundle)["predicate"]["properties"],
        json!([])
    );
    assert_eq!(held(&summaries[0].bundle, image, |_| {}).0, Status::Failed);
    // With no good signature there is no image that anything could be said of.
    let (nothing, _) = verified(None, &[key(KeyKind::P256, 9).public_key()]);
    let key = key(KeyKind::P256, 7);
    let issuer = Issuer {
        id: VERIFIER,
        version: "0.1.0",
        time: NOW,
        resource_uri: None,
        key: &key,
    };
    assert!(matches!(issue(&nothing, &issuer), Err(IssueError::NoImage)));
}

/// N27: each edit is signed by the right key unless it says otherwise.
#[test]
fn summaries_that_do_not_say_what_is_demanded() {
    type Edit = fn(&mut Value);
    let table: &[(&str, &str, Edit)] = &[
        ("result empty", "does not read", |p| {
            p["verificationResult"] = "".into();
        }),
        ("result in lower case", "does not read", |p| {
            p["verificationResult"] = "passed".into();
        }),
        ("result failed", "is FAILED", |p| {
            p["verificationResult"] = "FAILED".into();
        }),
        ("no result", "does not read", |p| {
            p.as_object_mut().unwrap().remove("verificationResult");
        }),
        ("another resource", "resourceUri is", |p| {
            p["resourceUri"] = "pkg:oci/app@sha256:xy".into();
        }),
        ("no resource", "resourceUri is empty", |p| {
            p["resourceUri"] = "".into();
        }),
        ("another verifier", "is not trusted with the key", |p| {
            p["verifier"]["id"] = "https://other.example".into();
        }),
        ("an unknown verifier", "is not trusted with the key", |p| {
            p["verifier"]["id"] = format!("{VERIFIER}/").into();
        }),
        ("a level that is none", "is not a level", |p| {
            p["verifiedLevels"] = json!(["SLSA_BUILD_LEVEL_x"]);
        }),
        ("half a level", "is not a level", |p| {
            p["verifiedLevels"] = json!(["SLSA_BUILD"]);
        }),
        ("a signed number", "is not a level", |p| {
            p["verifiedLevels"] = json!(["SLSA_BUILD_LEVEL_+3"]);
        }),
        ("no level", "verifiedLevels is empty", |p| {
            p["verifiedLevels"] = json!([]);
        }),
        ("level 0", "is less than", |p| {
            p["verifiedLevels"] = json!(["SLSA_BUILD_LEVEL_0"]);
        }),
        ("another track", "is less than", |p| {
            p["verifiedLevels"] = json!(["SLSA_SOURCE_LEVEL_3"]);
        }),
        ("the property alone", "is less than", |p| {
            p["verifiedLevels"] = json!(["SLSA_BUILD_REPRODUCED"]);
        }),
        ("two levels", "two levels", |p| {
            p["verifiedLevels"] = json!(["SLSA_BUILD_LEVEL_1", "SLSA_BUILD_LEVEL_3"]);
        }),
        ("more than its word is taken for", "up to 2", |p| {
            p["verifiedLevels"] = json!(["SLSA_BUILD_LEVEL_3"]);
        }),
        ("in the future", "in the future", |p| {
            p["timeVerified"] = "2027-01-15T09:00:00Z".into();
        }),
        ("no time", "not a time in UTC", |p| {
            p["timeVerified"] = "yesterday".into();
        }),
        ("an input without digest", "has no sha256", |p| {
            p["inputAttestations"][0]
                .as_object_mut()
                .unwrap()
                .remove("digest");
        }),
        ("failed beside passed", "says FAILED", |p| {
            p["verifiedLevels"] = json!(["SLSA_BUILD_LEVEL_1", "FAILED"]);
        }),
        ("no policy", "policy.uri is empty", |p| {
            p["policy"] = json!({});
        }),
    ];
    let (verification, image) = verified(None, &ours());
    let original = payload(&issued(&verification)[0].bundle);
    let sign = |predicate: &Value, image: Digest, seed: u8, predicate_type: &str| {
        let statement = Statement {
            subjects: vec![Subject {
                name: "x".into(),
                digest: image,
            }],
            predicate_type: predicate_type.into(),
            predicate: serde_json::from_value(predicate.clone()).unwrap(),
        };
        let signed = Attestation::sign(statement, &key(KeyKind::P256, seed)).unwrap();
        signed.to_bytes().unwrap()
    };
    for (name, reason, edit) in table {
        let mut predicate = original["predicate"].clone();
        edit(&mut predicate);
        let (status, failed) = held(&sign(&predicate, image, 7, Vsa::TYPE), image, |_| {});
        assert_eq!(status, Status::Failed, "{name}");
        assert!(failed.contains(reason), "{name}: {failed}");
    }
    let good = &original["predicate"];
    let vsa = sign(good, image, 7, Vsa::TYPE);
    let policy = Policy::parse("version = 1\n[require]\nmax-age = \"1h\"").unwrap();
    let waived = Policy::parse(
        "version = 1\n[require]\nbuilders = 1\n[[waiver]]\ncheck = \"V18\"\nowner = \"o\"\nreason = \"r\"\n\
         expires = 2020-01-01T00:00:00Z",
    )
    .unwrap();
    let mut unlisted = good.clone();
    unlisted["inputAttestations"] = json!([]);
    let unlisted = sign(&unlisted, image, 7, Vsa::TYPE);
    let other = Digest::of(b"other");
    for (name, reason, (status, failed)) in [
        (
            "another image",
            "not about",
            held(&sign(good, other, 7, Vsa::TYPE), image, |_| {}),
        ),
        (
            "an unknown image",
            "no image is known",
            held(&vsa, image, |e| e.image = None),
        ),
        (
            "another key",
            "signature",
            held(&sign(good, image, 9, Vsa::TYPE), image, |_| {}),
        ),
        (
            "the key of another",
            "not trusted",
            held(&sign(good, image, 8, Vsa::TYPE), image, |_| {}),
        ),
        (
            "another type",
            "predicate type",
            held(
                &sign(good, image, 7, &format!("{}/", Vsa::TYPE)),
                image,
                |_| {},
            ),
        ),
        (
            "too low",
            "is less than",
            held(&vsa, image, |e| e.level = BuildLevel::new(2)),
        ),
        (
            "another policy",
            "no digest that yours",
            held(&vsa, image, |e| e.policy = Some(&policy)),
        ),
        (
            "a statement missing",
            "is not listed",
            held(&vsa, image, |e| e.statements = &[OTHER]),
        ),
        (
            "no statement listed, and some there",
            "is not listed",
            held(&unlisted, image, |e| e.statements = &[OTHER]),
        ),
        (
            "a waiver that has ended",
            "waivers: expired",
            held(&vsa, image, |e| e.policy = Some(&waived)),
        ),
        ("not JSON", "signature", held(b"{", image, |_| {})),
        ("nothing", "signature", held(b"{}", image, |_| {})),
        (
            "too old",
            "ago",
            held(&vsa, image, |e| {
                e.policy = Some(&policy);
                e.now = NOW + 3601;
            }),
        ),
    ] {
        assert_eq!(status, Status::Failed, "{name}");
        assert!(failed.contains(reason), "{name}: {failed}");
    }
    let (status, failed) = held(&vsa, image, |e| {
        e.now = NOW + 3600;
    });
    assert_eq!(status, Status::Passed, "{failed}");
}

/// A digest that no statement of the pack has.
const OTHER: Digest = Digest::from_raw([1; 32]);
