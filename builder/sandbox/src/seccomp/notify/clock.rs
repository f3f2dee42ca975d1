//! What time it is in a step whose clock is ahead.

use nix::time::{ClockId, clock_gettime};
use rustix::io::Errno;

use super::{
    Listener, int,
    kernel::{Notification, Reply},
};
use crate::{protocol::from_nix, seccomp::Word};

/// `clock_gettime(clock, time)`, of a clock that shows the time of day.
pub(super) fn get_time(listener: &Listener, call: &Notification, word: Word, shift: u64) -> Reply {
    let [clock, place, ..] = call.arguments;
    let answer = read(ClockId::from_raw(int(clock)), shift)
        .and_then(|(seconds, nanos)| listener.write(call, place, &pair(word, seconds, nanos)));
    reply(answer)
}

/// `gettimeofday(time, zone)`. The zone is the kernel's, which nobody has set for decades: none.
pub(super) fn time_of_day(
    listener: &Listener,
    call: &Notification,
    word: Word,
    shift: u64,
) -> Reply {
    const ZONE: [u8; 8] = [0; 8];
    let [place, zone, ..] = call.arguments;
    let answer = read(ClockId::CLOCK_REALTIME, shift).and_then(|(seconds, nanos)| {
        if place != 0 {
            listener.write(call, place, &pair(word, seconds, nanos / 1000))?;
        }
        if zone != 0 {
            listener.write(call, zone, &ZONE)?;
        }
        Ok(())
    });
    reply(answer)
}

/// `time(seconds)`.
pub(super) fn seconds(listener: &Listener, call: &Notification, word: Word, shift: u64) -> Reply {
    let [place, ..] = call.arguments;
    // As the kernel's own, it is that of the last tick: never later than what a file made after it has.
    let answer = read(ClockId::CLOCK_REALTIME_COARSE, shift).and_then(|(seconds, _)| {
        if place != 0 {
            listener.write(call, place, &number(word, seconds))?;
        }
        u32::try_from(seconds).map_err(|_| Errno::OVERFLOW)
    });
    match answer {
        Ok(seconds) => Reply::Value(seconds),
        Err(errno) => Reply::Fail(errno),
    }
}

fn reply(answer: Result<(), Errno>) -> Reply {
    match answer {
        Ok(()) => Reply::Value(0),
        Err(errno) => Reply::Fail(errno),
    }
}

/// Seconds and nanoseconds of the step's clock.
fn read(clock: ClockId, shift: u64) -> Result<(i64, i64), Errno> {
    let now = clock_gettime(clock).map_err(from_nix)?;
    Ok((now.tv_sec().saturating_add_unsigned(shift), now.tv_nsec()))
}

/// `struct timespec` or `timeval`.
fn pair(word: Word, seconds: i64, fraction: i64) -> Vec<u8> {
    [number(word, seconds), number(word, fraction)].concat()
}

/// What does not fit is cut, as the kernel does it where a program of 32 bits outlives its clock.
fn number(word: Word, number: i64) -> Vec<u8> {
    #[cfg(target_endian = "big")]
    compile_error!("the low half is the first one on the machines that are known here");
    number.to_ne_bytes()[..word.bytes()].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_as_long_as_the_program_has_it() {
        assert_eq!(pair(Word::Four, 1, 2), [1, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(pair(Word::Eight, 1, 2).len(), 16);
        assert_eq!(pair(Word::Eight, 1, 2)[8], 2);
    }

    #[test]
    fn the_clock_is_ahead_and_moves() {
        let real = clock_gettime(ClockId::CLOCK_REALTIME).unwrap().tv_sec();
        let (first, _) = read(ClockId::CLOCK_REALTIME, 1000).unwrap();
        assert!((real + 1000..real + 1010).contains(&first));
        let next = read(ClockId::CLOCK_REALTIME, 0).unwrap();
        assert!(read(ClockId::CLOCK_REALTIME, 0).unwrap() > next);
    }
}
