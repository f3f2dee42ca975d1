//! Any one byte of a pack changed: refused.

use std::fs;

use super::*;
use crate::verify::files::PackFiles;

/// Changed at a few hundred places each, so that a run stays below seconds: the first and the
/// last bytes, and a stride between.
fn places(length: usize) -> Vec<usize> {
    let stride = (length / 16).max(1);
    let mut places: Vec<usize> = (0..length).step_by(stride).collect();
    places.extend(length.checked_sub(1));
    places
}

#[test]
fn one_changed_byte_in_any_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("pack");
    Case::reproducible()
        .write(&place, Signer::Key(&signing()))
        .unwrap();
    let whole = verify(&place);
    let paths = PackFiles::list(&place).unwrap().paths().clone();
    assert!(paths.len() > 12, "{paths:?}");
    for path in paths {
        let file = place.join(&path);
        let bytes = fs::read(&file).unwrap();
        for at in places(bytes.len()) {
            for change in [0x01, 0x20, 0x80] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                fs::write(&file, &changed).unwrap();
                let report = verify(&place);
                // Of the index bundle alone nobody keeps a digest: where the change is in what
                // no reader takes as meaning, everything is as before.
                let same =
                    path == crate::pack::layout::INDEX_BUNDLE && says(&report) == says(&whole);
                assert!(
                    report.conclusion == Conclusion::Refused || same,
                    "{path} at {at} ^ {change:#x}"
                );
            }
        }
        fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
        let cut = verify(&place);
        let line_end = path == crate::pack::layout::INDEX_BUNDLE && says(&cut) == says(&whole);
        assert!(
            cut.conclusion == Conclusion::Refused || line_end,
            "{path} cut"
        );
        fs::remove_file(&file).unwrap();
        assert_eq!(
            verify(&place).conclusion,
            Conclusion::Refused,
            "{path} removed"
        );
        fs::write(&file, &bytes).unwrap();
    }
    assert_eq!(verify(&place), whole);
}
