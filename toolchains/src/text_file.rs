//! Small text files of a project, read with a limit.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use rustix::fs::{Mode, OFlags};

/// Reads a whole text file of at most `limit` bytes; `None` if there is none.
///
/// A FIFO or device in a hostile context would block the reader: anything but a regular file is
/// refused before a byte is read.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Option<String>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let refuse = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    if !file.metadata()?.is_file() {
        return Err(refuse("not a regular file"));
    }
    let mut text = String::new();
    let read = file.take(limit + 1).read_to_string(&mut text)?;
    if read as u64 > limit {
        return Err(refuse(&format!("more than {limit} bytes")));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_file_and_what_is_too_long() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        assert_eq!(read(&path, 4).unwrap(), None);
        std::fs::write(&path, "abcd").unwrap();
        assert_eq!(read(&path, 4).unwrap().as_deref(), Some("abcd"));
        assert!(read(&path, 3).is_err());
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert!(read(&fifo, 4).is_err());
    }
}
