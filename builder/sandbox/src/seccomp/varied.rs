//! Calls whose answers differ between the runs of a build: what time it is, and in what order a
//! directory lists its names.
//!
//! Whoever asks for the time, or for names, is answered by the supervisor, which takes no more than
//! a message. A deadline by the shifted clock has to be put right before the kernel sees it, which
//! only a tracer can do: these calls stop the caller, and are few, since the filter looks at the flags.

use super::Rule;

/// Whether the clock that a step reads is the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// It is.
    Real,
    /// It is ahead.
    Shifted,
}

/// How long the numbers of a structure in memory are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// 32 bits.
    Four,
    /// 64 bits.
    Eight,
}

impl Word {
    /// In bytes.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Four => 4,
            Self::Eight => 8,
        }
    }
}

/// The length of the numbers of a call's structure, and of those that its program can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// That of the machine that the program is for.
    Own,
    /// 64 bits everywhere.
    Wide,
}

impl Form {
    pub(super) const fn word(self, own: Word) -> Word {
        match self {
            Self::Own => own,
            Self::Wide => Word::Eight,
        }
    }
}

/// A call that the supervisor answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VariedCall {
    /// `clock_gettime(clock, time)`.
    GetTime,
    /// `gettimeofday(time, zone)`.
    TimeOfDay,
    /// `time(seconds)`.
    Seconds,
    /// `getdents(fd, buffer, size)`.
    ListOld,
    /// `getdents64(fd, buffer, size)`.
    List,
    /// `ptrace(request, ...)`.
    Trace,
}

/// Listing is answered in every run.
const LISTS: [(&str, VariedCall, Form, Rule); 2] = [
    ("getdents", VariedCall::ListOld, Form::Own, Rule::Vary),
    ("getdents64", VariedCall::List, Form::Own, Rule::Vary),
];

/// The time, and who wants to be a tracer: a process can have one.
const CLOCK: [(&str, VariedCall, Form, Rule); 5] = [
    (
        "clock_gettime",
        VariedCall::GetTime,
        Form::Own,
        Rule::ReadClock,
    ),
    (
        "clock_gettime64",
        VariedCall::GetTime,
        Form::Wide,
        Rule::ReadClock,
    ),
    ("gettimeofday", VariedCall::TimeOfDay, Form::Own, Rule::Vary),
    ("time", VariedCall::Seconds, Form::Own, Rule::Vary),
    ("ptrace", VariedCall::Trace, Form::Own, Rule::Ptrace),
];

/// When a call concerns the tracer. Arguments are named by their index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Always.
    Always,
    /// A pointer is not null.
    Given(u8),
    /// `FUTEX_LOCK_PI`, or `FUTEX_CLOCK_REALTIME` with an operation whose deadline is a moment; with a
    /// deadline.
    Futex,
    /// The clock is one of the day, and there is a deadline.
    OfDay { clock: u8, deadline: u8 },
    /// The clock is one of the day, and `TIMER_ABSTIME` is set.
    Sleep,
    /// `TIMER_ABSTIME` is set. Which clock the timer has, no argument says.
    Absolute,
    /// `CLONE_UNTRACED` is set.
    Untraced,
}

/// What the tracer does about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Takes the shift off the `timespec` that this argument points to.
    Deadline(u8),
    /// The same for the second half of an `itimerspec`.
    Expiry(u8),
    /// Adds the shift to the time in the `timex` that this argument points to, when the kernel has
    /// written it.
    Reading(u8),
    /// Takes `CLONE_UNTRACED` out of the flags.
    Traced,
}

/// A call that stops for the tracer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) name: &'static str,
    pub(super) when: When,
    pub(super) change: Change,
    pub(super) form: Form,
}

const fn stop(name: &'static str, when: When, change: Change, form: Form) -> Stop {
    Stop {
        name,
        when,
        change,
        form,
    }
}

/// All of them. The place in this list is what the kernel tells the tracer.
pub(super) const STOPS: [Stop; 18] = {
    use Change::{Deadline, Expiry, Reading, Traced};
    use Form::{Own, Wide};
    use When::{Absolute, Always, Futex, Given, OfDay, Sleep, Untraced};
    const fn waits(clock: u8, deadline: u8) -> When {
        OfDay { clock, deadline }
    }
    [
        stop("futex", Futex, Deadline(3), Own),
        stop("futex_time64", Futex, Deadline(3), Wide),
        stop("futex_waitv", waits(4, 3), Deadline(3), Wide),
        stop("futex_wait", waits(5, 4), Deadline(4), Wide),
        stop("clock_nanosleep", Sleep, Deadline(2), Own),
        stop("clock_nanosleep_time64", Sleep, Deadline(2), Wide),
        stop("timer_settime", Absolute, Expiry(2), Own),
        stop("timer_settime64", Absolute, Expiry(2), Wide),
        stop("timerfd_settime", Absolute, Expiry(2), Own),
        stop("timerfd_settime64", Absolute, Expiry(2), Wide),
        stop("mq_timedsend", Given(4), Deadline(4), Own),
        stop("mq_timedsend_time64", Given(4), Deadline(4), Wide),
        stop("mq_timedreceive", Given(4), Deadline(4), Own),
        stop("mq_timedreceive_time64", Given(4), Deadline(4), Wide),
        stop("adjtimex", Always, Reading(0), Own),
        stop("clock_adjtime", Always, Reading(1), Own),
        stop("clock_adjtime64", Always, Reading(1), Wide),
        stop("clone", Untraced, Traced, Own),
    ]
};

/// The calls that the supervisor answers where the clock is this.
pub(super) fn answered(
    clock: Clock,
) -> impl Iterator<Item = &'static (&'static str, VariedCall, Form, Rule)> {
    let clock: &[_] = match clock {
        Clock::Real => &[],
        Clock::Shifted => &CLOCK,
    };
    LISTS.iter().chain(clock)
}

/// All rules that the clock and the order of names add.
pub(super) fn rules(clock: Clock) -> impl Iterator<Item = (&'static str, Rule)> {
    let stops: &[_] = match clock {
        Clock::Real => &[],
        Clock::Shifted => &STOPS,
    };
    let stops = (0..).zip(stops).map(|(place, stop)| match stop.when {
        When::Untraced => (stop.name, Rule::CloneTraced(place)),
        _ => (stop.name, Rule::Stop(place)),
    });
    answered(clock)
        .map(|(name, _, _, rule)| (*name, *rule))
        .chain(stops)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::seccomp::table;

    /// None of them opens what is closed without it.
    #[test]
    fn every_varied_call_is_allowed_without_it() {
        let known: BTreeSet<_> = table::allowed()
            .chain(table::SPECIAL.iter().map(|(name, _)| *name))
            .collect();
        let mut seen = BTreeSet::new();
        for (name, _) in rules(Clock::Shifted) {
            assert!(known.contains(name), "{name}");
            assert!(seen.insert(name), "{name} twice");
        }
        assert_eq!(rules(Clock::Real).count(), LISTS.len());
    }
}
