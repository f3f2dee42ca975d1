//! The helper's files: the running program, and the libraries that it was started with.
//!
//! A container has libraries of its own or none, so the program is started through the loader that it
//! came with. A program linked statically is alone. Rejected: a second program only for containers, which
//! would have to be built and kept in step.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
    path::{Path, PathBuf},
};

use repro_core::build::ExecutorError;

use super::{NAME, PLACE};
use crate::StageImage;

/// One file, to be put into [`PLACE`] with mode 0755.
#[derive(Debug)]
pub struct HelperFile {
    /// Its name there.
    pub name: String,
    /// Its bytes.
    pub content: File,
}

/// What makes a container's first process a helper.
#[derive(Debug)]
pub struct Helper {
    /// The files, sorted by name.
    pub files: Vec<HelperFile>,
    /// The command to start.
    pub command: Vec<String>,
}

impl Helper {
    /// Collects the files of the running program.
    pub fn collect(image: &StageImage) -> Result<Self, ExecutorError> {
        let failed = |what: String| {
            move |source: io::Error| ExecutorError::Machine {
                what,
                hint: "the helper for containers needs /proc, and the libraries that repro was \
                       started with"
                    .to_owned(),
                source: Some(source),
            }
        };
        let open = |path: &Path| {
            File::open(path).map_err(failed(format!("cannot read {}", path.display())))
        };
        let maps = std::fs::read_to_string("/proc/self/maps")
            .map_err(failed("cannot read /proc/self/maps".to_owned()))?;
        let program = std::fs::read_link("/proc/self/exe")
            .map_err(failed("cannot read /proc/self/exe".to_owned()))?;
        let libraries = libraries(&maps, &program);
        let mut files = BTreeMap::from([(NAME.to_owned(), open(&image.path())?)]);
        let mut command = vec![format!("/{PLACE}/{NAME}")];
        for library in &libraries {
            let name = library.file_name().unwrap_or_default();
            let name = name.to_string_lossy().into_owned();
            if is_loader(&name) {
                command = vec![
                    format!("/{PLACE}/{name}"),
                    "--library-path".to_owned(),
                    format!("/{PLACE}"),
                    format!("/{PLACE}/{NAME}"),
                ];
            }
            files.insert(name, open(library)?);
        }
        let files = files.into_iter();
        Ok(Self {
            files: files
                .map(|(name, content)| HelperFile { name, content })
                .collect(),
            command,
        })
    }
}

/// The shared objects of a process but the program itself.
fn libraries(maps: &str, program: &Path) -> BTreeSet<PathBuf> {
    let paths = maps.lines().filter_map(|line| {
        let place = line.find('/')?;
        Some(Path::new(&line[place..]))
    });
    paths
        .filter(|path| *path != program && is_shared_object(path))
        .map(Path::to_owned)
        .collect()
}

fn is_shared_object(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.contains(".so.") || name.ends_with(".so")
}

/// `ld-linux-x86-64.so.2`, `ld-linux-aarch64.so.1`, `ld-musl-x86_64.so.1`.
fn is_loader(name: &str) -> bool {
    name.starts_with("ld-") && name.contains(".so.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_told_from_the_program_and_from_data() {
        let maps = "1-2 r-xp 00000000 08:01 7 /opt/a.so.1/repro\n\
                    2-3 r--p 00000000 08:01 8 /lib/x86_64-linux-gnu/libc.so.6\n\
                    3-4 r-xp 00000000 08:01 8 /lib/x86_64-linux-gnu/libc.so.6\n\
                    4-5 r--p 00000000 08:01 9 /usr/lib/locale/C.utf8/LC_CTYPE\n\
                    5-6 rw-p 00000000 00:00 0 [stack]\n";
        let found = libraries(maps, Path::new("/opt/a.so.1/repro"));
        let expected = PathBuf::from("/lib/x86_64-linux-gnu/libc.so.6");
        assert_eq!(found, BTreeSet::from([expected]));
    }

    #[test]
    fn the_running_program_has_a_helper() {
        let helper = Helper::collect(&StageImage::capture().unwrap()).unwrap();
        assert!(helper.files.iter().any(|file| file.name == NAME));
        assert!(
            helper
                .files
                .is_sorted_by(|one, other| one.name < other.name)
        );
        let last = helper.command.last().unwrap();
        assert_eq!(last, &format!("/{PLACE}/{NAME}"));
    }
}
