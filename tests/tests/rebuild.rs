//! `repro verify --rebuild`: the image again from its evidence, and everything that is no rebuild.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test panics where the test fails"
)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use repro_core::{digest::Digest, json::canonical, store::StoredBlob};
use repro_tests::{Registry, RegistryKind, Repro, TestContext, User, files_below};
use repro_verifier::{
    attestation::Attestation, keys::SigningKey, predicate::evidence_index::PackIndex,
    statement::Statement,
};
use serde_json::{Value, json};

/// A network namespace of its own, without interfaces.
fn alone() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() {
        &["unshare", "--net"]
    } else {
        &["unshare", "--map-root-user", "--net"]
    }
}

const VERDICT: &str = "reproducibility/reproducibility.sigstore.json";

/// Keys of two builders.
fn keys(context: &TestContext) {
    for name in ["first", "second"] {
        context
            .repro(["keygen"])
            .arg(context.path(name))
            .run()
            .exits(0);
    }
}

/// Builds, signed by the first builder.
#[track_caller]
fn build(context: &TestContext, project: &Path, options: &[&str]) -> PathBuf {
    let (build, evidence) = context.build(project);
    let build = build.arg("--key").arg(context.path("first.key"));
    build.args(options).run().exits(0);
    evidence
}

/// Judges the pack by the first builder's key and builds it again as the second one, without a network.
fn rebuild(context: &TestContext, pack: &Path, evidence: &str) -> Repro {
    context
        .repro(["verify", "--rebuild"])
        .arg(pack)
        .arg("--key")
        .arg(context.path("first.pub"))
        .arg("--builder-key")
        .arg(context.path("second.key"))
        .arg("--rebuild-evidence")
        .arg(context.path(evidence))
        .through(alone())
}

/// The statement in a bundle.
fn statement(bundle: &Path) -> Statement {
    let bundle: Value = serde_json::from_slice(&fs::read(bundle).unwrap()).unwrap();
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    Statement::parse(&STANDARD.decode(payload).unwrap()).unwrap()
}

const FILES: &str = "\
FROM scratch AS made
COPY a b dir/ /
FROM scratch
ARG LEVEL
LABEL level=$LEVEL
COPY --from=made /a /a
COPY --from=named /n /n
COPY . /all
";

/// A project without a program in it, which is built where nothing is.
fn files_alone(context: &TestContext) -> (PathBuf, PathBuf) {
    let project = context.project(
        "project",
        &[
            ("Dockerfile", FILES),
            ("repro.toml", "[build]\ncontext-modes = 'git'\n"),
            (".dockerignore", "no\n"),
            ("a", "1"),
            ("b", "2"),
            ("dir/c", "3"),
            ("no", "secret"),
        ],
    );
    let named = context.path("named");
    fs::create_dir(&named).unwrap();
    fs::write(named.join("n"), "4").unwrap();
    (project, named)
}

