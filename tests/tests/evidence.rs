//! Evidence beside images: put into Debian's `docker-registry` and into layouts, found again from an
//! empty store, and what becomes of it in the hands of those who may write there.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test panics where the test fails"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use repro_core::digest::Digest;
use repro_tests::{
    Answer, Pack, Registry, RegistryKind, Repro, Server, TestContext, User, succeeds, tool,
};
use serde_json::{Value, json};

const DOCKERFILE: &str = "FROM scratch\nCOPY busybox /bin/busybox\n\
     RUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo said; : > /made\"]\n";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PACK: &str = "application/vnd.intelgraph.repro.evidence-pack.v1";
/// Statements on an image that is reproducible: provenance and network of both runs, verdict, tests,
/// attributes, list of packages.
const STATEMENTS: usize = 8;

/// Who builds, with a key, a registry and a project.
struct Maker {
    registry: Registry,
    context: TestContext,
    project: PathBuf,
}

impl Maker {
    fn new() -> Self {
        let context = TestContext::with_empty_store(User::Caller);
        let project = context.project("app", &[("Dockerfile", DOCKERFILE), ("repro.toml", "")]);
        fs::copy(tool("busybox"), project.join("busybox")).unwrap();
        keygen(&context, "ours");
        Self {
            registry: Registry::start(RegistryKind::default()),
            context,
            project,
        }
    }

    fn name(&self) -> String {
        self.registry.name("acme/app:1")
    }

    fn key(&self) -> PathBuf {
        self.context.path("ours.pub")
    }

    /// Builds with the key; the digest of the image and the place of its pack.
    fn build(&self, options: &[&str]) -> (String, PathBuf) {
        let (build, evidence) = self.context.build(&self.project);
        let build = build.arg("--key").arg(self.context.path("ours.key"));
        build.args(options).run().exits(0);
        (Pack::read(&evidence).digest().to_owned(), evidence)
    }

    /// Builds and pushes, with the evidence.
    fn push(&self) -> (String, PathBuf) {
        self.build(&["--push", "-t", &self.name()])
    }

    fn pinned(&self, digest: &str) -> String {
        format!("{}@{digest}", self.registry.name("acme/app"))
    }

    /// `repro verify SUBJECT`, from an empty store.
    fn verify(&self, subject: &str) -> (Repro, TestContext) {
        let elsewhere = TestContext::with_empty_store(User::Caller);
        let verify = elsewhere.repro(["verify", subject, "--key"]);
        (verify.arg(self.key()), elsewhere)
    }

    fn attest(&self, subject: &str, evidence: &Path, options: &[&str]) -> Value {
        let attest = self.context.repro(["attest", "--json", subject]);
        let attest = attest.arg("--evidence").arg(evidence).args(options);
        attest.run().exits(0).json()["attest"].clone()
    }

    /// What the list of referrers of an image has, which this registry keeps under a tag.
    fn listed(&self, digest: &str) -> Vec<Value> {
        let url = format!(
            "docker://{}:{}",
            self.registry.name("acme/app"),
            digest.replace(':', "-")
        );
        let raw = skopeo(&["inspect", "--raw", "--tls-verify=false", &url]);
        let list: Value = serde_json::from_str(&raw).unwrap();
        list["manifests"].as_array().unwrap().clone()
    }

    /// The manifest of the artifact of this type.
    fn artifact(&self, digest: &str, kind: &str) -> Value {
        let entries = self.listed(digest);
        let entry = entries.iter().find(|entry| entry["artifactType"] == kind);
        let path = self
            .registry
            .blob(entry.unwrap()["digest"].as_str().unwrap());
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }
}

fn keygen(context: &TestContext, name: &str) {
    let keygen = context.repro(["keygen"]);
    keygen.arg(context.path(name)).run().exits(0);
}

fn skopeo(args: &[&str]) -> String {
    let mut skopeo = Command::new(tool("skopeo"));
    succeeds(skopeo.args(args))
}

/// Changes one byte in the middle.
fn tamper(path: &Path) -> Vec<u8> {
    let before = fs::read(path).unwrap();
    let mut bytes = before.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
    before
}

