//! The options of `docker build`: every row of `docs/docker-flags.md`, and what each of those does that
//! decide something.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _},
        net::UnixListener,
    },
    path::Path,
    process::Command,
};

use repro_tests::{Ended, TestContext, User, root, succeeds, tool};
use serde_json::Value;

/// One row of the table.
#[derive(Debug)]
struct Row {
    name: String,
    kind: String,
    text: String,
    tried: Vec<String>,
}

fn rows() -> Vec<Row> {
    let page =
        fs::read_to_string(root().join("docs/docker-flags.md")).expect("the table can be read");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let row = |line: &str| {
        // A value can have a bar between its choices.
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, kind, text, tried] = cells[..] else {
            panic!("{line}")
        };
        let name = &name[name.find("--").expect("an option has dashes") + 2..];
        let name = name.split(['`', ' ']).next().unwrap_or_default();
        Row {
            name: name.to_owned(),
            kind: kind.to_owned(),
            text: text.to_owned(),
            tried: tried
                .trim_matches('`')
                .split(' ')
                .map(str::to_owned)
                .collect(),
        }
    };
    rows.map(row).collect()
}

/// A context with everything that the rows name, and no toolchain.
fn context() -> TestContext {
    let context = TestContext::with_empty_store(User::Caller);
    let _project = context.project(
        "app",
        &[
            (
                "Dockerfile",
                "FROM scratch AS base\nARG A\nCOPY file /file\n",
            ),
            ("file", "x"),
        ],
    );
    let _secret = context.write("secret.txt", "s");
    context
}

fn build(context: &TestContext, words: &[String]) -> Ended {
    let quick = ["build", "--runs", "1", "--evidence", "pack"];
    context.repro(quick).args(words).arg("app").run().any()
}

#[test]
fn every_row_is_as_the_table_says() {
    let context = context();
    let _agent = UnixListener::bind(context.path("agent.sock")).unwrap();
    let rows = rows();
    assert!(rows.len() > 50, "{}", rows.len());
    for row in &rows {
        let Row {
            name,
            kind,
            text,
            tried,
        } = row;
        let ended = build(&context, tried);
        match kind.as_str() {
            "same" | "differs" => assert_eq!(ended.code, Some(0), "{row:?}\n{ended}"),
            "not applicable" => {
                assert_eq!(ended.code, Some(0), "{row:?}\n{ended}");
                let note = format!("--{name} changes nothing: {text}");
                assert!(ended.stderr.contains(&note), "{row:?}\n{ended}");
            }
            "refused" => {
                assert_eq!(ended.code, Some(2), "{row:?}\n{ended}");
                assert_eq!(ended.stdout, "", "{row:?}\n{ended}");
                let (reason, hint) = ended
                    .stderr
                    .strip_prefix(&format!("error: --{name} is refused: "))
                    .and_then(|rest| rest.split_once("\nhint: "))
                    .unwrap_or_else(|| panic!("{row:?}\n{ended}"));
                assert_eq!(format!("{reason}. {}", hint.trim()), *text);
            }
            other => panic!("{other}: {row:?}"),
        }
        let option = tried[0].split('=').next().unwrap();
        let Some((_, values)) = text.split_once("Refused: ") else {
            continue;
        };
        for value in values.trim_end_matches('.').split(", ") {
            let value = value.trim_matches('`');
            let ended = build(&context, &[format!("{option}={value}")]);
            assert_eq!(ended.code, Some(2), "{option}={value}\n{ended}");
            assert!(!ended.stderr.contains("unexpected"), "{ended}");
        }
    }
}

