//! What programs made by Go say of themselves: the section `.go.buildinfo` (debug/buildinfo).

use object::{Object as _, ObjectSection as _};

use super::inventory::{Package, PackageKind, one_line};

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// Where the texts begin.
const HEADER: usize = 32;
/// Set where the texts are in the section itself, which is so since Go 1.18. Before it they are behind
/// pointers, and such programs are passed over.
const INLINE: u8 = 2;
/// What stands before and behind the list of modules.
const SENTINEL: usize = 16;

/// The modules of a program and Go itself; none where it is not Go's.
pub(super) fn modules(program: &[u8]) -> Vec<Package> {
    of_program(program).unwrap_or_default()
}

fn of_program(program: &[u8]) -> Option<Vec<Package>> {
    let file = object::File::parse(program).ok()?;
    let section = file.section_by_name(".go.buildinfo")?;
    of_section(section.data().ok()?)
}

fn of_section(data: &[u8]) -> Option<Vec<Package>> {
    if !data.starts_with(MAGIC) || data.get(15)? & INLINE == 0 {
        return None;
    }
    let mut rest = data.get(HEADER..)?;
    let version = text(&mut rest)?;
    let modules = text(&mut rest)?;
    let mut found = Vec::new();
    let release = String::from_utf8_lossy(version);
    if let Some(release) = release.split(' ').next().and_then(|v| v.strip_prefix("go")) {
        found.push(Package::new(
            PackageKind::Golang,
            "stdlib",
            &one_line(release),
        ));
    }
    let inner = modules.len().checked_sub(2 * SENTINEL);
    if let Some(inner) = inner {
        let list = String::from_utf8_lossy(&modules[SENTINEL..SENTINEL + inner]);
        for line in list.lines() {
            let mut words = line.split('\t');
            match words.next() {
                Some("mod" | "dep") => found.extend(module(words)),
                // The module above is replaced by this one.
                Some("=>") => {
                    if let Some(other) = module(words) {
                        found.pop();
                        found.push(other);
                    }
                }
                _ => {}
            }
        }
    }
    Some(found)
}

fn module<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Package> {
    let path = one_line(words.next()?);
    let version = one_line(words.next().unwrap_or_default());
    // What is built from a directory has no version of its own.
    let version = if version == "(devel)" { "" } else { &version };
    let (namespace, name) = path.rsplit_once('/').unwrap_or(("", &path));
    if name.is_empty() {
        return None;
    }
    let mut package = Package::new(PackageKind::Golang, name, version);
    package.namespace = namespace.into();
    Some(package)
}

/// A length as a variable integer, and as many bytes.
fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut length = 0_usize;
    for shift in (0..35).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let (text, after) = rest.split_at_checked(length)?;
            *rest = after;
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(version: &str, modules: &str) -> Vec<u8> {
        let mut data = MAGIC.to_vec();
        data.extend([8, INLINE]);
        data.resize(HEADER, 0);
        let framed = format!("{0}{modules}{0}", "s".repeat(SENTINEL));
        for text in [version, &framed] {
            let mut length = text.len();
            while length >= 0x80 {
                data.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
                length >>= 7;
            }
            data.push(u8::try_from(length).unwrap());
            data.extend(text.as_bytes());
        }
        data
    }

    #[test]
    fn modules_replacements_and_go_itself() {
        let list = "path\tcmd/app\nmod\tcode.example/app\t(devel)\t\n\
                    dep\tmods.example/x/sys\tv0.20.0\th1:x=\ndep\tcode.example/old\tv1.0.0\n\
                    =>\tcode.example/fork/new\tv1.0.1\th1:y=\nbuild\t-compiler=gc\n";
        let found = of_section(&section("go1.22.3 X:x", list)).unwrap();
        let short: Vec<String> = found
            .iter()
            .map(|p| format!("{}/{}@{}", p.namespace, p.name, p.version))
            .collect();
        assert_eq!(
            short,
            [
                "/stdlib@1.22.3",
                "code.example/app@",
                "mods.example/x/sys@v0.20.0",
                "code.example/fork/new@v1.0.1",
            ]
        );
    }

    #[test]
    fn damaged_sections_list_nothing_and_harm_nothing() {
        let whole = section("go1.22.3", "mod\ta\tv1\n");
        for cut in 0..whole.len() {
            assert!(of_section(&whole[..cut]).is_none_or(|found| found.len() <= 2));
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            drop(of_section(&bytes));
        }
        assert_eq!(modules(b"\x7fELF and nothing else"), []);
    }
}
