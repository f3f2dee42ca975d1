//! `repro lock`, and builds that replay it.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test panics where the test fails"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use repro_tests::{
    Answer, Asked, Ended, HOST, Pack, Repro, Server, TestContext, git_backend, succeeds, tool,
};

/// `gzip` of `packed\n`.
fn gzip() -> Vec<u8> {
    let packed = Command::new("sh")
        .args(["-c", "echo packed | gzip --no-name"])
        .output()
        .unwrap();
    packed.stdout
}

fn big() -> Vec<u8> {
    (0..1_000_000_u32)
        .map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1])
        .collect()
}

/// One server for most of the tests.
fn give(asked: &Asked, turns: &AtomicU32) -> Answer {
    let tagged = |answer: Answer| answer.header("ETag", "\"one\"");
    match asked.path.split('?').next().unwrap_or_default() {
        "/plain" => tagged(Answer::ok("plain\n").header("Content-Type", "text/plain")),
        "/redirect" => Answer::new("302 Found", "").header("Location", "/plain"),
        "/away" => Answer::new("302 Found", "").header("Location", "http://denied.example/x"),
        "/chunked" => Answer::ok("chunk\n".repeat(1000)).chunked(),
        "/gzip" => Answer::ok(gzip()).header("Content-Encoding", "gzip"),
        "/big" => tagged(Answer::ok(big())),
        "/turn" => Answer::ok(format!("turn {}\n", turns.fetch_add(1, Ordering::SeqCst))),
        "/echo" => Answer::ok([b"you said ", asked.body.as_slice(), b"\n"].concat()),
        "/private" if asked.headers.contains_key("authorization") => {
            Answer::ok("for members\n").header("Set-Cookie", "session=top-secret-cookie")
        }
        "/private" => Answer::new("401 Unauthorized", "who are you\n")
            .header("WWW-Authenticate", "Basic realm=\"r\""),
        "/signed" => Answer::ok("signed\n"),
        _ => Answer::new("404 Not Found", "nothing\n"),
    }
}

fn server() -> Server {
    let turns = AtomicU32::new(0);
    Server::http(move |asked| give(asked, &turns))
}

