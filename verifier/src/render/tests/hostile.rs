//! Sizes: what hostile names and great numbers make of each form.

use super::many;
use crate::render::{html, junit, markdown, pair_html, pair_junit, pair_markdown};

/// Names as long as a directory entry may be, of characters that grow most when escaped.
fn long(n: usize) -> Vec<u8> {
    let name = format!("{n}{}", "|`<\u{1b}&\"".repeat(40));
    name.into_bytes()
}

#[test]
fn markdown_fits_a_summary_and_a_comment() {
    let (report, pair) = many(2_000, long);
    for shown in [markdown(&report), pair_markdown(&pair)] {
        assert!(shown.len() <= 65_000, "{}", shown.len());
        assert!(shown.contains(" more; "), "{shown}");
        assert!(shown.contains("</details>"));
        // Every row of the table has its six cells.
        for row in shown.lines().filter(|row| row.starts_with("| `Dockerfile")) {
            assert_eq!(row.replace("\\|", "").matches('|').count(), 7, "{row}");
        }
    }
    let shown = markdown(&report);
    assert!(shown.contains("| hermetic |"), "{shown}");
}

#[test]
fn a_page_of_many_differences_stays_small_and_counts_the_rest() {
    let (report, pair) = many(12_000, |n| {
        format!("usr/share/d{}/file-{n}", n % 40).into_bytes()
    });
    for page in [html(&report), pair_html(&pair)] {
        assert!(page.len() < 4 << 20, "{}", page.len());
        assert!(
            page.contains("differences are not shown here"),
            "not counted"
        );
    }
    let page = html(&many(2_000, long).0);
    assert!(page.len() < 4 << 20, "{}", page.len());
}

#[test]
fn deep_and_long_paths_keep_the_page_shallow() {
    // Each file one directory deeper than the one before.
    let (report, _) = many(400, |n| format!("{}f", "d/".repeat(n + 1)).into_bytes());
    let page = html(&report);
    let depth = page.split("<ul class=\"tree\">").count();
    assert!(depth < 40, "{depth}");
}

#[test]
fn a_case_lists_some_and_counts_the_rest() {
    let (report, pair) = many(2_000, long);
    for shown in [junit(&report), pair_junit(&pair)] {
        assert!(shown.len() < 64 << 10, "{}", shown.len());
        assert!(shown.contains("1980 more differences"), "{shown}");
        let frame = |c: char| c == '\n' || !c.is_control();
        assert!(shown.chars().all(frame), "{shown:?}");
    }
}