fn layers(manifest: &Value) -> Vec<(String, String)> {
    let layers = manifest["layers"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    layers
        .map(|layer| {
            let title = &layer["annotations"]["org.opencontainers.image.title"];
            (text(title), text(&layer["digest"]))
        })
        .collect()
}

#[test]
fn an_image_that_was_pushed_with_its_evidence_is_verified_from_an_empty_store() {
    let maker = Maker::new();
    let (digest, evidence) = maker.push();
    let (verify, elsewhere) = maker.verify(&maker.pinned(&digest));
    verify.run().exits(0).prints(["verified", &digest]);
    elsewhere.assert_sound();
    // A tag is asked for once, and what it meant is said.
    let (verify, _elsewhere) = maker.verify(&maker.name());
    let report = verify.arg("--json").run().exits(0).json();
    assert_eq!(report["conclusion"], "verified");
    assert_eq!(report["subject"]["named"], "by-tag");
    assert_eq!(report["subject"]["manifestDigest"], json!(digest));
    assert_eq!(report["subject"]["notVerified"], json!([]));
    let checks = report["checks"].as_array().unwrap();
    let pinned = checks.iter().find(|check| check["code"] == "V13").unwrap();
    assert!(pinned["findings"].to_string().contains(&digest));

    // As the formats have it: one layer a statement, every file of the pack a layer.
    let entries = maker.listed(&digest);
    let of = |kind: &str| {
        let all = entries.iter();
        all.filter(|entry| entry["artifactType"] == kind).count()
    };
    assert_eq!((of(BUNDLE), of(PACK)), (STATEMENTS, 1), "{entries:?}");
    let statement = maker.artifact(&digest, BUNDLE);
    assert_eq!(statement["subject"]["digest"], json!(digest));
    assert_eq!(statement["layers"][0]["mediaType"], BUNDLE);
    assert_eq!(
        statement["annotations"]["dev.sigstore.bundle.content"],
        "dsse-envelope"
    );
    let files = layers(&maker.artifact(&digest, PACK));
    for path in ["index.json", "index.sigstore.json", "logs/run-a/01.log"] {
        assert!(files.iter().any(|(title, _)| title == path), "{files:?}");
    }

    // Again is the same, and the image stays what it is.
    let again = maker.attest(&maker.name(), &evidence, &[]);
    assert_eq!(again["digest"], json!(digest));
    let attached = again["attached"].as_array().unwrap();
    assert!(attached.iter().all(|one| one["present"] == true), "{again}");
    assert_eq!(maker.listed(&digest), entries);
    let url = format!("docker://{}", maker.name());
    let seen = skopeo(&["inspect", "--tls-verify=false", &url]);
    let seen: Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen["Digest"], json!(digest));
}

#[test]
fn what_was_tampered_with_in_the_registry_is_refused_and_named() {
    let maker = Maker::new();
    let (digest, _) = maker.push();
    let manifest = fs::read(maker.registry.blob(&digest)).unwrap();
    let image: Value = serde_json::from_slice(&manifest).unwrap();
    let layer = image["layers"][0]["digest"].as_str().unwrap().to_owned();
    let statement = layers(&maker.artifact(&digest, BUNDLE))[0].1.clone();
    let files = layers(&maker.artifact(&digest, PACK));
    let report = files
        .iter()
        .find(|(title, _)| title == "reproducibility/report.json")
        .map(|(_, digest)| digest.clone())
        .unwrap();
    for blob in [layer, statement, report] {
        let path = maker.registry.blob(&blob);
        let before = tamper(&path);
        let (verify, _elsewhere) = maker.verify(&maker.pinned(&digest));
        let ended = verify.run().exits(4);
        ended.prints(["REFUSED", &blob, "refused"]);
        fs::write(&path, before).unwrap();
    }
    let (verify, _elsewhere) = maker.verify(&maker.pinned(&digest));
    verify.run().exits(0);
}

