//! Images in and out of Debian's `docker-registry`: plain, with TLS, with passwords; and in the hands of
//! skopeo and podman.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use repro_tests::{
    PASSWORD, Pack, Registry, RegistryKind, Repro, TestContext, User, podman, require_root,
    succeeds, tool,
};
use serde_json::{Value, json};

/// Says something, and needs nothing.
const DOCKERFILE: &str =
    "FROM scratch\nCOPY busybox /bin/busybox\nCMD [\"/bin/busybox\", \"echo\", \"pushed\"]\n";
/// Differs between the runs.
const DIFFERING: &str = "FROM scratch\nCOPY busybox /bin/busybox\n\
                         RUN [\"/bin/busybox\", \"sh\", \"-c\", \"/bin/busybox hostname > /name\"]\n";

fn empty() -> TestContext {
    TestContext::with_empty_store(User::Caller)
}

/// A project with busybox in it.
fn project(context: &TestContext, name: &str, dockerfile: &str) -> PathBuf {
    let dir = context.project(name, &[("Dockerfile", dockerfile), ("repro.toml", "")]);
    fs::copy(tool("busybox"), dir.join("busybox")).expect("busybox can be copied");
    dir
}

/// Builds it under a name; the digest of its manifest.
fn build(context: &TestContext, name: &str) -> String {
    let dir = project(context, "app", DOCKERFILE);
    let (build, evidence) = context.build(&dir);
    build.args(["-t", name]).run().exits(0);
    Pack::read(&evidence).digest().to_owned()
}

fn skopeo(args: &[&str]) -> String {
    let mut skopeo = Command::new(tool("skopeo"));
    succeeds(skopeo.args(args))
}

fn pulled(context: &TestContext, args: &[&str]) -> Value {
    let pull = context.repro(["pull", "--json"]).args(args);
    pull.run().exits(0).json()["image"].clone()
}

#[test]
fn an_image_goes_there_and_comes_back_the_same() {
    let registry = Registry::start(RegistryKind::default());
    let context = empty();
    let name = registry.name("acme/app:1");
    let digest = build(&context, &name);
    let push = |to: &str| {
        let push = context.repro(["push", "--json", &name, to]);
        push.run().exits(0).json()["push"].clone()
    };
    let first = push(&name);
    assert_eq!(
        (&first["digest"], &first["present"]),
        (&json!(digest), &json!(0))
    );
    assert!(first["sent"].as_u64() > Some(1));
    // Nothing is sent twice, not even to another repository.
    let again = push(&name);
    assert_eq!(
        (&again["sent"], &again["present"]),
        (&json!(0), &first["sent"])
    );
    let other = push(&registry.name("other/app:2"));
    assert_eq!(
        (&other["sent"], &other["mounted"]),
        (&json!(0), &first["sent"])
    );

    // Others read it.
    let url = format!("docker://{name}");
    let seen: Value =
        serde_json::from_str(&skopeo(&["inspect", "--tls-verify=false", &url])).unwrap();
    assert_eq!(seen["Digest"], json!(digest));

    let elsewhere = empty();
    let image = pulled(&elsewhere, &[&name]);
    assert_eq!(image["digest"], json!(digest));
    assert_eq!(pulled(&elsewhere, &[&name])["fetched"], json!(0));
    elsewhere.assert_sound();
    let files = |context: &TestContext| {
        let inspect = context.repro(["inspect", "--json", "--files", &name]);
        inspect.run().exits(0).json()["image"].clone()
    };
    assert_eq!(files(&elsewhere), files(&context));
    // By its digest, without any tag, and as a transport of other commands.
    let pinned = format!("{}@{digest}", registry.name("acme/app"));
    let third = empty();
    assert_eq!(pulled(&third, &[&pinned])["digest"], json!(digest));
    third
        .repro(["import", &format!("docker://{pinned}"), "mine"])
        .run()
        .exits(0)
        .prints([digest.as_str()]);
    third
        .repro(["diff", "mine", &format!("docker://{name}")])
        .run()
        .exits(0);
    third
        .repro(["inspect", &url])
        .run()
        .exits(0)
        .prints(["busybox"]);
    let exported = format!("docker://{}", registry.name("third/app:3"));
    third.repro(["export", "mine", &exported]).run().exits(0);
    assert_eq!(pulled(&empty(), &[&exported])["digest"], json!(digest));
}

#[test]
fn what_is_not_there_is_exit_6() {
    let registry = Registry::start(RegistryKind::default());
    let context = empty();
    let name = registry.name("no/such:1");
    let run = context.repro(["pull", &name]).run().exits(6);
    run.says(["cannot pull", "has no manifest 1 of no/such"]);
    context
        .repro(["push", &name])
        .run()
        .exits(6)
        .says(["is not in the store"]);
    drop(registry);
    let run = context.repro(["pull", &name]).run().exits(6);
    run.says(["cannot be reached", "--registry-mirror"]);
}