#[test]
fn a_pack_with_its_context_is_enough_for_another_machine() {
    let context = TestContext::new();
    keys(&context);
    let (project, named) = files_alone(&context);
    let named = format!("named={}", named.display());
    let pack = build(
        &context,
        &project,
        &[
            "--evidence-context",
            "--build-context",
            &named,
            "--build-arg",
            "LEVEL=2",
            "--label",
            "by=hand",
            "--add-host",
            "db:10.0.0.1",
            "--source-date-epoch",
            "1700000000",
        ],
    );
    // Another machine: nothing in its store, no sources, no network.
    let other = TestContext::with_empty_store(User::Caller);
    keys(&other);
    fs::copy(context.path("first.pub"), other.path("first.pub")).unwrap();
    let ended = rebuild(&other, &pack, "again").arg("--json").run().exits(0);
    let found = ended.json();
    let rebuild_document = &found["rebuild"];
    assert_eq!(rebuild_document["outcome"], "agrees");
    assert_eq!(rebuild_document["verdict"], "reproducible");
    let parts = rebuild_document["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 2 + 2 * 3, "{parts:?}");
    assert!(parts.iter().all(|part| part["likeness"] == "same"));
    // What it signed is on the same image, by its own key, and names what it went by.
    let again = other.path("again");
    other
        .repro(["verify"])
        .arg(&again)
        .arg("--key")
        .arg(other.path("second.pub"))
        .run()
        .exits(0);
    let provenance = Digest::of(&fs::read(pack.join("provenance/run-a.sigstore.json")).unwrap());
    let bundle = |dir: &Path, path: &str| statement(&dir.join(path));
    let (first, second) = (bundle(&pack, VERDICT), bundle(&again, VERDICT));
    assert_eq!(first.subjects, second.subjects);
    let of = &second.predicate["rebuildOf"];
    assert_eq!(of["provenance"], provenance.to_string());
    assert_eq!(of["outcome"], "agrees");
    let run = bundle(&again, "provenance/run-a.sigstore.json");
    let dependencies = &run.predicate["buildDefinition"]["resolvedDependencies"];
    let judged = dependencies
        .as_array()
        .unwrap()
        .iter()
        .find(|dependency| dependency["name"] == "judged")
        .unwrap();
    assert_eq!(judged["digest"]["sha256"], provenance.hex());
    // Two builders under names of their own, counted by somebody who trusts both.
    let as_another = rebuild(&other, &pack, "counted");
    let as_another = as_another.args(["--runs", "1", "--builder-id"]);
    as_another
        .arg("https://second.example/builder")
        .run()
        .exits(0);
    let counted = |second: &str, code: i32| {
        let builder = |id: &str, key: &str| {
            format!("[[builder]]\nid = '{id}'\nkey = [{{ file = '{key}.pub' }}]\n")
        };
        let first = builder(repro_verifier::uris::BUILDER_LOCAL, "first");
        let second = builder(second, "second");
        let trust = other.write("trust.toml", format!("version = 1\n{first}{second}"));
        let counting = other.repro(["verify", "--quorum", "2", "--trust"]);
        let packs = [pack.clone(), other.path("counted")];
        counting.arg(trust).args(packs).run().exits(code)
    };
    counted("https://second.example/builder", 0);
    counted("https://third.example/builder", 4).prints(["https://second.example/builder"]);
    // A rebuild can be judged and built again like any build.
    let (first_key, second_key) = (other.path("first.pub"), other.path("second.pub"));
    fs::copy(&second_key, &first_key).unwrap();
    rebuild(&other, &again, "third")
        .args(["--runs", "1", "--build-context", &named, "--context"])
        .arg(&project)
        .run()
        .exits(0)
        .prints(["rebuilt: the same image"]);
}

#[test]
fn a_compiled_program_is_built_again_from_its_sources() {
    let context = TestContext::new();
    keys(&context);
    let project = context.example("static-hello");
    let pack = build(&context, &project, &[]);
    rebuild(&context, &pack, "again")
        .arg("--context")
        .arg(&project)
        .run()
        .exits(0)
        .prints(["same     manifest", "rebuilt: the same image"]);
    // What is judged is overwritten by nobody.
    rebuild(&context, &pack, "again")
        .arg("--rebuild-evidence")
        .arg(&pack)
        .run()
        .exits(2);
}

#[test]
fn what_cannot_be_had_is_named_and_nothing_is_built() {
    let context = TestContext::new();
    keys(&context);
    let (project, named) = files_alone(&context);
    let named = format!("named={}", named.display());
    let pack = build(&context, &project, &["--build-context", &named]);
    let empty = TestContext::with_empty_store(User::Caller);
    keys(&empty);
    fs::copy(context.path("first.pub"), empty.path("first.pub")).unwrap();
    let run = statement(&pack.join("provenance/run-a.sigstore.json"));
    let dependencies = &run.predicate["buildDefinition"]["resolvedDependencies"];
    let digest = |name: &str| {
        let mut all = dependencies.as_array().unwrap().iter();
        let found = all.find(|dependency| dependency["name"] == name).unwrap();
        found["digest"]["sha256"].as_str().unwrap().to_owned()
    };
    let refused = rebuild(&empty, &pack, "again").run().exits(6);
    for text in [
        "2 inputs are missing",
        &digest("context"),
        &digest("context:named"),
        "--context DIR",
        "--build-context named=DIR",
    ] {
        assert!(refused.stderr.contains(text), "{text}: {}", refused.stderr);
    }
    // Sources that were edited are others.
    fs::write(project.join("a"), "other").unwrap();
    let other = rebuild(&empty, &pack, "again")
        .args(["--build-context", &named, "--context"])
        .arg(&project)
        .run()
        .exits(6);
    assert!(
        other.stderr.contains(&digest("context")),
        "{}",
        other.stderr
    );
    assert!(!other.stderr.contains("[a 1/"), "{}", other.stderr);
    assert!(!empty.path("again").exists());
    // Where it was built the store has them, as long as nobody collects garbage.
    rebuild(&context, &pack, "again").run().exits(0);
}

#[test]
fn a_base_is_the_one_that_was_built_on_whatever_its_name_means_now() {
    let context = TestContext::new();
    keys(&context);
    let base = |text: &str| {
        let project = context.project(
            &format!("base-{text}"),
            &[("Dockerfile", "FROM scratch\nCOPY f /\n"), ("f", text)],
        );
        // A name that no other test gives: the store is shared.
        let name = format!("rebuilt.example/base-{}:1", std::process::id());
        build(&context, &project, &["--tag", &name]);
        name
    };
    let name = base("one");
    let dockerfile = format!("FROM {name}\nCOPY g /\n");
    let project = context.project("project", &[("Dockerfile", &dockerfile), ("g", "2")]);
    let pack = build(&context, &project, &["--evidence-context"]);
    assert_eq!(base("two"), name);
    rebuild(&context, &pack, "again").run().exits(0);
    // Elsewhere it is an input that nobody has.
    let empty = TestContext::with_empty_store(User::Caller);
    keys(&empty);
    fs::copy(context.path("first.pub"), empty.path("first.pub")).unwrap();
    let refused = rebuild(&empty, &pack, "again").run().exits(6);
    assert!(
        refused.stderr.contains("rebuilt.example/"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_secret_is_lent_again() {
    let context = TestContext::new();
    keys(&context);
    let dockerfile =
        "FROM busybox\nRUN --mount=type=secret,id=token wc -c /run/secrets/token > /n\n";
    let project = context.project("project", &[("Dockerfile", dockerfile)]);
    let secret = format!("id=token,src={}", context.write("token", "four").display());
    let pack = build(&context, &project, &["--secret", &secret]);
    let refused = rebuild(&context, &pack, "again").run().exits(6);
    assert!(
        refused.stderr.contains("the secret token"),
        "{}",
        refused.stderr
    );
    rebuild(&context, &pack, "again")
        .args(["--runs", "1", "--secret", &secret])
        .run()
        .exits(0);
    // The names of files and all else are the same; the secret was another one.
    let other = format!("id=token,src={}", context.write("other", "fiver").display());
    let differs = rebuild(&context, &pack, "again")
        .args(["--secret", &other])
        .run()
        .exits(1);
    assert!(
        differs.stdout.contains("DIFFERS  layer"),
        "{}",
        differs.stdout
    );
    assert!(differs.stdout.contains("/n"), "{}", differs.stdout);
    let of = statement(&context.path("again/reproducibility/reproducibility.sigstore.json"));
    assert_eq!(of.predicate["verdict"], "reproducible");
    assert_eq!(of.predicate["rebuildOf"]["outcome"], "differs");
}

#[test]
fn a_refused_pack_is_not_built() {
    let context = TestContext::new();
    keys(&context);
    let project = context.example("static-hello");
    let pack = build(&context, &project, &[]);
    let rebuilt = |pack: &Path| {
        rebuild(&context, pack, "again")
            .arg("--context")
            .arg(&project)
    };
    let report = pack.join("reproducibility/report.md");
    let text = fs::read(&report).unwrap();
    fs::write(&report, [&text[..], b"x"].concat()).unwrap();
    let refused = rebuilt(&pack).run().exits(4);
    assert!(
        refused.stderr.contains("nothing was built again"),
        "{}",
        refused.stderr
    );
    assert!(!context.path("again").exists());
    fs::write(&report, text).unwrap();
    // Another key, and one that came with the pack.
    rebuild(&context, &pack, "again")
        .args(["--runs", "1"])
        .run()
        .exits(0);
    fs::copy(context.path("second.pub"), context.path("first.pub")).unwrap();
    fs::remove_dir_all(context.path("again")).unwrap();
    rebuilt(&pack).run().exits(4);
    assert!(!context.path("again").exists());
}

/// Who has the key can sign that an image was made of other sources than it was. That every signature
/// and digest holds shows nothing; building it again does.
#[test]
fn a_lie_that_is_well_signed_is_found_and_its_file_named() {
    let context = TestContext::new();
    keys(&context);
    let honest = context.example("static-hello");
    let pack = build(&context, &honest, &[]);
    let changed = context.path("changed");
    repro_tests::example("static-hello", &changed);
    let source = fs::read_to_string(honest.join("hello.c")).unwrap();
    fs::write(changed.join("hello.c"), source.replace("Built", "Owned")).unwrap();
    let lie = build(&context, &changed, &[]);
    let key = fs::read_to_string(context.path("first.key")).unwrap();
    claim(&lie, &pack, &SigningKey::from_pem(&key).unwrap());
    context
        .repro(["verify"])
        .arg(&lie)
        .arg("--key")
        .arg(context.path("first.pub"))
        .run()
        .exits(0);
    let found = rebuild(&context, &lie, "again")
        .arg("--context")
        .arg(&honest)
        .run()
        .exits(1);
    for text in [
        "DIFFERS  manifest",
        "DIFFERS  layer 0        line 12: COPY --from=build /src/hello /hello",
        "rebuilt: another image than the one that was attested",
        "Owned",
    ] {
        assert!(found.stdout.contains(text), "{text}: {}", found.stdout);
    }
    // The layer of the base stage's program is the same; the file is named.
    let again = rebuild(&context, &lie, "again").args(["--json", "--context"]);
    let found = again.arg(&honest).run().exits(1).json();
    let differences = found["rebuild"]["difference"]["differences"]
        .as_array()
        .unwrap();
    assert!(
        differences.iter().any(|row| row["path"] == "hello"),
        "{differences:?}"
    );
    assert_eq!(found["rebuild"]["verdict"], "reproducible");
}

/// Signs anew what is in `pack`, with the sources that `other` was made of.
fn claim(pack: &Path, other: &Path, key: &SigningKey) {
    let sources = statement(&other.join("provenance/run-a.sigstore.json"));
    let sources = &sources.predicate["buildDefinition"]["resolvedDependencies"];
    let sign = |path: &str, change: &dyn Fn(&mut Statement)| {
        let mut statement = statement(&pack.join(path));
        change(&mut statement);
        let bytes = Attestation::sign(statement, key)
            .unwrap()
            .to_bytes()
            .unwrap();
        fs::write(pack.join(path), &bytes).unwrap();
        Digest::of(&bytes)
    };
    let mut bundles = BTreeMap::new();
    for run in ["a", "b"] {
        let path = format!("provenance/run-{run}.sigstore.json");
        let digest = sign(&path, &|statement| {
            statement.predicate["buildDefinition"]["resolvedDependencies"] = sources.clone();
        });
        bundles.insert(run, digest);
    }
    sign(
        "reproducibility/reproducibility.sigstore.json",
        &|statement| {
            let runs = statement.predicate["runs"].as_array_mut().unwrap();
            for run in runs {
                let digest = bundles[run["id"].as_str().unwrap()];
                run["provenance"] = digest.to_string().into();
            }
        },
    );
    // What follows from these statements would have to be made again with them; a pack can go without.
    for path in ["attributes.sigstore.json", "test-result.sigstore.json"] {
        fs::remove_file(pack.join("reproducibility").join(path)).unwrap();
    }
    for dir in ["links", "network", "sbom"] {
        fs::remove_dir_all(pack.join(dir)).unwrap();
    }
    let own = ["index.json", "index.sigstore.json"];
    let files: BTreeMap<String, StoredBlob> = files_below(pack)
        .into_iter()
        .map(|file| {
            let path = file.strip_prefix(pack).unwrap();
            let bytes = fs::read(&file).unwrap();
            let blob = StoredBlob {
                digest: Digest::of(&bytes),
                size: bytes.len() as u64,
            };
            (path.to_str().unwrap().to_owned(), blob)
        })
        .filter(|(path, _)| !own.contains(&path.as_str()))
        .collect();
    let count = files.len();
    let mut index = canonical(&PackIndex::new(files)).unwrap();
    index.push(b'\n');
    fs::write(pack.join("index.json"), &index).unwrap();
    sign("index.sigstore.json", &|statement| {
        statement.subjects[0].digest = Digest::of(&index);
        statement.predicate["files"] = count.into();
    });
}

/// A repository with one commit, and the image that was made of it, as a layout.
struct ByBuildkit {
    context: TestContext,
    repository: PathBuf,
    layout: PathBuf,
    manifest: Value,
    commit: String,
}

impl ByBuildkit {
    fn new() -> Self {
        let context = TestContext::new();
        keys(&context);
        let dockerfile = "FROM scratch\nARG LEVEL\nLABEL level=$LEVEL\nCOPY a /a\nCOPY d /d\n";
        let repository = context.project(
            "repository",
            &[
                ("Dockerfile", dockerfile),
                ("repro.toml", "[build]\ncontext-modes = 'git'\n"),
                ("a", "1"),
                ("d/x", "2"),
            ],
        );
        let layout = context.path("layout");
        let out = format!("oci:{}", layout.display());
        // Another time of the files, as BuildKit would leave it.
        let options = [
            "--build-arg",
            "LEVEL=2",
            "--source-date-epoch",
            "1600000000",
            "-o",
            &out,
        ];
        build(&context, &repository, &options);
        let index = fs::read(layout.join("index.json")).unwrap();
        let index: Value = serde_json::from_slice(&index).unwrap();
        let mut by = Self {
            context,
            repository,
            layout,
            manifest: index["manifests"][0].clone(),
            commit: String::new(),
        };
        by.git(&["init", "--quiet"]);
        by.commit();
        by
    }

    fn git(&self, args: &[&str]) -> String {
        let mut command = std::process::Command::new(repro_tests::tool("git"));
        let identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
        command.arg("-C").arg(&self.repository).args(identity);
        repro_tests::succeeds(command.args(args))
    }

    fn commit(&mut self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "x"]);
        self.git(&["rev-parse", "HEAD"])
            .trim()
            .clone_into(&mut self.commit);
    }

    /// Provenance in the form that BuildKit gives it with mode=max.
    fn provenance(&self) -> Value {
        let manifest = self.manifest["digest"].as_str().unwrap();
        let uri = "https://example.org/app.git#main";
        json!({
            "_type": "https://in-toto.io/Statement/v1",
            "predicateType": "https://slsa.dev/provenance/v1",
            "subject": [{
                "name": "pkg:docker/app@1?platform=linux%2Famd64",
                "digest": {"sha256": manifest.trim_start_matches("sha256:")}
            }],
            "predicate": {
                "buildDefinition": {
                    "buildType": repro_verifier::rebuild::buildkit::BUILD_TYPE,
                    "externalParameters": {
                        "configSource": {
                            "uri": uri, "digest": {"sha1": self.commit}, "path": "Dockerfile"
                        },
                        "request": {
                            "frontend": "dockerfile.v0",
                            "args": {"build-arg:LEVEL": "2"},
                            "locals": []
                        }
                    },
                    "internalParameters": {
                        "builderPlatform": "linux/amd64",
                        "buildConfig": {"llbDefinition": []}
                    },
                    "resolvedDependencies": [{"uri": uri, "digest": {"sha1": self.commit}}]
                },
                "runDetails": {
                    "builder": {"id": ""},
                    "metadata": {"invocationId": "x", "buildkit_hermetic": true}
                }
            }
        })
    }

    fn rebuild(&self, provenance: &Value) -> Repro {
        let file = self
            .context
            .write("provenance.json", provenance.to_string());
        self.context
            .repro(["verify", "--rebuild", "--runs", "1"])
            .arg(format!("oci:{}", self.layout.display()))
            .arg(format!("--buildkit={}", file.display()))
            .arg("--rebuild-evidence")
            .arg(self.context.path("again"))
            .through(alone())
    }

    fn put(&self, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        let path = self.layout.join("blobs/sha256").join(digest.hex());
        fs::write(path, bytes).unwrap();
        json!({"digest": digest.to_string(), "size": bytes.len()})
    }

    /// Attaches the provenance in the way of BuildKit.
    fn attach(&self, provenance: &Value) {
        const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
        let mut config = self.put(b"{}");
        config["mediaType"] = "application/vnd.oci.image.config.v1+json".into();
        let mut layer = self.put(provenance.to_string().as_bytes());
        layer["mediaType"] = "application/vnd.in-toto+json".into();
        layer["annotations"] =
            json!({"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"});
        let attestation = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]
        });
        let mut attestation = self.put(attestation.to_string().as_bytes());
        attestation["mediaType"] = MANIFEST.into();
        attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
        attestation["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": self.manifest["digest"]
        });
        let mut image = self.manifest.clone();
        image["platform"] = json!({"os": "linux", "architecture": "amd64"});
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [image, attestation]
        });
        fs::write(self.layout.join("index.json"), index.to_string()).unwrap();
    }
}