#[test]
fn nothing_verified_is_a_refusal() {
    let maker = Maker::new();
    // A key made for one build shows nobody: its evidence stays at home unless asked for.
    let (build, evidence) = maker.context.build(&maker.project);
    let build = build.args(["--push", "-t", &maker.name()]);
    build.run().exits(0);
    let digest = Pack::read(&evidence).digest().to_owned();
    let (verify, _elsewhere) = maker.verify(&maker.pinned(&digest));
    let ended = verify.run().exits(4);
    ended.prints(["REFUSED", "no provenance that an accepted key signed"]);

    // Evidence of others is named, and counts for nothing.
    keygen(&maker.context, "theirs");
    let theirs = maker.context.path("theirs.key");
    let push = ["--push", "-t", &maker.name(), "--attach", "referrers,att"];
    let (build, _evidence) = maker.context.build(&maker.project);
    build.args(push).arg("--key").arg(theirs).run().exits(0);
    let (verify, _elsewhere) = maker.verify(&maker.pinned(&digest));
    let ended = verify.clone().run().exits(4);
    ended.prints(["evidence pack", "https://slsa.dev/provenance/v1", "refused"]);
    let report = verify.arg("--json").run().exits(4).json();
    assert_eq!(report["subject"]["statements"], json!([]));
    let ignored = report["subject"]["notVerified"].as_array().unwrap().len();
    // As referrers and below the tag, and the pack.
    assert_eq!(ignored, 2 * STATEMENTS + 1, "{report}");
    // Beside theirs, ours is found.
    let (digest, _) = maker.push();
    let (verify, _elsewhere) = maker.verify(&maker.pinned(&digest));
    verify.run().exits(0).prints(["ignored", "verified"]);

    let missing = maker.registry.name("acme/none:1");
    let (verify, _elsewhere) = maker.verify(&missing);
    verify.run().exits(6).says(["cannot verify", "has no"]);
}

/// A server before the registry at `host`, which gives on what that gives, and lets `meanwhile` happen when
/// it was asked for `path` the first time: before the answer arrives.
fn before(host: &str, path: &'static str, meanwhile: impl Fn() + Send + Sync + 'static) -> Server {
    let host = host.to_owned();
    let first = AtomicBool::new(true);
    Server::http(move |asked| {
        let dir = tempfile::tempdir().unwrap();
        let [head, body] = ["head", "body"].map(|name| dir.path().join(name));
        fs::write(&body, "").unwrap();
        let mut curl = Command::new(tool("curl"));
        curl.args(["--silent", "--show-error", "--dump-header"])
            .arg(&head);
        curl.arg("--output").arg(&body);
        for name in ["accept", "range"] {
            if let Some(value) = asked.headers.get(name) {
                curl.arg("--header").arg(format!("{name}: {value}"));
            }
        }
        succeeds(curl.arg(format!("http://{host}{}", asked.path)));
        if asked.path == path && first.swap(false, Ordering::SeqCst) {
            meanwhile();
        }
        let head = fs::read_to_string(&head).unwrap();
        let status = match head.split(' ').nth(1) {
            Some("200") => "200 OK",
            Some("404") => "404 Not Found",
            other => panic!("the registry says {other:?}"),
        };
        let mut answer = Answer::new(status, fs::read(&body).unwrap());
        for name in ["Content-Type", "Docker-Content-Digest"] {
            let line = head.lines().find_map(|line| line.strip_prefix(name));
            if let Some(value) = line.and_then(|line| line.strip_prefix(": ")) {
                answer = answer.header(name, value.trim());
            }
        }
        answer
    })
}

/// A tag that is moved while it is verified means what it meant when it was asked for, and nothing of the
/// other image gets in (N18).
#[test]
fn a_tag_that_moves_meanwhile_changes_nothing() {
    const TAG: &str = "/v2/acme/app/manifests/1";
    let maker = Maker::new();
    let (digest, _) = maker.push();
    let dockerfile = format!("{DOCKERFILE}ENV OTHER=1\n");
    fs::write(maker.project.join("Dockerfile"), dockerfile).unwrap();
    let other = maker.registry.name("acme/app:other");
    let (other, _) = maker.build(&["--push", "--no-attach", "-t", &other]);
    assert_ne!(digest, other);
    let manifest = maker.registry.blob(&other);
    let url = format!("http://{}{TAG}", maker.registry.host);
    let server = before(&maker.registry.host, TAG, move || {
        let mut curl = Command::new(tool("curl"));
        curl.args(["--silent", "--fail", "--request", "PUT", &url, "--header"]);
        curl.arg(format!("Content-Type: {MANIFEST}"));
        succeeds(
            curl.arg("--data-binary")
                .arg(format!("@{}", manifest.display())),
        );
    });
    let host = server.url("").replace("http://", "");
    let host = host.trim_end_matches('/');
    let (verify, _elsewhere) = maker.verify(&format!("{host}/acme/app:1"));
    let ended = verify.args(["--plain-http", host]).run().exits(0);
    ended.prints(["the tag was asked for once and meant", &digest, "verified"]);
    assert_eq!(server.count(TAG), 1);
    let asked = server.asked();
    let hex = other.trim_start_matches("sha256:");
    assert!(asked.iter().all(|one| !one.path.contains(hex)), "{asked:?}");
    // Whoever asks now gets the other image, which nobody said anything of.
    let (verify, _elsewhere) = maker.verify(&format!("{host}/acme/app:1"));
    let ended = verify.args(["--plain-http", host]).run().exits(4);
    ended.prints([other.as_str(), "refused"]);
}