/// A tree with programs of this machine and everything that they load.
fn programs(context: &TestContext, names: &[&str]) -> PathBuf {
    let root = context.path("programs");
    let mut files: Vec<String> = Vec::new();
    for name in names {
        let path = if name.starts_with('/') {
            (*name).to_owned()
        } else {
            tool(name).display().to_string()
        };
        let loaded = succeeds(Command::new("ldd").arg(&path));
        files.push(path);
        files.extend(
            loaded
                .split_whitespace()
                .filter(|word| word.starts_with('/'))
                .map(str::to_owned),
        );
    }
    for file in files {
        let real = fs::canonicalize(&file).unwrap();
        // Programs look for libraries by the name that they were linked with.
        let to = root.join(file.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(real, to).unwrap();
    }
    root
}

/// A project whose image has these programs of the machine.
fn project(context: &TestContext, name: &str, tools: &[&str], steps: &str) -> PathBuf {
    let dockerfile = format!("FROM busybox\nCOPY programs /\n{steps}");
    let project = context.project(name, &[("Dockerfile", &dockerfile)]);
    let programs = programs(context, tools);
    succeeds(
        Command::new("cp")
            .arg("-r")
            .arg(&programs)
            .arg(project.join("programs")),
    );
    project
}

fn lock(context: &TestContext, project: &Path) -> Repro {
    context
        .repro(["lock", "--progress", "plain", "--allow", HOST])
        .arg(project)
}

fn text(project: &Path) -> String {
    fs::read_to_string(project.join("repro.lock")).unwrap()
}

/// `repro build --locked` where there is no network at all.
fn offline(context: &TestContext, project: &Path) -> (Repro, PathBuf) {
    let (build, evidence) = context.build(project);
    let through = ["unshare", "--map-root-user", "--net"];
    // Another user namespace would have no subordinate ids; root needs none.
    let through = if rustix::process::geteuid().is_root() {
        vec!["unshare", "--net"]
    } else {
        through.to_vec()
    };
    (
        build
            .args(["--locked", "--progress", "plain"])
            .through(&through),
        evidence,
    )
}

/// Builds offline, reproducibly.
#[track_caller]
fn replayed(context: &TestContext, project: &Path) -> (Ended, Pack) {
    let (build, evidence) = offline(context, project);
    let ended = build.run().exits(0);
    (ended, Pack::read(&evidence))
}

#[test]
fn what_tools_fetch_is_replayed_without_a_network_and_leaves_nothing() {
    let context = TestContext::new();
    let server = server();
    let secure = Server::https(|asked| match asked.path.as_str() {
        "/secure" => Answer::ok("secure\n"),
        _ => Answer::new("404 Not Found", ""),
    });
    let steps = format!(
        "RUN set -e; mkdir /got; cd /got; \
           wget -q -O wget {plain}; \
           curl -fsS -o plain {plain}; \
           curl -fsSL -o redirected {redirect}; \
           curl -fsS -r 6-9 -o range {big}; \
           curl -fsS -r -3 -o tail {big}; \
           curl -fsS -o chunked {chunked}; \
           curl -fsS --compressed -o gzip {gzip}; \
           curl -fsS -o big {big}; \
           curl -fsS -d question -o post {echo}; \
           curl -fsS -o turn1 {turn}; curl -fsS -o turn2 {turn}; \
           curl -fsSI -o /dev/null {plain}; \
           curl -fsS -H 'If-None-Match: \"one\"' -w '%{{http_code}}' -o /dev/null {plain} > code; \
           curl -fsS -o a {plain} -o b {plain}?x -o c {plain}?y --parallel; \
           curl -sS -o missing {missing}; \
           curl -fsS -o secure {secure}\n\
         RUN cat /got/secure > /seen\n",
        plain = server.url("/plain"),
        redirect = server.url("/redirect"),
        big = server.url("/big"),
        chunked = server.url("/chunked"),
        gzip = server.url("/gzip"),
        echo = server.url("/echo"),
        turn = server.url("/turn"),
        missing = server.url("/missing"),
        secure = secure.url("/secure"),
    );
    let project = project(&context, "tools", &["curl"], &steps);
    let authority = context.write("authority.pem", secure.authority.clone().unwrap());
    lock(&context, &project)
        .env("SSL_CERT_FILE", &authority)
        .run()
        .exits(0)
        .says(["repro.lock: written"]);
    let first = text(&project);

    // Again, what is known is not asked for.
    let before = server.asked().len();
    lock(&context, &project)
        .run()
        .exits(0)
        .says(["repro.lock: unchanged"]);
    assert_eq!(text(&project), first);
    assert_eq!(server.asked().len(), before);
    drop((server, secure));

    let (ended, pack) = replayed(&context, &project);
    ended.prints(["reproducible"]);
    assert_eq!(
        pack.report["hermetic"]["network"], "replay",
        "{}",
        pack.report["hermetic"]
    );
    assert_eq!(pack.report["hermetic"]["attemptsBlocked"], 0);
    let inputs = pack.report["inputs"].as_array().unwrap();
    let fetched: Vec<_> = inputs
        .iter()
        .filter(|input| input["kind"] == "fetch")
        .collect();
    assert!(
        fetched
            .iter()
            .any(|input| input["uri"].as_str().unwrap().ends_with("/big") && input["step"] == 1),
        "{fetched:#?}"
    );

    // What was got, and that nothing else is in the layers.
    let tar = context.path("root.tar");
    let (build, _) = offline(&context, &project);
    build
        .arg("--runs=1")
        .arg("-o")
        .arg(format!("rootfs:{}", tar.display()))
        .run()
        .exits(0);
    let out = context.path("out");
    fs::create_dir(&out).unwrap();
    succeeds(
        Command::new("tar")
            .arg("-xf")
            .arg(&tar)
            .arg("-C")
            .arg(&out)
            .args(["got", "seen"]),
    );
    let got = |name: &str| fs::read(out.join("got").join(name)).unwrap();
    for (name, expected) in [
        ("wget", b"plain\n".to_vec()),
        ("plain", b"plain\n".to_vec()),
        ("redirected", b"plain\n".to_vec()),
        ("range", big()[6..10].to_vec()),
        ("tail", big()[big().len() - 3..].to_vec()),
        ("chunked", "chunk\n".repeat(1000).into_bytes()),
        ("gzip", b"packed\n".to_vec()),
        ("big", big()),
        ("post", b"you said question\n".to_vec()),
        ("turn1", b"turn 0\n".to_vec()),
        ("turn2", b"turn 1\n".to_vec()),
        ("code", b"304".to_vec()),
        ("missing", b"nothing\n".to_vec()),
        ("secure", b"secure\n".to_vec()),
    ] {
        assert!(
            got(name) == expected,
            "{name}: {}",
            String::from_utf8_lossy(&got(name))
        );
    }
    // Programs themselves hold names of files, so only the last steps' layers are looked at whole.
    let names = succeeds(Command::new("tar").arg("-tf").arg(&tar));
    let made = repro_core::fs::sorted_names(&out.join("got")).unwrap();
    let made = made.iter().map(|name| name.to_str().unwrap());
    let bytes: Vec<u8> = made.flat_map(got).chain(names.into_bytes()).collect();
    for trace in ["127.0.0.1:3190", "dev/repro", "etc/ssl", "ca.pem", "wgetrc"] {
        let trace = trace.as_bytes();
        assert!(
            !bytes.windows(trace.len()).any(|window| window == trace),
            "{trace:?}"
        );
    }
}

#[test]
fn git_clones_over_http_are_replayed() {
    let context = TestContext::new();
    let root = context.path("repositories");
    let work = context.path("work");
    let git = |args: &[&str]| {
        succeeds(
            Command::new("git")
                .args([
                    "-c",
                    "user.name=n",
                    "-c",
                    "user.email=e@x",
                    "-c",
                    "init.defaultBranch=main",
                ])
                .args(args)
                .env("HOME", &work),
        )
    };
    git(&["init", "-q", work.to_str().unwrap()]);
    fs::write(work.join("file"), "from git\n").unwrap();
    git(&["-C", work.to_str().unwrap(), "add", "file"]);
    git(&["-C", work.to_str().unwrap(), "commit", "-qm", "one"]);
    let bare = root.join("r.git");
    git(&[
        "clone",
        "-q",
        "--bare",
        work.to_str().unwrap(),
        bare.to_str().unwrap(),
    ]);
    let repositories = root.clone();
    let server = Server::http(move |asked| git_backend(&repositories, asked));
    let steps = format!(
        "RUN git clone -q {} /tmp/clone && cp /tmp/clone/file /file && rm -r /tmp/clone\n",
        server.url("/r.git")
    );
    let project = project(
        &context,
        "git",
        &["/usr/bin/git", "/usr/lib/git-core/git-remote-http"],
        &steps,
    );
    lock(&context, &project).run().exits(0);
    assert!(server.asked().iter().any(|asked| asked.method == "POST"));
    assert!(text(&project).contains("git-upload-pack"));
    drop(server);
    let (_, pack) = replayed(&context, &project);
    assert_eq!(pack.verdict(), "reproducible");
}

#[test]
fn what_is_not_in_the_lock_fails_the_build_whatever_the_step_makes_of_it() {
    let context = TestContext::new();
    let server = server();
    let dockerfile = |path: &str| {
        format!(
            "FROM busybox\nRUN wget -q -O /x {}; wget -q -O /y {} || true\n",
            server.url("/plain"),
            server.url(path)
        )
    };
    let project = context.project("swallowed", &[("Dockerfile", &dockerfile("/big"))]);
    lock(&context, &project).run().exits(0);
    let (_, pack) = replayed(&context, &project);
    let before = pack.digest().to_owned();
    fs::write(project.join("Dockerfile"), dockerfile("/new?a=1")).unwrap();
    let (build, evidence) = offline(&context, &project);
    build.run().exits(6).says([
        "line 2",
        &format!("GET {} is not in the lock", server.url("/new?a=1")),
        "repro lock",
    ]);
    // The evidence of the build before is left alone.
    assert_eq!(Pack::read(&evidence).digest(), before);
}

#[test]
fn hosts_are_refused_unless_allowed_also_behind_a_redirect() {
    let context = TestContext::new();
    let server = server();
    let steps = format!(
        "FROM busybox\nRUN wget -q -O /x {} || true\n",
        server.url("/away")
    );
    let project = context.project("denied", &[("Dockerfile", &steps)]);
    let none = context.repro(["lock", "--progress", "plain"]).arg(&project);
    none.clone().run().exits(6).says([
        format!("goes to {HOST}, which is not allowed").as_str(),
        &format!("--allow {HOST}"),
    ]);
    assert_eq!(server.asked().len(), 0);
    lock(&context, &project)
        .run()
        .exits(6)
        .says(["goes to denied.example", "--allow denied.example"]);
    assert!(!project.join("repro.lock").exists());

    // What the project allows counts, but not in a CI.
    let toml = fs::read_to_string(project.join("repro.toml")).unwrap();
    let allow = format!("{toml}\n[network]\nallow = [\"{HOST}\"]\n");
    fs::write(project.join("repro.toml"), allow).unwrap();
    let plain = format!("FROM busybox\nRUN wget -q -O /x {}\n", server.url("/plain"));
    fs::write(project.join("Dockerfile"), plain).unwrap();
    none.clone()
        .env("CI", "true")
        .run()
        .exits(6)
        .says(["which is not allowed"]);
    none.run().exits(0);
}

#[test]
fn a_name_that_leads_to_this_machine_is_refused() {
    let context = TestContext::new();
    let project = context.project(
        "rebound",
        &[(
            "Dockerfile",
            "FROM busybox\nRUN wget -q -O /x http://169.254.169.254/latest || true\n",
        )],
    );
    let lock = |allow: &str| {
        context
            .repro(["lock", "--progress", "plain", "--allow", allow])
            .arg(&project)
    };
    lock("metadata.example")
        .run()
        .exits(6)
        .says(["goes to 169.254.169.254, which is not allowed"]);
    // `*.254.169.254` is a name pattern that matches the text of the address, and allows no address.
    lock("*.254.169.254")
        .run()
        .exits(6)
        .says(["the address 169.254.169.254", "--allow 169.254.169.254"]);
}

#[test]
fn what_was_tampered_with_is_refused() {
    let context = TestContext::new();
    let server = server();
    let dockerfile = format!("FROM busybox\nRUN wget -q -O /x {}\n", server.url("/turn"));
    let project = context.project("tampered", &[("Dockerfile", &dockerfile)]);
    lock(&context, &project).run().exits(0);
    drop(server);
    let before = text(&project);
    let digest = before
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("sha256 = \"sha256:"))
        .unwrap()
        .trim_end_matches('"')
        .to_owned();

    // The lock: another digest is another body, which is nowhere.
    let other = digest.chars().rev().collect::<String>();
    fs::write(project.join("repro.lock"), before.replace(&digest, &other)).unwrap();
    let (build, _) = offline(&context, &project);
    build.run().exits(6).says([&other, "/turn"]);
    // The lock: another size.
    fs::write(
        project.join("repro.lock"),
        before.replace("size = 7", "size = 8"),
    )
    .unwrap();
    offline(&context, &project)
        .0
        .run()
        .exits(6)
        .says(["/turn", &digest]);

    // The store: other bytes of the same length.
    fs::write(project.join("repro.lock"), &before).unwrap();
    let blob = context.store().join("blobs/sha256").join(&digest);
    let bytes = fs::read(&blob).unwrap();
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, bytes.to_ascii_uppercase()).unwrap();
    let refused = offline(&context, &project).0.run();
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, bytes).unwrap();
    refused
        .exits(6)
        .says([&digest, "the store does not have these bytes"]);
    replayed(&context, &project);
}

