//! Documents as BuildKit writes them, by hand.

use serde_json::{Value, json};

use super::*;

const COMMIT: &str = "4b220de5058abfd01ff619c9d2ff6b09a049bea0";

fn image() -> Digest {
    Digest::of(b"image")
}

/// Provenance in mode=max of a build from a repository.
fn document() -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "predicateType": PREDICATE,
        "subject": [{
            "name": "pkg:docker/app@1?platform=linux%2Famd64",
            "digest": {"sha256": image().hex()}
        }],
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "configSource": {
                        "uri": "https://example.org/app.git#refs/tags/v1:docker",
                        "digest": {"sha1": COMMIT},
                        "path": "App.Dockerfile"
                    },
                    "request": {
                        "frontend": "dockerfile.v0",
                        "args": {
                            "build-arg:LEVEL": "2",
                            "build-arg:SOURCE_DATE_EPOCH": "1700000000",
                            "build-arg:BUILDKIT_INLINE_CACHE": "1",
                            "label:by": "hand",
                            "target": "final",
                            "add-hosts": "db=10.0.0.1",
                            "ulimit": "nofile=64:128"
                        },
                        "secrets": [{"id": "token"}, {"id": "maybe", "optional": true}],
                        "locals": []
                    }
                },
                "internalParameters": {
                    "builderPlatform": "linux/amd64",
                    "buildConfig": {"llbDefinition": [
                        {"id": "step0", "op": {"Op": {"source": {"identifier": "docker-image://x"}}}},
                        {"id": "step1", "op": {"Op": {"exec": {
                            "meta": {"args": ["/bin/sh", "-c", "make"]}, "network": 2
                        }}}},
                        {"id": "step2", "op": {"Op": {"exec": {
                            "meta": {"args": ["/bin/sh", "-c", "apk add curl"]}
                        }}}}
                    ]}
                },
                "resolvedDependencies": [
                    {
                        "uri": "pkg:docker/alpine@3.17?platform=linux%2Famd64",
                        "digest": {"sha256": Digest::of(b"alpine").hex()}
                    },
                    {
                        "uri": "https://example.org/app.git#refs/tags/v1",
                        "digest": {"sha1": COMMIT}
                    }
                ]
            },
            "runDetails": {
                "builder": {"id": ""},
                "metadata": {
                    "buildkit_hermetic": false,
                    "buildkit_metadata": {"source": {"infos": [{
                        "filename": "App.Dockerfile", "language": "Dockerfile",
                        "data": "RlJPTSBhbHBpbmU6My4xNwo="
                    }]}}
                }
            }
        }
    })
}

fn parse(document: &Value) -> Result<BuildkitOrder, BuildkitError> {
    let bytes = serde_json::to_vec(document).unwrap();
    BuildkitOrder::parse(&bytes, image(), &"linux/amd64".parse().unwrap())
}

fn fate(order: &BuildkitOrder, item: &str) -> Fate {
    let row = order.rows.iter().find(|row| row.item == item);
    row.unwrap_or_else(|| panic!("no {item} in {:#?}", order.rows))
        .fate
}

#[test]
fn everything_that_decides_is_mapped_or_named() {
    let order = parse(&document()).unwrap();
    assert_eq!(
        order.context,
        Context::Git {
            url: "https://example.org/app.git".into(),
            commit: COMMIT.into(),
            subdir: Some("docker".into())
        }
    );
    assert_eq!(
        order.dockerfile.as_deref(),
        Some(&b"FROM alpine:3.17\n"[..])
    );
    assert_eq!(order.dockerfile_name, "App.Dockerfile");
    assert_eq!(order.target.as_deref(), Some("final"));
    assert_eq!(order.labels["by"], "hand");
    assert_eq!(order.epoch, Epoch::new(1_700_000_000).ok());
    let names: Vec<&str> = order.build_args.keys().map(String::as_str).collect();
    assert_eq!(names, ["LEVEL", "SOURCE_DATE_EPOCH"]);
    assert_eq!(order.settings.hosts.len(), 1);
    assert_eq!(order.settings.limits.len(), 1);
    assert_eq!(order.secrets, ["token".to_owned()].into());
    let (name, _) = order.pins.keys().next().unwrap();
    assert_eq!(name.to_string(), "docker.io/library/alpine:3.17");
    assert_eq!(order.pins.len(), 1);
    for (item, expected) in [
        ("context", Fate::Pinned),
        ("Dockerfile", Fate::Known),
        ("build-arg:LEVEL", Fate::Known),
        ("build-arg:BUILDKIT_INLINE_CACHE", Fate::Known),
        ("secret token", Fate::NotHermetic),
        ("secret maybe", Fate::NotHermetic),
        ("image docker.io/library/alpine:3.17", Fate::Pinned),
        ("RUN apk add curl", Fate::NotHermetic),
    ] {
        assert_eq!(fate(&order, item), expected, "{item}");
    }
    assert!(!order.rows.iter().any(|row| row.item == "RUN make"));
}

