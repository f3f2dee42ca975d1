//! Which ids of the machine stand for ids 0 to 65535 of a step.

mod subids;
mod write;

use std::fmt;

use repro_core::{
    build::{ExecutorError, UserIds},
    digest::Digest,
};
use serde::Serialize;

pub use subids::{SubidError, SubidRange};

/// How many ids a step has: those that images of Debian, Alpine and Fedora use, `nobody` (65534)
/// included.
pub const IDS: u32 = 65_536;

/// First id of the range that root uses where `/etc/subuid` gives root none: the first one above
/// those that `systemd-nspawn` hands out to containers (up to 0x6FFFFFFF), and positive where
/// programs take ids for signed.
pub const ROOT_RANGE: u32 = 0x7000_0000;

/// A run of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Extent {
    /// First id in the step.
    pub inside: u32,
    /// First id on the machine.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// Who writes the maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Writer {
    /// This process, which is root, to a range of its own.
    Root,
    /// This process, which is root of a namespace that has no other range: ids stand for
    /// themselves. A step's root is then this process's user, kept apart by the user namespace alone.
    RootOfContainer,
    /// `newuidmap` and `newgidmap`, for an ordinary user with subordinate ids.
    Tools,
    /// This process, which is an ordinary user without subordinate ids: one stands for all.
    OneId,
}

/// The map of ids of all steps that this process runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IdMapping {
    writer: Writer,
    uids: Vec<Extent>,
    gids: Vec<Extent>,
}

impl IdMapping {
    /// Finds the map for the user of this process.
    pub fn detect() -> Result<Self, ExecutorError> {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        if uid.is_root() {
            return Self::for_root();
        }
        let uids = subids::required(subids::File::Users, uid.as_raw())?;
        let gids = subids::required(subids::File::Groups, uid.as_raw())?;
        let (Some(uids), Some(gids)) = (uids, gids) else {
            return Ok(Self {
                writer: Writer::OneId,
                uids: own_and(uid.as_raw(), &[]),
                gids: own_and(gid.as_raw(), &[]),
            });
        };
        Ok(Self {
            writer: Writer::Tools,
            uids: own_and(uid.as_raw(), &uids),
            gids: own_and(gid.as_raw(), &gids),
        })
    }

    fn for_root() -> Result<Self, ExecutorError> {
        let mut maps = Vec::with_capacity(2);
        let mut writer = Writer::Root;
        for (file, visible) in [
            (subids::File::Users, "/proc/self/uid_map"),
            (subids::File::Groups, "/proc/self/gid_map"),
        ] {
            let available = subids::available(visible)?;
            let configured = subids::ranges_of(file, 0)
                .map_err(subids::SubidError::into_executor)?
                .into_iter()
                .find(|range| range.count >= IDS)
                .map_or(ROOT_RANGE, |range| range.first);
            let outside = if covers(&available, configured) {
                configured
            } else if covers(&available, 0) {
                writer = Writer::RootOfContainer;
                0
            } else {
                return Err(ExecutorError::Machine {
                    what: format!("{visible} leaves fewer than {IDS} ids to this container"),
                    hint: format!(
                        "give the container at least {IDS} ids, or run repro outside of it"
                    ),
                    source: None,
                });
            };
            maps.push(vec![Extent {
                inside: 0,
                outside,
                count: IDS,
            }]);
        }
        let gids = maps.pop().unwrap_or_default();
        let uids = maps.pop().unwrap_or_default();
        Ok(Self { writer, uids, gids })
    }

    /// Who writes the maps.
    #[must_use]
    pub const fn writer(&self) -> Writer {
        self.writer
    }

    /// How many ids a step has.
    #[must_use]
    pub const fn user_ids(&self) -> UserIds {
        match self.writer {
            Writer::Root | Writer::RootOfContainer | Writer::Tools => UserIds::Range,
            Writer::OneId => UserIds::One,
        }
    }