#[test]
fn an_image_of_buildkit_is_built_again_from_its_commit() {
    let mut by = ByBuildkit::new();
    let provenance = by.provenance();
    let missing = by.rebuild(&provenance).run().exits(6);
    missing.prints(["pinned        context", "known         build-arg:LEVEL"]);
    missing.says([by.commit.as_str(), "--context DIR"]);
    // What lies about in the repository is no part of the commit.
    fs::write(by.repository.join("a"), "edited").unwrap();
    let again = by.rebuild(&provenance).arg("--context").arg(&by.repository);
    let same = again.run().exits(0);
    same.prints([
        "same     files",
        "same     modes, owners, attributes",
        "same     settings of the image",
        "differs  times of files",
        "rebuilt: the same files, metadata and settings",
    ]);
    same.says(["signed by nobody"]);
    let of = statement(
        &by.context
            .path("again/reproducibility/reproducibility.sigstore.json"),
    );
    assert_eq!(
        of.predicate["rebuildOf"]["outcome"], "differs",
        "the bits are others"
    );
    // The same provenance, attached to the image.
    by.attach(&provenance);
    let attached = by
        .context
        .repro(["verify", "--rebuild", "--buildkit", "--json", "--runs", "1"])
        .arg("--context")
        .arg(&by.repository)
        .arg("--rebuild-evidence")
        .arg(by.context.path("again"))
        .arg(format!("oci:{}", by.layout.display()))
        .run()
        .exits(0);
    let found = attached.json();
    assert_eq!(found["likeness"], "same");
    assert_eq!(found["attested"], by.manifest["digest"]);
    // Another commit than the one that was built.
    by.commit();
    let edited = by.provenance();
    let other = by.rebuild(&edited).arg("--context").arg(&by.repository);
    other
        .run()
        .exits(1)
        .prints(["DIFFERS  files", "rebuilt: another image"]);
}

