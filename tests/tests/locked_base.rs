//! Bases of a registry: locked by digest, built on whatever their tag names later, and handed to
//! others and taken from them as a source policy.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test panics where the test fails"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use repro_tests::{Pack, Registry, RegistryKind, TestContext, User, succeeds, tool};
use serde_json::{Value, json};

/// An image of busybox and a text, pushed under `name`; the digest of its manifest.
fn push_base(context: &TestContext, name: &str, text: &str) -> String {
    let dockerfile = format!(
        "FROM scratch\nCOPY busybox /bin/busybox\nCOPY text /text\nENV PATH=/bin\nLABEL is={text}\n"
    );
    let dir = context.project(
        &format!("base-{text}"),
        &[("Dockerfile", &dockerfile), ("text", text)],
    );
    fs::copy(tool("busybox"), dir.join("busybox")).unwrap();
    let (build, evidence) = context.build(&dir);
    build.args(["-t", name, "--push"]).run().exits(0);
    Pack::read(&evidence).digest().to_owned()
}

fn empty() -> TestContext {
    TestContext::with_empty_store(User::Caller)
}

fn copy(project: &Path, to: PathBuf) -> PathBuf {
    succeeds(Command::new("cp").arg("-r").arg(project).arg(&to));
    to
}

fn locked(context: &TestContext, project: &Path) -> Pack {
    let (build, evidence) = context.build(project);
    build.arg("--locked").run().exits(0);
    Pack::read(&evidence)
}

#[test]
fn a_locked_base_is_built_on_whatever_its_tag_names_later() {
    let registry = Registry::start(RegistryKind::default());
    let builder = empty();
    let name = registry.name("acme/base:1");
    let first = push_base(&builder, &name, "first");

    let context = empty();
    let dockerfile = format!("FROM {name}\nRUN [\"busybox\", \"cp\", \"/text\", \"/copied\"]\n");
    let project = context.project("app", &[("Dockerfile", &dockerfile), ("repro.toml", "")]);
    // Without a lock, and with nothing in the store, there is nothing to build on.
    let (build, _) = context.build(&project);
    build.arg("--locked").run().exits(6).says(["repro lock"]);
    context.repro(["lock"]).arg(&project).run().exits(0);
    let lock = fs::read_to_string(project.join("repro.lock")).unwrap();
    assert!(lock.contains(&first), "{lock}");
    let image = locked(&context, &project).digest().to_owned();

    // The tag moves, and others have an empty store.
    let second = push_base(&builder, &name, "second");
    assert_ne!(first, second);
    let other = empty();
    let again = copy(&project, other.path("again"));
    let pack = locked(&other, &again);
    assert_eq!(pack.digest(), image);
    let inputs = pack.report["inputs"].as_array().unwrap();
    assert!(
        inputs.iter().any(|input| input["digest"] == json!(first)),
        "{inputs:?}"
    );
    // Only an update follows the tag, and says so.
    other.repro(["lock"]).arg(&again).run().exits(0);
    assert_eq!(fs::read_to_string(again.join("repro.lock")).unwrap(), lock);
    other
        .repro(["lock", "--update"])
        .arg(&again)
        .run()
        .exits(0)
        .says([name.as_str()]);
    let lock = fs::read_to_string(again.join("repro.lock")).unwrap();
    assert!(lock.contains(&second) && !lock.contains(&first), "{lock}");
    assert_ne!(locked(&other, &again).digest(), image);
    other.assert_sound();

    // A lock that names another digest than its registry has is refused.
    let nothing = format!("sha256:{}", "0".repeat(64));
    fs::write(again.join("repro.lock"), lock.replace(&second, &nothing)).unwrap();
    let fresh = empty();
    let (build, _) = fresh.build(&again);
    build
        .arg("--locked")
        .run()
        .exits(6)
        .says([nothing.as_str()]);
}

#[test]
fn a_lock_becomes_a_source_policy_and_comes_back_from_one() {
    let registry = Registry::start(RegistryKind::default());
    let context = empty();
    let name = registry.name("acme/base:1");
    let first = push_base(&context, &name, "first");
    let project = context.project(
        "app",
        &[
            ("Dockerfile", &format!("FROM {name}\nENV A=b\n")),
            ("repro.toml", ""),
        ],
    );
    context.repro(["lock"]).arg(&project).run().exits(0);
    let lock = fs::read_to_string(project.join("repro.lock")).unwrap();
    let policy = context.path("policy.json");
    let list = context.path("inputs.spdx.json");
    context
        .repro(["lock", "--export"])
        .arg(format!("buildkit-policy:{}", policy.display()))
        .arg("--export")
        .arg(format!("spdx:{}", list.display()))
        .arg(&project)
        .run()
        .exits(0);
    let read = |path: &Path| -> Value {
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    };
    let rules = read(&policy)["rules"].as_array().unwrap().clone();
    let convert = rules
        .iter()
        .find(|rule| rule["action"] == json!("CONVERT"))
        .unwrap_or_else(|| panic!("{rules:?}"));
    let to = convert["updates"]["identifier"].as_str().unwrap();
    assert!(
        to.starts_with("docker-image://") && to.ends_with(&first),
        "{to}"
    );
    let listed = read(&list);
    assert_eq!(listed["spdxVersion"], json!("SPDX-2.3"));
    let purls: Vec<&str> = listed["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|package| package["externalRefs"][0]["referenceLocator"].as_str())
        .collect();
    let base = format!("pkg:oci/base@{}", first.replace(':', "%3A"));
    assert!(
        purls.iter().any(|purl| purl.starts_with(&base)),
        "{purls:?}"
    );

    // Where the tag has moved, the policy pins what it pinned.
    push_base(&context, &name, "second");
    fs::remove_file(project.join("repro.lock")).unwrap();
    context
        .repro(["lock", "--import"])
        .arg(&policy)
        .arg(&project)
        .run()
        .exits(0);
    assert_eq!(
        fs::read_to_string(project.join("repro.lock")).unwrap(),
        lock
    );
    // What is no policy is said to be none.
    let broken = context.write("broken.json", "{\"rules\": [{\"action\": 3}]}");
    context
        .repro(["lock", "--import"])
        .arg(&broken)
        .arg(&project)
        .run()
        .exits(2)
        .says(["broken.json"]);
}