    /// Names the directory of snapshots whose files carry these ids.
    #[must_use]
    pub fn key(&self) -> String {
        let text = format!("{}gids\n{}", map_text(&self.uids), map_text(&self.gids));
        Digest::of(text.as_bytes()).short()
    }

    /// Uid and gid of the machine that are the step's root.
    pub(crate) fn root(&self) -> (u32, u32) {
        let outside = |map: &[Extent]| {
            map.iter()
                .find(|extent| extent.inside == 0)
                .map_or(0, |extent| extent.outside)
        };
        (outside(&self.uids), outside(&self.gids))
    }
}

impl fmt::Display for IdMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (uid, gid) = self.root();
        match self.writer {
            Writer::Root => write!(
                f,
                "users 0 to 65535 of a step are {uid} and up here, groups {gid} and up"
            ),
            Writer::RootOfContainer => f.write_str(
                "users and groups of a step are this container's own, which grants no others: a user \
                 namespace alone keeps a step's root apart from this one",
            ),
            Writer::OneId => write!(
                f,
                "all users of a step are this user ({uid}), who has no subordinate ids: owners are \
                 written down, and a step's users are not kept apart; for that, {}",
                subids::hint(None)
            ),
            Writer::Tools => write!(
                f,
                "root of a step is this user ({uid}), its other users and groups are among this \
                 user's subordinate ids"
            ),
        }
    }
}

/// How a user gets more ids than one.
pub(crate) fn hint() -> String {
    subids::hint(None)
}

/// The same for the user `uid`.
pub(crate) fn hint_for(uid: u32) -> String {
    // Who cannot be named is told how it is done for anybody.
    let name = subids::login(uid).ok().flatten();
    subids::hint(name.as_deref())
}

/// Id 0 is the caller, the others come from `ranges` in their order.
fn own_and(own: u32, ranges: &[SubidRange]) -> Vec<Extent> {
    let mut map = vec![Extent {
        inside: 0,
        outside: own,
        count: 1,
    }];
    let mut next = 1;
    for range in ranges {
        let count = range.count.min(IDS - next);
        if count == 0 {
            break;
        }
        map.push(Extent {
            inside: next,
            outside: range.first,
            count,
        });
        next += count;
    }
    map
}

fn covers(available: &[SubidRange], first: u32) -> bool {
    available.iter().any(|range| {
        range.first <= first
            && u64::from(first) + u64::from(IDS) <= u64::from(range.first) + u64::from(range.count)
    })
}

/// The format of `/proc/PID/uid_map`.
fn map_text(map: &[Extent]) -> String {
    map.iter().fold(String::new(), |mut text, extent| {
        use fmt::Write as _;
        writeln!(
            text,
            "{} {} {}",
            extent.inside, extent.outside, extent.count
        )
        .expect("a String takes every write");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_in_pieces_fill_one_map() {
        let range = |first, count| SubidRange { first, count };
        let map = own_and(1000, &[range(100_000, 60_000), range(300_000, 60_000)]);
        assert_eq!(
            map_text(&map),
            "0 1000 1\n1 100000 60000\n60001 300000 5535\n"
        );
        assert_eq!(map.iter().map(|extent| extent.count).sum::<u32>(), IDS);
    }

    #[test]
    fn a_container_with_few_ids_has_no_room_for_roots_range() {
        let range = |first, count| SubidRange { first, count };
        assert!(covers(&[range(0, u32::MAX)], ROOT_RANGE));
        assert!(!covers(&[range(0, 65_536)], ROOT_RANGE));
        assert!(covers(&[range(0, 65_536)], 0));
        assert!(!covers(&[range(0, 65_535)], 0));
    }

    #[test]
    fn the_key_names_the_map() {
        let map = |outside| IdMapping {
            writer: Writer::Root,
            uids: vec![Extent {
                inside: 0,
                outside,
                count: IDS,
            }],
            gids: Vec::new(),
        };
        assert_ne!(map(0).key(), map(1).key());
        assert_eq!(map(0).key().len(), 12);
    }
}
