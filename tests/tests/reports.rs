//! The report in every form, held to the schemas of others, and the page in a browser.
//! `tests/run` installs what that takes below `target/interop/`.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test panics where the test fails"
)]

use std::{
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use repro_tests::{TestContext, User, root, succeeds, target, tool};
use serde_json::Value;

/// Names that try to leave their frame: markup, ends of lines, escape sequences, marks that turn
/// the direction of writing, bytes that are no text.
const HOSTILE: [&[u8]; 8] = [
    b"<script>alert(1)</script>",
    b"<img src=x onerror=alert(1)>",
    b"a`|\"'&amp;[x](http://e.example)",
    b"line\nend\r\tand \x1b[31mred\x07",
    "gpj\u{202e}exe.\u{2066}x\u{2028}y".as_bytes(),
    b"\xff\xfe\x80 no text",
    "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{540d}\u{524d} Z\u{334}\u{300}\u{301}\u{302}".as_bytes(),
    b"]]>--><!--<![CDATA[",
];

/// The forms that a build or a comparison is reported in, by the end of their files.
const FORMS: [(&str, &str); 6] = [
    ("text", "txt"),
    ("markdown", "md"),
    ("json", "json"),
    ("sarif", "sarif"),
    ("junit", "xml"),
    ("html", "html"),
];

/// Two directories with `count` plain files that differ, and hostile ones.
fn sides(context: &TestContext, count: usize) -> [PathBuf; 2] {
    [("a", "repro-a 10:00:00"), ("b", "repro-b 11:11:11")].map(|(name, text)| {
        let dir = context.path(name);
        for number in 0..count {
            let below = dir.join(format!("usr/share/part-{}", number % 37));
            fs::create_dir_all(&below).unwrap();
            fs::write(
                below.join(format!("file-{number}")),
                format!("{number} {text}"),
            )
            .unwrap();
        }
        let odd = dir.join("odd");
        fs::create_dir_all(&odd).unwrap();
        for hostile in HOSTILE {
            let path = odd.join(std::ffi::OsStr::from_bytes(&hostile.replace_slash()));
            fs::write(path, [hostile, b" ", text.as_bytes()].concat()).unwrap();
        }
        // Bytes, and a path of nearly 4096.
        fs::write(
            odd.join("binary"),
            [&[0, 1, 2, 255][..], text.as_bytes(), &[0; 40]].concat(),
        )
        .unwrap();
        let deep = (0..15).fold(odd, |dir, _| dir.join("d".repeat(250)));
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("f"), text).unwrap();
        dir
    })
}

trait ReplaceSlash {
    fn replace_slash(&self) -> Vec<u8>;
}

impl ReplaceSlash for &[u8] {
    /// A slash would make directories of it.
    fn replace_slash(&self) -> Vec<u8> {
        let byte = |byte: &u8| if *byte == b'/' { b'\\' } else { *byte };
        self.iter().map(byte).collect()
    }
}

fn interop() -> PathBuf {
    let interop = target().join("interop");
    assert!(
        interop.join("node/node_modules/playwright-core").is_dir(),
        "tests/run installs what this test needs"
    );
    interop
}

/// Holds documents to the schemas of their forms.
fn assert_valid(files: &[PathBuf]) {
    let interop = interop();
    let mut command = Command::new(interop.join("venv/bin/python"));
    command
        .arg(root().join("tests/interop/check_reports.py"))
        .arg(root().join("docs"))
        .arg(
            interop
                .join("node/node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json"),
        )
        .arg(root().join("tests/interop/junit.xsd"))
        .args(files);
    succeeds(&mut command);
}

/// Opens pages in Chromium and asserts that none has a fault; gives what was seen of each.
fn opened(pages: &[&Path]) -> Vec<Value> {
    let interop = interop();
    let pictures = target().join("report-pictures");
    fs::create_dir_all(&pictures).unwrap();
    let mut command = Command::new(tool("node"));
    command
        // A module finds its dependencies beside itself.
        .arg(interop.join("node/open_page.mjs"))
        .arg(tool("chromium"))
        .arg(pictures)
        .args(pages);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    pages
        .iter()
        .map(|page| {
            let seen = seen[page.to_str().unwrap()].clone();
            assert_eq!(seen["faults"], serde_json::json!([]), "{}", page.display());
            let looks = seen["looks"].as_array().unwrap();
            assert_eq!(looks.len(), 6);
            for look in looks {
                for nothing in ["scripts", "foreign", "headless", "lost"] {
                    assert_eq!(look[nothing], 0, "{nothing}: {look}");
                }
                assert_eq!(look["jumps"], false, "{look}");
            }
            for color in ["paper", "ink"] {
                assert_ne!(looks[0][color], looks[3][color], "dark is not dark");
            }
            seen
        })
        .collect()
}

