use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::causes::{RunFacts, Window as RunWindow};

use Cause::{
    EmbeddedAddress, EmbeddedCpuCount, EmbeddedHostname, EmbeddedKernel, EmbeddedProcessId,
    EmbeddedTimestamp, GeneratedKey, LineOrder, RandomContent, Unknown,
};
use Confidence::{Certain, Likely};

/// Runs that start at 2026-11-23T21:33:20Z and two seconds later and take ten seconds.
fn facts() -> Facts {
    let run = |hostname: &str, domain: &str, cpus, first_pid, start| RunFacts {
        hostname: Some(hostname.into()),
        domainname: Some(domain.into()),
        cpus: NonZeroU32::new(cpus),
        first_pid: Some(first_pid),
        clock_shift_s: 0,
        window: Some(RunWindow {
            start,
            end: start + 10,
        }),
    };
    Facts {
        a: run("repro-a", "(none)", 8, 2, 1_795_469_600),
        b: run(
            "repro-b-canary",
            "repro-b-domain-canary",
            1,
            20_011,
            1_795_469_602,
        ),
    }
}

fn find(a: &[u8], b: &[u8]) -> Vec<(Cause, Confidence)> {
    find_causes(&a, &b, Excerpts::Allowed, &facts())
        .unwrap()
        .into_iter()
        .map(|finding| (finding.cause, finding.confidence))
        .collect()
}

/// Content of run A, of run B, and what is to be found.
type Case = (&'static [u8], &'static [u8], Vec<(Cause, Confidence)>);

#[test]
fn planted_pairs_get_their_cause() {
    let unknown = (Unknown, Confidence::Unknown);
    let table: Vec<Case> = vec![
        (
            b"built on Mon Nov 23 21:33:25 UTC 2026\n",
            b"built on Mon Nov 23 21:33:27 UTC 2026\n",
            vec![(EmbeddedTimestamp, Certain)],
        ),
        (
            b"{\"t\":1795469605123}",
            b"{\"t\":1795469607456}",
            vec![(EmbeddedTimestamp, Certain)],
        ),
        (
            b"#define HOST \"repro-a\"\n",
            b"#define HOST \"repro-b-canary\"\n",
            vec![(EmbeddedHostname, Certain)],
        ),
        (
            b"root@repro-a:/src (none)\n",
            b"root@repro-b-canary:/src repro-b-domain-canary\n",
            vec![(EmbeddedHostname, Certain)],
        ),
        (
            b"6.1.0-28-amd64\n",
            b"5.4.0-repro-b-kernel\n",
            vec![(EmbeddedKernel, Certain)],
        ),
        (
            b"Linux repro-a 6.1.0 #1 SMP Debian 6.1\n",
            b"Linux repro-b-canary 5.4.0-repro-b-kernel #1 SMP repro-b-kernel\n",
            vec![(EmbeddedHostname, Certain), (EmbeddedKernel, Certain)],
        ),
        (
            b"build-repro-a-20261129120000\n",
            b"build-repro-b-canary-20271227020530\n",
            vec![(EmbeddedHostname, Certain), (EmbeddedTimestamp, Likely)],
        ),
        (
            b"x-repro-a1795469605\n",
            b"x-repro-b-canary1795469607\n",
            vec![(EmbeddedHostname, Certain), (EmbeddedTimestamp, Certain)],
        ),
        (
            b"repro-a-f4ba1f92\n",
            b"repro-b-canary-90c3e7d5\n",
            vec![(EmbeddedHostname, Certain), (RandomContent, Likely)],
        ),
        (
            b"#1 SMP 6.18-1795469605\n",
            b"#1 SMP repro-b-kernel-1795469607\n",
            vec![(EmbeddedKernel, Certain), (EmbeddedTimestamp, Certain)],
        ),
        (
            b"x-repro-a-left\n",
            b"x-repro-b-canary-right\n",
            vec![(EmbeddedHostname, Certain), unknown],
        ),
        (
            b"#1 SMP PREEMPT_DYNAMIC Debian 6.1.148-1 (2025-08-26) x86_64\n",
            b"#1 SMP repro-b-kernel x86_64\n",
            vec![(EmbeddedKernel, Certain)],
        ),
        (
            b"6.1.0-28-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.148-1 (2025-08-26) x86_64\n",
            b"5.4.0-repro-b-kernel #1 SMP repro-b-kernel x86_64\n",
            vec![(EmbeddedKernel, Certain)],
        ),
        (b"8\n", b"1\n", vec![(EmbeddedCpuCount, Likely)]),
        (
            b"make -j8 # jobs\n",
            b"make -j1 # jobs\n",
            vec![(EmbeddedCpuCount, Certain)],
        ),
        (
            b"jobs = 8\n",
            b"jobs = 1\n",
            vec![(EmbeddedCpuCount, Certain)],
        ),
        (
            b"/tmp/lock.14\n",
            b"/tmp/lock.20023\n",
            vec![(EmbeddedProcessId, Likely)],
        ),
        (
            b"=== ztest3.c ===\n",
            b"=== ztest20012.c ===\n",
            vec![(EmbeddedProcessId, Likely)],
        ),
        (
            b"<object at 0x7ffff7a01f40>",
            b"<object at 0x7f3a11a01f40>",
            vec![(EmbeddedAddress, Likely)],
        ),
        (
            b"id: 0f0c28b1-6b4e-4b6f-9a53-8f8a3b0f7d11\n",
            b"id: c0e8a2d4-1f0b-4f57-8d3e-5b6a7c8d9e0f\n",
            vec![(RandomContent, Likely)],
        ),
        (
            b"0000000 9f86 d081 884c 7d65 9a2f\n",
            b"0000000 6030 3ae2 2b99 8861 c1d0\n",
            vec![(RandomContent, Likely)],
        ),
        (b"b\na\nc\n", b"a\nb\nc\n", vec![(LineOrder, Likely)]),
        (b"yes\n", b"no\n", vec![unknown]),
        (b"hello\r\n", b"hello\n", vec![unknown]),
        (b"a\n", b"a", vec![unknown]),
        (b"", b"more\n", vec![unknown]),
        (
            b"-----BEGIN PRIVATE KEY-----\nabc\n",
            b"-----BEGIN PRIVATE KEY-----\nxyz\n",
            vec![(GeneratedKey, Likely)],
        ),
    ];
    for (a, b, expected) in table {
        assert_eq!(find(a, b), expected, "{}", show_bytes(a));
    }
}

