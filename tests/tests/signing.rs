//! What stands in an evidence pack besides provenance and verdict, who signs it, and what is never in
//! it.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test panics where the test fails"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use repro_tests::{TestContext, files_below, root, statement, succeeds, tool};
use serde_json::Value;

/// Put together here, so that no scanner of sources takes the test for a leak.
fn token() -> String {
    ["gh", "p_", &"aB3x".repeat(9)].concat()
}

/// Files of the pack in which `needle` stands, also in hexadecimal, in statements also behind base64.
fn found(pack: &Path, needle: &str) -> Vec<PathBuf> {
    let hex: Vec<String> = needle.bytes().map(|byte| format!("{byte:02x}")).collect();
    let hex = hex.concat();
    let has = |bytes: &[u8]| {
        let is = |form: &str| {
            let mut windows = bytes.windows(form.len());
            windows.any(|window| window == form.as_bytes())
        };
        is(needle) || is(&hex)
    };
    files_below(pack)
        .into_iter()
        .filter(|path| {
            let bundle = path.display().to_string().ends_with(".sigstore.json");
            let inside = bundle && has(statement(path).to_string().as_bytes());
            inside || has(&fs::read(path).unwrap())
        })
        .collect()
}

/// The pack must hold under this key.
#[track_caller]
fn verified(context: &TestContext, pack: &Path, public: &Path) {
    let verify = context.repro(["verify"]).arg(pack);
    verify.arg("--key").arg(public).run().exits(0);
}

#[test]
fn planted_secrets_are_in_no_file_of_the_pack() {
    let context = TestContext::new();
    let token = token();
    let (head, tail) = token.split_at(6);
    // Put together by the steps: in a log, in a file that differs from run to run and so is quoted by the
    // report, in a URL.
    let dockerfile = format!(
        "FROM busybox\n\
         RUN a={head} m=mail && echo \"token ${{a}}{tail} of someone@${{m}}.example\" && echo ${{a}}{tail} >&2\n\
         RUN a={head} m=mail && echo \"$(hostname) ${{a}}{tail} someone@${{m}}.example\" > /stamp.txt\n\
         RUN a=ab{tail} && echo \"https://me:${{a}}@files.example/x\"\n"
    );
    let project = context.project("planted", &[("Dockerfile", &dockerfile)]);
    let (build, pack) = context.build(&project);
    build.run().exits(1);
    let password = format!("me:ab{tail}");
    for needle in [token.as_str(), "someone@mail.example", &password] {
        let places = found(&pack, needle);
        assert_eq!(places, Vec::<PathBuf>::new(), "{needle}");
    }
    let log = fs::read_to_string(pack.join("logs/run-a/00.log")).unwrap();
    assert!(
        log.contains("token [redacted:github-token] of [redacted:email]"),
        "{log}"
    );
    let provenance = statement(&pack.join("provenance/run-a.sigstore.json"));
    let redacted = &provenance["predicate"]["runDetails"]["metadata"]["repro_redacted"];
    assert!(redacted["github-token"].as_u64() >= Some(4), "{redacted}");
    assert!(redacted["email"].as_u64() >= Some(2), "{redacted}");
}

#[test]
fn secrets_that_are_given_are_refused_before_anything_runs() {
    let context = TestContext::new();
    let project = context.project(
        "given",
        &[
            ("Dockerfile", "FROM busybox\nARG X\nRUN echo \"$X\" > /x\n"),
            (
                "repro.toml",
                "[toolchain.busybox]\nuse = \"busybox\"\n[redaction]\npersonal = \"refuse\"\n\
                 pattern = [{ name = \"badge\", regex = \"BADGE-[0-9]{6}\" }]\n",
            ),
        ],
    );
    let token = token();
    for (option, value, kind) in [
        ("--build-arg", format!("X={token}"), "secret"),
        ("--build-arg", "X=BADGE-123456".into(), "badge"),
        ("--label", format!("a={token}"), "github-token"),
        ("--annotation", "a=someone@mail.example".into(), "email"),
        (
            "--lineage",
            format!("source=s3://u:{token}@x.example/"),
            "github-token",
        ),
    ] {
        let (build, pack) = context.build(&project);
        let ended = build.args([option, &value]).run().exits(2);
        ended.says([kind]);
        assert!(!pack.exists(), "{option} {value}");
        assert!(!ended.stderr.contains(&token), "{ended}");
    }
    // The user says that it is none, and it stands there.
    let (build, pack) = context.build(&project);
    build
        .args(["--build-arg", "X=BADGE-123456", "--allow-arg", "X"])
        .run()
        .exits(0);
    let provenance = statement(&pack.join("provenance/run-a.sigstore.json"));
    let external = &provenance["predicate"]["buildDefinition"]["externalParameters"];
    assert_eq!(external["buildArgs"]["X"], "BADGE-123456");
}