/// Whatever the installed Docker knows, by either builder.
#[test]
fn no_option_of_docker_is_missing() {
    let known: BTreeSet<String> = rows().into_iter().map(|row| row.name).collect();
    for builder in ["0", "1"] {
        let help = succeeds(
            Command::new(tool("docker"))
                .args(["build", "--help"])
                .env("DOCKER_BUILDKIT", builder),
        );
        let options: BTreeSet<String> = help
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix('-').map(|_| line))
            .filter_map(|line| line.split("--").nth(1))
            .filter_map(|rest| rest.split_whitespace().next())
            .map(str::to_owned)
            .collect();
        assert!(options.len() > 15, "{help}");
        let missing: Vec<&String> = options.difference(&known).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
    // Of `docker buildx build` 0.29, which comes with Docker 28.
    for option in [
        "add-host",
        "allow",
        "annotation",
        "attest",
        "build-arg",
        "build-context",
        "builder",
        "cache-from",
        "cache-to",
        "call",
        "cgroup-parent",
        "check",
        "debug",
        "file",
        "iidfile",
        "label",
        "load",
        "metadata-file",
        "network",
        "no-cache",
        "no-cache-filter",
        "output",
        "platform",
        "policy",
        "progress",
        "provenance",
        "pull",
        "push",
        "quiet",
        "sbom",
        "secret",
        "shm-size",
        "ssh",
        "tag",
        "target",
        "ulimit",
    ] {
        assert!(known.contains(option), "{option}");
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("the file is there")).expect("it is JSON")
}

#[test]
fn ids_and_metadata_are_what_other_programs_call_the_image() {
    let context = context();
    let ended = context
        .repro([
            "build",
            "-q",
            "--iidfile",
            "id",
            "--metadata-file",
            "meta.json",
        ])
        .args(["-t", "acme/app:1", "--annotation", "a=b"])
        .args(["--annotation", "manifest-descriptor:c=d"])
        .args(["-o", "oci:layout:v1", "-o", "type=docker,dest=docker.tar"])
        .args(["-o", "type=image,name=acme/other", "app"])
        .run()
        .exits(0);
    let id = fs::read_to_string(context.path("id")).unwrap();
    assert_eq!(ended.stdout, format!("{id}\n"));
    let metadata = json(&context.path("meta.json"));
    assert_eq!(metadata["containerimage.config.digest"], id);
    assert_eq!(
        metadata["image.name"],
        "docker.io/acme/app:1,docker.io/acme/other:latest"
    );
    let digest = metadata["containerimage.digest"].as_str().unwrap();
    let index = json(&context.path("layout/index.json"));
    let entry = &index["manifests"][0];
    assert_eq!(entry["digest"], digest);
    assert_eq!(metadata["containerimage.descriptor"]["digest"], digest);
    assert_eq!(entry["annotations"]["c"], "d");
    assert_eq!(
        metadata["containerimage.descriptor"]["annotations"]["c"],
        "d"
    );
    let skopeo = |arguments: &[&str]| -> Value {
        let mut skopeo = Command::new(tool("skopeo"));
        skopeo.arg("inspect").args(arguments);
        let place = format!("oci:{}:v1", context.path("layout").display());
        serde_json::from_str(&succeeds(skopeo.arg(place))).unwrap()
    };
    assert_eq!(skopeo(&["--raw"])["config"]["digest"], id);
    assert_eq!(
        skopeo(&["--raw"])["annotations"],
        serde_json::json!({"a": "b"})
    );
    for name in ["acme/app:1", "acme/other"] {
        let shown = context.repro(["inspect", "--json", name]).run().exits(0);
        assert_eq!(shown.json()["image"]["manifestDigest"], digest);
    }
    // A build that fails leaves no id of another one.
    fs::write(
        context.path("app/Dockerfile"),
        "FROM scratch\nRUN [\"/none\"]\n",
    )
    .unwrap();
    let _failed = context
        .repro([
            "build",
            "-q",
            "--iidfile",
            "id",
            "--metadata-file",
            "meta.json",
            "app",
        ])
        .run()
        .exits(3);
    assert!(!context.path("id").exists() && !context.path("meta.json").exists());
}

/// Runs the program with a file as standard input.
fn piped(context: &TestContext, words: &[&str], input: &Path) -> Ended {
    let command = context
        .repro(["build", "-q", "--runs", "1", "--evidence", "pack"])
        .args(words);
    command.stdin(input).run().any()
}

