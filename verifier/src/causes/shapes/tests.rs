use super::*;

fn named(path: &str, a: &str, b: &str) -> Option<Cause> {
    shape(&Pair {
        path: path.as_bytes(),
        inside: "",
        a: a.as_bytes(),
        b: b.as_bytes(),
    })
}

#[test]
fn lines_tell_causes() {
    for (path, a, b, cause) in [
        (
            "etc/shadow",
            "u:!:1:0\n",
            "u:!:2:0\n",
            Some(Cause::ShadowDay),
        ),
        (
            "etc/shadow",
            "u:x:1:0\n",
            "u:y:1:0\n",
            Some(Cause::PasswordHash),
        ),
        ("etc/shadow", "u:x:1:0\n", "v:x:1:0\n", None),
        (
            "x/a.properties",
            "#Mon 2026\nk=1\n",
            "#Tue 2026\nk=1\n",
            Some(Cause::JavaPropertiesDate),
        ),
        (
            "x/a.properties",
            "#Mon 2026\nk=1\n",
            "#Tue 2026\nk=2\n",
            None,
        ),
        (
            "x/META-INF/MANIFEST.MF",
            "Built-By: a\n",
            "Built-By: b\n",
            Some(Cause::ManifestDate),
        ),
        (
            "a.po",
            "\"POT-Creation-Date: 1\"\n",
            "\"POT-Creation-Date: 2\"\n",
            Some(Cause::GettextDate),
        ),
        (
            "etc/apk/world",
            ".d=20240501.123456\n",
            ".d=20240501.123459\n",
            Some(Cause::ApkVirtual),
        ),
        (
            "var/lib/dpkg/status",
            "Package: p\nVersion: 1\n",
            "Package: p\nVersion: 2\n",
            Some(Cause::PackageVersion),
        ),
        (
            "a",
            "in /build/one/x\n",
            "in /build/two/x\n",
            Some(Cause::EmbeddedPath),
        ),
        ("a", "in one\n", "in two\n", None),
    ] {
        assert_eq!(named(path, a, b), cause, "{path} {a:?}");
    }
}

#[test]
fn checksums_follow_and_other_lines_do_not() {
    let line = |digit: &str| format!("{}  usr/bin/x\n", digit.repeat(64));
    let (a, b) = (line("a"), line("b"));
    assert_eq!(named("SHA256SUMS", &a, &b), Some(Cause::DerivedChecksum));
    assert_eq!(named("SHA256SUMS", &a, "other\n"), None);
    // Whatever it is called, if it is such a list as a whole.
    assert_eq!(named("SUMS", &a, &b), Some(Cause::DerivedChecksum));
    // Comments that are equal are no other lines; one that differs is.
    let noted = |note: &str, list: &str| format!("# {note}\n\n{list}");
    assert_eq!(
        named("SUMS", &noted("sums", &a), &noted("sums", &b)),
        Some(Cause::DerivedChecksum)
    );
    assert_eq!(named("SUMS", &noted("one", &a), &noted("two", &b)), None);
    let tagged = |digit: &str| format!("SHA256 (usr/bin/x) = {}\n\n", digit.repeat(64));
    let (tagged_a, tagged_b) = (tagged("a"), tagged("b"));
    assert_eq!(
        named("sums", &tagged_a, &tagged_b),
        Some(Cause::DerivedChecksum)
    );
    for beside in ["token\n", "x = 1\n", &"a".repeat(64)] {
        let (a, b) = (format!("{beside}\n{a}"), format!("{beside}\n{b}"));
        assert_eq!(named("notes", &a, &b), None, "{beside}");
    }
    // A digest alone, one beside a word, one of standard input, and one of no known length.
    for line in ["", "\n", " x\n", "  -\n"] {
        let (a, b) = ("a".repeat(64) + line, "b".repeat(64) + line);
        assert_eq!(named("notes", &a, &b), None, "{line:?}");
    }
    assert_eq!(named("notes", &a[1..], &b[1..]), None);
}

