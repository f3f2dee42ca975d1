//! Users and groups as the tree of an image names them.

use std::{
    io::{self, Read},
    os::fd::BorrowedFd,
};

use repro_core::tree::{TreePath, show_bytes};

use crate::tree::{Root, TreeError, resolve as resolve_path};

/// Longest `passwd` or `group` file that is read: a hundred times the largest ever seen, small
/// enough to hold.
const MAX_DATABASE: u64 = 8 << 20;
/// Largest numeric user or group (Docker takes no larger one).
const MAX_ID: u32 = i32::MAX as u32;
/// Groups of one process that the kernel takes (`NGROUPS_MAX`).
const MAX_GROUPS: usize = 65_536;
/// Home of a user that `passwd` does not have.
const NO_HOME: &[u8] = b"/";

/// Whom a program runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedUser {
    /// Numeric user.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Supplementary groups, the user's own among them; those of the `group` file in its order.
    pub groups: Vec<u32>,
    /// Home directory of `passwd`, else `/`. Any bytes.
    pub home: Vec<u8>,
}

/// Why a user cannot be determined.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// No such name in `/etc/passwd`.
    #[error("user {0:?} is not in /etc/passwd of the image")]
    NoUser(String),
    /// No such name in `/etc/group`.
    #[error("group {0:?} is not in /etc/group of the image")]
    NoGroup(String),
    /// A number that is no user or group.
    #[error("{0:?} is not a user or group id, which are at most {MAX_ID}")]
    Range(String),
    /// More groups than a process can have.
    #[error("user {0:?} is in more than {MAX_GROUPS} groups")]
    TooManyGroups(String),
    /// `/etc/passwd` or `/etc/group` is larger than is read.
    #[error("{path} of the image is larger than {MAX_DATABASE} bytes")]
    TooLarge {
        /// The file.
        path: &'static str,
    },
    /// `/etc/passwd` or `/etc/group` cannot be read.
    #[error("{path} of the image cannot be read")]
    Read {
        /// The file.
        path: &'static str,
        /// The operating system's word.
        #[source]
        source: io::Error,
    },
    /// `/etc/passwd` or `/etc/group` cannot be reached.
    #[error("{path} of the image cannot be opened")]
    Open {
        /// The file.
        path: &'static str,
        /// Why not.
        #[source]
        source: Box<TreeError>,
    },
}

/// A line of `passwd`.
struct User {
    uid: u32,
    gid: u32,
    name: Vec<u8>,
    home: Vec<u8>,
}

/// A line of `group`.
struct Group {
    gid: u32,
    name: Vec<u8>,
    members: Vec<Vec<u8>>,
}

/// Resolves `USER` of a Dockerfile, `user[:group]`, in the tree `root` as Docker does.
///
/// A number need not be in the files; it then has group 0 and home `/`. Empty is user 0.
/// Supplementary groups are those that list the user's name, and only if no group is given, and
/// the group itself: whoever gives up a group by `setgid` would else gain what is closed to it.
pub fn resolve(root: BorrowedFd<'_>, spec: &str) -> Result<ResolvedUser, UserError> {
    let (user, group) = split(spec);
    let wanted = if user.is_empty() { "0" } else { user };
    let users = users(&read(root, "/etc/passwd")?);
    let mut resolved = ResolvedUser {
        uid: 0,
        gid: 0,
        groups: Vec::new(),
        home: NO_HOME.to_vec(),
    };
    let mut name = None;
    match (number(wanted)?, users) {
        (Some(uid), users) => {
            resolved.uid = uid;
            if let Some(user) = users.into_iter().find(|user| user.uid == uid) {
                resolved.gid = user.gid;
                resolved.home = user.home;
                name = Some(user.name);
            }
        }
        (None, users) => {
            let user = users
                .into_iter()
                .find(|user| user.name == wanted.as_bytes())
                .ok_or_else(|| UserError::NoUser(wanted.to_owned()))?;
            resolved.uid = user.uid;
            resolved.gid = user.gid;
            resolved.home = user.home;
            name = Some(user.name);
        }
    }
    if resolved.home.is_empty() {
        resolved.home = NO_HOME.to_vec();
    }
    if let Some(group) = group {
        resolved.gid = find_group(root, group)?;
    } else if let Some(name) = name {
        resolved.groups = groups(&read(root, "/etc/group")?)
            .into_iter()
            .filter(|group| group.members.contains(&name))
            .map(|group| group.gid)
            .collect();
        if resolved.groups.len() >= MAX_GROUPS {
            return Err(UserError::TooManyGroups(show_bytes(&name).into_owned()));
        }
    }
    if !resolved.groups.contains(&resolved.gid) {
        resolved.groups.insert(0, resolved.gid);
    }
    Ok(resolved)
}