#[test]
fn missing_bodies_are_fetched_again_or_named() {
    let context = TestContext::new();
    let server = server();
    let dockerfile = format!(
        "FROM busybox\nRUN wget -q -O /x {}; wget -q -O /y --post-data=a {}\n",
        server.url("/chunked"),
        server.url("/echo"),
    );
    let project = context.project("missing", &[("Dockerfile", &dockerfile)]);
    lock(&context, &project).run().exits(0);
    let blob = |body: &[u8]| {
        let digest = repro_core::digest::Digest::of(body).hex();
        context.store().join("blobs/sha256").join(digest)
    };
    let (chunked, echo) = (
        blob("chunk\n".repeat(1000).as_bytes()),
        blob(b"you said a\n"),
    );
    fs::remove_file(&chunked).unwrap();
    offline(&context, &project)
        .0
        .run()
        .exits(6)
        .says(["/chunked"]);
    let allowed =
        format!("[toolchain.busybox]\nuse = \"busybox\"\n[network]\nallow = [\"{HOST}\"]\n");
    fs::write(project.join("repro.toml"), allowed).unwrap();
    // Another [network] is another lock.
    context
        .build(&project)
        .0
        .run()
        .exits(6)
        .says(["repro lock"]);
    lock(&context, &project).run().exits(0);
    fs::remove_file(&chunked).unwrap();
    let asked = server.count("/chunked");
    context.build(&project).0.arg("--locked").run().exits(0);
    assert_eq!(server.count("/chunked"), asked + 1);
    fs::remove_file(&echo).unwrap();
    context.build(&project).0.run().exits(6).says([
        "/echo",
        "only captured",
        "repro lock --update",
    ]);
    lock(&context, &project).run().exits(0);
    replayed(&context, &project);
}