/// The report on two trees in the form that the end of the file's name says.
fn reported(context: &TestContext, [a, b]: &[PathBuf; 2], end: &str) -> (PathBuf, String) {
    let file = context.path(&format!("trees.{end}"));
    let diff = context.repro(["diff", "-o"]).arg(&file).arg(a).arg(b);
    let ended = diff.run().exits(1);
    assert_eq!((&ended.stdout[..], &ended.stderr[..]), ("", ""), "{end}");
    let text = fs::read_to_string(&file).unwrap();
    let control = |c: char| c.is_control() && c != '\n';
    assert!(!text.contains(control), "{end} has a control character");
    for c in ['\u{202e}', '\u{2066}'] {
        assert!(!text.contains(c), "{end} has {c:?}");
    }
    // A separator of lines ends none in JSON, and is a letter of the name there.
    assert!(end == "json" || !text.contains('\u{2028}'), "{end}");
    (file, text)
}

#[test]
fn hostile_names_are_harmless_in_every_form() {
    let context = TestContext::with_empty_store(User::Caller);
    let trees = sides(&context, 100);
    let files: Vec<PathBuf> = FORMS
        .iter()
        .map(|(_, end)| reported(&context, &trees, end).0)
        .collect();
    assert_valid(&files[2..5]);
    // A table ends where a cell ends it and nowhere else.
    let markdown = fs::read_to_string(&files[1]).unwrap();
    for row in markdown.lines().filter(|row| row.starts_with("| `layer")) {
        assert_eq!(row.replace("\\|", "").matches('|').count(), 7, "{row}");
    }
    let seen = opened(&[&files[5]]);
    let text = seen[0]["text"].as_str().unwrap();
    assert!(text.contains("<script>alert(1)<"), "shown as it is written");
    assert!(text.contains(r"gpj\xe2\x80\xaeexe"), "{text}");
}

#[test]
fn a_page_of_ten_thousand_differences_stays_usable() {
    let context = TestContext::with_empty_store(User::Caller);
    let trees = sides(&context, 10_000);
    let (page, text) = reported(&context, &trees, "html");
    assert!(text.len() < 4 << 20, "{}", text.len());
    let seen = opened(&[&page]);
    let text = seen[0]["text"].as_str().unwrap();
    assert!(
        text.contains("not shown here"),
        "what is left out is not counted"
    );
    let loaded = seen[0]["loaded"].as_u64().unwrap();
    assert!(loaded < 10_000, "{loaded} ms");
}

