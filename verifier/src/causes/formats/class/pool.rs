//! The pool of constants of a class.

use std::borrow::Cow;

use repro_core::tree::show_bytes;

use super::super::{Budget, NotOpened, put};

/// Constants on the way from a use to a text: a method, its class, the name of that. Damage can make
/// a circle of them.
const MAX_STEPS: usize = 6;

/// Reads numbers as the format has them.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], NotOpened> {
        let end = self.at.checked_add(length).ok_or(NotOpened::Damaged)?;
        let part = self.bytes.get(self.at..end).ok_or(NotOpened::Damaged)?;
        self.at = end;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], NotOpened> {
        self.take(N)?.try_into().map_err(|_| NotOpened::Damaged)
    }

    pub(super) fn u1(&mut self) -> Result<u8, NotOpened> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(super) fn u2(&mut self) -> Result<u16, NotOpened> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(super) fn u4(&mut self) -> Result<u32, NotOpened> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) fn i4(&mut self) -> Result<i32, NotOpened> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    fn u8(&mut self) -> Result<u64, NotOpened> {
        Ok(u64::from_be_bytes(self.array()?))
    }
}

/// One constant.
enum Constant<'a> {
    /// A name or a text.
    Text(&'a [u8]),
    /// A number, with its type and its bits.
    Number(String),
    /// Points to others.
    Points([u16; 2]),
    /// A number that counts something elsewhere, and another constant.
    Numbered(&'static str, u16, u16),
    /// No place of its own: the second half of a long one.
    Gap,
}

/// The constants by their number.
pub(super) struct Pool<'a>(Vec<Constant<'a>>);

impl<'a> Pool<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, NotOpened> {
        let count = usize::from(reader.u2()?);
        let mut constants = vec![Constant::Gap];
        while constants.len() < count {
            let tag = reader.u1()?;
            let constant = match tag {
                1 => {
                    let length = usize::from(reader.u2()?);
                    Constant::Text(reader.take(length)?)
                }
                3 => Constant::Number(format!("int {}", reader.i4()?)),
                4 => Constant::Number(format!("float {:#010x}", reader.u4()?)),
                5 => Constant::Number(format!("long {:#018x}", reader.u8()?)),
                6 => Constant::Number(format!("double {:#018x}", reader.u8()?)),
                7 | 8 | 16 | 19 | 20 => Constant::Points([reader.u2()?, 0]),
                9..=12 => Constant::Points([reader.u2()?, reader.u2()?]),
                15 => Constant::Numbered("handle", reader.u1()?.into(), reader.u2()?),
                17 => Constant::Numbered("dynamic", reader.u2()?, reader.u2()?),
                18 => Constant::Numbered("call", reader.u2()?, reader.u2()?),
                _ => return Err(NotOpened::Damaged),
            };
            constants.push(constant);
            if matches!(tag, 5 | 6) {
                constants.push(Constant::Gap);
            }
        }
        Ok(Self(constants))
    }

    /// What constant `index` says, its pointers followed.
    pub(super) fn text(&self, index: u16, budget: &mut Budget) -> Result<String, NotOpened> {
        let mut text = String::new();
        self.write(index, MAX_STEPS, &mut text)?;
        budget.take(text.len() as u64 + 1)?;
        Ok(text)
    }

    fn write(&self, index: u16, steps: usize, text: &mut String) -> Result<(), NotOpened> {
        let steps = steps.checked_sub(1).ok_or(NotOpened::Damaged)?;
        let constant = self.0.get(usize::from(index)).ok_or(NotOpened::Damaged)?;
        match constant {
            Constant::Text(bytes) => text.push_str(&show_bytes(bytes)),
            Constant::Number(number) => text.push_str(number),
            Constant::Points([one, 0]) => self.write(*one, steps, text)?,
            Constant::Points([one, other]) => {
                self.write(*one, steps, text)?;
                text.push(' ');
                self.write(*other, steps, text)?;
            }
            Constant::Numbered(name, number, other) => {
                put(text, format_args!("{name} {number} "));
                self.write(*other, steps, text)?;
            }
            // No superclass, and no name of a constructor: 0 points to nothing.
            Constant::Gap => text.push('-'),
        }
        Ok(())
    }

    /// Texts and numbers, one a line and sorted: their places are not their meaning.
    pub(super) fn literals(&self, budget: &mut Budget) -> Result<String, NotOpened> {
        let mut lines: Vec<Cow<'_, str>> = Vec::new();
        for constant in &self.0 {
            let line = match constant {
                Constant::Text(bytes) => show_bytes(bytes),
                Constant::Number(number) => number.into(),
                _ => continue,
            };
            budget.take(line.len() as u64 + 1)?;
            lines.push(line);
        }
        lines.sort_unstable();
        let mut text = lines.join("\n");
        text.push('\n');
        Ok(text)
    }
}
