//! The rules as a program for the kernel's classic BPF machine (`seccomp(2)`, `linux/filter.h`).
//!
//! Every block ends in a return, so blocks can be put behind each other freely. Numbers are found by
//! binary search: a linear list would cost each call of a step some 300 instructions.

#[cfg(test)]
mod machine;

use std::{collections::BTreeMap, sync::LazyLock};

use repro_core::build::{KernelName, UserIds};

use super::{
    Rule,
    table::{self, UserCall},
    varied::{self, Change, Clock, VariedCall, When, Word},
};

/// One instruction, `struct sock_filter`.
pub(crate) type Instruction = libc::sock_filter;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const IF_ANY: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

/// The low half of an argument. But for pointers, all that is looked at are C `int`s, whose upper half
/// is ignored by the kernel too; `clone` flags that make namespaces are in the lower half.
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

/// The upper half.
const fn upper(index: u32) -> u32 {
    argument(index) + 4
}

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;

/// Stops the caller for the tracer, which is told the number.
const fn stop(place: u16) -> u32 {
    // 0 is what the kernel says where a filter says nothing.
    libc::SECCOMP_RET_TRACE | (place as u32 + 1)
}

/// Clocks that show the time of day.
const OF_DAY: [i32; 4] = [
    libc::CLOCK_REALTIME,
    libc::CLOCK_REALTIME_COARSE,
    libc::CLOCK_REALTIME_ALARM,
    libc::CLOCK_TAI,
];

/// `FUTEX_CMD_MASK` and `FUTEX_CLOCK_REALTIME`.
const FUTEX_OPERATION: u32 = 0x17f;
/// Operations of `futex` whose deadline is a moment of the time of day: `FUTEX_LOCK_PI` always; with
/// the flag `FUTEX_WAIT_BITSET`, `FUTEX_WAIT_REQUEUE_PI` and `FUTEX_LOCK_PI2`.
const FUTEX_OF_DAY: [u32; 4] = [6, 0x109, 0x10b, 0x10d];

/// Requests of `ptrace` by which a process becomes a tracer or gets one: `PTRACE_TRACEME`,
/// `PTRACE_ATTACH`, `PTRACE_SEIZE`. All others want one first.
const TRACING: [u32; 3] = [0, 16, 0x4206];

const fn errno(number: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | number.unsigned_abs()
}

/// Flags of `clone` that make namespaces, but for `CLONE_NEWTIME`, which `clone` does not know.
const NEW_NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET)
    .unsigned_abs();

/// Flags of `open` that write or make a file; that of a file without a name is a part of `O_TMPFILE`.
const WRITING: u32 =
    (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | (libc::O_TMPFILE & !libc::O_DIRECTORY))
        .unsigned_abs();

/// `PER_LINUX`, `PER_LINUX32`, both with `UNAME26`, and the question for the present one.
const PERSONALITIES: [u32; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// The type by which Linux 2.0 knew packet sockets; the kernel still takes it.
pub(super) const SOCK_PACKET: i32 = 10;

/// Numbers from here are of the x32 ABI, under the same architecture as x86-64. Kernels without x32
/// answer them with ENOSYS, and so do we, on every machine.
const X32: u32 = 0x4000_0000;

/// One calling convention of the kernel.
pub(super) struct Abi {
    pub(super) name: &'static str,
    /// `AUDIT_ARCH_*`.
    audit: u32,
    /// Its `long`.
    word: Word,
    number: fn(&str) -> Option<u32>,
}

macro_rules! number {
    ($arch:ident) => {
        |name| {
            name.parse::<syscalls::$arch::Sysno>()
                .ok()
                .and_then(|number| u32::try_from(number.id()).ok())
        }
    };
}

/// What a machine of this kind runs: its own programs and those of its 32-bit predecessor.
#[cfg(target_arch = "x86_64")]
pub(super) const ABIS: [Abi; 2] = [X86_64, I386];
#[cfg(target_arch = "aarch64")]
pub(super) const ABIS: [Abi; 2] = [AARCH64, ARM];

const X86_64: Abi = Abi {
    name: "x86-64",
    audit: 0xc000_003e,
    word: Word::Eight,
    number: number!(x86_64),
};
#[cfg(any(test, target_arch = "x86_64"))]
const I386: Abi = Abi {
    name: "i386",
    audit: 0x4000_0003,
    word: Word::Four,
    number: number!(x86),
};
#[cfg(any(test, target_arch = "aarch64"))]
const AARCH64: Abi = Abi {
    name: "aarch64",
    audit: 0xc000_00b7,
    word: Word::Eight,
    number: number!(aarch64),
};
#[cfg(any(test, target_arch = "aarch64"))]
const ARM: Abi = Abi {
    name: "arm",
    audit: 0x4000_0028,
    word: Word::Four,
    number: number!(arm),
};

/// The calls that the filter hands to the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notified {
    /// `connect(fd, address, length)`.
    Connect,
    /// `socket(family, type, protocol)`.
    Socket,
    /// `socketcall(operation, arguments)`.
    SocketCall,
    /// `uname(buffer)`.
    KernelName,
    /// A call on users and owners.
    Users(UserCall),
    /// A call whose answer depends on the run, with the length of the numbers in its structure.
    Varied(VariedCall, Word),
}

