//! `repro verify` under a trust file and a policy: what people type and see, what each thing that was
//! tampered with is called, and that no network is asked.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test panics where the test fails"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use repro_tests::{Ended, Repro, TestContext, files_below, succeeds, tool};
use serde_json::Value;

/// A signed pack, with everything to verify it by.
struct Signed {
    context: TestContext,
    pack: PathBuf,
    trust: PathBuf,
}

impl Signed {
    /// Builds on a base image of a lock, with a step that prints.
    fn build() -> Self {
        let context = TestContext::new();
        for name in ["ci", "verifier", "other"] {
            let key = context.path(name);
            context.repro(["keygen"]).arg(&key).run().exits(0);
        }
        let files = [
            (
                "Dockerfile",
                "FROM busybox\nCOPY x /x\nRUN echo made | tee /made\n",
            ),
            ("x", "x"),
        ];
        let project = context.project("project", &files);
        context.repro(["lock"]).arg(&project).run().exits(0);
        let (build, pack) = context.build(&project);
        build
            .arg("--key")
            .arg(context.path("ci.key"))
            .run()
            .exits(0);
        let trust = context.write(
            "trust.toml",
            "version = 1\n[[builder]]\nid = \"https://intelgraph.io/repro/builder/local/v1\"\n\
             slsa-build-level = 2\nkey = [{ file = \"ci.pub\" }]\n\
             [[verifier]]\nid = \"https://acme.example/verifier\"\nslsa-build-level = 3\n\
             key = [{ file = \"verifier.pub\" }]\n",
        );
        Self {
            context,
            pack,
            trust,
        }
    }

    fn verify(&self) -> Repro {
        self.context.repro(["verify"]).arg(&self.pack)
    }

    fn trusting(&self) -> Repro {
        self.verify().arg("--trust").arg(&self.trust)
    }

    fn under(&self, policy: &str) -> Repro {
        let path = self
            .context
            .write("policy.toml", format!("version = 1\n{policy}"));
        self.trusting().arg("--policy").arg(path)
    }

    fn report(&self) -> Value {
        self.trusting().arg("--json").run().exits(0).json()
    }

    /// Changes one file of the pack while `look` runs.
    fn with_changed(&self, path: &str, change: impl Fn(&mut Vec<u8>), look: impl Fn(&Self)) {
        let place = self.pack.join(path);
        let whole = fs::read(&place).unwrap();
        let mut changed = whole.clone();
        change(&mut changed);
        fs::write(&place, changed).unwrap();
        look(self);
        fs::write(&place, whole).unwrap();
    }
}

/// The findings that failed, as `V18 what: why`.
fn refusals(ended: &Ended) -> Vec<String> {
    let document = ended.json();
    let checks = document["checks"].as_array().unwrap().iter();
    checks
        .flat_map(|check| {
            let findings = check["findings"].as_array().unwrap().iter();
            let failed = findings.filter(|finding| finding["status"] == "failed");
            failed.map(|finding| {
                let text = |field: &str| finding[field].as_str().unwrap().to_owned();
                format!(
                    "{} {}: {}",
                    check["code"].as_str().unwrap(),
                    text("on"),
                    text("detail")
                )
            })
        })
        .collect()
}

/// Every file of a pack, as paths below it.
fn files(pack: &Path) -> Vec<String> {
    let below = |path: &PathBuf| path.strip_prefix(pack).unwrap().display().to_string();
    files_below(pack).iter().map(below).collect()
}

/// One build for everything that is tried on its pack: a build takes longer than all of it.
#[test]
fn evidence_is_held_to_trust_and_policy() {
    let signed = Signed::build();
    the_table_says_every_check(&signed);
    each_thing_tampered_with_is_named(&signed);
    a_policy_decides(&signed);
    files_that_cannot_be_used_are_errors_at_their_line(&signed);
    summaries_are_written_and_read_back(&signed);
    a_directory_is_no_image_by_its_name(&signed);
    no_network_is_asked(&signed);
    images_are_exchanged_with_kyverno(&signed);
}

