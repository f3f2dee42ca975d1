//! What is said of each format.

use std::io::Write as _;

use super::{tests::found, *};

fn said(path: &str, a: &[u8], b: &[u8]) -> Vec<(Cause, String)> {
    found(path, a, b)
        .into_iter()
        .map(|(cause, inside)| (cause, inside.unwrap_or_default()))
        .collect()
}

fn deflated(data: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(data).unwrap();
    out.finish().unwrap()
}

fn pdf(date: &str, id: &str, text: &str) -> Vec<u8> {
    let stream = deflated(text.as_bytes());
    let head = format!(
        "%PDF-1.4\n1 0 obj\n<</Producer(x)/CreationDate({date})>>\nendobj\n2 0 obj\n<</Length {}/Filter\
         /FlateDecode>>\nstream\n",
        stream.len()
    );
    let tail = format!(
        "\nendstream\nendobj\nxref\n0 3\ntrailer\n<</Info 1 0 R/ID[<{id}><{id}>]>>\nstartxref\n{}\n%%EOF\n",
        head.len() + stream.len()
    );
    [head.as_bytes(), &stream, tail.as_bytes()].concat()
}

#[test]
fn pdf_dates_and_ids_are_told_from_text() {
    let one = pdf("D:20261123213327Z", "aa", "(Hello) Tj");
    let dated = said("x.pdf", &one, &pdf("D:20261123213329Z", "bb", "(Hello) Tj"));
    assert_eq!(
        dated,
        [(Cause::PdfDate, "object 1 /CreationDate".to_owned())]
    );
    let id = said("x.pdf", &one, &pdf("D:20261123213327Z", "bb", "(Hello) Tj"));
    assert_eq!(id, [(Cause::PdfDate, "trailer /ID".to_owned())]);
    // Other text, of another length: offsets and lengths are no difference of their own.
    let text = said(
        "x.pdf",
        &one,
        &pdf("D:20261123213327Z", "aa", "(Hello, World) Tj"),
    );
    assert_eq!(text, [(Cause::Unknown, "object 2 stream".to_owned())]);
    for cut in 8..one.len() {
        assert!(!said("x.pdf", &one, &one[..cut]).is_empty(), "{cut}");
    }
}

#[test]
fn xml_is_compared_by_value() {
    let xml = |text: &str| format!("<?xml version=\"1.0\"?>\n{text}\n").into_bytes();
    let one = xml("<a x='1' y='2'><b>t</b><c/></a>");
    assert_eq!(
        said("x", &one, &xml("<a y='2' x='1'>\n <b>t</b>\n <c/>\n</a>")),
        [(Cause::XmlForm, String::new())]
    );
    assert_eq!(
        said("x", &one, &xml("<a x='1' y='3'><b>t</b><c/></a>")),
        [(Cause::Unknown, "/a/@y".to_owned())]
    );
    let dated = |second: u8| {
        xml(&format!(
            "<a><b>Mon Nov 23 21:33:2{second} UTC 2026</b></a>"
        ))
    };
    assert_eq!(
        said("x", &dated(1), &dated(3)),
        [(Cause::EmbeddedTimestamp, "/a/b".to_owned())]
    );
    // Items in another order.
    assert_eq!(
        said(
            "x",
            &xml("<a><i>1</i><i>2</i></a>"),
            &xml("<a><i>2</i><i>1</i></a>")
        ),
        [(Cause::XmlForm, String::new())]
    );
    // Damage, and entities that would grow: compared as text.
    assert!(!said("x", &one, &xml("<a x='1' y='2'><b>t</c></a>")).is_empty());
    let lol = |end: &str| {
        xml(&format!(
            "<!DOCTYPE a [<!ENTITY b \"cccc\"><!ENTITY d \"&b;&b;&b;\">]><a>&d;{end}</a>"
        ))
    };
    assert_eq!(
        said("x", &lol("1"), &lol("2")),
        [(Cause::Unknown, "/a".to_owned())]
    );
}

#[test]
fn a_second_frame_counts_as_the_first_does() {
    let frame = |text: &str| {
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        ruzstd::encoding::compress_to_vec(text.as_bytes(), level)
    };
    let two = |second: &str| [frame("one\n"), frame(second)].concat();
    let found = said(
        "x.zst",
        &two("Mon Nov 23 21:33:21 UTC 2026"),
        &two("Mon Nov 23 21:33:23 UTC 2026"),
    );
    assert_eq!(found[0].0, Cause::EmbeddedTimestamp);
}

