//! Who processes are (`credentials(7)`), by the kernel's own rules.

use rustix::io::Errno;

use super::{SAME, caller::Caller};
use crate::{
    mapping::IDS, seccomp::table::Kind, sys::locks_limit, tree::Owner, users::ResolvedUser,
};

/// The ids of a process of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) real: u32,
    pub(super) effective: u32,
    pub(super) saved: u32,
    /// That of files.
    pub(super) file: u32,
}

impl Ids {
    fn has(self, id: u32) -> bool {
        [self.real, self.effective, self.saved].contains(&id)
    }
}

/// Who a process is; root unless it became somebody else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Credentials {
    user: Ids,
    group: Ids,
    pub(super) groups: Vec<u32>,
}

impl Credentials {
    pub(super) const fn ids(&self, kind: Kind) -> Ids {
        match kind {
            Kind::User => self.user,
            Kind::Group => self.group,
        }
    }

    const fn of(&mut self, kind: Kind) -> &mut Ids {
        match kind {
            Kind::User => &mut self.user,
            Kind::Group => &mut self.group,
        }
    }

    /// Whether what it makes is root's, and nothing is denied to it.
    pub(super) fn is_root(&self) -> bool {
        self.user.file == 0 && self.group.file == 0
    }

    const fn is_privileged(&self) -> bool {
        self.user.effective == 0
    }

    fn check(&self, kind: Kind, id: u32) -> Result<(), Errno> {
        if id >= IDS {
            return Err(Errno::INVAL);
        }
        if self.is_privileged() || self.ids(kind).has(id) {
            Ok(())
        } else {
            Err(Errno::PERM)
        }
    }

    pub(super) fn set(&mut self, kind: Kind, id: u32) -> Result<(), Errno> {
        if id >= IDS {
            return Err(Errno::INVAL);
        }
        let privileged = self.is_privileged();
        let ids = self.of(kind);
        if privileged {
            *ids = Ids {
                real: id,
                effective: id,
                saved: id,
                file: id,
            };
        } else if id == ids.real || id == ids.saved {
            (ids.effective, ids.file) = (id, id);
        } else {
            return Err(Errno::PERM);
        }
        Ok(())
    }

    pub(super) fn set_two(&mut self, kind: Kind, real: u32, effective: u32) -> Result<(), Errno> {
        let before = self.ids(kind);
        if real != SAME {
            self.check(kind, real)?;
            if !self.is_privileged() && real == before.saved && !is_one_of(real, before) {
                return Err(Errno::PERM);
            }
        }
        if effective != SAME {
            self.check(kind, effective)?;
        }
        let ids = self.of(kind);
        if real != SAME {
            ids.real = real;
        }
        if effective != SAME {
            ids.effective = effective;
        }
        if real != SAME || (effective != SAME && effective != before.real) {
            ids.saved = ids.effective;
        }
        ids.file = ids.effective;
        Ok(())
    }

    pub(super) fn set_all(
        &mut self,
        kind: Kind,
        [real, effective, saved]: [u32; 3],
    ) -> Result<(), Errno> {
        for id in [real, effective, saved] {
            if id != SAME {
                self.check(kind, id)?;
            }
        }
        let ids = self.of(kind);
        for (place, id) in [
            (&mut ids.real, real),
            (&mut ids.effective, effective),
            (&mut ids.saved, saved),
        ] {
            if id != SAME {
                *place = id;
            }
        }
        ids.file = ids.effective;
        Ok(())
    }

    /// Gives what it was before, whether it changed or not.
    pub(super) fn set_file(&mut self, kind: Kind, id: u32) -> u32 {
        let before = self.ids(kind).file;
        if self.check(kind, id).is_ok() {
            self.of(kind).file = id;
        }
        before
    }

    pub(super) fn set_groups(&mut self, groups: Vec<u32>) -> Result<(), Errno> {
        if !self.is_privileged() {
            return Err(Errno::PERM);
        }
        if groups.iter().any(|group| *group >= IDS) {
            return Err(Errno::INVAL);
        }
        self.groups = sorted(groups);
        Ok(())
    }

    fn is_in(&self, group: u32) -> bool {
        self.group.file == group || self.groups.contains(&group)
    }

    /// Whether it may give a file of `owner` to others.
    pub(super) fn may_give(&self, owner: Owner, uid: u32, gid: u32) -> bool {
        self.user.file == 0
            || (self.user.file == owner.uid
                && (uid == SAME || uid == owner.uid)
                && (gid == SAME || gid == owner.gid || self.is_in(gid)))
    }

    /// Whether it may do `wanted` with a file of this owner and mode.
    pub(super) fn may(&self, owner: Owner, mode: u16, wanted: u16) -> bool {
        let bits = if self.user.file == 0 {
            return true;
        } else if self.user.file == owner.uid {
            mode >> 6
        } else if self.is_in(owner.gid) {
            mode >> 3
        } else {
            mode
        };
        bits & wanted == wanted
    }
}