fn the_table_says_every_check(signed: &Signed) {
    let table = signed.trusting().run().exits(0);
    for number in 1..=33 {
        table.prints([format!("V{number:02}").as_str()]);
    }
    table.prints(["verified", "SLSA Build level 2 at most", "reproducible"]);
    // By the key alone the level is 1, whatever the pack or its builder would like.
    let key = signed.context.path("ci.pub");
    let alone = signed.verify().arg("--key").arg(key).run().exits(0);
    alone.prints(["SLSA Build level 1 at most"]);
    // Nobody's word is taken unless somebody is named.
    signed.verify().run().exits(2);
    let sarif = signed
        .trusting()
        .args(["--format", "sarif"])
        .run()
        .exits(0)
        .json();
    assert_eq!(sarif["version"], "2.1.0");
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 0);
    assert_eq!(
        sarif["runs"][0]["tool"]["driver"]["rules"]
            .as_array()
            .unwrap()
            .len(),
        33
    );
    let empty = signed.context.path("empty");
    fs::create_dir(&empty).unwrap();
    let trust = &signed.trust;
    let nothing = signed
        .context
        .repro(["verify", "--json"])
        .arg(&empty)
        .arg("--trust")
        .arg(trust);
    let nothing = nothing.run().exits(4);
    assert!(
        refusals(&nothing)
            .iter()
            .any(|refusal| refusal.starts_with("V30 ")),
        "{nothing}"
    );
    let none = signed
        .context
        .repro(["verify", "--trust"])
        .arg(trust)
        .arg("./none");
    none.run().exits(4).says(["none"]);
}

fn each_thing_tampered_with_is_named(signed: &Signed) {
    let all = files(&signed.pack);
    for kind in [
        "image/blobs/",
        "inputs/Dockerfile",
        "inputs/repro.lock",
        "links/",
        "network/run-a",
        "reproducibility/report.json",
        "sbom/",
        "logs/run-a/",
        "provenance/run-b",
    ] {
        assert!(
            all.iter().any(|path| path.starts_with(kind)),
            "{kind} in {all:?}"
        );
    }
    for path in &all {
        signed.with_changed(
            path,
            |bytes| {
                let middle = bytes.len() / 2;
                match bytes.get_mut(middle) {
                    Some(byte) => *byte ^= 1,
                    None => bytes.push(b'x'),
                }
            },
            |signed| {
                let refused = signed.trusting().arg("--json").run().exits(4);
                let refusals = refusals(&refused);
                assert!(
                    refusals
                        .iter()
                        .any(|refusal| refusal.contains(path.as_str())),
                    "{path}: {refusals:?}"
                );
            },
        );
    }
    // Another key than the one that signed.
    let other = signed
        .verify()
        .arg("--json")
        .arg("--key")
        .arg(signed.context.path("other.pub"));
    let refusals = refusals(&other.run().exits(4));
    assert!(
        refusals.iter().any(|refusal| refusal.starts_with("V07 ")),
        "{refusals:?}"
    );
    signed.trusting().run().exits(0);
}

fn a_policy_decides(signed: &Signed) {
    let report = signed.report();
    assert_eq!(report["builder"]["slsaBuildLevel"], 2);
    let allowed = "[allow]\nbase-images = [\"toolchain:busybox\", \"toolchain:debian-busybox\"]\n";
    let met = "[require]\nverdict = \"reproducible\"\nhermetic = \"without-attempts\"\nlayers-equal = 100\n\
               vary = [\"clock\"]\nslsa-build-level = 2\nmax-age = \"1h\"\n";
    let first = signed
        .under(&format!("{allowed}{met}"))
        .arg("--json")
        .run()
        .any();
    assert_eq!(first.code, Some(0), "{first}");
    for (policy, code, named) in [
        (
            "[allow]\nbase-images = [\"registry.example/acme/*\"]",
            "V18 ",
            "is not one of the allowed base images",
        ),
        (
            "[allow]\nsources = [\"git+https://git.example/acme/*\"]",
            "V16 ",
            "a directory without a URI",
        ),
        (
            "[require]\nslsa-build-level = 3",
            "V09 ",
            "SLSA_BUILD_LEVEL_3 is demanded",
        ),
        (
            "[require]\nbuilders = 2",
            "V23 ",
            "1 independent of 2 needed",
        ),
        ("[require]\nmax-age = \"0s\"", "V24 ", "ago"),
        ("[lineage]\nsource = \"*\"", "V31 ", "nothing is said of it"),
        (
            "[require]\nverdict = \"not-reproducible\"",
            "V32 ",
            "reproducible, not not reproducible",
        ),
    ] {
        let refused = signed.under(policy).arg("--json").run().exits(4);
        let refusals = refusals(&refused);
        assert!(
            refusals
                .iter()
                .any(|one| one.starts_with(code) && one.contains(named)),
            "{policy}: {refusals:?}"
        );
        // What failed is what people read first.
        let table = signed.under(policy).run().exits(4);
        let first = table.stdout.lines().next().unwrap();
        assert!(
            first.starts_with("REFUSED") && first.contains(code.trim()),
            "{table}"
        );
    }
    let ending = |expires: &str| {
        format!(
            "[allow]\nbase-images = []\n[[waiver]]\ncheck = \"V18\"\nowner = \"o@acme.example\"\nreason = \
             \"moving\"\nexpires = {expires}"
        )
    };
    let waived = signed.under(&ending("2999-01-01T00:00:00Z")).run().exits(0);
    waived.prints([
        "waived",
        "waived by o@acme.example until 2999-01-01T00:00:00Z: moving",
    ]);
    let expired = signed.under(&ending("2020-01-01T00:00:00Z")).run().exits(4);
    expired.prints(["V33", "expired: o@acme.example"]);
    // The level as an option, without a policy.
    signed
        .trusting()
        .args(["--slsa-build-level", "3"])
        .run()
        .exits(4)
        .prints(["V09"]);
    signed
        .trusting()
        .args(["--quorum", "2"])
        .run()
        .exits(4)
        .prints(["1 independent, 2 needed"]);
}