/// What each number means that can be handed over.
static NOTIFIED: LazyLock<BTreeMap<(u32, u32), Notified>> = LazyLock::new(|| {
    let fixed = [
        ("connect", Notified::Connect),
        ("socket", Notified::Socket),
        ("socketcall", Notified::SocketCall),
        ("uname", Notified::KernelName),
    ];
    let users = table::EMULATED
        .iter()
        .map(|(name, call, _)| (*name, Notified::Users(*call)));
    let in_all: Vec<_> = fixed.into_iter().chain(users).collect();
    let mut known = BTreeMap::new();
    for abi in &ABIS {
        let varied = varied::answered(Clock::Shifted)
            .map(|(name, call, form, _)| (*name, Notified::Varied(*call, form.word(abi.word))));
        for (name, call) in in_all.iter().copied().chain(varied) {
            if let Some(number) = (abi.number)(name) {
                known.entry((abi.audit, number)).or_insert(call);
            }
        }
    }
    known
});

/// Which call `number` is in the ABI `arch`.
pub(super) fn notified(arch: u32, number: i32) -> Option<Notified> {
    let number = u32::try_from(number).ok()?;
    NOTIFIED.get(&(arch, number)).copied()
}

/// What the tracer is to do about a call of the ABI `arch` that stopped, and the length of the numbers
/// that it finds; by what the filter said.
pub(crate) fn stopped(arch: u32, said: u32) -> Option<(Change, Word)> {
    let abi = ABIS.iter().find(|abi| abi.audit == arch)?;
    let place = usize::try_from(said.checked_sub(1)?).ok()?;
    let stop = varied::STOPS.get(place)?;
    Some((stop.change, stop.form.word(abi.word)))
}

/// What of a step decides about its filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Varying {
    /// How many ids its users have.
    pub(crate) users: UserIds,
    /// What it is told of the kernel.
    pub(crate) kernel: KernelName,
    /// What clock it reads.
    pub(crate) clock: Clock,
}

/// The filter of every such step.
pub(crate) fn program(of: Varying) -> Vec<Instruction> {
    assemble(&ABIS, of)
}

fn assemble(abis: &[Abi], of: Varying) -> Vec<Instruction> {
    let mut code = answer(errno(libc::ENOSYS));
    for abi in abis.iter().rev() {
        let mut calls = vec![at(LOAD, NUMBER)];
        let known = search(&ranges(abi, of));
        if abi.audit == X86_64.audit {
            calls.extend(branch(IF_AT_LEAST, X32, known, answer(errno(libc::ENOSYS))));
        } else {
            calls.extend(known);
        }
        code = branch(IF_EQUAL, abi.audit, code, calls);
    }
    code.insert(0, at(LOAD, ARCH));
    code
}

/// A rule and the first number from which it holds; `None` denies.
type Range = (u32, Option<Rule>);

