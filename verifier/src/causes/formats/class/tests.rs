use super::*;

/// A class with one method that loads a text, the constants in the order given.
fn class(constants: &[(&str, Vec<u8>)], code: &[u8]) -> Vec<u8> {
    let index = |name: &str| -> [u8; 2] {
        let at = constants.iter().position(|(found, _)| *found == name);
        u16::try_from(at.unwrap() + 1).unwrap().to_be_bytes()
    };
    let mut bytes = vec![0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 61];
    bytes.extend(u16::try_from(constants.len() + 1).unwrap().to_be_bytes());
    for (_, constant) in constants {
        bytes.extend(constant);
    }
    bytes.extend([0, 0x21]);
    bytes.extend(index("class"));
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 1, 0, 9]);
    bytes.extend(index("name"));
    bytes.extend(index("type"));
    bytes.extend([0, 1]);
    bytes.extend(index("Code"));
    let length = u32::try_from(code.len()).unwrap();
    bytes.extend((length + 12).to_be_bytes());
    bytes.extend([0, 1, 0, 0]);
    bytes.extend(length.to_be_bytes());
    bytes.extend(code);
    bytes.extend([0, 0, 0, 0, 0, 0]);
    bytes
}

fn utf8(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [&[1], &length[..], text.as_bytes()].concat()
}

fn constants() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("class name", utf8("A")),
        ("class", vec![7, 0, 1]),
        ("name", utf8("run")),
        ("type", utf8("()V")),
        ("Code", utf8("Code")),
        ("text", utf8("built today")),
        ("string", vec![8, 0, 6]),
    ]
}

fn parts(bytes: &[u8]) -> Vec<(String, String)> {
    let mut budget = Budget::new(bytes.len() as u64, 1 << 20);
    let parts = Class.open(bytes, &mut budget).unwrap();
    parts
        .into_iter()
        .map(|part| (part.name, String::from_utf8_lossy(&part.bytes).into_owned()))
        .collect()
}

#[test]
fn places_of_constants_are_no_difference() {
    let one = parts(&class(&constants(), &[18, 7, 177]));
    let method = one
        .iter()
        .find(|(name, _)| name == "method run()V")
        .unwrap();
    assert!(method.1.contains("18 built today\n177\n"), "{}", method.1);
    // Another constant before the text, and so another number in the code.
    let mut more = constants();
    more.insert(5, ("number", vec![3, 0, 0, 0, 9]));
    more[7].1 = vec![8, 0, 7];
    let two = parts(&class(&more, &[18, 8, 177]));
    assert_eq!(one[2..], two[2..]);
    assert_ne!(one[1], two[1]);
}

#[test]
fn damage_is_no_class() {
    let whole = class(&constants(), &[18, 7, 177]);
    for cut in 8..whole.len() {
        let mut budget = Budget::new(1 << 20, 1 << 20);
        assert!(Class.open(&whole[..cut], &mut budget).is_err(), "{cut}");
    }
    // A constant that is its own class.
    let mut circle = constants();
    circle[1].1 = vec![7, 0, 2];
    let mut budget = Budget::new(1 << 20, 1 << 20);
    let circle = class(&circle, &[177]);
    let opened = Class.open(&circle, &mut budget);
    assert_eq!(opened.unwrap_err(), NotOpened::Damaged);
}