#[test]
fn what_is_not_known_is_said() {
    type Change = fn(&mut Value);
    let cases: [(&str, Fate, Change); 8] = [
        ("context", Fate::Wanted, |external| {
            external["configSource"] = json!({"path": "Dockerfile"});
        }),
        ("context", Fate::Wanted, |external| {
            external["configSource"] = json!({"uri": "https://example.org/x.tar"});
        }),
        ("frontend other.v0", Fate::NotMapped, |external| {
            external["request"]["frontend"] = "other.v0".into();
        }),
        ("context:base", Fate::NotMapped, |external| {
            external["request"]["args"]["context:base"] = "docker-image://x".into();
        }),
        ("add-hosts", Fate::NotMapped, |external| {
            external["request"]["args"]["add-hosts"] = "no address".into();
        }),
        ("force-network-mode", Fate::NotHermetic, |external| {
            external["request"]["args"]["force-network-mode"] = "host".into();
        }),
        ("input x", Fate::NotMapped, |external| {
            external["request"]["inputs"] = json!({"x": {}});
        }),
        ("externalParameters.more", Fate::NotMapped, |external| {
            external["more"] = json!({});
        }),
    ];
    for (item, expected, change) in cases {
        let mut document = document();
        change(&mut document["predicate"]["buildDefinition"]["externalParameters"]);
        assert_eq!(fate(&parse(&document).unwrap(), item), expected, "{item}");
    }
    let mut min = document();
    min["predicate"]["buildDefinition"]["internalParameters"] = json!({});
    assert_eq!(fate(&parse(&min).unwrap(), "steps"), Fate::NotMapped);
    let mut added = document();
    let all = &mut added["predicate"]["buildDefinition"]["resolvedDependencies"];
    all[1]["uri"] = "https://example.org/file".into();
    assert_eq!(
        fate(&parse(&added).unwrap(), "https://example.org/file"),
        Fate::NotMapped
    );
}

#[test]
fn an_archive_is_known_by_its_digest() {
    let mut archive = document();
    let external = &mut archive["predicate"]["buildDefinition"]["externalParameters"];
    external["configSource"] = json!({
        "uri": "https://example.org/app.tar.gz",
        "digest": {"sha256": Digest::of(b"tar").hex()}
    });
    assert_eq!(
        parse(&archive).unwrap().context,
        Context::Archive {
            url: "https://example.org/app.tar.gz".into(),
            digest: Digest::of(b"tar")
        }
    );
}

#[test]
fn other_documents_are_refused() {
    type Check = fn(&BuildkitError) -> bool;
    let cases: [(&str, Value, Check); 5] = [
        (
            "/predicateType",
            json!("https://slsa.dev/provenance/v0.2"),
            |error| matches!(error, BuildkitError::Predicate(_)),
        ),
        (
            "/predicate/buildDefinition/buildType",
            json!("https://example.org/other"),
            |error| matches!(error, BuildkitError::BuildType(_)),
        ),
        ("/subject/0/digest/sha256", json!("0"), |error| {
            matches!(error, BuildkitError::Subject { .. })
        }),
        ("/subject", json!({}), |error| {
            matches!(error, BuildkitError::Shape(_))
        }),
        (
            "/predicate/buildDefinition/resolvedDependencies/0/digest/sha256",
            json!("xyz"),
            |error| matches!(error, BuildkitError::Digest { .. }),
        ),
    ];
    for (pointer, value, check) in cases {
        let mut document = document();
        *document.pointer_mut(pointer).unwrap() = value;
        let error = parse(&document).unwrap_err();
        assert!(check(&error), "{pointer}: {error:?}");
    }
    let platform = "linux/amd64".parse().unwrap();
    for bytes in [&b"{"[..], b"[]", b"{\"subject\":[],\"subject\":[]}"] {
        assert!(BuildkitOrder::parse(bytes, image(), &platform).is_err());
    }
}