/// The kernel sorts them, and gives them back so.
fn sorted(mut groups: Vec<u32>) -> Vec<u32> {
    groups.sort_unstable();
    groups
}

const fn is_one_of(id: u32, ids: Ids) -> bool {
    id == ids.real || id == ids.effective
}

/// The processes of a step. Which of them is who, the kernel keeps for us: in a limit that it has asked
/// nobody for since Linux 2.4, and that a process hands on to its children and keeps over exec.
/// Rejected: a table by process and its ancestors, since a parent can end before its child is seen.
#[derive(Debug)]
pub(super) struct Processes {
    /// The first is whom the step's program is run by.
    known: Vec<Credentials>,
}

/// The soft limit of a process that is the first of those known, if it is not marked less. No program
/// asks for as much, or for this.
const MARK: u64 = 0x7265_7072_6f00_0000;
/// Different identities in one step: more than it has ids is a step that makes them up.
const MANY: usize = 1 << 16;

impl Processes {
    /// Those of a step whose program is run by `first`.
    pub(super) fn new(first: &ResolvedUser) -> Self {
        let all = |id| Ids {
            real: id,
            effective: id,
            saved: id,
            file: id,
        };
        let first = Credentials {
            user: all(first.uid),
            group: all(first.gid),
            groups: sorted(first.groups.clone()),
        };
        Self { known: vec![first] }
    }

    /// Who the caller is: what it became, or what the one was that it stems from.
    pub(super) fn of(&self, caller: &Caller<'_>) -> Credentials {
        let first = || self.known[0].clone();
        if self.known.len() == 1 {
            return first();
        }
        let mark = locks_limit(caller.thread(), None).ok();
        let place = mark.and_then(|(soft, _)| usize::try_from(soft.checked_sub(MARK)?).ok());
        place
            .and_then(|place| self.known.get(place).cloned())
            .unwrap_or_else(first)
    }

    /// The caller is this from now on.
    pub(super) fn remember(
        &mut self,
        caller: &Caller<'_>,
        credentials: Credentials,
    ) -> Result<(), Errno> {
        let place = self.known.iter().position(|known| *known == credentials);
        let place = match place {
            // Nobody is marked yet, and need not be.
            Some(0) if self.known.len() == 1 => return Ok(()),
            Some(place) => place,
            None if self.known.len() >= MANY => return Err(Errno::AGAIN),
            None => {
                self.known.push(credentials);
                self.known.len() - 1
            }
        };
        let mark = MARK + u64::try_from(place).map_err(|_| Errno::AGAIN)?;
        locks_limit(caller.thread(), Some(mark)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped() -> Credentials {
        let mut process = Credentials::default();
        process.set_groups(vec![7]).unwrap();
        process.set_all(Kind::Group, [7; 3]).unwrap();
        process.set_all(Kind::User, [42; 3]).unwrap();
        process
    }

    #[test]
    fn who_gave_up_root_cannot_get_it_back() {
        let mut process = dropped();
        assert_eq!(process.set(Kind::User, 0), Err(Errno::PERM));
        assert_eq!(process.set(Kind::Group, 0), Err(Errno::PERM));
        assert_eq!(process.set_two(Kind::User, SAME, 0), Err(Errno::PERM));
        assert_eq!(
            process.set_all(Kind::User, [SAME, 0, SAME]),
            Err(Errno::PERM)
        );
        assert_eq!(process.set_groups(Vec::new()), Err(Errno::PERM));
        assert_eq!(process.set_file(Kind::User, 0), 42);
        assert_eq!(process, dropped());
        assert_eq!(process.set(Kind::User, 42), Ok(()));
    }

    #[test]
    fn what_is_put_aside_can_be_taken_up_again() {
        let mut process = Credentials::default();
        process.set_two(Kind::User, SAME, 5).unwrap();
        assert_eq!(process.ids(Kind::User).effective, 5);
        // As an unprivileged effective id, its change has saved it too.
        assert_eq!(process.ids(Kind::User).saved, 5);
        assert_eq!(process.set(Kind::User, 0), Ok(()));
        assert_eq!(process.ids(Kind::User).file, 0);
        assert_eq!(process.set(Kind::User, IDS), Err(Errno::INVAL));
    }

    #[test]
    fn permissions_are_those_of_one_class_only() {
        let process = dropped();
        let owner = |uid, gid| Owner { uid, gid };
        assert!(process.may(owner(42, 0), 0o600, 6));
        assert!(!process.may(owner(42, 0), 0o066, 4));
        assert!(process.may(owner(0, 7), 0o060, 6));
        assert!(!process.may(owner(0, 0), 0o755, 2));
        assert!(Credentials::default().may(owner(42, 0), 0, 6));
        assert!(process.may_give(owner(42, 0), SAME, 7));
        assert!(!process.may_give(owner(42, 0), 43, SAME));
        assert!(!process.may_give(owner(0, 0), SAME, 7));
    }
}
