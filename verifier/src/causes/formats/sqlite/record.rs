//! Records: the values of one row ("Database File Format", 2.1).

use std::fmt;

use repro_core::tree::show_bytes;

use super::super::NotOpened;

/// How texts are written in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

/// A value. Its text is one line.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    /// Printable.
    Text(String),
    Blob(Vec<u8>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Real(number) => write!(f, "{number:?}"),
            Self::Text(text) => f.write_str(text),
            Self::Blob(bytes) => f.write_str(&show_bytes(bytes)),
        }
    }
}

/// Reads a number of one to nine bytes, seven bits each but the last.
pub(super) fn varint(bytes: &[u8], at: &mut usize) -> Result<u64, NotOpened> {
    let mut value = 0_u64;
    for count in 1..=9 {
        let byte = *bytes.get(*at).ok_or(NotOpened::Damaged)?;
        *at += 1;
        if count == 9 {
            return Ok(value << 8 | u64::from(byte));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Ok(value)
}

/// The values of a record.
pub(super) fn values(record: &[u8], encoding: Encoding) -> Result<Vec<Value>, NotOpened> {
    let mut at = 0;
    let header = usize::try_from(varint(record, &mut at)?).map_err(|_| NotOpened::Damaged)?;
    if header > record.len() || header < at {
        return Err(NotOpened::Damaged);
    }
    let (head, mut body) = record.split_at(header);
    let mut values = Vec::new();
    while at < header {
        let kind = varint(head, &mut at)?;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return Err(NotOpened::Damaged),
            _ => (kind - 12) / 2,
        };
        let length = usize::try_from(length).map_err(|_| NotOpened::Damaged)?;
        let (bytes, rest) = body.split_at_checked(length).ok_or(NotOpened::Damaged)?;
        body = rest;
        values.push(match kind {
            0 => Value::Null,
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            7 => {
                let raw = bytes.try_into().map_err(|_| NotOpened::Damaged)?;
                Value::Real(f64::from_be_bytes(raw))
            }
            1..=6 => Value::Integer(integer(bytes)),
            _ if kind % 2 == 0 => Value::Blob(bytes.to_vec()),
            _ => Value::Text(text(bytes, encoding)),
        });
    }
    Ok(values)
}

fn integer(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let start = if negative { -1 } else { 0 };
    bytes
        .iter()
        .fold(start, |value, byte| value << 8 | i64::from(*byte))
}

fn text(bytes: &[u8], encoding: Encoding) -> String {
    let wide = |from: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| from([pair[0], pair[1]]));
        let text: String = char::decode_utf16(units)
            .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        show_bytes(text.as_bytes()).into_owned()
    };
    match encoding {
        Encoding::Utf8 => show_bytes(bytes).into_owned(),
        Encoding::Utf16Le => wide(u16::from_le_bytes),
        Encoding::Utf16Be => wide(u16::from_be_bytes),
    }
}