/// A file of credentials as `docker login` writes it.
fn authfile(context: &TestContext, host: &str) -> PathBuf {
    // base64 of tester:PASSWORD
    let auth = "dGVzdGVyOnBhc3Mtd29yZC1vZi1hLXRlc3Q=";
    let file = json!({"auths": {host: {"auth": auth}}});
    context.write("auth.json", file.to_string())
}

#[test]
fn tls_and_a_password_are_needed_where_the_registry_wants_them() {
    let registry = Registry::start(RegistryKind::default().with_tls().with_password());
    let context = empty();
    let name = registry.name("acme/app:1");
    let digest = build(&context, &name);
    let push = context.repro(["push", &name]);
    push.run().exits(6).says(["safely", "--tls-ca", "certs.d"]);
    let ca = registry.authority();
    let trusting = |repro: &Repro| repro.clone().arg("--tls-ca").arg(&ca);
    let unknown = trusting(&push).run().exits(2);
    unknown.says(["there are no credentials", "docker login"]);
    let auth = authfile(&context, &registry.host);
    let known = |repro: &Repro| trusting(repro).arg("--authfile").arg(&auth);
    known(&push).run().exits(0).prints([digest.as_str()]);

    // Files where Docker and Podman have them, with whom to believe beside them.
    let elsewhere = empty();
    let home = elsewhere.path("home");
    let certs = home.join(".docker/certs.d").join(&registry.host);
    fs::create_dir_all(&certs).unwrap();
    fs::copy(&ca, certs.join("ca.crt")).unwrap();
    let pull = elsewhere.repro(["pull", &name]);
    let refused = pull.run().exits(6);
    refused.says(["there are no credentials"]);
    fs::create_dir_all(home.join(".config/containers")).unwrap();
    fs::copy(&auth, home.join(".config/containers/auth.json")).unwrap();
    let ended = pull.run().exits(0);
    ended.prints([digest.as_str()]);

    // Wrong ones are said to be wrong, and where they are from, and are not shown.
    let wrong = json!({"auths": {&registry.host: {"auth": "dGVzdGVyOndyb25nLXdvcmQ="}}});
    let wrong = elsewhere.write("wrong.json", wrong.to_string());
    let run = pull.clone().arg("--authfile").arg(&wrong).run().exits(6);
    run.says(["does not let", "wrong.json"]);
    for text in ["wrong-word", "dGVzdGVyO", PASSWORD] {
        assert!(!run.stderr.contains(text), "{}", run.stderr);
    }
    let verbose = pull
        .clone()
        .args(["-vv", "--authfile"])
        .arg(&auth)
        .run()
        .exits(0);
    for text in [PASSWORD, "dGVzdGVyO"] {
        assert!(!verbose.stderr.contains(text), "{}", verbose.stderr);
    }
    let broken = elsewhere.write("broken.json", "{\"auths\": {\n\"a\": s3cret");
    let run = pull.arg("--authfile").arg(&broken).run().exits(2);
    run.says(["broken.json", "line 2"]);
    assert!(!run.stderr.contains("s3cret"), "{}", run.stderr);
}

#[test]
fn a_credential_helper_is_asked() {
    let registry = Registry::start(RegistryKind::default().with_password());
    let context = empty();
    let name = registry.name("acme/app:1");
    build(&context, &name);
    let bin = context.path("bin");
    fs::create_dir(&bin).unwrap();
    let helper = bin.join("docker-credential-of-a-test");
    let script = format!(
        "#!/bin/sh\nread -r server\n[ \"$1 $server\" = 'get {}' ] || exit 1\n\
         echo '{{\"ServerURL\":\"x\",\"Username\":\"tester\",\"Secret\":\"{PASSWORD}\"}}'\n",
        registry.host
    );
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let config = json!({"credHelpers": {&registry.host: "of-a-test"}});
    let config = context.write("config.json", config.to_string());
    let dir = config.parent().unwrap();
    let push = context.repro(["push", &name]).env("DOCKER_CONFIG", dir);
    push.run()
        .exits(2)
        .says(["docker-credential-of-a-test is not in PATH"]);
    let path = format!("{}:/usr/bin:/bin", bin.display());
    push.env("PATH", path).run().exits(0);
}