/// `inputs` of a pack have the project's texts as they are, and the history of an image has its instructions.
#[test]
fn secrets_in_the_texts_of_a_project_are_refused_with_their_lines() {
    const TOML: &str = "[toolchain.busybox]\nuse = \"busybox\"\n";
    let context = TestContext::new();
    let token = token();
    let (head, tail) = token.split_at(10);
    let argument = format!("FROM busybox\nARG URL=https://u:{token}@x.example/\nRUN echo 1 > /x\n");
    let joined = format!("FROM busybox\n# Two lines.\nRUN echo {head}\\\n{tail} > /x\n");
    let toml = format!("{TOML}# {token}\n");
    for (name, dockerfile, project, place) in [
        (
            "argument",
            argument.as_str(),
            TOML,
            "Dockerfile, line 2 (github-token)",
        ),
        (
            "joined",
            joined.as_str(),
            TOML,
            "Dockerfile, line 3 (github-token)",
        ),
        (
            "toml",
            "FROM busybox\nRUN echo 1 > /x\n",
            toml.as_str(),
            "repro.toml, line 3",
        ),
    ] {
        let project = context.project(name, &[("Dockerfile", dockerfile), ("repro.toml", project)]);
        let (build, pack) = context.build(&project);
        let ended = build.run().exits(2);
        ended.says([place, "--secret", "texts = "]);
        assert!(!pack.exists(), "{name}");
        assert!(!ended.stderr.contains(&token), "{ended}");
    }
    // The user says that this value is none: it goes on, and stands there.
    let project = context.path("argument");
    let (build, pack) = context.build(&project);
    build.args(["--allow-arg", "URL"]).run().exits(0);
    let text = fs::read_to_string(pack.join("inputs/Dockerfile")).unwrap();
    assert_eq!(text, argument);
    // Left out of the evidence it is in the image alone, and whoever builds again has to have it.
    fs::write(
        project.join("repro.toml"),
        format!("{TOML}[redaction]\ntexts = \"leave-out\"\n"),
    )
    .unwrap();
    context.repro(["keygen", "k"]).run().exits(0);
    let (build, pack) = context.build(&project);
    build.arg("--key").arg(context.path("k.key")).run().exits(0);
    let mut places = found(&pack, &token);
    places.retain(|path| !path.starts_with(pack.join("image")));
    assert_eq!(places, Vec::<PathBuf>::new());
    assert!(!pack.join("inputs").exists());
    let again = context.path("again");
    let rebuild = || {
        let verify = context.repro(["verify", "--rebuild"]).arg(&pack);
        let verify = verify.arg("--key").arg(context.path("k.pub"));
        verify.arg("--rebuild-evidence").arg(&again)
    };
    rebuild().run().exits(6).says(["Dockerfile"]);
    rebuild().arg("--context").arg(&project).run().exits(0);
    assert!(!again.join("inputs").exists());
}

#[test]
fn lineage_is_signed_shown_and_comes_from_the_nearest_place() {
    let context = TestContext::new();
    let project = context.project(
        "lineage",
        &[
            ("Dockerfile", "FROM busybox\nRUN echo x > /x\n"),
            (
                "repro.toml",
                "[toolchain.busybox]\nuse = \"busybox\"\n[lineage]\nsource = \"project\"\n\
                 transform = \"project\"\nowner = \"project\"\n",
            ),
        ],
    );
    context.repro(["keygen", "k"]).run().exits(0);
    let (build, pack) = context.build(&project);
    build
        .env("DATA_SOURCE", "variable")
        .env("DATA_PIPELINE", "variable")
        .env("DLP_POLICY_VERSION", "dlp-7")
        .args(["--lineage", "source=option", "--key"])
        .arg(context.path("k.key"))
        .run()
        .exits(0);
    let expected = [
        ("owner", "project"),
        ("policy-version", "dlp-7"),
        ("source", "option"),
        ("transform", "variable"),
    ];
    for run in ["a", "b"] {
        let path = pack.join(format!("provenance/run-{run}.sigstore.json"));
        let metadata = statement(&path)["predicate"]["runDetails"]["metadata"].clone();
        for (name, value) in expected {
            assert_eq!(metadata["repro_lineage"][name], value, "{metadata}");
        }
    }
    let verify = context.repro(["verify", "--json", "--key"]);
    let ended = verify.arg(context.path("k.pub")).arg(&pack).run().exits(0);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    for (name, value) in expected {
        let shown = format!("{name:?}:{value:?}");
        assert!(report.to_string().contains(&shown), "{shown}: {report}");
    }
}