/// Resolves the owner of files that an instruction makes (`--chown`, `USER` for `WORKDIR`), as
/// `BuildKit` does: a number without a group is group and user, whatever the files say. Empty
/// is root. A name that is missing is an error; `BuildKit` takes root for it without a word.
pub fn resolve_owner(root: BorrowedFd<'_>, spec: &str) -> Result<(u32, u32), UserError> {
    let (user, group) = split(spec);
    let (uid, gid) = match number(user)? {
        _ if user.is_empty() => (0, 0),
        Some(uid) => (uid, uid),
        None => {
            let user = users(&read(root, "/etc/passwd")?)
                .into_iter()
                .find(|found| found.name == user.as_bytes())
                .ok_or_else(|| UserError::NoUser(user.to_owned()))?;
            (user.uid, user.gid)
        }
    };
    match group {
        None => Ok((uid, gid)),
        Some(group) => Ok((uid, find_group(root, group)?)),
    }
}

/// `user[:group]`; an empty group is none.
fn split(spec: &str) -> (&str, Option<&str>) {
    match spec.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (spec, None),
    }
}

fn find_group(root: BorrowedFd<'_>, group: &str) -> Result<u32, UserError> {
    if let Some(gid) = number(group)? {
        return Ok(gid);
    }
    groups(&read(root, "/etc/group")?)
        .into_iter()
        .find(|found| found.name == group.as_bytes())
        .map(|found| found.gid)
        .ok_or_else(|| UserError::NoGroup(group.to_owned()))
}

/// A number in full, or `None` for a name. Digits that are no id are an error: nobody is
/// called 4294967296.
fn number(text: &str) -> Result<Option<u32>, UserError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse() {
        Ok(id) if id <= MAX_ID => Ok(Some(id)),
        _ => Err(UserError::Range(text.to_owned())),
    }
}

/// Reads a database; one that is not there is empty. Links are followed inside the tree, and
/// anything but a regular file is an error: reading a pipe would never end.
fn read(root: BorrowedFd<'_>, path: &'static str) -> Result<Vec<u8>, UserError> {
    let open = |source: TreeError| UserError::Open {
        path,
        source: Box::new(source),
    };
    let tree = Root::new(root);
    let place: TreePath = resolve_path(tree, path.as_bytes()).map_err(open)?;
    let Some(file) = tree.open_regular(&place).map_err(open)? else {
        return Ok(Vec::new());
    };
    let mut bytes = Vec::new();
    file.take(MAX_DATABASE + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| UserError::Read { path, source })?;
    if bytes.len() as u64 > MAX_DATABASE {
        return Err(UserError::TooLarge { path });
    }
    Ok(bytes)
}

/// The lines of a `passwd` file that have numbers where numbers belong; others are passed over,
/// as the C library does.
fn users(bytes: &[u8]) -> Vec<User> {
    lines(bytes)
        .filter_map(|line| {
            let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
            Some(User {
                name: fields.first()?.to_vec(),
                uid: id(fields.get(2)?)?,
                gid: id(fields.get(3)?)?,
                home: fields.get(5).map(|home| home.to_vec()).unwrap_or_default(),
            })
        })
        .collect()
}

/// The lines of a `group` file, as [`users`].
fn groups(bytes: &[u8]) -> Vec<Group> {
    lines(bytes)
        .filter_map(|line| {
            let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
            Some(Group {
                name: fields.first()?.to_vec(),
                gid: id(fields.get(2)?)?,
                members: fields
                    .get(3)
                    .map(|members| {
                        members
                            .split(|byte| *byte == b',')
                            .map(<[u8]>::to_vec)
                            .collect()
                    })
                    .unwrap_or_default(),
            })
        })
        .collect()
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
}

fn id(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field)
        .ok()?
        .parse()
        .ok()
        .filter(|id| *id <= MAX_ID)
}