#[test]
fn the_legacy_tag_is_written_and_read() {
    let maker = Maker::new();
    let (digest, evidence) = maker.build(&["--push", "--no-attach", "-t", &maker.name()]);
    let placed = maker.attest(&maker.name(), &evidence, &["--attach", "att"]);
    assert_eq!(placed["attached"][0]["form"], "att", "{placed}");
    let again = maker.attest(&maker.name(), &evidence, &["--attach", "att"]);
    assert_eq!(again["attached"][0]["present"], true);
    assert_eq!(
        again["attached"][0]["digest"],
        placed["attached"][0]["digest"]
    );
    let (verify, _elsewhere) = maker.verify(&maker.pinned(&digest));
    let report = verify.arg("--json").run().exits(0).json();
    let statements = report["subject"]["statements"].as_array().unwrap();
    assert_eq!(statements.len(), STATEMENTS, "{report}");
    assert!(statements.iter().all(|one| one["form"] == "legacy-tag"));
    // Statements alone say that it was built, and not how: what was asked for is not done.
    let (verify, _elsewhere) = maker.verify(&maker.pinned(&digest));
    let ended = verify.arg("--rebuild").run().exits(6);
    ended.says(["nothing can be built again", "--evidence DIR"]);
    // What others put there stays.
    let (_, second) = maker.build(&[]);
    maker.attest(&maker.name(), &second, &["--attach", "att"]);
    let (verify, _elsewhere) = maker.verify(&maker.pinned(&digest));
    let report = verify.arg("--json").run().exits(0).json();
    let statements = report["subject"]["statements"].as_array().unwrap();
    // The list of packages is the same in both, byte for byte, and there once.
    assert_eq!(statements.len(), 2 * STATEMENTS - 1, "{report}");

    // It goes into a store, and from there to another place, beside what that has.
    let (verify, elsewhere) = maker.verify(&maker.pinned(&digest));
    let pull = elsewhere.repro(["pull", "--referrers", &maker.pinned(&digest)]);
    pull.run().exits(0);
    elsewhere.repro(["store", "gc"]).run().exits(0);
    let offline = verify.args(["--offline", "--json"]).run().exits(0).json();
    assert_eq!(
        offline["subject"]["statements"],
        report["subject"]["statements"]
    );
    let copy = maker.registry.name("acme/copy:1");
    maker
        .context
        .repro(["push", &maker.name(), &copy])
        .run()
        .exits(0);
    maker.attest(&copy, &second, &["--attach", "att"]);
    let push = elsewhere.repro(["push", "--referrers", &maker.pinned(&digest), &copy]);
    push.run().exits(0);
    let (verify, _elsewhere) = maker.verify(&copy);
    let report = verify.arg("--json").run().exits(0).json();
    let statements = report["subject"]["statements"].as_array().unwrap();
    assert_eq!(statements.len(), 2 * STATEMENTS - 1, "{report}");
}

