use super::*;

const PAGE: usize = 512;

/// A record of texts and small numbers.
fn record(values: &[&str]) -> Vec<u8> {
    let mut head = vec![u8::try_from(values.len() + 1).unwrap()];
    let mut body = Vec::new();
    for value in values {
        if let Ok(number) = value.parse::<i8>() {
            head.push(1);
            body.extend(number.to_be_bytes());
        } else {
            head.push(u8::try_from(13 + 2 * value.len()).unwrap());
            body.extend(value.as_bytes());
        }
    }
    [head, body].concat()
}

/// A leaf of a table, its rows from the end of the page on.
fn leaf(rows: &[(u8, Vec<u8>)], start: usize) -> Vec<u8> {
    let mut page = vec![0; PAGE];
    page[start] = 13;
    page[start + 4] = u8::try_from(rows.len()).unwrap();
    let mut end = PAGE;
    for (index, (id, record)) in rows.iter().enumerate() {
        let cell = [&[u8::try_from(record.len()).unwrap(), *id], &record[..]].concat();
        end -= cell.len();
        page[end..end + cell.len()].copy_from_slice(&cell);
        let at = start + 8 + 2 * index;
        page[at..at + 2].copy_from_slice(&u16::try_from(end).unwrap().to_be_bytes());
    }
    page
}

fn database(second: Vec<u8>) -> Vec<u8> {
    let schema = record(&["table", "t", "t", "2", "create table t(a, b)"]);
    let mut first = leaf(&[(1, schema)], HEADER);
    first[..16].copy_from_slice(b"SQLite format 3\0");
    first[16..18].copy_from_slice(&u16::try_from(PAGE).unwrap().to_be_bytes());
    first[59] = 1;
    [first, second].concat()
}

fn parts(bytes: &[u8]) -> Vec<(String, String)> {
    let mut budget = Budget::new(bytes.len() as u64, 1 << 20);
    let parts = Sqlite.open(bytes, &mut budget).unwrap();
    parts
        .into_iter()
        .map(|part| (part.name, String::from_utf8_lossy(&part.bytes).into_owned()))
        .collect()
}

#[test]
fn rows_are_read_by_table() {
    let rows = [(7, record(&["one", "5"])), (9, record(&["t\no", "-3"]))];
    let found = parts(&database(leaf(&rows, 0)));
    let table = found.iter().find(|(name, _)| name == "table t").unwrap();
    assert_eq!(table.1, "7|one|5\n9|t\\x0ao|-3\n");
    let schema = found.iter().find(|(name, _)| name == "schema").unwrap();
    assert_eq!(schema.1, "table t: create table t(a, b)\n");
}

#[test]
fn circles_and_damage_are_no_tables() {
    // An inner page whose only child is itself.
    let mut circle = vec![0; PAGE];
    circle[0] = 5;
    circle[8..12].copy_from_slice(&2_u32.to_be_bytes());
    let opened = |bytes: &[u8]| {
        let mut budget = Budget::new(bytes.len() as u64, 1 << 20);
        Sqlite.open(bytes, &mut budget).map(|parts| parts.len())
    };
    assert_eq!(opened(&database(circle)), Err(NotOpened::Damaged));
    let whole = database(leaf(&[(1, record(&["x"]))], 0));
    for cut in HEADER..whole.len() {
        assert_eq!(opened(&whole[..cut]), Err(NotOpened::Damaged), "{cut}");
    }
    let pages = Pages.open(&whole, &mut Budget::new(1, 1)).unwrap();
    assert_eq!(pages[2].bytes[..], whole[HEADER..]);
}