#[test]
fn identical_contents_have_no_cause() {
    for content in [&b""[..], b"Mon Nov 23 21:33:25 UTC 2026 repro-b-canary 8\n"] {
        assert_eq!(find(content, content), []);
    }
}

/// What `examples/stamp` does, in one file, with the random bytes raw and as text.
#[test]
fn one_file_can_have_several_causes() {
    let a = b"Mon Nov 23 21:33:25 UTC 2026\nrepro-a\n8\n\x80\x12\xfe\x00\x7a\xc3\x19\xdd\x81\xf2\x03\xaa\x55\x9c\xe0\x1b";
    let b = b"Mon Nov 23 21:33:27 UTC 2026\nrepro-b-canary\n1\n\x11\xe2\x7e\x90\xba\x03\xf9\x1d\x44\xc7\xd8\x05\xbe\x61\x2f\x93";
    let expected = [
        (EmbeddedTimestamp, Certain),
        (EmbeddedHostname, Certain),
        (EmbeddedCpuCount, Likely),
        (RandomContent, Likely),
    ];
    assert_eq!(find(a, b), expected);

    let a = b"date=2026-11-23T21:33:25+00:00 host=repro-a nproc=8 random=9f86d081884c7d65\n";
    let b = b"date=2026-11-23T21:33:27+00:00 host=repro-b-canary nproc=1 random=60303ae22b998861\n";
    let mut found = find(a, b);
    found.sort();
    assert_eq!(
        found,
        [
            (EmbeddedTimestamp, Certain),
            (EmbeddedHostname, Certain),
            (EmbeddedCpuCount, Certain),
            (RandomContent, Likely),
        ]
    );
}

#[test]
fn seconds_in_binary_headers_are_times() {
    let member = |seconds: u32| {
        let mut bytes = vec![0x1f, 0x8b, 8, 0];
        bytes.extend_from_slice(&seconds.to_le_bytes());
        bytes.extend_from_slice(&[0, 255, 1, 2, 3, 4]);
        bytes
    };
    let found = find(&member(1_795_469_605), &member(1_795_469_607));
    assert_eq!(found, [(EmbeddedTimestamp, Likely)]);
}

#[test]
fn large_contents_are_read_in_parts() {
    let big = |length: usize, stamp: &str| {
        let mut bytes = b"padding padding\n".repeat(length / 16);
        bytes.extend_from_slice(stamp.as_bytes());
        bytes.extend_from_slice(&b"trailing\n".repeat(1000));
        bytes
    };
    let a = big(3 << 20, "at 2026-11-23T21:33:25Z\n");
    let b = big(3 << 20, "at 2026-11-23T21:33:27Z\n");
    let found = find_causes(&&a[..], &&b[..], Excerpts::Allowed, &facts()).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].cause, EmbeddedTimestamp);
    assert_eq!(found[0].offset, (3 << 20) + 3);
    assert_eq!(
        found[0].excerpt.as_ref().unwrap().b,
        "at 2026-11-23T21:33:27Z"
    );

    let a = big(3 << 20, "on repro-a\n");
    let b = big(3 << 20, "on repro-b-canary\n");
    assert_eq!(find(&a, &b), [(EmbeddedHostname, Certain)]);
}