#[test]
fn a_build_is_reported_in_every_form_in_its_pack_and_where_the_user_says() {
    let context = TestContext::new();
    let project = context.project(
        "told",
        &[(
            "Dockerfile",
            "FROM busybox\nRUN echo '<b>`|' > /same\nRUN date -u > /etc/built && hostname > /etc/host\n\
             RUN head -c 64 /dev/urandom > /etc/seed\nRUN wget -T 1 http://nowhere.example/ || true\n",
        )],
    );
    let named: Vec<PathBuf> = FORMS
        .iter()
        .map(|(_, end)| context.path(&format!("named.{end}")))
        .collect();
    let several: Vec<String> = FORMS
        .iter()
        .zip(&named)
        .map(|((form, _), file)| format!("{form}={}", file.display()))
        .collect();
    let (build, evidence) = context.build(&project);
    // From there the place of the Dockerfile is what the pack calls it.
    let build = build.env("REPRO_REPORT", several.join(" ")).dir(&project);
    let ended = build.run().exits(1);
    let pack = evidence.join("reproducibility");
    for (name, file) in [
        ("json", 2),
        ("md", 1),
        ("sarif", 3),
        ("html", 5),
        ("junit.xml", 4),
    ] {
        let in_pack = fs::read(pack.join(format!("report.{name}"))).unwrap();
        let outside = fs::read(&named[file]).unwrap();
        // A file ends with the end of a line.
        assert_eq!(in_pack.trim_ascii_end(), outside.trim_ascii_end(), "{name}");
    }
    assert!(ended.stdout.lines().count() <= 40, "{ended}");
    assert!(
        ended.stdout.lines().all(|line| line.chars().count() <= 84),
        "{ended}"
    );
    let text = fs::read_to_string(&named[0]).unwrap();
    for path in ["etc/built", "etc/host", "etc/seed"] {
        assert!(text.contains(path), "{path} is not in\n{text}");
        assert!(ended.stdout.contains(path), "{path} is not in\n{ended}");
    }

    let same = context.project(
        "same",
        &[("Dockerfile", "FROM busybox\nRUN echo 1 > /one\n")],
    );
    let (build, same_evidence) = context.build(&same);
    build.run().exits(0);
    let fails = context.project(
        "fails",
        &[("Dockerfile", "FROM busybox\nRUN echo no && exit 3\n")],
    );
    let (build, failed_evidence) = context.build(&fails);
    build.run().exits(3);
    let mut files = named[2..5].to_vec();
    for evidence in [&same_evidence, &failed_evidence] {
        for name in ["json", "sarif", "junit.xml"] {
            files.push(
                evidence
                    .join("reproducibility")
                    .join(format!("report.{name}")),
            );
        }
    }
    assert_valid(&files);
    let failed =
        fs::read_to_string(failed_evidence.join("reproducibility/report.junit.xml")).unwrap();
    assert!(failed.contains("errors=\"1\""), "{failed}");

    let pages = [&evidence, &same_evidence, &failed_evidence]
        .map(|evidence| evidence.join("reproducibility/report.html"));
    // Pictures are named after their page.
    let pages: Vec<PathBuf> = pages
        .iter()
        .zip(["differs", "equal", "failed"])
        .map(|(page, name)| context.write(&format!("build-{name}.html"), fs::read(page).unwrap()))
        .collect();
    let seen = opened(&pages.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    let text = |at: usize| seen[at]["text"].as_str().unwrap();
    for part in [
        "Not reproducible",
        "Dockerfile:3",
        "etc/host",
        "repro-b-canary",
        "busybox",
    ] {
        assert!(text(0).contains(part), "{part} is not in\n{}", text(0));
    }
    assert!(text(1).contains("Reproducible"), "{}", text(1));
    assert!(text(2).contains("Run a failed"), "{}", text(2));
}

#[test]
fn a_report_that_cannot_be_written_is_known_before_the_build() {
    let context = TestContext::new();
    let project = context.project("none", &[("Dockerfile", "FROM busybox\nRUN echo\n")]);
    let missing = context.path("missing/report.html");
    let inside = context.path("none-evidence/extra.md");
    for (values, said) in [
        (
            vec![format!("html={}", missing.display())],
            "make the directory",
        ),
        (
            vec![format!("markdown={}", inside.display())],
            "in the evidence pack",
        ),
        (vec!["junit=-".into(), "json=-".into()], "one document only"),
        (vec!["pdf=x".into()], "FORM=FILE"),
        (vec!["html=".into()], "no file is named"),
    ] {
        let (mut build, evidence) = context.build(&project);
        for value in &values {
            build = build.args(["--report", value]);
        }
        build.run().exits(2).says([said]);
        assert!(!evidence.exists(), "{values:?}");
    }
    // A report of an earlier build does not stay where this one fails before it has any.
    let stale = context.write("stale.md", "of an earlier build");
    let broken = context.project("broken", &[("Dockerfile", "FROM nothing-of-this-name\n")]);
    let (build, _) = context.build(&broken);
    let value = format!("markdown={}", stale.display());
    build.args(["--report", &value]).run().exits(6);
    assert!(!stale.exists());
}

#[test]
fn standard_output_holds_the_form_that_is_asked_for_and_nothing_else() {
    let context = TestContext::new();
    let project = context.project(
        "piped",
        &[("Dockerfile", "FROM busybox\nRUN echo 1 > /one\n")],
    );
    let (build, _) = context.build(&project);
    let ended = build.args(["--report", "junit=-"]).run().exits(0);
    assert!(ended.stdout.starts_with("<?xml "), "{ended}");
    assert!(
        ended.stdout.trim_end().ends_with("</testsuites>"),
        "{ended}"
    );
    ended.says(["reproducible: "]);
}

/// What `repro verify` finds is held to the same schema, also where what is judged has names that try to
/// leave their frame.
#[test]
fn what_a_verification_finds_is_sarif() {
    let context = TestContext::new();
    context.repro(["keygen", "k"]).run().exits(0);
    let dockerfile = ("Dockerfile", "FROM busybox\nRUN echo 1 > /one\n");
    let project = context.project("judged", &[dockerfile]);
    let (build, pack) = context.build(&project);
    let build = build.arg("--key").arg(context.path("k.key"));
    build.run().exits(0);
    let sarif = |name: &str, code: i32| {
        let verify = context.repro(["verify", "--format", "sarif"]).arg(&pack);
        let ended = verify
            .arg("--key")
            .arg(context.path("k.pub"))
            .run()
            .exits(code);
        context.write(name, &ended.stdout)
    };
    let good = sarif("good.sarif", 0);
    let hostile = HOSTILE
        .iter()
        .filter(|name| std::str::from_utf8(name).is_ok());
    for name in hostile {
        fs::write(
            pack.join(std::ffi::OsStr::from_bytes(&name.replace_slash())),
            "x",
        )
        .unwrap();
    }
    let bad = sarif("bad.sarif", 4);
    assert_valid(&[good, bad.clone()]);
    let document: Value = serde_json::from_str(&fs::read_to_string(bad).unwrap()).unwrap();
    let results = document["runs"][0]["results"].as_array().unwrap();
    assert!(
        results.iter().any(|result| result["ruleId"] == "V29"),
        "{results:?}"
    );
}