#[test]
fn an_update_asks_again() {
    let context = TestContext::new();
    let server = Arc::new(server());
    let dockerfile = format!("FROM busybox\nRUN wget -q -O /x {}\n", server.url("/turn"));
    let project = context.project("update", &[("Dockerfile", &dockerfile)]);
    lock(&context, &project).run().exits(0);
    let first = text(&project);
    lock(&context, &project)
        .arg("--update=other.example")
        .run()
        .exits(2)
        .says(["no entry other.example"]);
    lock(&context, &project)
        .arg(format!("--update={HOST}"))
        .run()
        .exits(0)
        .says(["/turn"]);
    let second = text(&project);
    assert_ne!(first, second);
    lock(&context, &project).arg("--update").run().exits(0);
    assert_ne!(text(&project), second);
}

#[test]
fn secrets_are_written_nowhere() {
    let context = TestContext::new();
    let server = server();
    let steps = format!(
        "RUN --mount=type=secret,id=pass set -e; \
           curl -fsS -u \"user:$(cat /run/secrets/pass)\" -o /x {private}; \
           curl -fsS -o /y '{signed}?a=1&X-Amz-Signature=0123456789abcdef'; \
           curl -fsS -o /z \"{signed}?b=$(cat /run/secrets/pass)\"; \
           curl -fsS -o /w 'http://name:url-password@{rest}'\n",
        private = server.url("/private"),
        signed = server.url("/signed"),
        rest = server.url("/plain").trim_start_matches("http://"),
    );
    let project = project(&context, "secrets", &["curl"], &steps);
    // The Dockerfile has some itself, which end a build unless its text goes nowhere.
    let settings = project.join("repro.toml");
    let mut toml = fs::read_to_string(&settings).unwrap();
    toml.push_str("\n[redaction]\ntexts = \"leave-out\"\n");
    fs::write(&settings, toml).unwrap();
    let secret = context.write("pass", "correct-horse-battery");
    let secret = format!("--secret=id=pass,src={}", secret.display());
    let ended = lock(&context, &project).arg(&secret).run().exits(0);
    ended.says(["repro.lock: written"]);
    let (build, evidence) = offline(&context, &project);
    build.arg(&secret).run().exits(0);
    let mut texts = vec![text(&project)];
    for entry in walkdir::WalkDir::new(&evidence) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            texts.push(String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned());
        }
    }
    for secret in [
        "correct-horse-battery",
        "0123456789abcdef",
        "url-password",
        "top-secret-cookie",
        // Basic credentials of the first request.
        "dXNlcjpjb3JyZWN0",
    ] {
        // The instruction itself shows what the Dockerfile says in clear.
        let of_dockerfile = fs::read_to_string(project.join("Dockerfile"))
            .unwrap()
            .contains(secret);
        if of_dockerfile {
            assert!(!texts[0].contains(secret), "{secret}");
        } else {
            assert!(!texts.iter().any(|text| text.contains(secret)), "{secret}");
        }
    }
    assert!(texts[0].contains("X-Amz-Signature=REDACTED"));
}