/// A step that looks for the key wherever a step can look, and prints what it finds.
const SEARCH: &str = r#"FROM busybox
RUN set +e; mark() { grep -l "$1" "$2" 2>/dev/null && echo "FOUND in $2"; }; \
    for needle in "$(printf 'PRIVATE%sKEY' ' ')" "$(printf 'NEEDLE%sVALUE' -)"; do \
      env | grep -e "$needle" && echo "FOUND in the environment"; \
      for file in /proc/[0-9]*/environ /proc/[0-9]*/cmdline; do mark "$needle" "$file"; done; \
      for fd in /proc/[0-9]*/fd/*; do \
        case "$(readlink "$fd")" in *key*) echo "FOUND $fd";; esac; done; \
      grep -rls -e "$needle" / --exclude-dir=proc --exclude-dir=sys 2>/dev/null | grep -v -e '^/bin' && echo "FOUND a file"; \
    done; \
    echo processes: $(ls -d /proc/[0-9]* | wc -l); \
    for maps in /proc/[0-9]*/maps; do grep -q -e 'key' "$maps" && echo "FOUND $maps"; done; \
    true
"#;

#[test]
fn a_step_finds_the_key_nowhere() {
    let context = TestContext::new();
    context.repro(["keygen", "k"]).run().exits(0);
    let key = fs::read_to_string(context.path("k.key")).unwrap();
    let passphrase = "NEEDLE-VALUE";
    context
        .repro(["keygen", "--encrypt", "locked"])
        .env("REPRO_KEY_PASSPHRASE", passphrase)
        .run()
        .exits(0);
    let project = context.project("search", &[("Dockerfile", SEARCH)]);
    for (name, source, public) in [
        ("file", context.path("k.key").display().to_string(), "k.pub"),
        ("variable", "env:SIGNING".to_owned(), "k.pub"),
        (
            "encrypted",
            context.path("locked.key").display().to_string(),
            "locked.pub",
        ),
    ] {
        let (build, pack) = context.build(&project);
        build
            .env("SIGNING", &key)
            .env("REPRO_KEY_PASSPHRASE", passphrase)
            .args(["--key", &source])
            .run()
            .exits(0);
        for run in ["a", "b"] {
            let log = fs::read_to_string(pack.join(format!("logs/run-{run}/00.log"))).unwrap();
            assert!(
                log.contains("processes: "),
                "{name}: the step has looked: {log}"
            );
            assert!(!log.contains("FOUND"), "{name}: {log}");
        }
        let public = context.path(public);
        verified(&context, &pack, &public);
    }
}

#[test]
fn encrypted_keys_and_what_is_wrong_with_them() {
    let context = TestContext::new();
    let project = context.project("p", &[("Dockerfile", "FROM scratch\nLABEL a=b\n")]);
    let pass = context.write("pass", "correct horse\n");
    context
        .repro(["keygen", "k", "--encrypt", "--key-passphrase-file"])
        .arg(&pass)
        .run()
        .exits(0);
    let key = context.path("k.key");
    // OpenSSL opens it, and its own encrypted keys are opened.
    let mut openssl = Command::new(tool("openssl"));
    let public = succeeds(
        openssl
            .args(["pkey", "-passin", "pass:correct horse", "-pubout", "-in"])
            .arg(&key),
    );
    assert_eq!(public, fs::read_to_string(context.path("k.pub")).unwrap());
    context.repro(["keygen", "plain"]).run().exits(0);
    for (name, scheme) in [
        ("pbkdf2", &["-v2", "aes-256-cbc"][..]),
        ("scrypt", &["-scrypt"]),
    ] {
        let theirs = context.path(name);
        let mut openssl = Command::new(tool("openssl"));
        let openssl = openssl
            .args(["pkcs8", "-topk8", "-passout", "pass:correct horse"])
            .args(scheme)
            .arg("-in")
            .arg(context.path("plain.key"))
            .arg("-out")
            .arg(&theirs);
        succeeds(openssl);
        let (build, pack) = context.build(&project);
        build
            .arg("--key-passphrase-file")
            .arg(&pass)
            .arg("--key")
            .arg(&theirs)
            .run()
            .exits(0);
        let public = context.path("plain.pub");
        verified(&context, &pack, &public);
    }
    let build = |passphrase: Option<&str>| {
        let (build, _) = context.build(&project);
        let build = build.arg("--key").arg(&key);
        match passphrase {
            Some(passphrase) => build.env("REPRO_KEY_PASSPHRASE", passphrase),
            None => build,
        }
    };
    build(Some("correct horse")).run().exits(0);
    build(Some("wrong"))
        .run()
        .exits(2)
        .says(["passphrase", "k.key"]);
    build(None)
        .run()
        .exits(2)
        .says(["REPRO_KEY_PASSPHRASE", "--key-passphrase-file"]);
    // What is no private key is said before the build.
    let (wrong, pack) = context.build(&project);
    wrong
        .arg("--key")
        .arg(context.path("k.pub"))
        .run()
        .exits(2)
        .says(["public key"]);
    assert!(!pack.join("index.json").exists() || pack.is_dir());
    let (unset, _) = context.build(&project);
    unset
        .args(["--key", "env:UNSET_NAME"])
        .run()
        .exits(6)
        .says(["UNSET_NAME"]);
}