fn files_that_cannot_be_used_are_errors_at_their_line(signed: &Signed) {
    let context = &signed.context;
    let private = context.path("ci.key");
    signed
        .verify()
        .arg("--key")
        .arg(&private)
        .run()
        .exits(2)
        .says(["private"]);
    for (text, message) in [
        ("version = 1\n", "names neither a builder nor a verifier"),
        (
            "version = 1\n[[builder]]\nid = \"b\"\nkey = [{ file = \"ci.key\" }]\n",
            "private key",
        ),
        (
            "version = 1\n[[builder]]\nid = \"b\"\nkey = [{ file = \"none\" }]\n",
            "none",
        ),
        ("version = 1\n[[builders]]\n", "unknown field `builders`"),
        (
            "version = 1\n[[builder]]\nid = \"b\"\nkey = [{ file = \"ci.pub\" }]\n[[builder]]\nid = \"b\"\nkey = \
             [{ file = \"ci.pub\" }]\n",
            "is there twice",
        ),
    ] {
        let path = context.write("bad.toml", text);
        let refused = signed.verify().arg("--trust").arg(&path).run().exits(2);
        refused.says(["cannot use the trust file", message]);
    }
    let refused = signed
        .under("[require]\nverdikt = \"reproducible\"")
        .run()
        .exits(2);
    refused.says(["policy.toml:3:1", "unknown field `verdikt`"]);
    let json = signed
        .under("[require]\nverdikt = \"x\"")
        .arg("--json")
        .run()
        .exits(2)
        .json();
    assert_eq!(
        json["error"]["exit"], 2,
        "standard output is JSON, also of errors"
    );
}

fn summaries_are_written_and_read_back(signed: &Signed) {
    let context = &signed.context;
    let dir = context.path("summary");
    let identity = [
        "--verifier-id",
        "https://acme.example/verifier",
        "--resource-uri",
        "registry.example/app",
    ];
    let issue = |repro: Repro| {
        repro
            .arg("--summary")
            .arg(&dir)
            .arg("--sign-with")
            .arg(context.path("verifier.key"))
            .args(identity)
    };
    issue(signed.trusting())
        .run()
        .exits(0)
        .says(["vsa, svr signed in"]);
    let image = signed.report()["image"].as_str().unwrap().to_owned();
    let read = |file: &str| {
        context
            .repro([
                "verify",
                "--digest",
                image.as_str(),
                "--resource-uri",
                "registry.example/app",
                "--vsa",
            ])
            .arg(dir.join(file))
            .arg("--trust")
            .arg(&signed.trust)
    };
    for file in ["vsa.sigstore.json", "vsa.dsse.json"] {
        read(file).run().exits(0).prints(["V27", "verified"]);
        read(file).args(["--slsa-build-level", "2"]).run().exits(0);
        read(file)
            .args(["--slsa-build-level", "3"])
            .run()
            .exits(4)
            .prints(["V27", "less than"]);
    }
    // An SVR is no VSA; and with the pack its statements must be those that were used.
    read("svr.sigstore.json")
        .run()
        .exits(4)
        .prints(["predicate type"]);
    let both = signed
        .trusting()
        .args(["--resource-uri", "registry.example/app", "--vsa"]);
    both.arg(dir.join("vsa.dsse.json")).run().exits(0);
    // A policy that was changed since is another one.
    let demands = "[require]\nverdict = \"reproducible\"\n";
    issue(signed.under(demands)).run().exits(0);
    let policy = context.path("policy.toml");
    let under = || read("vsa.dsse.json").arg("--policy").arg(&policy);
    under().run().exits(0);
    fs::write(&policy, format!("version = 1\n{demands}# changed\n")).unwrap();
    under()
        .run()
        .exits(4)
        .prints(["V27", "policy: was", "yours is"]);
    // A summary of failure replaces that of success.
    issue(signed.under("[allow]\nbase-images = []"))
        .run()
        .exits(4);
    read("vsa.dsse.json").run().exits(4).prints(["is FAILED"]);
    // So does a verification that can say of no image what it found: it leaves nothing of before.
    let changed = context.path("changed");
    succeeds(
        Command::new(tool("cp"))
            .arg("-r")
            .args([&signed.pack, &changed]),
    );
    fs::write(
        changed.join("reproducibility/reproducibility.sigstore.json"),
        "{}",
    )
    .unwrap();
    let refused = context.repro(["verify"]).arg(&changed);
    issue(refused.arg("--trust").arg(&signed.trust))
        .run()
        .exits(4);
    assert_eq!(files_below(&dir).len(), 0);
    // A summary of another image than the pack is about says nothing of that.
    issue(signed.trusting()).run().exits(0);
    let other = format!("sha256:{}", "1".repeat(64));
    let both = signed.trusting().args([
        "--resource-uri",
        "registry.example/app",
        "--digest",
        &other,
        "--vsa",
    ]);
    both.arg(dir.join("vsa.dsse.json"))
        .run()
        .exits(4)
        .says(["the summary is to be about", &other]);
}