#[test]
fn provenance_that_is_of_something_else_is_refused() {
    let by = ByBuildkit::new();
    let refused = |pointer: &str, value: Value, code: i32, word: &str| {
        let mut provenance = by.provenance();
        *provenance.pointer_mut(pointer).unwrap() = value;
        let again = by.rebuild(&provenance).arg("--context").arg(&by.repository);
        again.run().exits(code).says([word]);
        assert!(!by.context.path("again").exists(), "{pointer}");
    };
    let none = "0".repeat(64);
    refused(
        "/subject/0/digest/sha256",
        none.into(),
        4,
        "the provenance is of",
    );
    let older = "https://slsa.dev/provenance/v0.2";
    refused("/predicateType", older.into(), 4, "version=v1");
    let request = "/predicate/buildDefinition/externalParameters/request";
    let unknown = json!({"args": {"context:base": "docker-image://x"}});
    refused(request, unknown, 6, "context:base");
    let secret = json!({"secrets": [{"id": "token"}]});
    refused(request, secret, 6, "the secret token");
    let commit = "/predicate/buildDefinition/externalParameters/configSource/digest/sha1";
    let absent = "1".repeat(40);
    refused(commit, absent.into(), 6, "cannot take the commit");
    refused(commit, "--help".into(), 6, "is no id of a commit");
}