#[test]
fn signers_that_are_programs() {
    let context = TestContext::new();
    let project = context.project("p", &[("Dockerfile", "FROM scratch\nLABEL a=b\n")]);
    let signer = root().join("examples/signers/openssl");
    for kind in ["p256", "ed25519"] {
        context
            .repro(["keygen", "--type", kind, kind])
            .run()
            .exits(0);
        let (build, pack) = context.build(&project);
        build
            .env("KEY", context.path(&format!("{kind}.key")))
            .arg("--signer")
            .arg(&signer)
            .run()
            .exits(0);
        let public = context.path(&format!("{kind}.pub"));
        verified(&context, &pack, &public);
    }
    // One that names a key and signs with another writes no evidence.
    let script = format!(
        "#!/bin/sh\ncase $1 in public-key) KEY={0}/p256.key;; *) KEY={0}/other.key;; esac\n\
         export KEY; exec {1} \"$1\"\n",
        context.path("").display(),
        signer.display()
    );
    context.repro(["keygen", "other"]).run().exits(0);
    let mixed = program(&context, "mixed", &script);
    let broken = program(&context, "broken", "#!/bin/sh\necho no token >&2\nexit 3\n");
    for (signer, says) in [(&mixed, "not one of its public key"), (&broken, "no token")] {
        let project = context.project("q", &[("Dockerfile", "FROM scratch\nLABEL a=b\n")]);
        let (build, pack) = context.build(&project);
        build
            .arg("--signer")
            .arg(signer)
            .run()
            .exits(5)
            .says([says]);
        assert!(!pack.exists());
    }
}

/// What `repro verify` signs, it signs by whatever `repro build` takes.
#[test]
fn summaries_and_rebuilds_are_signed_by_keys_of_every_kind() {
    let context = TestContext::new();
    let project = context.project("p", &[("Dockerfile", "FROM scratch\nLABEL a=b\n")]);
    for name in ["builder", "plain", "other"] {
        context.repro(["keygen", name]).run().exits(0);
    }
    let encrypt = context.repro(["keygen", "--encrypt", "locked"]);
    encrypt
        .env("REPRO_KEY_PASSPHRASE", "correct horse")
        .run()
        .exits(0);
    let pass = context.write("pass", "correct horse\n");
    let (build, pack) = context.build(&project);
    build
        .arg("--key")
        .arg(context.path("builder.key"))
        .run()
        .exits(0);
    let text = |name: &str| fs::read_to_string(context.path(name)).unwrap();
    let signer = format!(
        "signer:{}",
        root().join("examples/signers/openssl").display()
    );
    let (out, again) = (context.path("out"), context.path("again"));
    let verify = |summary: &str, rebuild: &str| {
        let verify = context.repro(["verify", "--rebuild"]).arg(&pack);
        let verify = verify.arg("--key").arg(context.path("builder.pub"));
        let verify = verify.args(["--sign-with", summary, "--builder-key", rebuild]);
        let verify = verify
            .arg("--summary")
            .arg(&out)
            .arg("--rebuild-evidence")
            .arg(&again);
        let verify = verify.arg("--key-passphrase-file").arg(&pass);
        verify
            .env("TEXT", text("plain.key"))
            .env("KEY", context.path("other.key"))
    };
    let locked = context.path("locked.key").display().to_string();
    for (summary, summary_key, rebuild, rebuild_key) in [
        ("env:TEXT", "plain", locked.as_str(), "locked"),
        (signer.as_str(), "other", "env:TEXT", "plain"),
        (locked.as_str(), "locked", signer.as_str(), "other"),
    ] {
        verify(summary, rebuild).run().exits(0);
        verified(
            &context,
            &again,
            &context.path(&format!("{rebuild_key}.pub")),
        );
        let trust = format!(
            "version = 1\n[[verifier]]\nid = \"https://intelgraph.io/repro/verifier/local/v1\"\n\
             key = [{{ file = \"{summary_key}.pub\" }}]\n"
        );
        let trust = context.write("trust.toml", trust);
        let image = repro_tests::Pack::read(&pack).digest().to_owned();
        let summary = statement(&out.join("vsa.sigstore.json"));
        let resource = summary["predicate"]["resourceUri"].as_str().unwrap();
        let check = context.repro(["verify", "--digest", &image, "--resource-uri", resource]);
        let check = check.arg("--vsa").arg(out.join("vsa.sigstore.json"));
        check.arg("--trust").arg(trust).run().exits(0);
    }
    // Said before anything is built.
    for (summary, rebuild, code, says) in [
        ("env:UNSET_NAME", "env:TEXT", 6, "UNSET_NAME"),
        (
            "env:TEXT",
            "signer:/nonexistent/signer",
            2,
            "/nonexistent/signer",
        ),
    ] {
        let ended = verify(summary, rebuild).run().exits(code);
        ended.says([says]);
        assert!(!ended.stderr.contains("[a 1/"), "{ended}");
    }
}