/// Whoever fills the working directory does not decide what a name means.
fn a_directory_is_no_image_by_its_name(signed: &Signed) {
    let context = &signed.context;
    let names = [
        format!("registry.example/acme/app@sha256:{}", "1".repeat(64)),
        "registry.example/acme/other".to_owned(),
        "app:1".to_owned(),
        "oci:layout:1".to_owned(),
        "docker://registry.example/app".to_owned(),
    ];
    for name in &names {
        let place = context.path(name);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        succeeds(
            Command::new(tool("cp"))
                .arg("-r")
                .args([&signed.pack, &place]),
        );
        let verify = |name: &str| {
            let verify = context.repro(["verify", name]).arg("--trust");
            verify.arg(&signed.trust).run()
        };
        verify(name)
            .exits(2)
            .says(["there is a directory of that name", "./"]);
        verify(&format!("./{name}")).exits(0);
    }
    let plain = context.repro(["verify", "project-evidence", "--trust"]);
    plain.arg(&signed.trust).run().exits(0);
}

/// The calls without which no process comes to a network. The pair of sockets by which the program
/// tells itself of signals is made otherwise, and leads nowhere.
const CALLS: &str = "--trace=socket,connect,bind";

/// In a namespace without interfaces, and without one call of the kernel for a network.
fn no_network_is_asked(signed: &Signed) {
    let trace = signed.context.path("trace");
    let path = trace.to_str().unwrap().to_owned();
    let unshare = tool("unshare");
    let strace = tool("strace");
    let wrapper = [
        unshare.to_str().unwrap(),
        "--map-root-user",
        "--net",
        strace.to_str().unwrap(),
        "--follow-forks",
        CALLS,
        "--output",
        &path,
    ];
    let policy = signed.context.write(
        "policy.toml",
        "version = 1\n[require]\nverdict = \"reproducible\"",
    );
    let traced = signed
        .trusting()
        .arg("--policy")
        .arg(policy)
        .through(&wrapper);
    traced.run().exits(0).prints(["verified"]);
    let calls = fs::read_to_string(&trace).unwrap();
    let asked: Vec<&str> = calls.lines().filter(|line| line.contains('(')).collect();
    assert_eq!(asked, [""; 0]);
    // The trace would have seen one.
    let ping = "import socket; socket.socket()";
    let seen = succeeds(
        Command::new(&strace)
            .args([CALLS, "--output=/dev/stdout"])
            .arg(tool("python3"))
            .args(["-c", ping]),
    );
    assert!(seen.contains("socket("), "{seen}");
}

fn images_are_exchanged_with_kyverno(signed: &Signed) {
    let context = &signed.context;
    let policy = context.write(
        "images.toml",
        "version = 1\n[allow]\nbase-images = [\"registry.example/acme/*\", \"registry.example/base/**\"]\n",
    );
    let yaml = context.path("cluster.yaml");
    let place = format!("kyverno:{}", yaml.display());
    context
        .repro(["policy", "export"])
        .arg(&policy)
        .arg(&place)
        .run()
        .exits(0);
    let back = context
        .repro(["policy", "import"])
        .arg(&place)
        .run()
        .exits(0);
    back.prints([
        "\"registry.example/acme/*\"",
        "\"registry.example/base/**\"",
    ]);
    context
        .repro(["policy", "check"])
        .arg(&place)
        .run()
        .exits(0)
        .prints(["base image", "registry.example/acme/*"]);
    let refused = signed.trusting().arg("--policy").arg(&place).run().exits(4);
    refused.prints(["V18"]);
    let bad = context.write("bad.yaml", "apiVersion: v1\nkind: Pod\n");
    let bad = format!("kyverno:{}", bad.display());
    context
        .repro(["policy", "import"])
        .arg(&bad)
        .run()
        .exits(2)
        .says(["not one ClusterPolicy"]);
    context
        .repro(["policy", "import"])
        .arg(&policy)
        .run()
        .exits(2)
        .says(["kyverno:FILE"]);
}