#[test]
fn unknown_bytes_are_shown_as_a_hex_dump() {
    let mut a = vec![0x80; 64];
    a[..4].copy_from_slice(&[0xfa, 0xce, 0x00, 0x01]);
    let mut b = a.clone();
    b[37] = 0x41;
    let path = TreePath::parse(b"x.bin").unwrap();
    let facts = Facts::default();
    let found = find_file_causes(&path, &&a[..], &&b[..], Excerpts::Allowed, &facts).unwrap();
    let excerpt = found[0].excerpt.as_ref().unwrap();
    assert_eq!(
        excerpt.b,
        "00000020: 8080 8080 8041 8080 8080 8080 8080 8080 |.....A..........|"
    );
}

#[test]
fn a_header_field_of_one_side_only_is_said() {
    let gzip = |name: Option<&str>| {
        let mut head = flate2::GzBuilder::new();
        if let Some(name) = name {
            head = head.filename(name);
        }
        let mut out = head.write(Vec::new(), flate2::Compression::default());
        out.write_all(b"same").unwrap();
        out.finish().unwrap()
    };
    assert_eq!(
        said("x.gz", &gzip(Some("data")), &gzip(None)),
        [(Cause::GzipHeader, "gzip header: name".to_owned())]
    );
}

#[test]
fn headers_of_members_are_shown_as_people_write_them() {
    let excerpts = |path: &str, a: &[u8], b: &[u8]| -> Vec<(String, String)> {
        let path = TreePath::parse(path.as_bytes()).unwrap();
        let facts = Facts::default();
        let found = find_file_causes(&path, &a, &b, Excerpts::Allowed, &facts).unwrap();
        let excerpts = found.into_iter().filter_map(|finding| finding.excerpt);
        excerpts.map(|excerpt| (excerpt.a, excerpt.b)).collect()
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let ar = |time: u32, uid: u32| {
        let head = format!(
            "{:<16}{time:<12}{uid:<6}{:<6}{:<8}{:<10}`\n",
            "x/", 0, 100_644, 2
        );
        [b"!<arch>\n", head.as_bytes(), b"x\n"].concat()
    };
    let times = pair("2026-11-29T02:48:51Z", "2026-11-29T02:48:53Z");
    let (a, b) = (ar(1_795_920_531, 0), ar(1_795_920_533, 1000));
    assert_eq!(
        excerpts("x.a", &a, &b),
        [times.clone(), pair("0:0 100644", "1000:0 100644")]
    );
    let tar = |time: u64, user: &str| {
        let mut header = tar::Header::new_ustar();
        header.set_size(1);
        header.set_mode(0o600);
        header.set_mtime(time);
        header.set_uid(7);
        header.set_gid(8);
        header.set_username(user).unwrap();
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_data(&mut header, "x", &b"x"[..]).unwrap();
        tar.into_inner().unwrap()
    };
    assert_eq!(
        excerpts("x.tar", &tar(1_795_920_531, ""), &tar(1_795_920_533, "u")),
        [times.clone(), pair("7:8 0600", "7:8 0600 u:")]
    );
    let cpio = |time: u32, mode: u32| {
        let member = |name: &str, mode: u32, time: u32| {
            let length = u32::try_from(name.len()).unwrap() + 1;
            let numbers = [1, mode, 0, 0, 1, time, 0, 0, 0, 0, 0, length, 0];
            let numbers = numbers.map(|number| format!("{number:08x}"));
            let mut bytes = format!("070701{}{name}\0", numbers.concat()).into_bytes();
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        [member("x", mode, time), member("TRAILER!!!", 0, 0)].concat()
    };
    let (file, link) = (cpio(0, 0o100_644), cpio(0, 0o120_644));
    assert_eq!(
        excerpts("x.cpio", &file, &link),
        [pair("file", "symbolic link")]
    );
    assert_eq!(
        excerpts(
            "x.cpio",
            &cpio(1_795_920_531, 0o100_644),
            &cpio(1_795_920_533, 0o100_600)
        ),
        [times, pair("0:0 0644", "0:0 0600")]
    );
    let zip = |mode| {
        let mut out = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = ::zip::write::SimpleFileOptions::default()
            .last_modified_time(::zip::DateTime::default())
            .unix_permissions(mode);
        out.start_file("x", options).unwrap();
        out.finish().unwrap().into_inner()
    };
    let modes = excerpts("x.zip", &zip(0o644), &zip(0o600));
    assert_eq!(modes, [pair("0644", "0600")]);
}

/// A member of a tar: name, content, type, target of a link, and minor number of a device.
type Member<'a> = (&'a str, &'a str, tar::EntryType, &'a str, u32);

fn tar_of(members: &[Member<'_>]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content, kind, target, minor) in members {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_device_major(1).unwrap();
        header.set_device_minor(*minor).unwrap();
        if !target.is_empty() {
            header.set_link_name(target).unwrap();
        }
        tar.append_data(&mut header, name, content.as_bytes())
            .unwrap();
    }
    tar.into_inner().unwrap()
}

#[test]
fn types_targets_and_devices_of_members_are_what_they_are() {
    use tar::EntryType as Type;
    let one = |kind, target: &str, minor| tar_of(&[("x", "", kind, target, minor)]);
    for (a, b, expected) in [
        (
            one(Type::Symlink, "left", 0),
            one(Type::Symlink, "right", 0),
            (Cause::Unknown, "x: link target"),
        ),
        (
            one(Type::Symlink, "x-1795469607", 0),
            one(Type::Symlink, "x-build-1795469609", 0),
            (Cause::Unknown, "x: link target"),
        ),
        (
            one(Type::Link, "/tmp/tmp.Xa3kPq9w", 0),
            one(Type::Link, "/tmp/tmp.0ZbT9wLm", 0),
            (Cause::RandomContent, "x: link target"),
        ),
        (
            one(Type::Char, "", 3),
            one(Type::Char, "", 5),
            (Cause::Unknown, "x: device"),
        ),
        (
            one(Type::Regular, "", 0),
            one(Type::Directory, "", 0),
            (Cause::Unknown, "x: type"),
        ),
        (
            one(Type::Regular, "", 0),
            one(Type::Symlink, "left", 0),
            (Cause::Unknown, "x: type"),
        ),
    ] {
        assert_eq!(said("x.tar", &a, &b), [(expected.0, expected.1.to_owned())]);
    }
}

#[test]
fn the_order_of_members_of_one_name_is_content() {
    let tar = |members: &[(&str, &str)]| {
        let members: Vec<Member<'_>> = members
            .iter()
            .map(|(name, content)| (*name, *content, tar::EntryType::Regular, "", 0))
            .collect();
        tar_of(&members)
    };
    assert_eq!(
        said(
            "x.tar",
            &tar(&[("a", "0"), ("a", "1")]),
            &tar(&[("a", "1"), ("a", "0")])
        ),
        [(Cause::Unknown, "a".to_owned())]
    );
    for (a, b) in [
        (vec![("a", "0"), ("b", "1")], vec![("b", "1"), ("a", "0")]),
        (
            vec![("a", "0"), ("b", ""), ("a", "1")],
            vec![("a", "0"), ("a", "1"), ("b", "")],
        ),
    ] {
        assert_eq!(
            said("x.tar", &tar(&a), &tar(&b)),
            [(Cause::ArchiveOrder, String::new())]
        );
    }
}

#[test]
fn a_second_entry_of_one_name_is_an_entry() {
    let zip = |names: &[&str]| {
        let mut out = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = ::zip::write::SimpleFileOptions::default()
            .last_modified_time(::zip::DateTime::default());
        for name in names {
            out.start_file(*name, options).unwrap();
            out.write_all(b"same").unwrap();
        }
        let mut bytes = out.finish().unwrap().into_inner();
        // The writer refuses a name that it has written.
        let places: Vec<usize> = memchr::memmem::find_iter(&bytes, b"same-name").collect();
        for at in places {
            bytes[at..at + 9].copy_from_slice(b"the-other");
        }
        bytes
    };
    let (once, twice) = (zip(&["the-other"]), zip(&["the-other", "same-name"]));
    assert_eq!(
        said("x.zip", &twice, &once),
        [(Cause::MissingFile, "the-other".to_owned())]
    );
}

#[test]
fn numbers_of_documents_are_compared_as_they_are_written() {
    let unknown = [(Cause::Unknown, String::new())];
    for (a, b) in [
        (
            r#"{"a":123456789012345678901}"#,
            r#"{"a":123456789012345678902}"#,
        ),
        ("[0.1000000000000000055]", "[0.1]"),
        (r#"{"s":"\\\"1","a":0.1}"#, r#"{"s":"\\\"1","a":0.10}"#),
    ] {
        assert_eq!(said("x.json", a.as_bytes(), b.as_bytes()), unknown, "{a}");
    }
    let (a, b) = (r#"{"a":1.5,"b":"2"}"#, r#"{"b": "2", "a": 1.5}"#);
    assert_eq!(
        said("x.json", a.as_bytes(), b.as_bytes()),
        [(Cause::JsonOrder, String::new())]
    );
}

#[test]
fn a_list_in_an_archive_is_one_as_outside_of_it() {
    let tar = |text: &str| tar_of(&[("x.json", text, tar::EntryType::Regular, "", 0)]);
    let (a, b) = (r#"{"l":["x1","y2","z3"]}"#, r#"{"l":["z3","y2","x1"]}"#);
    assert_eq!(
        said("x.tar", &tar(a), &tar(b)),
        [(Cause::ListOrder, "x.json".to_owned())]
    );
    assert_eq!(
        said("x.json", a.as_bytes(), b.as_bytes())[0].0,
        Cause::ListOrder
    );
}