#[test]
fn a_context_on_standard_input_is_the_directory_that_it_was_made_from() {
    let context = context();
    for (name, text) in [
        (".dockerignore", "secret\n"),
        ("secret", "no"),
        ("other/Dockerfile.x", "FROM scratch\nCOPY . /all\n"),
    ] {
        let path = context.path("app").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let file = ["-f", "app/other/Dockerfile.x", "app"];
    let from_directory = context
        .repro(["build", "-q", "--runs", "1", "--evidence", "pack"])
        .args(file)
        .run()
        .exits(0);
    for compression in ["", "--gzip", "--bzip2", "--xz", "--zstd"] {
        let tar = context.path("context.tar");
        let mut pack = Command::new(tool("tar"));
        pack.arg("-cf").arg(&tar).arg("-C").arg(context.path("app"));
        if !compression.is_empty() {
            pack.arg(compression);
        }
        succeeds(pack.arg("."));
        let ended = piped(&context, &["-f", "other/Dockerfile.x", "-"], &tar);
        assert_eq!(ended.code, Some(0), "{compression}\n{ended}");
        assert_eq!(ended.stdout, from_directory.stdout, "{compression}");
    }
    let tar = context.path("context.tar");
    let ended = piped(&context, &["-f", "none", "-"], &tar);
    assert_eq!(ended.code, Some(6));
    ended.says(["has no none"]);
    let ended = piped(&context, &["-f", "-", "-"], &tar);
    assert_eq!(ended.code, Some(2), "{ended}");
}

#[test]
fn a_dockerfile_on_standard_input_has_a_context_or_none() {
    let context = context();
    let dockerfile = context.write("stdin", "FROM scratch\nCOPY file /other\n");
    let ended = piped(&context, &["-f", "-", "app"], &dockerfile);
    assert_eq!(ended.code, Some(0), "{ended}");
    let ended = piped(&context, &["-"], &dockerfile);
    assert_eq!(ended.code, Some(6), "{ended}");
    ended.says(["the context has no file", "--> -:2:1"]);
    let alone = context.write("stdin", "FROM scratch\nLABEL a=b\n");
    let ended = piped(&context, &["-"], &alone);
    assert_eq!(ended.code, Some(0), "{ended}");
    let ended = piped(&context, &["-f", "Dockerfile", "-"], &alone);
    assert_eq!(ended.code, Some(2), "{ended}");
    ended.says(["standard input is no archive"]);
    for remote in [
        "https://example.org/x.tar.gz",
        "git@example.org:x/y.git",
        "https://example.org/x.git#main",
    ] {
        let run = context.repro(["build", remote]).run().exits(6);
        run.says(["would have to be fetched", "hint: fetch it first"]);
    }
}

#[test]
fn images_leave_through_every_output() {
    let context = context();
    let dir = context.path("files");
    fs::create_dir_all(dir.join("bin")).unwrap();
    // What an earlier export left must not lead out of the directory.
    std::os::unix::fs::symlink(context.path("app"), dir.join("etc")).unwrap();
    std::os::unix::fs::symlink("/nonexistent", dir.join("bin/run")).unwrap();
    fs::write(
        context.path("app/Dockerfile"),
        "FROM scratch\nCOPY --chmod=4755 file /bin/run\nCOPY --chmod=600 file /etc/file2\n",
    )
    .unwrap();
    let _built = context
        .repro(["build", "-o", "files", "-o", "type=local,dest=again"])
        .args([
            "-o",
            "type=tar,dest=files.tar",
            "-o",
            "type=oci,dest=oci.tar",
        ])
        .args([
            "-o",
            "type=oci,tar=false,dest=oci",
            "--evidence",
            "pack",
            "app",
        ])
        .run()
        .exits(0);
    let found = dir.join("bin/run").symlink_metadata().unwrap();
    assert!(found.is_file());
    assert_eq!(
        found.mode() & 0o7777,
        0o755,
        "files of the caller lend no rights"
    );
    assert!(dir.join("etc").symlink_metadata().unwrap().is_dir());
    assert!(!context.path("app/file2").exists());
    let listed = succeeds(
        Command::new(tool("tar"))
            .arg("-tf")
            .arg(context.path("files.tar")),
    );
    assert_eq!(listed, "bin/\nbin/run\netc/\netc/file2\n");
    assert!(context.path("oci/oci-layout").is_file());

    let stdout = context
        .repro(["build", "--evidence", "pack", "-o", "-", "app"])
        .command()
        .output()
        .unwrap();
    assert!(stdout.status.success());
    assert_eq!(stdout.stdout, fs::read(context.path("files.tar")).unwrap());
    for words in [
        ["-o", "-", "--json"],
        ["-o", "-", "-q"],
        ["-o-", "-o", "type=oci"],
    ] {
        let refused = context
            .repro(["build"])
            .args(words)
            .arg("app")
            .run()
            .exits(2);
        refused.says(["standard output holds one thing"]);
    }
    // What is no file stays what it is.
    let _built = context
        .repro([
            "build",
            "--evidence",
            "pack",
            "-o",
            "rootfs:/dev/null",
            "app",
        ])
        .run()
        .exits(0);
    assert!(
        fs::metadata("/dev/null")
            .unwrap()
            .file_type()
            .is_char_device()
    );
}

#[test]
fn a_look_at_the_dockerfile_builds_nothing() {
    let context = context();
    let good = context.repro(["build", "--check", "app"]).run().exits(0);
    assert_eq!(good.stdout, "0 findings\n");
    fs::write(
        context.path("app/Dockerfile"),
        "FROM scratch AS One\nMAINTAINER x\nFROM one\nCOPY missing /\n",
    )
    .unwrap();
    let bad = context.repro(["build", "--check", "app"]).run().exits(2);
    bad.prints([
        "Dockerfile:1: ",
        "(StageNameCasing)",
        "Dockerfile:2: ",
        "(MaintainerDeprecated)",
    ]);
    let json = context
        .repro(["build", "--call=check,format=json", "app"])
        .run()
        .exits(2)
        .json();
    assert_eq!(json["schema"], "https://intelgraph.io/repro/cli/check/v1");
    assert_eq!(json["findings"][0]["code"], "stage-name-casing");
    let targets = context
        .repro(["build", "--call", "targets", "app"])
        .run()
        .exits(0);
    assert_eq!(targets.stdout.lines().count(), 2);
    targets.prints(["one ", "FROM scratch", "FROM one  (default)"]);
    assert!(!context.path("repro-out").exists());
}

#[test]
fn settings_reach_every_step_of_both_runs_and_no_layer() {
    let context = TestContext::new();
    let project = context.project(
        "app",
        &[(
            "Dockerfile",
            "FROM busybox\n\
             RUN grep -w db /etc/hosts; df -k /dev/shm | tail -n 1; ulimit -n; ulimit -Hn\n\
             RUN grep db /etc/hosts > /hosts && ulimit -c > /core\n",
        )],
    );
    let evidence = context.path("pack");
    let words = ["--add-host", "db:10.0.0.1,db2=[::1]", "--shm-size", "2m"];
    let build = || {
        context
            .repro(["build", "--evidence"])
            .arg(&evidence)
            .args(words)
            .args(["--ulimit", "nofile=500:600", "--ulimit", "core=0"])
            .args(["-o", "rootfs:files.tar"])
            .arg(&project)
    };
    let _built = build().run().exits(0);
    let pack = repro_tests::Pack::read(&evidence);
    for run in ["a", "b"] {
        let log = pack.log(run, 2);
        for text in ["10.0.0.1\tdb\n", " 2048 ", "\n500\n", "\n600\n"] {
            assert!(log.contains(text), "{text:?} is not in\n{log}");
        }
    }
    let mut tar = Command::new(tool("tar"));
    tar.arg("-xOf").arg(context.path("files.tar"));
    assert_eq!(succeeds(tar.arg("hosts")), "10.0.0.1\tdb\n::1\tdb2\n");
    let mut tar = Command::new(tool("tar"));
    let listed = succeeds(tar.arg("-tf").arg(context.path("files.tar")));
    assert!(!listed.lines().any(|name| name == "etc/hosts"), "{listed}");
    let bundle = json(&evidence.join("provenance/run-a.sigstore.json"));
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    let decoded = succeeds(Command::new("sh").args(["-c", &format!("echo {payload} | base64 -d")]));
    let statement: Value = serde_json::from_str(&decoded).unwrap();
    let asked = &statement["predicate"]["buildDefinition"]["externalParameters"];
    assert_eq!(
        asked["addHosts"],
        serde_json::json!(["db:10.0.0.1", "db2:::1"])
    );
    assert_eq!(asked["shmSize"], "2097152");
    assert_eq!(
        asked["ulimits"],
        serde_json::json!({"core": "0:0", "nofile": "500:600"})
    );
    // Above the caller's own: the machine's to allow.
    let limited = build()
        .args(["--ulimit", "nofile=500:20000"])
        .through(&["prlimit", "--nofile=16384:16384"])
        .run()
        .exits(5);
    limited.says([
        "the limit nofile=500:20000 cannot be set",
        "hint: a hard limit",
    ]);
}