fn ranges(abi: &Abi, of: Varying) -> Vec<Range> {
    let Varying {
        users,
        kernel,
        clock,
    } = of;
    let emulated = match users {
        UserIds::One if abi.audit == ABIS[0].audit => &table::EMULATED[..],
        UserIds::One | UserIds::Range => &[],
    };
    let rules: BTreeMap<u32, Rule> = table::allowed()
        .map(|name| (name, Rule::Allow))
        .chain(table::SPECIAL.map(|(name, rule)| match (rule, kernel) {
            (Rule::KernelName, KernelName::Real) => (name, Rule::Allow),
            _ => (name, rule),
        }))
        .chain(emulated.iter().map(|(name, _, rule)| (*name, *rule)))
        .chain(varied::rules(clock))
        .filter_map(|(name, rule)| Some(((abi.number)(name)?, rule)))
        .collect();
    let mut ranges: Vec<Range> = vec![(0, None)];
    let mut add = |from, rule| {
        if ranges.last().is_some_and(|(first, _)| *first == from) {
            ranges.pop();
        }
        if ranges.last().is_none_or(|(_, last)| *last != rule) {
            ranges.push((from, rule));
        }
    };
    for (number, rule) in rules {
        add(number, Some(rule));
        add(number + 1, None);
    }
    ranges
}

/// Finds the range of the number in the accumulator. `ranges` is not empty.
fn search(ranges: &[Range]) -> Vec<Instruction> {
    match ranges {
        [] => answer(errno(libc::EPERM)),
        [(_, rule)] => verdict(*rule),
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            branch(IF_AT_LEAST, high[0].0, search(low), search(high))
        }
    }
}

fn verdict(rule: Option<Rule>) -> Vec<Instruction> {
    match rule {
        None => answer(errno(libc::EPERM)),
        Some(Rule::Allow) => answer(ALLOW),
        Some(Rule::NotImplemented) => answer(errno(libc::ENOSYS)),
        Some(Rule::Observe | Rule::Emulate | Rule::KernelName | Rule::Vary) => answer(NOTIFY),
        Some(Rule::ReadClock) => of_day(0, answer(ALLOW), &answer(NOTIFY)),
        Some(Rule::Ptrace) => load(
            argument(0),
            one_of(&TRACING, answer(ALLOW), || answer(NOTIFY)),
        ),
        Some(Rule::Stop(place)) => stop_if(place),
        Some(Rule::EmulateOpen(flags)) => load(
            argument(flags.into()),
            branch(IF_ANY, WRITING, answer(ALLOW), answer(NOTIFY)),
        ),
        Some(Rule::CloneWithoutNamespaces) => clone(answer(ALLOW)),
        Some(Rule::CloneTraced(place)) => clone(branch(
            IF_ANY,
            libc::CLONE_UNTRACED.unsigned_abs(),
            answer(ALLOW),
            answer(stop(place)),
        )),
        Some(Rule::Personality) => load(
            argument(0),
            one_of(&PERSONALITIES, answer(errno(libc::EPERM)), || answer(ALLOW)),
        ),
        Some(Rule::Socket) => socket(),
        Some(Rule::SocketCall) => load(
            argument(0),
            // SYS_SOCKET of linux/net.h.
            branch(IF_EQUAL, 1, answer(ALLOW), answer(NOTIFY)),
        ),
    }
}

/// `allowed` has the flags at hand.
fn clone(allowed: Vec<Instruction>) -> Vec<Instruction> {
    let denied = answer(errno(libc::EPERM));
    load(argument(0), branch(IF_ANY, NEW_NAMESPACES, allowed, denied))
}

/// Whether the number in the accumulator is among `values`.
fn one_of(
    values: &[u32],
    otherwise: Vec<Instruction>,
    then: impl Fn() -> Vec<Instruction>,
) -> Vec<Instruction> {
    values.iter().fold(otherwise, |otherwise, value| {
        branch(IF_EQUAL, *value, otherwise, then())
    })
}

/// Whether an argument is a clock that shows the time of day.
fn of_day(clock: u8, otherwise: Vec<Instruction>, then: &[Instruction]) -> Vec<Instruction> {
    let clocks = OF_DAY.map(i32::unsigned_abs);
    load(
        argument(clock.into()),
        one_of(&clocks, otherwise, || then.to_vec()),
    )
}

