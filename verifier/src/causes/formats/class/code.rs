//! The instructions of a method, one a line.

use super::{
    super::{Budget, NotOpened, put},
    attribute,
    pool::{Pool, Reader},
};

/// What stands behind an instruction.
enum Operands {
    /// That many bytes.
    Bytes(usize),
    /// The number of a constant in so many bytes, and as many bytes behind it.
    Constant { wide: bool, behind: usize },
    /// A table that begins at a multiple of four.
    Table { lookup: bool },
    /// Another instruction with operands of twice the size.
    Wide,
}

/// What stands behind instruction `opcode` (chapter 6.5).
const fn operands(opcode: u8) -> Operands {
    match opcode {
        18 => Operands::Constant {
            wide: false,
            behind: 0,
        },
        19 | 20 | 178..=184 | 187 | 189 | 192 | 193 => Operands::Constant {
            wide: true,
            behind: 0,
        },
        185 | 186 => Operands::Constant {
            wide: true,
            behind: 2,
        },
        197 => Operands::Constant {
            wide: true,
            behind: 1,
        },
        170 => Operands::Table { lookup: false },
        171 => Operands::Table { lookup: true },
        196 => Operands::Wide,
        16 | 21..=25 | 54..=58 | 169 | 188 => Operands::Bytes(1),
        17 | 132 | 153..=168 | 198 | 199 => Operands::Bytes(2),
        200 | 201 => Operands::Bytes(4),
        _ => Operands::Bytes(0),
    }
}

/// The attribute `Code` as text.
pub(super) fn text(
    reader: &mut Reader<'_>,
    pool: &Pool<'_>,
    budget: &mut Budget,
) -> Result<String, NotOpened> {
    let mut text = format!("stack {} locals {}\n", reader.u2()?, reader.u2()?);
    let length = usize::try_from(reader.u4()?).map_err(|_| NotOpened::Damaged)?;
    let mut code = Reader::new(reader.take(length)?);
    while !code.is_empty() {
        let start = text.len();
        instruction(&mut code, pool, budget, &mut text)?;
        text.push('\n');
        budget.take((text.len() - start) as u64)?;
    }
    for _ in 0..reader.u2()? {
        let places = [reader.u2()?, reader.u2()?, reader.u2()?];
        let caught = pool.text(reader.u2()?, budget)?;
        put(&mut text, format_args!("catch {caught} {places:?}\n"));
    }
    for _ in 0..reader.u2()? {
        let (name, value) = attribute(reader, pool, budget)?;
        put(&mut text, format_args!("{name}: {value}\n"));
    }
    Ok(text)
}

fn instruction(
    code: &mut Reader<'_>,
    pool: &Pool<'_>,
    budget: &mut Budget,
    text: &mut String,
) -> Result<(), NotOpened> {
    let opcode = code.u1()?;
    put(text, format_args!("{opcode}"));
    match operands(opcode) {
        Operands::Bytes(count) => {
            for byte in code.take(count)? {
                put(text, format_args!(" {byte}"));
            }
        }
        Operands::Constant { wide, behind } => {
            let index = if wide { code.u2()? } else { code.u1()?.into() };
            put(text, format_args!(" {}", pool.text(index, budget)?));
            for byte in code.take(behind)? {
                put(text, format_args!(" {byte}"));
            }
        }
        Operands::Table { lookup } => {
            code.take(code.at().next_multiple_of(4) - code.at())?;
            let default = code.i4()?;
            let words = if lookup {
                2 * i64::from(code.i4()?)
            } else {
                let (low, high) = (code.i4()?, code.i4()?);
                put(text, format_args!(" {low} {high}"));
                i64::from(high) - i64::from(low) + 1
            };
            put(text, format_args!(" else {default}"));
            for _ in 0..words {
                put(text, format_args!(" {}", code.i4()?));
            }
        }
        Operands::Wide => {
            let opcode = code.u1()?;
            let count = if opcode == 132 { 4 } else { 2 };
            put(text, format_args!(" {opcode}"));
            for byte in code.take(count)? {
                put(text, format_args!(" {byte}"));
            }
        }
    }
    Ok(())
}