/// An OCI layout with a list of two images that skopeo pushes; its digest.
fn push_list(context: &TestContext, to: &str) {
    let root = context.path("root");
    fs::create_dir(&root).expect("a directory can be made");
    let layout = context.path("layout");
    let mut entries = Vec::new();
    for architecture in ["amd64", "arm64"] {
        fs::write(root.join("architecture"), architecture).expect("the file can be written");
        let tar = context.path(&format!("{architecture}.tar"));
        succeeds(
            Command::new(tool("tar"))
                .arg("-C")
                .arg(&root)
                .arg("-cf")
                .arg(&tar)
                .arg("."),
        );
        let import = context.repro(["import", &format!("rootfs:{}", tar.display()), architecture]);
        let platform = format!("linux/{architecture}");
        let import = import
            .args(["--platform", &platform, "--json"])
            .run()
            .exits(0);
        let digest = import.json()["image"]["manifestDigest"].clone();
        let export = format!("oci:{}:{architecture}", layout.display());
        context
            .repro(["export", architecture, &export])
            .run()
            .exits(0);
        let hex = digest
            .as_str()
            .expect("a digest")
            .trim_start_matches("sha256:");
        let size = fs::metadata(layout.join("blobs/sha256").join(hex))
            .expect("the blob is there")
            .len();
        entries.push(json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest,
            "size": size, "platform": {"os": "linux", "architecture": architecture},
        }));
    }
    let list = json!({"schemaVersion": 2, "manifests": entries,
        "mediaType": "application/vnd.oci.image.index.v1+json"})
    .to_string();
    let digest = repro_core::digest::Digest::of(list.as_bytes());
    fs::write(layout.join("blobs/sha256").join(digest.hex()), &list)
        .expect("the file can be written");
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": digest, "size": list.len(),
        "annotations": {"org.opencontainers.image.ref.name": "both"},
    }]});
    fs::remove_file(layout.join("index.json")).expect("the file is there");
    fs::write(layout.join("index.json"), index.to_string()).expect("the file can be written");
    let from = format!("oci:{}:both", layout.display());
    let to = format!("docker://{to}");
    skopeo(&[
        "copy",
        "--quiet",
        "--all",
        "--dest-tls-verify=false",
        &from,
        &to,
    ]);
}

#[test]
fn a_list_that_skopeo_pushed_is_pulled_in_part_and_whole() {
    let registry = Registry::start(RegistryKind::default());
    let name = registry.name("acme/both:1");
    push_list(&empty(), &name);
    let url = |name: &str| format!("docker://{name}");
    let raw = |name: &str| skopeo(&["inspect", "--raw", "--tls-verify=false", &url(name)]);
    let list = repro_core::digest::Digest::of(raw(&name).as_bytes()).to_string();

    let one = empty();
    let arm = pulled(&one, &["--platform", "linux/arm64", &name]);
    assert_ne!(arm["digest"], json!(list));
    assert_eq!(arm["manifests"][0]["platform"], json!("linux/arm64"));
    let files = |context: &TestContext, platform: &str| {
        let copy = format!("rootfs:{}", context.path("copy.tar").display());
        context.repro(["export", &name, &copy]).run().exits(0);
        let mut tar = Command::new(tool("tar"));
        let tar = tar
            .arg("-xOf")
            .arg(context.path("copy.tar"))
            .arg("architecture");
        assert_eq!(succeeds(tar), platform);
    };
    files(&one, "arm64");
    one.repro(["pull", "--platform", "linux/s390x", &name])
        .run()
        .exits(6)
        .says(["linux/amd64, linux/arm64", "--platform"]);

    let all = empty();
    assert_eq!(
        pulled(&all, &["--all-platforms", &name])["digest"],
        json!(list)
    );
    all.assert_sound();
    // Of a list, a command takes the image of this machine.
    if cfg!(target_arch = "x86_64") {
        files(&all, "amd64");
    }
    all.repro(["store", "gc"]).run().exits(0);
    let other = registry.name("other/both:2");
    all.repro(["push", &name, &other]).run().exits(0);
    assert_eq!(raw(&other), raw(&name));

    // A list with a hole is not pushed.
    let part = empty();
    let pinned = format!("{}@{list}", registry.name("acme/both"));
    pulled(&part, &["--platform", "linux/arm64", &pinned]);
    part.repro(["push", &pinned, &registry.name("third/both:3")])
        .run()
        .exits(6)
        .says(["which is not in the store", "--all-platforms"]);
}

#[test]
fn a_base_that_is_pinned_is_fetched_and_a_tag_never() {
    let registry = Registry::start(RegistryKind::default());
    let maker = empty();
    let base = registry.name("acme/base:1");
    let digest = build(&maker, &base);
    maker.repro(["push", &base]).run().exits(0);

    let context = empty();
    let tagged = context.project(
        "tagged",
        &[("Dockerfile", &format!("FROM {base}\nENV A=b\n"))],
    );
    let (build, _) = context.build(&tagged);
    build.run().exits(6).says([
        "is not in the store",
        &format!("repro pull {base}"),
        "repro lock",
    ]);
    let pinned = format!("FROM {base}@{digest}\nENV A=b\n");
    let pinned = context.project("pinned", &[("Dockerfile", &pinned)]);
    let (build, evidence) = context.build(&pinned);
    build
        .clone()
        .arg("--locked")
        .run()
        .exits(0)
        .says(["pulling"]);
    let made = Pack::read(&evidence).digest().to_owned();
    // The registry is gone, the image stays, whatever is swept.
    drop(registry);
    context.repro(["store", "gc"]).run().exits(0);
    build.run().exits(0);
    assert_eq!(Pack::read(&evidence).digest(), made);
    let other = empty();
    let (build, _) = other.build(&pinned);
    build
        .run()
        .exits(6)
        .says(["pinned to", "cannot be reached"]);
}