fn program(context: &TestContext, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = context.write(name, text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_token_signs_through_pkcs11() {
    let context = TestContext::new();
    let project = context.project("p", &[("Dockerfile", "FROM scratch\nLABEL a=b\n")]);
    fs::create_dir(context.path("tokens")).unwrap();
    let configuration = context.write(
        "softhsm2.conf",
        format!(
            "directories.tokendir = {}\n",
            context.path("tokens").display()
        ),
    );
    let pin = context.write("pin", "4321\n");
    let module = "/usr/lib/softhsm/libsofthsm2.so";
    let mut init = Command::new(tool("softhsm2-util"));
    succeeds(init.env("SOFTHSM2_CONF", &configuration).args([
        "--init-token",
        "--free",
        "--label",
        "build",
        "--so-pin",
        "12345678",
        "--pin",
        "4321",
    ]));
    let mut generate = Command::new(tool("pkcs11-tool"));
    succeeds(generate.env("SOFTHSM2_CONF", &configuration).args([
        "--module",
        module,
        "--token-label",
        "build",
        "--login",
        "--pin",
        "4321",
        "--keypairgen",
        "--key-type",
        "EC:prime256v1",
        "--id",
        "01",
    ]));
    let signer = root().join("examples/signers/pkcs11");
    let variables = [
        ("SOFTHSM2_CONF", configuration.display().to_string()),
        ("MODULE", module.to_owned()),
        ("TOKEN", "build".to_owned()),
        ("KEY_ID", "01".to_owned()),
        ("PIN_FILE", pin.display().to_string()),
    ];
    let mut public = Command::new(&signer);
    let public = succeeds(public.envs(variables.clone()).arg("public-key"));
    let public = context.write("token.pub", public);
    let (build, pack) = context.build(&project);
    let build = variables
        .iter()
        .fold(build, |build, (name, value)| build.env(name, value));
    build.arg("--signer").arg(&signer).run().exits(0);
    verified(&context, &pack, &public);
}

/// Interrupts a question at a terminal of its own; prints the exit code, and whether the terminal shows
/// what is typed while the question is open and afterwards.
const INTERRUPTED: &str = r#"
import fcntl, os, pty, sys, termios, time
def shows(fd): return bool(termios.tcgetattr(fd)[3] & termios.ECHO)
def wait(what, is_so):
    end = time.monotonic() + 60
    while not is_so():
        if time.monotonic() > end: sys.exit(what)
        time.sleep(0.01)
ours, theirs = pty.openpty()
pid = os.fork()
if pid == 0:
    os.setsid()
    for number in range(3): os.dup2(theirs, number)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.execvp(sys.argv[1], sys.argv[1:])
wait("it does not ask", lambda: not shows(theirs))
os.write(ours, b"\x03")
ended = []
wait("it does not end", lambda: ended.append(os.waitpid(pid, os.WNOHANG)) or ended[-1][0] == pid)
print(os.waitstatus_to_exitcode(ended[-1][1]), shows(theirs))
"#;

#[test]
fn a_question_that_is_interrupted_leaves_the_terminal_as_it_was() {
    let context = TestContext::new();
    let key = context.path("own");
    let asked = context.repro(["keygen", "--encrypt"]).arg(&key);
    let python = tool("python3").display().to_string();
    let ended = asked.through(&[&python, "-c", INTERRUPTED]).run().exits(0);
    assert_eq!(ended.stdout.trim(), "130 True");
    assert!(!key.with_extension("key").exists());
}