#[test]
fn ends_of_lines_are_shown_where_nothing_else_differs() {
    let shown = |a: &[u8], b: &[u8]| {
        let found = find_causes(&a, &b, Excerpts::Allowed, &facts()).unwrap();
        let excerpt = found[0].excerpt.clone().unwrap();
        (excerpt.a, excerpt.b)
    };
    let text = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        shown(b"hello\r\n", b"hello\n"),
        text("hello\\x0d\\x0a", "hello\\x0a")
    );
    assert_eq!(shown(b"a\n", b"a"), text("a\\x0a", "a"));
    assert_eq!(shown(b" x \n", b" y \n"), text("x", "y"));
}

/// As `date +%H:%M` writes it, in runs whose clocks are hours apart.
#[test]
fn hours_and_minutes_of_the_runs_are_times() {
    let mut facts = facts();
    facts.b.clock_shift_s = 34_406_220;
    let find = |a: &[u8], b: &[u8]| -> Vec<Cause> {
        let found = find_causes(&a, &b, Excerpts::Allowed, &facts).unwrap();
        found.into_iter().map(|finding| finding.cause).collect()
    };
    assert_eq!(find(b"21:33\n", b"02:50\n"), [EmbeddedTimestamp]);
    assert_eq!(
        find(b"built 21:33\n", b"built 02:50\n"),
        [EmbeddedTimestamp]
    );
    assert_eq!(find(b"21:33\n", b"02:51\n"), [Unknown]);
    assert_eq!(find(b"00:21:33\n", b"00:02:50\n"), [Unknown]);
}

#[test]
fn a_marker_across_chunks_still_refuses_excerpts() {
    let key = |fill: u8| {
        let mut bytes = vec![b'x'; CHUNK - 5];
        bytes.extend_from_slice(b"-----BEGIN PRIVATE KEY-----\n");
        bytes.push(fill);
        bytes
    };
    let found = find_causes(
        &&key(b'a')[..],
        &&key(b'b')[..],
        Excerpts::Allowed,
        &facts(),
    )
    .unwrap();
    assert_eq!(found[0].cause, GeneratedKey);
    assert_eq!(found[0].excerpt, None);
}

#[test]
fn refused_excerpts_stay_away_while_the_cause_is_named() {
    let found = find_causes(
        &&b"root:x:repro-a\n"[..],
        &&b"root:x:repro-b-canary\n"[..],
        Excerpts::Refused,
        &facts(),
    )
    .unwrap();
    assert_eq!(found[0].cause, EmbeddedHostname);
    assert_eq!(found[0].excerpt, None);
}

#[test]
fn names_of_one_entry() {
    let cause = |a: &str, b: &str| name_cause(a.as_bytes(), b.as_bytes(), &facts());
    assert_eq!(
        cause("tmp.Xa3kPq9w", "tmp.0ZbT9wLm"),
        Some((RandomContent, Likely))
    );
    assert_eq!(cause("x.15", "x.20022"), Some((EmbeddedProcessId, Likely)));
    assert_eq!(
        cause("log-1795469605", "log-1795469607"),
        Some((EmbeddedTimestamp, Certain))
    );
    assert_eq!(
        cause("build-20261123-2133", "build-20261124-0258"),
        Some((EmbeddedTimestamp, Likely))
    );
    assert_eq!(cause("left", "right"), None);
}

/// Where nothing is known of the runs, but what they are called.
#[test]
fn what_stands_beside_a_name_is_judged_in_any_images() {
    let find = |a: &str, b: &str| -> Vec<Cause> {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        let found = find_causes(&a, &b, Excerpts::Allowed, &Facts::default()).unwrap();
        found.into_iter().map(|finding| finding.cause).collect()
    };
    let both = [EmbeddedHostname, EmbeddedTimestamp];
    assert_eq!(
        find(
            "build-repro-a-20261129120000",
            "build-repro-b-canary-20271227020530"
        ),
        both
    );
    assert_eq!(
        find("repro-a-f4ba1f92", "repro-b-canary-90c3e7d5"),
        [EmbeddedHostname, RandomContent]
    );
    assert_eq!(find("repro-a x", "repro-b-canary x"), [EmbeddedHostname]);
}