#[test]
fn lists_of_documents_are_sets_unless_their_places_mean_something() {
    for (a, b, cause) in [
        (
            r#"["x1","y2","z3"]"#,
            r#"["z3","y2","x1"]"#,
            Some(Cause::ListOrder),
        ),
        (
            r#"{"n": 1, "f": [{"p": "a b"}, {"p": "c"}, {"p": "d"}]}"#,
            r#"{"f": [{"p": "c"}, {"p": "a b"}, {"p": "d"}], "n": 1}"#,
            Some(Cause::ListOrder),
        ),
        // Two, numbers, one item twice, other items, and values of other keys.
        (r#"["x","y"]"#, r#"["y","x"]"#, None),
        ("[640,480,24]", "[480,640,24]", None),
        (r#"["x","y","y"]"#, r#"["y","x","y"]"#, None),
        (r#"["x","y","z"]"#, r#"["y","x","w"]"#, None),
        ("[1,2,3,4,5]", "[5,4,3,2,1]", None),
        (
            r#"{"type":"Point","coordinates":[1.5,2.5,3.5,4.5]}"#,
            r#"{"type":"Point","coordinates":[4.5,3.5,2.5,1.5]}"#,
            None,
        ),
        (
            r#"{"n":0.1,"f":["x","y","z"]}"#,
            r#"{"n":0.1000000000000000055,"f":["z","y","x"]}"#,
            None,
        ),
        (
            r#"{"a":"x","b":"y","c":"z"}"#,
            r#"{"a":"y","b":"x","c":"z"}"#,
            None,
        ),
    ] {
        assert_eq!(named("x.json", a, b), cause, "{a}");
    }
}

#[test]
fn versions_of_packages_are_told_by_name() {
    let package = |name: &str, version: &str| format!("Package: {name}\nVersion: {version}\n\n");
    let a = [
        package("curl", "7.88"),
        package("zlib1g", "1.2"),
        package("old", "1"),
    ]
    .concat();
    let b = [package("curl", "8.5"), package("zlib1g", "1.2")].concat();
    let told = changed_versions(b"var/lib/dpkg/status", a.as_bytes(), b.as_bytes());
    let expected = (
        "curl 7.88, old 1".to_owned(),
        "curl 8.5, old absent".to_owned(),
    );
    assert_eq!(told, Some(expected));
    assert_eq!(
        changed_versions(b"etc/status", a.as_bytes(), b.as_bytes()),
        None
    );
    let apk = changed_versions(
        b"lib/apk/db/installed",
        b"P:musl\nV:1-r0\n",
        b"P:musl\nV:1-r1\n",
    );
    assert_eq!(apk, Some(("musl 1-r0".to_owned(), "musl 1-r1".to_owned())));
}

#[test]
fn dates_in_instructions_are_told_from_other_numbers() {
    let named = |a: &[u8], b: &[u8]| {
        shape(&Pair {
            path: b"prog",
            inside: "elf!.text",
            a,
            b,
        })
    };
    // movabs $"Nov 28 2", %rax; mov %rax, 0x10(%rsp); movl $"026", 0x17(%rsp)
    let date = |first: &[u8; 8], rest: &[u8; 4]| {
        [
            b"\x48\xb8",
            &first[..],
            b"\x48\x89\x44\x24\x10\xc7\x44\x24\x17",
            rest,
        ]
        .concat()
    };
    let a = date(b"Nov 28 2", b"026\0");
    assert_eq!(
        named(&a, &date(b"Dec 31 2", b"027\0")),
        Some(Cause::CompiledDate)
    );
    assert_eq!(
        named(&a, &date(b"Nov 29 2", b"026\0")),
        Some(Cause::CompiledDate)
    );
    // The same bytes in another order are a date too, and no order of symbols.
    assert_eq!(
        named(&a, &date(b"Nov 82 2", b"026\0")),
        Some(Cause::CompiledDate)
    );
    // Another text, a number alone, and a date beside other code that differs.
    assert_eq!(named(&a, &date(b"Nov x8 2", b"026\0")), None);
    assert_eq!(named(&a, &date(b"Nov 28 2", b"027\0")), None);
    let mut other = date(b"Dec 31 2", b"026\0");
    other[0] = 0x49;
    assert_eq!(named(&a, &other), None);
    other.push(0);
    assert_eq!(named(&a, &other), None);
}