/// Whether a pointer is not null.
fn given(pointer: u8, then: &[Instruction]) -> Vec<Instruction> {
    let in_lower = branch(IF_EQUAL, 0, then.to_vec(), answer(ALLOW));
    let lower = load(argument(pointer.into()), in_lower);
    load(
        upper(pointer.into()),
        branch(IF_EQUAL, 0, then.to_vec(), lower),
    )
}

/// One of the stops, where its condition holds.
fn stop_if(place: u16) -> Vec<Instruction> {
    let stops = answer(stop(place));
    let absolute = |then| {
        branch(
            IF_ANY,
            libc::TIMER_ABSTIME.unsigned_abs(),
            answer(ALLOW),
            then,
        )
    };
    match varied::STOPS[usize::from(place)].when {
        When::Always => stops,
        When::Given(pointer) => given(pointer, &stops),
        When::Futex => {
            let mut code = vec![at(LOAD, argument(1)), at(AND, FUTEX_OPERATION)];
            let waits = given(3, &stops);
            code.extend(one_of(&FUTEX_OF_DAY, answer(ALLOW), || waits.clone()));
            code
        }
        When::OfDay { clock, deadline } => of_day(clock, answer(ALLOW), &given(deadline, &stops)),
        When::Sleep => of_day(0, answer(ALLOW), &load(argument(1), absolute(stops))),
        When::Absolute => load(argument(1), absolute(stops)),
        // A part of the rule of clone.
        When::Untraced => answer(ALLOW),
    }
}

fn socket() -> Vec<Instruction> {
    let family =
        |family: i32, otherwise, then| branch(IF_EQUAL, family.unsigned_abs(), otherwise, then);
    let netlink = load(
        argument(2),
        branch(
            IF_EQUAL,
            libc::NETLINK_ROUTE.unsigned_abs(),
            // The kernel's audit log reaches nothing, and every `useradd` asks for it; with this
            // error, programs take it for a kernel without audit and go on.
            branch(
                IF_EQUAL,
                libc::NETLINK_AUDIT.unsigned_abs(),
                answer(NOTIFY),
                answer(errno(libc::EPROTONOSUPPORT)),
            ),
            answer(ALLOW),
        ),
    );
    let internet = || {
        let mut code = vec![at(LOAD, argument(1)), at(AND, 0xf)];
        code.extend(branch(
            IF_EQUAL,
            libc::SOCK_RAW.unsigned_abs(),
            branch(
                IF_EQUAL,
                SOCK_PACKET.unsigned_abs(),
                answer(ALLOW),
                answer(NOTIFY),
            ),
            answer(NOTIFY),
        ));
        code
    };
    let code = answer(NOTIFY);
    let code = family(libc::AF_NETLINK, code, netlink);
    let code = family(libc::AF_INET6, code, internet());
    let code = family(libc::AF_INET, code, internet());
    let code = family(libc::AF_UNIX, code, answer(ALLOW));
    load(argument(0), code)
}

fn at(code: u16, k: u32) -> Instruction {
    Instruction {
        code,
        jt: 0,
        jf: 0,
        k,
    }
}

fn answer(action: u32) -> Vec<Instruction> {
    vec![at(RETURN, action)]
}

fn load(offset: u32, mut then: Vec<Instruction>) -> Vec<Instruction> {
    then.insert(0, at(LOAD, offset));
    then
}

/// `otherwise` follows at once, `then` behind it. A conditional jump reaches 255 instructions, an
/// unconditional one any distance.
fn branch(
    condition: u16,
    k: u32,
    otherwise: Vec<Instruction>,
    then: Vec<Instruction>,
) -> Vec<Instruction> {
    let mut code = Vec::with_capacity(otherwise.len() + then.len() + 2);
    if let Ok(distance) = u8::try_from(otherwise.len()) {
        code.push(Instruction {
            jt: distance,
            ..at(condition, k)
        });
    } else {
        let distance = u32::try_from(otherwise.len()).expect("a filter has at most 4096");
        code.push(Instruction {
            jf: 1,
            ..at(condition, k)
        });
        code.push(at(JUMP, distance));
    }
    code.extend(otherwise);
    code.extend(then);
    code
}

#[cfg(test)]
mod tests;