#[test]
fn layouts_and_archives_are_verified_without_a_network() {
    let maker = Maker::new();
    let layout = maker.context.path("layout");
    let to = format!("oci:{}:v1", layout.display());
    let (digest, evidence) = maker.build(&["-o", &to, "--attach", "referrers"]);
    let offline = |subject: &str| {
        let (verify, elsewhere) = maker.verify(subject);
        let verify = verify.through(&["unshare", "--map-root-user", "--net", "--"]);
        (verify, elsewhere)
    };
    let (verify, _elsewhere) = offline(&to);
    verify.run().exits(0).prints(["verified", &digest]);
    // Others take the image and leave the rest.
    let copy = format!("oci:{}:v1", maker.context.path("copy").display());
    skopeo(&["copy", "--quiet", &to, &copy]);
    let (verify, _elsewhere) = offline(&copy);
    let ended = verify.clone().run().exits(4);
    ended.prints(["no provenance that an accepted key signed"]);
    let verify = verify.arg("--evidence").arg(&evidence);
    verify.run().exits(0).prints(["verified"]);
    let again = maker.attest(&copy, &evidence, &[]);
    assert_eq!(again["digest"], json!(digest));
    let (verify, _elsewhere) = offline(&copy);
    verify.run().exits(0);

    // An archive of docker has lost the manifest; the configuration names the content.
    maker.context.repro(["import", &to, "app"]).run().exits(0);
    let archive = maker.context.path("app.tar");
    let archive = format!("docker-archive:{}", archive.display());
    maker
        .context
        .repro(["export", "app", &archive])
        .run()
        .exits(0);
    let (verify, _elsewhere) = offline(&archive);
    verify.clone().run().exits(4);
    let verify = verify.arg("--evidence").arg(&evidence);
    verify.run().exits(0).prints(["verified"]);
    // Another image with that evidence.
    let first = maker.context.path("first");
    fs::rename(&evidence, &first).unwrap();
    let dockerfile = format!("{DOCKERFILE}ENV A=b\n");
    fs::write(maker.project.join("Dockerfile"), dockerfile).unwrap();
    maker.build(&["-o", &copy]);
    let (verify, _elsewhere) = offline(&copy);
    let verify = verify.arg("--evidence").arg(&first);
    verify.run().exits(4).prints(["the pack is about"]);
    let attest = maker.context.repro(["attest", &copy, "--evidence"]);
    let ended = attest.arg(&first).run().exits(6);
    ended.says(["is about", &digest, "by its digest"]);
}

#[test]
fn a_verified_image_of_the_store_needs_no_registry() {
    let maker = Maker::new();
    let (digest, _) = maker.push();
    let pinned = maker.pinned(&digest);
    let (verify, elsewhere) = maker.verify(&pinned);
    let offline = verify.arg("--offline");
    let ended = offline.clone().run().exits(6);
    ended.says(["is not in the store", "repro pull --referrers"]);
    elsewhere
        .repro(["pull", "--referrers", &pinned])
        .run()
        .exits(0);
    elsewhere.repro(["store", "gc"]).run().exits(0);
    let offline = offline.through(&["unshare", "--map-root-user", "--net", "--"]);
    offline.run().exits(0).prints(["verified", &digest]);
}

#[test]
fn a_registry_that_lies_gains_nothing() {
    let maker = Maker::new();
    let (digest, _) = maker.push();
    let entries = maker.listed(&digest);
    let tag = digest.replace(':', "-");
    let blob = |bytes: &str| {
        maker
            .registry
            .put_blob("acme/app", bytes, "application/octet-stream")
    };
    // About another image; with more than a statement has; with a path that leads out.
    let artifact = |kind: &str, subject: &str, layers: Vec<Value>| {
        let document = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind,
            "config": blob("{}"), "layers": layers,
            "subject": {"mediaType": MANIFEST, "digest": subject, "size": 7},
        });
        let mut entry = maker.registry.put_document("acme/app", None, &document);
        entry["artifactType"] = kind.into();
        entry
    };
    let other = Digest::of(b"another").to_string();
    let mut outside = blob("outside");
    outside["annotations"] = json!({"org.opencontainers.image.title": "../outside"});
    let mut huge = blob("huge");
    huge["size"] = json!(1_u64 << 50);
    let bad = [
        (artifact(BUNDLE, &other, vec![blob("x")]), "another image"),
        (
            artifact(BUNDLE, &digest, vec![blob("x"), blob("y")]),
            "2 layers",
        ),
        (artifact(BUNDLE, &digest, vec![blob("x")]), "strict JSON"),
        (artifact(BUNDLE, &digest, vec![huge]), "more than the"),
        (artifact(PACK, &digest, vec![outside]), "is no path"),
    ];
    let mut all: Vec<Value> = bad.iter().map(|(entry, _)| entry.clone()).collect();
    all.push(artifact("application/spdx+json", &digest, vec![blob("x")]));
    all.extend(entries);
    let list = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": all});
    maker.registry.put_document("acme/app", Some(&tag), &list);
    let (verify, _elsewhere) = maker.verify(&maker.pinned(&digest));
    let report = verify.arg("--json").run().exits(0).json();
    let ignored = report["subject"]["notVerified"].to_string();
    for text in bad.iter().map(|(_, why)| *why) {
        assert!(ignored.contains(text), "{text}: {ignored}");
    }
    assert!(ignored.contains("application/spdx+json"), "{ignored}");
}