#[test]
fn zones_behind_times_say_whether_two_are_one() {
    let find = |a: &str, b: &str| -> Vec<Cause> {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        let found = find_causes(&a, &b, Excerpts::Allowed, &Facts::default()).unwrap();
        found.into_iter().map(|finding| finding.cause).collect()
    };
    for (a, b, cause) in [
        (
            "2026-11-23 10:00:00 CET",
            "2026-11-23 11:00:00 CET",
            EmbeddedTimestamp,
        ),
        (
            "2026-11-23 10:00:00 CET",
            "2026-11-23 10:15:00 CET",
            EmbeddedTimestamp,
        ),
        (
            "2026-11-23T10:00:00-08",
            "2026-11-23T10:15:00-08",
            EmbeddedTimestamp,
        ),
        (
            "2026-11-23T10:00:00[Europe/Berlin]",
            "2026-11-23T10:15:00[Europe/Berlin]",
            EmbeddedTimestamp,
        ),
        (
            "23 Nov 2026 10:00:00 CET",
            "23 Nov 2026 11:00:00 CET",
            EmbeddedTimestamp,
        ),
        (
            "2026-11-23 10:00:00 PM",
            "2026-11-23 11:00:00 PM",
            Cause::LocalTime,
        ),
        (
            "2026-11-23 10:00:00",
            "2026-11-23 11:00:00",
            Cause::LocalTime,
        ),
        // The zone differs with the time.
        (
            "2026-11-23 10:00:00 PST",
            "2026-11-23 13:00:00 EST",
            Cause::LocalTime,
        ),
        (
            "2026-11-23 10:00:00-08",
            "2026-11-23 18:00:00+00",
            Cause::LocalTime,
        ),
        (
            "2026-11-23 10:00:00-08",
            "2026-11-23 11:00:00+00",
            EmbeddedTimestamp,
        ),
        (
            "23 Nov 2026 10:00:00 -08",
            "23 Nov 2026 18:00:00 +00",
            Cause::LocalTime,
        ),
        (
            "2026-11-23 10:00:00 PST x",
            "2026-11-23 13:00:07 EST x",
            EmbeddedTimestamp,
        ),
        ("10:00:00 PST", "10:00:07 EST", EmbeddedTimestamp),
        ("timeout=1500000000", "timeout=1600000000", Unknown),
        ("runtime 1234567890", "runtime 1234567899", Unknown),
        (
            "build_time 1500000000",
            "build_time 1600000000",
            EmbeddedTimestamp,
        ),
    ] {
        assert_eq!(find(a, b), [cause], "{a} {b}");
    }
    assert_eq!(
        find("2026-11-23 10:00:00 PST one", "2026-11-23 13:00:07 EST two"),
        [EmbeddedTimestamp, Unknown]
    );
}

/// Behind the part that is looked at: only the scan for the canary gets there.
#[test]
fn a_canary_far_behind_the_first_difference_is_found() {
    let big = |first: &str, host: &str| {
        let mut bytes = first.as_bytes().to_vec();
        bytes.extend(b"padding padding\n".repeat(200_000));
        bytes.extend_from_slice(host.as_bytes());
        bytes
    };
    let found = find(&big("x", "repro-a"), &big("longer", "repro-b-canary"));
    assert!(found.contains(&(EmbeddedHostname, Certain)), "{found:?}");
    let both = find(
        &big("x", "repro-b-canary"),
        &big("longer", "repro-b-canary"),
    );
    assert!(!both.contains(&(EmbeddedHostname, Certain)), "{both:?}");
}

/// Unrelated contents of the size that is compared as a whole: the work is bounded.
#[test]
fn unrelated_contents_end() {
    let lines = |factor: u32| -> Vec<u8> {
        let lines = (0..200_000_u32).map(|n| format!("{}\n", n.wrapping_mul(factor) % 977));
        lines.collect::<String>().into_bytes()
    };
    assert!(!find(&lines(7), &lines(11)).is_empty());
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"repro-b-canary".to_vec()),
        Just(b"2026-11-23T21:33:25Z".to_vec()),
        Just(b"99999999999999999999 0x7fffffffffff 0x -----BEGIN ".to_vec()),
        Just(b"\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..24),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_pair_ends_with_a_cause_or_is_equal(a in pieces(), b in pieces()) {
        let found = find_causes(&&a[..], &&b[..], Excerpts::Allowed, &facts()).unwrap();
        prop_assert_eq!(found.is_empty(), a == b);
        for finding in found {
            prop_assert!(finding.offset <= a.len() as u64);
            for text in finding.excerpt.iter().flat_map(|excerpt| [&excerpt.a, &excerpt.b]) {
                prop_assert!(!text.chars().any(char::is_control));
            }
        }
    }
}