/// What the other side of a registry has is the image and what is attached to it, and nothing else.
#[test]
fn an_image_is_pulled_with_its_evidence_built_again_and_attested() {
    let registry = Registry::start(RegistryKind::default());
    let context = TestContext::new();
    keys(&context);
    let (project, named) = files_alone(&context);
    let named = format!("named={}", named.display());
    let name = registry.name("acme/app:1");
    build(
        &context,
        &project,
        &[
            "--evidence-context",
            "--build-context",
            &named,
            "--push",
            "--tag",
            &name,
        ],
    );
    let other = TestContext::with_empty_store(User::Caller);
    keys(&other);
    fs::copy(context.path("first.pub"), other.path("first.pub")).unwrap();
    let again = other
        .repro(["verify", "--rebuild", "--json", "--key"])
        .arg(other.path("first.pub"))
        .arg("--builder-key")
        .arg(other.path("second.key"))
        .arg("--rebuild-evidence")
        .arg(other.path("again"))
        .arg("--summary")
        .arg(other.path("summary"))
        .arg("--sign-with")
        .arg(other.path("second.key"))
        .args(["--resource-uri", &name, &name]);
    let found = again.run().exits(0).json();
    assert_eq!(found["rebuild"]["outcome"], "agrees");
    let summary = other.path("summary").join("vsa.sigstore.json");
    let attest = other.repro(["attest", &name, "--statement"]);
    attest.arg(summary).run().exits(0);
}
