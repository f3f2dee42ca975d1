//! Compiled Java: constants, fields, methods. Places in the pool of constants are resolved, so that one
//! more constant is not a difference of everything behind it.

mod code;
mod pool;

use repro_core::tree::show_bytes;

use self::pool::{Pool, Reader};
use super::{Budget, Format, NotOpened, Part, counted, put};
use crate::causes::{Cause, Confidence};

/// `.class` (Java Virtual Machine Specification, chapter 4).
pub(super) struct Class;

/// The first version of the format, of Java 1.0.2. "Fat" programs of macOS have the same magic, and a small
/// number of architectures in this place.
const FIRST_VERSION: u16 = 45;

impl Format for Class {
    fn matches(&self, _: &[u8], head: &[u8]) -> bool {
        let version = head
            .get(6..8)
            .map(|raw| u16::from_be_bytes([raw[0], raw[1]]));
        head.starts_with(&[0xca, 0xfe, 0xba, 0xbe])
            && version.is_some_and(|version| version >= FIRST_VERSION)
    }

    fn open<'a>(&self, bytes: &'a [u8], budget: &mut Budget) -> Result<Vec<Part<'a>>, NotOpened> {
        let mut reader = Reader::new(bytes);
        reader.take(4)?;
        let (minor, major) = (reader.u2()?, reader.u2()?);
        let pool = Pool::read(&mut reader)?;
        let mut parts = vec![
            Part::content("version", format!("{major}.{minor}").into_bytes()),
            Part::content("constants", pool.literals(budget)?.into_bytes()),
        ];
        let (access, name, above) = (reader.u2()?, reader.u2()?, reader.u2()?);
        let mut head = format!(
            "access {access:#06x}\nclass {}\nextends {}\n",
            pool.text(name, budget)?,
            pool.text(above, budget)?,
        );
        for _ in 0..reader.u2()? {
            head.push_str("implements ");
            head.push_str(&pool.text(reader.u2()?, budget)?);
            head.push('\n');
        }
        parts.push(Part::content("class", head.into_bytes()));
        for kind in ["field", "method"] {
            for _ in 0..reader.u2()? {
                let (access, name, of) = (reader.u2()?, reader.u2()?, reader.u2()?);
                let name = format!(
                    "{kind} {}{}",
                    pool.text(name, budget)?,
                    pool.text(of, budget)?
                );
                let mut text = format!("access {access:#06x}\n");
                for _ in 0..reader.u2()? {
                    let (attribute, value) = attribute(&mut reader, &pool, budget)?;
                    put(&mut text, format_args!("{attribute}: {value}\n"));
                }
                parts.push(Part::content(name, text.into_bytes()));
                counted(&parts)?;
            }
        }
        for _ in 0..reader.u2()? {
            let (name, value) = attribute(&mut reader, &pool, budget)?;
            parts.push(Part::content(name, value.into_bytes()));
        }
        if reader.is_empty() {
            Ok(parts)
        } else {
            Err(NotOpened::Damaged)
        }
    }

    fn order(&self) -> Option<Cause> {
        Some(Cause::SymbolOrder)
    }

    fn form(&self) -> Option<Cause> {
        // What is left are the places of the constants.
        Some(Cause::SymbolOrder)
    }

    fn alone(&self) -> (Cause, Confidence) {
        (Cause::Unknown, Confidence::Unknown)
    }
}

/// An attribute: its name, and its value as text.
fn attribute(
    reader: &mut Reader<'_>,
    pool: &Pool<'_>,
    budget: &mut Budget,
) -> Result<(String, String), NotOpened> {
    let name = pool.text(reader.u2()?, budget)?;
    let length = usize::try_from(reader.u4()?).map_err(|_| NotOpened::Damaged)?;
    let value = reader.take(length)?;
    let mut inner = Reader::new(value);
    let text = match name.as_str() {
        "Code" => code::text(&mut inner, pool, budget)?,
        "SourceFile" | "Signature" | "ConstantValue" | "NestHost" => {
            pool.text(inner.u2()?, budget)?
        }
        "Exceptions" | "NestMembers" | "PermittedSubclasses" => {
            let mut names = String::new();
            for _ in 0..inner.u2()? {
                names.push_str(&pool.text(inner.u2()?, budget)?);
                names.push('\n');
            }
            names
        }
        _ => {
            budget.take(4 * value.len() as u64)?;
            show_bytes(value).into_owned()
        }
    };
    Ok((name, text))
}

#[cfg(test)]
mod tests;
