//! The report fits the screen, whatever differs.

use super::{HOSTILE, many, pair, plain, report, stamp};
use crate::{
    compare::planted::{Build, file, step},
    render::{Line, TextOptions, escape::columns, pair_text, text},
};

const SCREENS: [(usize, usize); 4] = [(80, 19), (80, 23), (80, 39), (100, 39)];

fn options(width: usize, height: usize) -> TextOptions {
    TextOptions {
        width,
        height: Some(height),
        rest: "all in out/report.html".into(),
        evidence: Some("out".into()),
    }
}

fn assert_fits(lines: &[Line], width: usize, height: usize) {
    let shown: Vec<String> = lines.iter().map(ToString::to_string).collect();
    assert!(
        shown.len() <= height,
        "{} lines:\n{}",
        shown.len(),
        shown.join("\n")
    );
    for line in &shown {
        // The digest of the image is never cut.
        let digest = line.contains("sha256:");
        assert!(digest || columns(line) <= width, "{line}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(!line.contains('\u{202e}'), "{line:?}");
    }
}

/// Differences of many causes in many steps.
fn varied() -> Build {
    let files = |run: usize| {
        let texts = [
            ("host", ["repro-a", "repro-b-canary"]),
            (
                "etc/time",
                [
                    "Mon Nov 23 21:33:25 UTC 2026",
                    "Mon Nov 23 21:33:27 UTC 2026",
                ],
            ),
            (
                "var/log/dpkg.log",
                ["2026-11-23 21:33:25 x", "2026-11-23 21:33:27 x"],
            ),
            (
                "var/log/alternatives.log",
                ["x 2026-11-23 21:33:25", "x 2026-11-23 21:33:27"],
            ),
            ("order", ["a\nb\nc\nd\n", "d\nc\nb\na\n"]),
            (
                "etc/machine-id",
                [
                    "0123456789abcdef0123456789abcdef\n",
                    "fedcba98765432100123456789abcdef\n",
                ],
            ),
            ("odd", ["yes", "no, and not alike"]),
        ];
        texts.map(|(name, text)| file(name, text[run])).to_vec()
    };
    Build::new(&[step("RUN a", files(0), files(1))])
}

#[test]
fn every_screen_holds_the_report() {
    let built = [stamp(), super::equal(), super::hostile(), varied()];
    let built = built.iter().map(|build| (report(build), pair(build)));
    let grown = [
        many(3_000, |n| {
            format!("dir{}/{n}{}", n % 7, HOSTILE.replace('/', "")).into_bytes()
        }),
        many(50, |n| {
            [format!("{n}").as_bytes(), &[b'x'; 250], b"\xff\xfe"].concat()
        }),
        many(50, |n| format!("{n}{}", "名前".repeat(30)).into_bytes()),
    ];
    for (report, pair) in built.chain(grown) {
        for (width, height) in SCREENS {
            assert_fits(&text(&report, &options(width, height)), width, height);
            assert_fits(&pair_text(&pair, &options(width, height)), width, height);
        }
    }
}

#[test]
fn what_is_left_out_is_counted_and_its_place_is_said() {
    let (report, _) = many(40, |n| format!("f{n}").into_bytes());
    let shown = plain(&report, &options(80, 30));
    assert!(shown.contains("f0, f1, f10, and 37 more"), "{shown}");
    assert!(
        shown.contains("more paths, all in out/report.html"),
        "{shown}"
    );
    let listed = shown
        .lines()
        .filter(|line| line.contains("  content  "))
        .count();
    let more = 40 - listed;
    assert!(
        shown.contains(&format!("    {more} more paths,")),
        "{shown}"
    );
    // All of them where no screen limits it.
    let all = TextOptions {
        height: None,
        ..options(80, 0)
    };
    let shown = plain(&report, &all);
    assert!(!shown.contains("more paths"), "{shown}");
    assert_eq!(shown.matches("embedded-hostname").count(), 41, "{shown}");
}

#[test]
fn of_many_causes_some_are_told_with_their_remedy_and_the_others_named() {
    let report = report(&varied());
    assert!(report.causes.len() > 4, "{:?}", report.causes);
    let shown = plain(&report, &options(80, 19));
    assert!(shown.contains("    fix: "), "{shown}");
    assert!(
        shown.contains(" more causes, all in out/report.html: "),
        "{shown}"
    );
    let shown = plain(&report, &options(100, 39));
    assert!(shown.matches("    fix: ").count() >= 4, "{shown}");
}
