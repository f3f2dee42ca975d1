//! Databases of `SQLite`: rows by table, whatever page they are on. What cannot be read that way is
//! compared as counters and pages.

mod record;
mod tree;

use self::{record::Value, tree::Database};
use super::{Budget, Format, NotOpened, Part, Role, counted, put};
use crate::causes::{Cause, Confidence};

/// `SQLite` 3.
pub(super) struct Sqlite;

/// Bytes of the header ("Database File Format", 1.3).
const HEADER: usize = 100;

/// The same where its tables cannot be read: counters of the header apart from the pages.
pub(super) struct Pages;

fn is_database(head: &[u8]) -> bool {
    head.starts_with(b"SQLite format 3\0") && head.len() >= HEADER
}

impl Format for Sqlite {
    fn matches(&self, _: &[u8], head: &[u8]) -> bool {
        is_database(head)
    }

    fn open<'a>(&self, bytes: &'a [u8], budget: &mut Budget) -> Result<Vec<Part<'a>>, NotOpened> {
        tables(bytes, budget)
    }

    fn form(&self) -> Option<Cause> {
        Some(Cause::SqliteLayout)
    }

    fn alone(&self) -> (Cause, Confidence) {
        (Cause::Unknown, Confidence::Unknown)
    }
}

impl Format for Pages {
    fn matches(&self, _: &[u8], head: &[u8]) -> bool {
        is_database(head)
    }

    fn open<'a>(&self, bytes: &'a [u8], _: &mut Budget) -> Result<Vec<Part<'a>>, NotOpened> {
        let counters = [&bytes[24..28], &bytes[32..40], &bytes[92..HEADER]].concat();
        Ok(vec![
            Part {
                name: "counters".into(),
                role: Role::Follows(Cause::SqliteLayout),
                bytes: counters.into(),
            },
            Part::content("database header", [&bytes[..24], &bytes[40..92]].concat()),
            Part::content("database pages", &bytes[HEADER..]),
        ])
    }
}

/// The rows of every table, as text: one a line.
fn tables<'a>(bytes: &[u8], budget: &mut Budget) -> Result<Vec<Part<'a>>, NotOpened> {
    let database = Database::new(bytes)?;
    let mut parts = Vec::new();
    // The settings that a program keeps in the header: user version and application id.
    let settings = [&bytes[60..64], &bytes[68..72]].concat();
    parts.push(Part::content("settings", settings));
    let mut tables = Vec::new();
    let mut schema = String::new();
    database.rows(1, budget, &mut |_, row| {
        let [kind, name, _, root, sql] = row else {
            return Err(NotOpened::Damaged);
        };
        put(&mut schema, format_args!("{kind} {name}: {sql}\n"));
        if let (Value::Text(kind), Value::Integer(root)) = (kind, root)
            && kind == "table"
            && let Ok(root) = u32::try_from(*root)
            && root > 0
        {
            tables.push((name.to_string(), root));
        }
        Ok(())
    })?;
    parts.push(Part::content("schema", schema.into_bytes()));
    for (name, root) in tables {
        let mut text = String::new();
        database.rows(root, budget, &mut |id, row| {
            if let Some(id) = id {
                put(&mut text, format_args!("{id}"));
            }
            for value in row {
                put(&mut text, format_args!("|{value}"));
            }
            text.push('\n');
            Ok(())
        })?;
        parts.push(Part::content(format!("table {name}"), text.into_bytes()));
        counted(&parts)?;
    }
    Ok(parts)
}

/// The contents of column `column`, counted from 0, of the table `table`, where they are bytes; `None`
/// where `bytes` are no database that can be read.
pub(crate) fn column(bytes: &[u8], table: &str, column: usize) -> Option<Vec<Vec<u8>>> {
    if !is_database(bytes) {
        return None;
    }
    let size = u64::try_from(bytes.len()).ok()?;
    let mut budget = Budget::new(size, u64::MAX);
    let database = Database::new(bytes).ok()?;
    let mut root = None;
    let schema = &mut |_, row: &[Value]| {
        if let [
            Value::Text(kind),
            Value::Text(name),
            _,
            Value::Integer(page),
            _,
        ] = row
            && kind == "table"
            && name == table
        {
            root = u32::try_from(*page).ok();
        }
        Ok(())
    };
    database.rows(1, &mut budget, schema).ok()?;
    let mut found = Vec::new();
    let take = &mut |_, row: &[Value]| {
        if let Some(Value::Blob(bytes)) = row.get(column) {
            found.push(bytes.clone());
        }
        Ok(())
    };
    database.rows(root?, &mut budget, take).ok()?;
    Some(found)
}

#[cfg(test)]
mod tests;
