//! The list of negative tests of attestation formats, N01 to N30, each with what is refused and by
//! which check. What is tested elsewhere, or cannot occur here, says so in its row.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    attempts::{
        base, builder, bundle, bytes, digests, encoded, keys, log_entry, media_type, payload,
        payload_type, predicate_type, provenance, said, signature, source, verdict,
    },
    forge::{self, RUN_A, RUN_B, written},
    *,
};
use crate::{pack::layout, terms::TrustRules};

/// One attempt: what is tried, by which check it is refused, and the codes that failed.
type Attempt = (&'static str, CheckCode, fn() -> Vec<CheckCode>);

struct Row {
    id: &'static str,
    what: &'static str,
    here: &'static [Attempt],
    /// Where the rest is tested, or why it cannot occur.
    elsewhere: &'static str,
}

use CheckCode as C;

const TABLE: &[Row] = &[
    Row {
        id: "N01",
        what: "bits flipped",
        here: &[
            ("payload", C::Signature, || {
                encoded(|text| {
                    let mut bytes = STANDARD.decode(text).unwrap();
                    bytes[40] ^= 1;
                    STANDARD.encode(bytes).into()
                })
            }),
            ("signature", C::Signature, || {
                signature(|mut sig| {
                    sig[20] ^= 1;
                    sig
                })
            }),
            ("payload type", C::PayloadType, || {
                payload_type("application/vnd.in-toto+jsoo")
            }),
            ("predicate type inside", C::Signature, || {
                encoded(|text| {
                    let text = String::from_utf8(STANDARD.decode(text).unwrap()).unwrap();
                    STANDARD
                        .encode(text.replace("provenance/v1", "provenance/v2"))
                        .into()
                })
            }),
        ],
        elsewhere: "every place of every file: mutation.rs and fuzz.rs",
    },
    Row {
        id: "N02",
        what: "keys",
        here: &[
            ("another key", C::Signature, || {
                keys(&[key(KeyKind::P256, 9).public_key()])
            }),
            ("another kind of key", C::Signature, || {
                keys(&[key(KeyKind::Ed25519, 1).public_key()])
            }),
            ("no key", C::Signature, || keys(&[])),
        ],
        elsewhere: "",
    },
    Row {
        id: "N03",
        what: "signatures that are none",
        here: &[
            ("cut by four", C::Signature, || {
                signature(|sig| sig[..sig.len() - 4].to_vec())
            }),
            ("empty", C::Base64, || signature(|_| Vec::new())),
            ("other bytes", C::Signature, || signature(|_| vec![7; 70])),
            ("64 raw bytes (P1363)", C::Signature, || {
                signature(|sig| {
                    let der = p256::ecdsa::DerSignature::try_from(sig.as_slice()).unwrap();
                    p256::ecdsa::Signature::try_from(der)
                        .unwrap()
                        .to_bytes()
                        .to_vec()
                })
            }),
            ("something behind it", C::Signature, || {
                signature(|sig| [sig.as_slice(), &[0]].concat())
            }),
            ("r and s zero", C::Signature, || {
                signature(|_| vec![0x30, 6, 2, 1, 0, 2, 1, 0])
            }),
        ],
        elsewhere: "a high s says the same of the same bytes and passes: keys/public.rs",
    },
    Row {
        id: "N04",
        what: "number of signatures",
        here: &[
            ("none", C::SignatureCount, || {
                bundle(|b| b["dsseEnvelope"]["signatures"] = json!([]))
            }),
            ("the same twice", C::SignatureCount, || {
                bundle(|b| {
                    let one = b["dsseEnvelope"]["signatures"][0].clone();
                    b["dsseEnvelope"]["signatures"] = json!([one, one]);
                })
            }),
            ("a bad one behind", C::SignatureCount, || {
                bundle(|b| {
                    b["dsseEnvelope"]["signatures"]
                        .as_array_mut()
                        .unwrap()
                        .push(json!({"sig": "AA=="}));
                })
            }),
            ("a bad one in front", C::SignatureCount, || {
                bundle(|b| {
                    b["dsseEnvelope"]["signatures"]
                        .as_array_mut()
                        .unwrap()
                        .insert(0, json!({"sig": "AA=="}));
                })
            }),
        ],
        elsewhere: "",
    },
    Row {
        id: "N05",
        what: "one key counted twice",
        here: &[("the same pack twice", C::Quorum, || {
            let (_dir, place) = written(&Case::reproducible());
            let rules = TrustRules::of_keys(&[signing().public_key()]);
            let packs = [
                ("a".to_owned(), place.as_path()),
                ("b".to_owned(), place.as_path()),
            ];
            let terms = Terms::new(Trust::Rules(&rules), NOW);
            let verification = verify_packs(&packs, &terms, Some(2)).unwrap();
            let check = verification.agreement.unwrap().check;
            if check.status == Status::Failed {
                vec![check.code]
            } else {
                vec![]
            }
        })],
        elsewhere: "an envelope has one signature (N04); builders are counted over packs: terms.rs, quorum.rs",
    },
    Row {
        id: "N06",
        what: "key hints",
        here: &[
            ("of another key", C::Signature, || {
                bundle(|b| {
                    let id = key(KeyKind::P256, 9).public_key().id().to_string();
                    b["verificationMaterial"]["publicKey"]["hint"] = id.into();
                })
            }),
            ("two that differ", C::BundleVersion, || {
                bundle(|b| {
                    b["dsseEnvelope"]["signatures"][0]["keyid"] = "other".into();
                })
            }),
        ],
        elsewhere: "a hint that is spoofed to a trusted key accepts nothing: attestation.rs",
    },
    Row {
        id: "N07",
        what: "payload types",
        here: &[
            ("JSON", C::PayloadType, || payload_type("application/json")),
            ("text", C::PayloadType, || payload_type("text/plain")),
            ("upper case", C::PayloadType, || {
                payload_type("application/vnd.in-toto+JSON")
            }),
            ("with a character set", C::PayloadType, || {
                payload_type("application/vnd.in-toto+json; charset=utf-8")
            }),
            ("that collides in length", C::PayloadType, || {
                payload_type("application/vnd.in-toto+json 9 x")
            }),
            ("empty", C::PayloadType, || payload_type("")),
        ],
        elsewhere: "",
    },
    Row {
        id: "N08",
        what: "payloads",
        here: &[
            ("missing", C::BundleVersion, || {
                bundle(|b| {
                    b["dsseEnvelope"].as_object_mut().unwrap().remove("payload");
                })
            }),
            ("a number", C::BundleVersion, || encoded(|_| 1.into())),
            ("no base64", C::Base64, || encoded(|_| "é".into())),
            ("with more padding", C::Base64, || {
                encoded(|text| format!("{text}=").into())
            }),
            ("with a line end", C::Base64, || {
                encoded(|text| format!("{}\n{}", &text[..8], &text[8..]).into())
            }),
            ("empty", C::Base64, || encoded(|_| "".into())),
            ("no JSON", C::StrictJson, || payload(|_| "no".into())),
            ("an array", C::Types, || payload(|_| "[]".into())),
            ("null", C::Types, || payload(|_| "null".into())),
            ("a null subject", C::Types, || {
                digests(|subject| subject[0] = Value::Null)
            }),
            ("a text as predicate", C::Types, || {
                payload(|text| {
                    let mut value: Value = serde_json::from_str(&text).unwrap();
                    value["predicate"] = "x".into();
                    value.to_string()
                })
            }),
        ],
        elsewhere: "both alphabets of base64 are read: dsse.rs",
    },
    Row {
        id: "N09",
        what: "keys twice",
        here: &[
            ("subject", C::StrictJson, || {
                payload(|text| text.replacen('{', "{\"subject\":[],", 1))
            }),
            ("predicateType", C::StrictJson, || {
                payload(|text| text.replacen('{', "{\"predicateType\":\"x\",", 1))
            }),
            ("by an escape", C::StrictJson, || {
                payload(|text| text.replacen('{', "{\"subj\\u0065ct\":[],", 1))
            }),
            ("by case", C::Types, || {
                payload(|text| text.replacen('{', "{\"Subject\":[],", 1))
            }),
            ("in a digest", C::StrictJson, || {
                payload(|text| text.replacen("{\"sha256\":", "{\"sha256\":\"\",\"sha256\":", 1))
            }),
            ("in the envelope", C::StrictJson, || {
                bytes(|b| {
                    let text = String::from_utf8(b).unwrap();
                    text.replacen("{\"payload\":", "{\"payload\":\"\",\"payload\":", 1)
                        .into_bytes()
                })
            }),
        ],
        elsewhere: "",
    },
    Row {
        id: "N10",
        what: "unknown fields of a statement",
        here: &[
            ("one more", C::Types, || {
                payload(|text| text.replacen('{', "{\"extra\":1,", 1))
            }),
            ("in a subject", C::Types, || {
                digests(|subject| subject[0]["extra"] = 1.into())
            }),
        ],
        elsewhere: "",
    },
    Row {
        id: "N11",
        what: "statement types",
        here: &[
            ("v0.1", C::Types, || {
                payload(|text| text.replace("Statement/v1", "Statement/v0.1"))
            }),
            ("v0.2", C::Types, || {
                payload(|text| text.replace("Statement/v1", "Statement/v0.2"))
            }),
            ("none", C::Types, || {
                payload(|text| text.replace("\"_type\":\"https://in-toto.io/Statement/v1\",", ""))
            }),
        ],
        elsewhere: "",
    },
    Row {
        id: "N12",
        what: "predicate types",
        here: &[
            ("provenance v0.2", C::Types, || {
                predicate_type("https://slsa.dev/provenance/v0.2")
            }),
            ("provenance v1.0", C::Types, || {
                predicate_type("https://slsa.dev/provenance/v1.0")
            }),
            ("with a slash behind", C::Types, || {
                predicate_type("https://slsa.dev/provenance/v1/")
            }),
            ("a summary", C::Types, || {
                predicate_type("https://slsa.dev/verification_summary/v1")
            }),
            ("the verdict in its place", C::Types, || {
                let (_dir, place) = written(&Case::reproducible());
                fs::copy(place.join(layout::REPRODUCIBILITY), place.join(RUN_A)).unwrap();
                forge::seal(&place, &signing());
                failed(&verify(&place))
            }),
        ],
        elsewhere: "",
    },
    Row {
        id: "N13",
        what: "bundles",
        here: &[
            ("version 0.4", C::BundleVersion, || {
                media_type("application/vnd.dev.sigstore.bundle.v0.4+json")
            }),
            ("garbage", C::BundleVersion, || media_type("x")),
            ("an empty type", C::BundleVersion, || media_type("")),
            ("a chain of certificates", C::BundleVersion, || {
                bundle(|b| {
                    b["verificationMaterial"]["x509CertificateChain"] = json!({"certificates": []});
                })
            }),
            ("no material", C::BundleVersion, || {
                bundle(|b| {
                    b.as_object_mut().unwrap().remove("verificationMaterial");
                })
            }),
            ("two contents", C::BundleVersion, || {
                bundle(|b| {
                    b["messageSignature"] = json!({"signature": "AA=="});
                })
            }),
        ],
        elsewhere: "the older spelling `;version=0.3` is read: bundle.rs",
    },
    Row {
        id: "N14",
        what: "documents that are none",
        here: &[
            ("a second one behind", C::StrictJson, || {
                bytes(|b| b.repeat(2))
            }),
            ("cut in the middle", C::StrictJson, || {
                bytes(|b| b[..b.len() / 2].to_vec())
            }),
            ("empty", C::StrictJson, || bytes(|_| Vec::new())),
            ("a NUL behind", C::StrictJson, || {
                bytes(|b| [b.as_slice(), b"\0"].concat())
            }),
            ("a byte order mark", C::StrictJson, || {
                bytes(|b| [b"\xef\xbb\xbf", b.as_slice()].concat())
            }),
            ("UTF-16", C::StrictJson, || {
                bytes(|b| {
                    String::from_utf8(b)
                        .unwrap()
                        .encode_utf16()
                        .flat_map(u16::to_le_bytes)
                        .collect()
                })
            }),
            ("nested without end", C::StrictJson, || {
                bytes(|_| b"[".repeat(100_000))
            }),
            ("a number without end", C::StrictJson, || {
                payload(|text| text.replacen("\"predicate\":{", "\"predicate\":{\"x\":1e400,", 1))
            }),
            ("larger than a bundle", C::Size, || {
                bytes(|_| vec![b' '; crate::bundle::BUNDLE_MAX + 1])
            }),
            ("1025 subjects", C::Subjects, || {
                digests(|subject| {
                    let one = subject[0].clone();
                    *subject = vec![one; 1025].into();
                })
            }),
            ("33 digests", C::Subjects, || {
                digests(|subject| {
                    for number in 0..33 {
                        subject[0]["digest"][format!("alg{number}")] = "00".into();
                    }
                })
            }),
        ],
        elsewhere: "cut at every eighth: attestation.rs; layers that unpack without end: repro-core",
    },
    Row {
        id: "N15",
        what: "entries of a transparency log",
        here: &[
            ("an empty one", C::BundleVersion, || log_entry(&json!({}))),
            ("one that looks whole", C::BundleVersion, || {
                log_entry(&json!({
                    "logIndex": "1", "kindVersion": {"kind": "dsse", "version": "0.0.1"},
                    "integratedTime": "1766077479", "canonicalizedBody": "e30="
                }))
            }),
            ("a time stamp", C::BundleVersion, || {
                bundle(|b| {
                    b["verificationMaterial"]["timestampVerificationData"] =
                        json!({"rfc3161Timestamps": []});
                })
            }),
        ],
        elsewhere: "what is not checked is refused by name, so no entry can be a bad one that passes",
    },
    Row {
        id: "N16",
        what: "digests of subjects",
        here: &[
            ("upper case", C::Subjects, || {
                digests(|s| {
                    let hex = s[0]["digest"]["sha256"].as_str().unwrap().to_uppercase();
                    s[0]["digest"]["sha256"] = format!("A{}", &hex[1..]).into();
                })
            }),
            ("63 digits", C::Subjects, || {
                digests(|s| s[0]["digest"]["sha256"] = "a".repeat(63).into())
            }),
            ("65 digits", C::Subjects, || {
                digests(|s| s[0]["digest"]["sha256"] = "a".repeat(65).into())
            }),
            ("SHA-1 alone", C::Subjects, || {
                digests(|s| s[0]["digest"] = json!({"sha1": "a".repeat(40)}))
            }),
            ("SHA-512 alone", C::Subjects, || {
                digests(|s| s[0]["digest"] = json!({"sha512": "a".repeat(128)}))
            }),
            ("none", C::Subjects, || {
                digests(|s| s[0]["digest"] = json!({}))
            }),
            ("no subject", C::Subjects, || digests(|s| *s = json!([]))),
            ("none that matches", C::SubjectMatches, || {
                said(RUN_A, |v| {
                    v["subject"][0]["digest"]["sha256"] = "0".repeat(64).into();
                })
            }),
            ("a second one of something else", C::SubjectMatches, || {
                said(RUN_A, |v| {
                    let other = json!({"name": "x", "digest": {"sha256": "0".repeat(64)}});
                    v["subject"].as_array_mut().unwrap().push(other);
                })
            }),
        ],
        elsewhere: "",
    },
    Row {
        id: "N17",
        what: "the digest of another part",
        here: &[
            ("the configuration's", C::SubjectMatches, || {
                let case = Case::reproducible();
                let config = case.record.runs[0].image.as_ref().unwrap().config.hex();
                said(RUN_A, |v| {
                    v["subject"][0]["digest"]["sha256"] = config.clone().into();
                })
            }),
            ("a layer's", C::SubjectMatches, || {
                let case = Case::reproducible();
                let layer = case.record.runs[0].image.as_ref().unwrap().diff_ids[0]
                    .0
                    .hex();
                said(RUN_A, |v| {
                    v["subject"][0]["digest"]["sha256"] = layer.clone().into();
                })
            }),
        ],
        elsewhere: "",
    },
    Row {
        id: "N18",
        what: "references that change",
        here: &[],
        elsewhere: "a pack names its image by digest; of a registry: tests/tests/evidence.rs, where a tag moves while it is verified",
    },
    Row {
        id: "N19",
        what: "builder ids",
        here: &[
            ("empty", C::Builder, || builder("")),
            ("a prefix", C::Builder, || {
                builder("https://intelgraph.io/repro/builder/local/v")
            }),
            ("a suffix", C::Builder, || {
                builder("https://intelgraph.io/repro/builder/local/v1x")
            }),
            ("a slash behind", C::Builder, || {
                builder("https://intelgraph.io/repro/builder/local/v1/")
            }),
            ("another case", C::Builder, || {
                builder("https://intelgraph.io/repro/builder/LOCAL/v1")
            }),
        ],
        elsewhere: "pairs of keys and builders: terms.rs",
    },
    Row {
        id: "N20",
        what: "external parameters",
        here: &[
            ("one more", C::Parameters, || {
                provenance(|p| {
                    p["buildDefinition"]["externalParameters"]["cacheFrom"] = "x".into();
                })
            }),
            ("one missing", C::Parameters, || {
                provenance(|p| {
                    p["buildDefinition"]["externalParameters"]
                        .as_object_mut()
                        .unwrap()
                        .remove("platform");
                })
            }),
            ("another type", C::Parameters, || {
                provenance(|p| {
                    p["buildDefinition"]["externalParameters"]["buildArgs"]["LEVEL"] = 2.into();
                })
            }),
            ("an argument of one run", C::Runs, || {
                provenance(|p| {
                    p["buildDefinition"]["externalParameters"]["buildArgs"]["EVIL"] = "1".into();
                })
            }),
            ("a stage of one run", C::Runs, || {
                provenance(|p| {
                    p["buildDefinition"]["externalParameters"]["target"] = "x".into();
                })
            }),
        ],
        elsewhere: "",
    },
    Row {
        id: "N21",
        what: "sources",
        here: &[
            ("appended", C::Source, || {
                source("git+https://host/acme/appA")
            }),
            ("prepended", C::Source, || {
                source("Agit+https://host/acme/app")
            }),
            ("in the middle", C::Source, || {
                source("git+https://host/acmeA/app")
            }),
            ("none", C::Source, || source("")),
        ],
        elsewhere: "there is no trigger that could name another source",
    },
    Row {
        id: "N22",
        what: "dependencies and base images",
        here: &[
            ("a digest of one run", C::Runs, || {
                provenance(|p| {
                    p["buildDefinition"]["resolvedDependencies"][0]["digest"]["sha256"] =
                        "0".repeat(64).into();
                })
            }),
            ("one removed", C::Dependencies, || {
                provenance(|p| {
                    p["buildDefinition"]["resolvedDependencies"]
                        .as_array_mut()
                        .unwrap()
                        .remove(1);
                })
            }),
            ("one without digest", C::Dependencies, || {
                provenance(|p| {
                    let all = p["buildDefinition"]["resolvedDependencies"]
                        .as_array_mut()
                        .unwrap();
                    all.push(json!({"name": "z", "uri": "pkg:docker/z@1"}));
                })
            }),
            ("a base image outside the list", C::BaseImages, || {
                base("pkg:docker/registry.example/other/repo@1")
            }),
            ("a host that begins so", C::BaseImages, || {
                base("pkg:docker/registry.example.evil.example/allowed/repo@1")
            }),
            ("a name that begins so", C::BaseImages, || {
                base("pkg:docker/registry.example/allowed/repo-evil@1")
            }),
            ("@ in the name", C::BaseImages, || {
                base("pkg:docker/registry.example/allowed/repo%40evil@1")
            }),
            ("upper case", C::BaseImages, || {
                base("pkg:docker/registry.example/allowed/REPO@1")
            }),
            ("the default registry's", C::BaseImages, || {
                base("pkg:docker/allowed/repo@1")
            }),
        ],
        elsewhere: "patterns: terms/patterns.rs",
    },
    Row {
        id: "N23",
        what: "hermetic",
        here: &[
            ("true, and a step had a network", C::Types, || {
                provenance(|p| {
                    p["runDetails"]["metadata"]["repro_steps"][1]["network"]["mode"] =
                        "host".into();
                })
            }),
            ("true, and a step was not measured", C::Hermetic, || {
                provenance(|p| {
                    let step = &mut p["runDetails"]["metadata"]["repro_steps"][1];
                    step.as_object_mut().unwrap().remove("network");
                })
            }),
            ("not said", C::Hermetic, || {
                provenance(|p| {
                    p["runDetails"]["metadata"]
                        .as_object_mut()
                        .unwrap()
                        .remove("repro_hermetic");
                })
            }),
            ("false", C::Hermetic, || {
                provenance(|p| {
                    p["runDetails"]["metadata"]["repro_hermetic"] = false.into();
                })
            }),
        ],
        elsewhere: "",
    },
    Row {
        id: "N24",
        what: "runs and times",
        here: &[
            ("one invocation for both", C::Runs, || {
                verdict(|p| {
                    p["runs"][1]["invocationId"] = p["runs"][0]["invocationId"].clone();
                })
            }),
            ("run b is run a", C::Runs, || {
                let (_dir, place) = written(&Case::reproducible());
                fs::copy(place.join(RUN_A), place.join(RUN_B)).unwrap();
                forge::seal(&place, &signing());
                failed(&verify(&place))
            }),
            ("nothing varied", C::Runs, || {
                verdict(|p| p["axes"] = json!({}))
            }),
            ("a clock that was varied and is the same", C::Runs, || {
                verdict(|p| {
                    p["axes"]["clock"] = json!({"a": "real", "b": "real"});
                })
            }),
            ("started after it finished", C::Times, || {
                provenance(|p| {
                    p["runDetails"]["metadata"]["startedOn"] = "2027-01-15T07:30:01Z".into();
                })
            }),
            ("finished in the future", C::Times, || {
                provenance(|p| {
                    p["runDetails"]["metadata"]["finishedOn"] = "2027-01-16T00:00:00Z".into();
                })
            }),
        ],
        elsewhere: "",
    },
    Row {
        id: "N25",
        what: "report and verdict",
        here: &[
            ("a report edited after it was signed", C::Runs, || {
                let (_dir, place) = written(&Case::reproducible());
                let path = place.join("reproducibility/report.json");
                let text = fs::read_to_string(&path).unwrap();
                fs::write(&path, text.replace("repro", "rEpro")).unwrap();
                forge::seal(&place, &signing());
                failed(&verify(&place))
            }),
            (
                "reproducible, and layers of the runs differ",
                C::Runs,
                || {
                    let (_dir, place) = written(&Case::different());
                    forge::forge(&place, &signing(), layout::REPRODUCIBILITY, &|value| {
                        value["predicate"]["verdict"] = "reproducible".into();
                    });
                    failed(&verify(&place))
                },
            ),
            (
                "equal content under other digests of blobs",
                C::Runs,
                || {
                    provenance(|p| {
                        p["runDetails"]["metadata"]["repro_steps"][1]["blob"] =
                            format!("sha256:{}", "0".repeat(64)).into();
                    })
                },
            ),
            ("layers in another order", C::Runs, || {
                provenance(|p| {
                    let steps = p["runDetails"]["metadata"]["repro_steps"]
                        .as_array_mut()
                        .unwrap();
                    let first = steps[0]["diffId"].clone();
                    steps[0]["diffId"] = steps[1]["diffId"].clone();
                    steps[1]["diffId"] = first;
                })
            }),
        ],
        elsewhere: "",
    },
    Row {
        id: "N26",
        what: "caches",
        here: &[],
        elsewhere: "no cache entry is evidence: a pack that has one is refused as a statement at an unknown place (V30)",
    },
    Row {
        id: "N27",
        what: "summaries",
        here: &[],
        elsewhere: "summary/tests.rs, a table of its own",
    },
    Row {
        id: "N28",
        what: "control catalogues",
        here: &[],
        elsewhere: "a pack holds none; the codes that one can name are CheckCode, and SVRs list only what passed",
    },
    Row {
        id: "N29",
        what: "nothing to go by",
        here: &[
            ("no statement at all", C::SomethingVerified, || {
                let dir = tempfile::tempdir().unwrap();
                fs::write(dir.path().join("x"), "x").unwrap();
                failed(&verify(dir.path()))
            }),
            (
                "statements of unknown types only",
                C::SomethingVerified,
                || {
                    let (_dir, place) = written(&Case::reproducible());
                    for path in [RUN_A, RUN_B, layout::REPRODUCIBILITY] {
                        let mut value = forge::read(&place.join(path));
                        value["predicateType"] = "https://example.com/x/v1".into();
                        forge::sign(&place.join(path), forge::statement(&value), &signing());
                    }
                    forge::seal(&place, &signing());
                    failed(&verify(&place))
                },
            ),
            ("no trusted builder", C::Signature, || {
                let (_dir, place) = written(&Case::reproducible());
                let rules = TrustRules::default();
                failed(&verify_pack(&place, &Terms::new(Trust::Rules(&rules), NOW)).unwrap())
            }),
        ],
        elsewhere: "trust files and keys that cannot be used: terms/trust/tests.rs, keys/",
    },
    Row {
        id: "N30",
        what: "the command line",
        here: &[],
        elsewhere: "tests/tests/verify.rs: JSON alone on standard output, exit codes, no call to a network",
    },
];

#[test]
fn every_row_is_refused_with_its_own_code() {
    let ids: Vec<&str> = TABLE.iter().map(|row| row.id).collect();
    let expected: Vec<String> = (1..=30).map(|number| format!("N{number:02}")).collect();
    assert_eq!(ids, expected);
    for row in TABLE {
        assert!(
            !row.here.is_empty() || !row.elsewhere.is_empty(),
            "{}",
            row.id
        );
        for (name, code, attempt) in row.here {
            let failed = attempt();
            assert!(
                failed.contains(code),
                "{} {}: {name}: {code} is not in {failed:?}",
                row.id,
                row.what
            );
        }
    }
}