#[test]
fn a_layer_does_not_show_where_its_bytes_came_from() {
    let context = TestContext::new();
    let server = server();
    let steps = "ARG FROM\nRUN curl -fsS -o /x $FROM/plain\n";
    let project = project(&context, "equal", &["curl"], steps);
    let from = server.url("/plain");
    let from = from.trim_end_matches("/plain");
    lock(&context, &project)
        .args(["--build-arg", &format!("FROM={from}")])
        .run()
        .exits(0);
    let (build, evidence) = offline(&context, &project);
    build
        .args(["--build-arg", &format!("FROM={from}")])
        .run()
        .exits(0);
    let captured = Pack::read(&evidence);
    let local = context.project(
        "local",
        &[
            (
                "Dockerfile",
                "FROM busybox\nCOPY programs /\n\
        ARG FROM\nRUN --mount=type=bind,source=mirror,target=/mnt curl -fsS -o /x $FROM/plain\n",
            ),
            ("mirror/plain", "plain\n"),
        ],
    );
    succeeds(
        Command::new("cp")
            .arg("-r")
            .arg(project.join("programs"))
            .arg(local.join("programs")),
    );
    let (build, evidence) = context.build(&local);
    build
        .args(["--build-arg", "FROM=file:///mnt"])
        .run()
        .exits(0);
    let other = Pack::read(&evidence);
    let layer = |pack: &Pack| pack.steps("a").last().unwrap()["diffId"].clone();
    assert_eq!(layer(&captured), layer(&other));
}