#[test]
fn only_what_is_reproducible_is_pushed() {
    let registry = Registry::start(RegistryKind::default());
    let context = empty();
    let name = registry.name("acme/app:1");
    let good = project(&context, "good", DOCKERFILE);
    let (build, evidence) = context.build(&good);
    let output = format!("docker://{}", registry.name("acme/other:1"));
    build
        .args(["--push", "-t", &name, "-o", &output])
        .run()
        .exits(0)
        .says([format!("pushed {name}").as_str()]);
    let digest = Pack::read(&evidence).digest().to_owned();
    for name in [&name, &registry.name("acme/other:1")] {
        assert_eq!(pulled(&empty(), &[name])["digest"], json!(digest));
    }
    let bad = project(&context, "bad", DIFFERING);
    let (build, _) = context.build(&bad);
    let name = registry.name("acme/bad:1");
    let build = build.args(["--push", "-t", &name]);
    build.run().exits(1).says(["is not pushed"]);
    let warned = build.clone().args(["--on-difference", "warn"]);
    warned.run().exits(4).says(["is not pushed"]);
    build
        .args(["--runs", "1"])
        .run()
        .exits(2)
        .says(["two differing runs"]);
    context.repro(["pull", &name]).run().exits(6);
    let (build, _) = context.build(&good);
    build.arg("--push").run().exits(2).says(["needs a name"]);
}

#[test]
fn referrers_come_along_when_they_are_asked_for() {
    let registry = Registry::start(RegistryKind::default());
    let context = empty();
    let name = registry.name("acme/app:1");
    let digest = build(&context, &name);
    context.repro(["push", &name]).run().exits(0);
    assert_eq!(
        pulled(&context, &["--referrers", &name])["referrers"],
        json!([])
    );
    let artifact = put_artifact(&registry, "acme/app", &digest);
    let image = pulled(&context, &["--referrers", &name]);
    assert_eq!(image["referrers"], json!([artifact]));
    context.repro(["store", "gc"]).run().exits(0);
    context.assert_sound();
    // To another registry, which keeps no such lists either.
    let other = Registry::start(RegistryKind::default());
    let to = other.name("copy/app:1");
    let push = context.repro(["push", "--json", "--referrers", &name, &to]);
    let push = push.run().exits(0).json();
    assert_eq!(push["push"]["referrers"], json!([artifact]));
    let image = pulled(&empty(), &["--referrers", &to]);
    assert_eq!(image["referrers"], json!([artifact]));
}

/// Sends a statement about `subject`, as other programs do: with the list that its tag means.
fn put_artifact(registry: &Registry, repository: &str, subject: &str) -> String {
    let image = "application/vnd.oci.image.manifest.v1+json";
    let text = |bytes| registry.put_blob(repository, bytes, "text/plain");
    let artifact = json!({
        "schemaVersion": 2, "mediaType": image, "artifactType": "text/plain",
        "config": text("{}"), "layers": [text("it was seen")],
        "subject": {"mediaType": image, "digest": subject, "size": 1},
    });
    let mut entry = registry.put_document(repository, None, &artifact);
    entry["artifactType"] = "text/plain".into();
    let list = json!({"schemaVersion": 2, "manifests": [entry],
        "mediaType": "application/vnd.oci.image.index.v1+json"});
    registry.put_document(repository, Some(&subject.replace(':', "-")), &list);
    entry["digest"].as_str().expect("a digest").to_owned()
}

#[test]
fn privileged_podman_runs_what_was_pushed() {
    require_root();
    let registry = Registry::start(RegistryKind::default());
    let context = empty();
    let name = registry.name("acme/app:1");
    build(&context, &name);
    context.repro(["push", &name]).run().exits(0);
    succeeds(podman(&context).args(["pull", "--quiet", "--tls-verify=false", &name]));
    let run = ["run", "--rm", "--network", "none", "--log-driver", "none"];
    let limits = [
        "--ulimit",
        "nofile=1024:1024",
        "--ulimit",
        "nproc=1024:1024",
    ];
    let said = succeeds(podman(&context).args(run).args(limits).arg(&name));
    assert_eq!(said, "pushed\n");
}