#[test]
fn statements_of_buildkit_are_named_and_count_for_nothing() {
    let maker = Maker::new();
    let (digest, evidence) = maker.push();
    let text = |bytes: &str| {
        maker
            .registry
            .put_blob("acme/app", bytes, "application/vnd.in-toto+json")
    };
    let mut statement = text("{\"_type\":\"https://in-toto.io/Statement/v0.1\"}");
    let kind = "https://slsa.dev/provenance/v0.2";
    statement["annotations"] = json!({"in-toto.io/predicate-type": kind});
    let document = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": text("{}"),
        "layers": [statement]});
    let mut beside = maker.registry.put_document("acme/app", None, &document);
    beside["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    beside["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": digest});
    let size = fs::metadata(maker.registry.blob(&digest)).unwrap().len();
    let architecture = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let image = json!({"mediaType": MANIFEST, "digest": digest, "size": size,
        "platform": {"os": "linux", "architecture": architecture}});
    let list = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [image, beside]});
    let list = maker.registry.put_document("acme/app", Some("list"), &list);
    let name = maker.registry.name("acme/app:list");
    let (verify, _elsewhere) = maker.verify(&name);
    let report = verify.arg("--json").run().exits(0).json();
    assert_eq!(report["subject"]["listDigest"], list["digest"]);
    assert_eq!(report["subject"]["manifestDigest"], json!(digest));
    let ignored = report["subject"]["notVerified"].to_string();
    for text in [kind, "statement of BuildKit", "it is not signed"] {
        assert!(ignored.contains(text), "{ignored}");
    }
    // Evidence that is attached by the name of a list goes to the image that it is about.
    let placed = maker.attest(&name, &evidence, &[]);
    assert_eq!(placed["digest"], list["digest"]);
    let all = placed["attached"].as_array().unwrap();
    assert!(all.iter().all(|one| one["subject"] == json!(digest)));
}

#[test]
fn what_cannot_be_attached_is_said_before_anything_is_done() {
    let maker = Maker::new();
    let (_, evidence) = maker.push();
    let attest = |context: &TestContext, subject: &str| {
        context
            .repro(["attest", subject, "--evidence"])
            .arg(&evidence)
    };
    let none = maker.registry.name("acme/none:1");
    let ended = attest(&maker.context, &none).run().exits(6);
    ended.says(["cannot attest", "has no"]);
    let ended = attest(&maker.context, "oci-archive:x.tar").run().exits(2);
    ended.says(["an archive is one file"]);
    let report = evidence.join("reproducibility/report.md");
    let before = fs::read(&report).unwrap();
    fs::write(&report, "changed").unwrap();
    let ended = attest(&maker.context, &maker.name()).run().exits(6);
    ended.says(["is not what its index lists", "report.md"]);
    fs::write(&report, before).unwrap();
    let (build, _evidence) = maker.context.build(&maker.project);
    let ended = build.clone().args(["--attach", "referrers"]).run().exits(2);
    ended.says(["nothing to attach evidence to"]);
    let context = maker.context.repro(["attest", &maker.name()]);
    context.run().exits(2).says(["--evidence"]);
    let bundle = maker.context.write("no.sigstore.json", "{}");
    let attest = maker
        .context
        .repro(["attest", &maker.name(), "--statement"]);
    let ended = attest.arg(bundle).run().exits(6);
    ended.says(["no.sigstore.json", "is not a statement"]);
}
