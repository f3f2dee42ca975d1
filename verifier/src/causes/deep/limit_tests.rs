//! What is too large, too deep or made to be so: the answer names the limit or compares bytes, in bounded
//! time and memory.

use std::io::Write as _;

use super::{
    tests::{found, gzip},
    *,
};

fn causes(path: &str, a: &[u8], b: &[u8]) -> Vec<Cause> {
    found(path, a, b)
        .into_iter()
        .map(|(cause, _)| cause)
        .collect()
}

/// Zeros that end in a mark, so that two of them differ where only unpacking all would show it.
fn zeros(length: usize, mark: u8) -> Vec<u8> {
    let mut bytes = vec![0; length];
    bytes.push(mark);
    bytes
}

const BEYOND: usize = 24 << 20;

#[test]
fn bombs_of_every_compressor_reach_a_named_limit() {
    let xz = |mark| {
        let mut out = liblzma::write::XzEncoder::new(Vec::new(), 0);
        out.write_all(&zeros(BEYOND, mark)).unwrap();
        out.finish().unwrap()
    };
    let bzip2 = |mark| {
        let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        out.write_all(&zeros(BEYOND, mark)).unwrap();
        out.finish().unwrap()
    };
    let zip = |mark| {
        let mut out = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = ::zip::write::SimpleFileOptions::default();
        out.start_file("zeros", options).unwrap();
        out.write_all(&zeros(BEYOND, mark)).unwrap();
        out.finish().unwrap().into_inner()
    };
    let gz = |mark| gzip(0, 9, &zeros(BEYOND, mark));
    let zstd = |mark| {
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        ruzstd::encoding::compress_to_vec(&zeros(BEYOND, mark)[..], level)
    };
    for (path, [a, b]) in [
        ("x.gz", [1, 2].map(gz)),
        ("x.zst", [1, 2].map(zstd)),
        ("x.xz", [1, 2].map(xz)),
        ("x.bz2", [1, 2].map(bzip2)),
        ("x.zip", [1, 2].map(zip)),
    ] {
        assert!(a.len() < 1 << 20, "{path}");
        let causes = causes(path, &a, &b);
        assert!(causes.contains(&Cause::LimitReached), "{path}: {causes:?}");
    }
}

#[test]
fn nesting_without_end_reaches_a_named_limit() {
    let deep = |mark: &[u8]| {
        let mut bytes = mark.to_vec();
        for _ in 0..12 {
            bytes = gzip(0, 6, &bytes);
        }
        bytes
    };
    let found = found("x.gz", &deep(b"one"), &deep(b"two"));
    assert!(
        found.iter().any(|(cause, _)| *cause == Cause::LimitReached),
        "{found:?}"
    );
    let json = |mark: &str| format!("{}{mark}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(!causes("x.json", json("1").as_bytes(), json("2").as_bytes()).is_empty());
    let xml = |mark: &str| {
        format!(
            "<?xml version='1.0'?>{}{mark}{}",
            "<a>".repeat(9000),
            "</a>".repeat(9000)
        )
    };
    let causes = causes("x.xml", xml("1").as_bytes(), xml("2").as_bytes());
    assert!(causes.contains(&Cause::LimitReached), "{causes:?}");
}

#[test]
fn many_parts_reach_a_named_limit() {
    let json = |last: u8| {
        let many = "0,".repeat(120_000);
        format!("[{many}{last}]")
    };
    let causes = causes("x.json", json(1).as_bytes(), json(2).as_bytes());
    assert!(causes.contains(&Cause::LimitReached), "{causes:?}");
}

/// Sections of a program that share one name as long as the file, and symbols that do.
#[test]
fn names_that_are_shared_cost_what_they_are_long() {
    let elf = |mark: u8| {
        const HEADER: usize = 64;
        const SECTIONS: usize = 800;
        const NAME: usize = 64 << 10;
        let mut file = vec![0; HEADER];
        file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        file[16..20].copy_from_slice(&[3, 0, 62, 0]);
        file[20] = 1;
        let names = file.len();
        file.extend(std::iter::repeat_n(b'n', NAME));
        file.extend([mark, 0]);
        let table = file.len();
        for index in 0..SECTIONS {
            let mut section = [0; 64];
            section[4] = if index == 1 { 3 } else { 1 };
            if index == 1 {
                section[24..32].copy_from_slice(&(names as u64).to_le_bytes());
                section[32..40].copy_from_slice(&(NAME as u64 + 2).to_le_bytes());
            }
            file.extend(section);
        }
        file[40..48].copy_from_slice(&(table as u64).to_le_bytes());
        file[52] = 64;
        file[58] = 64;
        file[60..62].copy_from_slice(&u16::try_from(SECTIONS).unwrap().to_le_bytes());
        file[62] = 1;
        file
    };
    let causes = causes("x.so", &elf(b'1'), &elf(b'2'));
    assert!(causes.contains(&Cause::LimitReached), "{causes:?}");
}
