//! The program in memory that stages are started from.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::PathBuf,
};

use repro_core::build::ExecutorError;
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create},
    io::Errno,
};

/// A sealed copy of the running executable.
///
/// A step can find the file that its supervisor was started from (CVE-2019-5736). It finds a
/// sealed memory file, which nobody can write, instead of the installed program.
#[derive(Debug)]
pub struct StageImage {
    memory: OwnedFd,
}

impl StageImage {
    /// Copies the running executable. Once a process is enough.
    pub fn capture() -> Result<Self, ExecutorError> {
        let machine = |what: &str, source: io::Error| ExecutorError::Machine {
            what: what.to_owned(),
            hint: "the sandbox needs /proc and executable memory files: see that /proc is mounted \
                   and that the sysctl vm.memfd_noexec is below 2"
                .to_owned(),
            source: Some(source),
        };
        let mut program = File::open("/proc/self/exe")
            .map_err(|error| machine("open(\"/proc/self/exe\")", error))?;
        let memory = executable_memory()
            .map_err(|errno| machine("memfd_create(\"repro-stage\")", errno.into()))?;
        let mut copy = File::from(memory);
        io::copy(&mut program, &mut copy).map_err(|error| ExecutorError::Exhausted {
            what: "cannot copy the program into memory".to_owned(),
            source: Some(error),
        })?;
        seal(&copy).map_err(|errno| machine("fcntl(F_ADD_SEALS)", errno.into()))?;
        Ok(Self {
            memory: copy.into(),
        })
    }

    /// The path by which this process, or a child before exec, starts the program.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.memory.as_raw_fd()))
    }
}

/// How often to try to seal. The kernel itself waits some 150 ms each time.
const SEAL_ATTEMPTS: u32 = 20;

/// Makes `memory` immutable. `EBUSY` says that something of the kernel (compaction, a batch of
/// pages on its way to a list) still holds one of the pages just written; that passes.
fn seal(memory: &File) -> Result<(), Errno> {
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    for _ in 1..SEAL_ATTEMPTS {
        match fcntl_add_seals(memory, seals) {
            Err(Errno::BUSY) => {}
            other => return other,
        }
    }
    fcntl_add_seals(memory, seals)
}

/// Linux 6.3 wants to be told that the file is for execution; earlier ones do not know the flag.
fn executable_memory() -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(c"repro-stage", flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => memfd_create(c"repro-stage", flags),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn the_copy_is_the_program_and_cannot_be_written() {
        let image = StageImage::capture().unwrap();
        let mut head = [0; 4];
        File::open(image.path())
            .unwrap()
            .read_exact(&mut head)
            .unwrap();
        assert_eq!(&head, b"\x7fELF");
        let error = File::options()
            .write(true)
            .open(image.path())
            .and_then(|mut file| file.write_all(b"x"))
            .unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    }
}
