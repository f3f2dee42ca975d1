use std::io::Write as _;

use flate2::{Compression, GzBuilder};

use super::*;

pub(super) fn found(path: &str, a: &[u8], b: &[u8]) -> Vec<(Cause, Option<String>)> {
    let path = TreePath::parse(path.as_bytes()).unwrap();
    let found = find_file_causes(&path, &a, &b, Excerpts::Allowed, &Facts::default()).unwrap();
    found
        .into_iter()
        .map(|finding| (finding.cause, finding.inside))
        .collect()
}

pub(super) fn gzip(time: u32, level: u32, data: &[u8]) -> Vec<u8> {
    let mut out = GzBuilder::new()
        .mtime(time)
        .write(Vec::new(), Compression::new(level));
    out.write_all(data).unwrap();
    out.finish().unwrap()
}

#[test]
fn a_header_and_what_is_behind_it_are_told_apart() {
    let header = found("x.gz", &gzip(1, 6, b"same"), &gzip(2, 6, b"same"));
    assert_eq!(
        header,
        [(Cause::GzipHeader, Some("gzip header: time".into()))]
    );
    let text = b"the same text again and again and again, the same text".repeat(500);
    let (fast, best) = (gzip(0, 1, &text), gzip(0, 9, &text));
    assert!(
        found("x.gz", &fast, &best)
            .iter()
            .any(|(cause, _)| { matches!(cause, Cause::CompressionForm | Cause::GzipHeader) })
    );
    assert_eq!(found("x.gz", &fast, &fast), []);
}

#[test]
fn nested_contents_are_named_with_their_place() {
    let json = |order: &str| gzip(0, 6, &gzip(0, 6, order.as_bytes()));
    assert_eq!(
        found("x.gz", &json(r#"{"a":1,"b":2}"#), &json(r#"{"b":2,"a":1}"#)),
        [(Cause::JsonOrder, None)]
    );
}

#[test]
fn bombs_and_damage_are_compared_as_bytes() {
    let bomb = |fill| {
        let mut bytes = vec![fill; 32 << 20];
        for _ in 0..3 {
            bytes = gzip(0, 9, &bytes);
        }
        bytes
    };
    assert!(!found("x.gz", &bomb(0), &bomb(1)).is_empty());
    let whole = gzip(0, 6, b"data");
    for cut in 0..whole.len() {
        assert!(!found("x.gz", &whole, &whole[..cut]).is_empty());
    }
}

#[test]
fn parts_of_secrets_are_not_shown() {
    let a = gzip(0, 6, b"-----BEGIN PRIVATE KEY-----\nAAAA\n");
    let b = gzip(0, 6, b"-----BEGIN PRIVATE KEY-----\nBBBB\n");
    let path = TreePath::parse(b"x.gz").unwrap();
    let found = find_file_causes(
        &path,
        &&a[..],
        &&b[..],
        Excerpts::Allowed,
        &Facts::default(),
    );
    assert!(
        found
            .unwrap()
            .iter()
            .all(|finding| finding.excerpt.is_none())
    );
}
