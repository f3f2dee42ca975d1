//! ELF: programs, libraries and objects, section by section.

use object::{Object as _, ObjectSection as _, ObjectSymbol as _, read::File};
use repro_core::tree::show_bytes;

use super::{Budget, Format, NotOpened, Part, Role, counted};
use crate::causes::{Cause, Confidence};

/// ELF.
pub(super) struct Elf;

impl Format for Elf {
    fn matches(&self, _: &[u8], head: &[u8]) -> bool {
        head.starts_with(b"\x7fELF")
    }

    fn open<'a>(&self, bytes: &'a [u8], budget: &mut Budget) -> Result<Vec<Part<'a>>, NotOpened> {
        let file = File::parse(bytes).map_err(|_| NotOpened::Damaged)?;
        let head = format!(
            "{:?} {:?} {:?} {:?} entry {:#x}",
            file.architecture(),
            file.endianness(),
            file.kind(),
            file.flags(),
            file.entry(),
        );
        let mut parts = vec![Part::content("header", head.into_bytes())];
        for section in file.sections() {
            let name = section.name_bytes().map_err(|_| NotOpened::Damaged)?;
            // Sections can share one name that is as long as the file.
            budget.take(name.len() as u64)?;
            let name = show_bytes(name).into_owned();
            let packed = section.compressed_data().map_err(|_| NotOpened::Damaged)?;
            budget.take(packed.uncompressed_size)?;
            let data = packed.decompress().map_err(|_| NotOpened::Damaged)?;
            let role = match name.as_str() {
                ".note.gnu.build-id" | ".gnu_debuglink" => Role::Follows(Cause::LinkerBuildId),
                ".note.go.buildid" => Role::Field(Cause::GoBuildId),
                // Tables of names and places: what differs there is seen as symbols or contents.
                ".strtab" | ".symtab" | ".shstrtab" | ".dynsym" | ".hash" | ".gnu.hash" => continue,
                // Named after a random number, as is what lies in it.
                _ if name.starts_with(".gnu.lto_") => {
                    let (stem, _) = name.rsplit_once('.').unwrap_or((&name, ""));
                    let bytes = [name.as_bytes(), &data[..]].concat();
                    parts.push(Part::field(stem, Cause::LtoSymbol, bytes));
                    continue;
                }
                _ if name.starts_with(".debug_")
                    || name.starts_with(".zdebug_")
                    || name.starts_with(".rela.debug_")
                    || name.starts_with(".llvm") =>
                {
                    Role::Paths(Cause::DebugPath)
                }
                _ => Role::Content,
            };
            parts.push(Part {
                name,
                role,
                bytes: data,
            });
            counted(&parts)?;
        }
        let mut names = String::new();
        for symbol in file.symbols() {
            let name = symbol.name_bytes().map_err(|_| NotOpened::Damaged)?;
            budget.take(name.len() as u64 + 1)?;
            names.push_str(&show_bytes(name));
            names.push('\n');
        }
        parts.push(Part::content("symbols", names.into_bytes()));
        Ok(parts)
    }

    fn alone(&self) -> (Cause, Confidence) {
        (Cause::Unknown, Confidence::Unknown)
    }

    fn order(&self) -> Option<Cause> {
        Some(Cause::SymbolOrder)
    }
}
