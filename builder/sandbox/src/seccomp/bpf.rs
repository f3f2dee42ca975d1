//! The rules as a program for the kernel's classic BPF machine (`seccomp(2)`, `linux/filter.h`).
//!
//! Every block ends in a return, so blocks can be put behind each other freely. Numbers are found by
//! binary search: a linear list would cost each call of a step some 300 instructions.

#[cfg(test)]
mod machine;

use std::collections::BTreeMap;

use repro_core::build::{KernelName, UserIds};

use super::{
    Rule,
    table::{self, UserCall},
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

/// The low half of an argument. All that is looked at are C `int`s, whose upper half is ignored by
/// the kernel too; `clone` flags that make namespaces are in the lower half.
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;

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
    number: number!(x86_64),
};
#[cfg(any(test, target_arch = "x86_64"))]
const I386: Abi = Abi {
    name: "i386",
    audit: 0x4000_0003,
    number: number!(x86),
};
#[cfg(any(test, target_arch = "aarch64"))]
const AARCH64: Abi = Abi {
    name: "aarch64",
    audit: 0xc000_00b7,
    number: number!(aarch64),
};
#[cfg(any(test, target_arch = "aarch64"))]
const ARM: Abi = Abi {
    name: "arm",
    audit: 0x4000_0028,
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
}

/// Which call `number` is in the ABI `arch`.
pub(super) fn notified(arch: u32, number: i32) -> Option<Notified> {
    let abi = ABIS.iter().find(|abi| abi.audit == arch)?;
    let number = u32::try_from(number).ok();
    [
        ("connect", Notified::Connect),
        ("socket", Notified::Socket),
        ("socketcall", Notified::SocketCall),
        ("uname", Notified::KernelName),
    ]
    .into_iter()
    .chain(
        table::EMULATED
            .iter()
            .map(|(name, call, _)| (*name, Notified::Users(*call))),
    )
    .find(|(name, _)| number.is_some() && (abi.number)(name) == number)
    .map(|(_, call)| call)
}

/// The filter of every step whose users are so many to the kernel, and which is told this of its
/// name.
pub(crate) fn program(users: UserIds, kernel: KernelName) -> Vec<Instruction> {
    assemble(&ABIS, users, kernel)
}

fn assemble(abis: &[Abi], users: UserIds, kernel: KernelName) -> Vec<Instruction> {
    let mut code = answer(errno(libc::ENOSYS));
    for abi in abis.iter().rev() {
        let mut calls = vec![at(LOAD, NUMBER)];
        let known = search(&ranges(abi, users, kernel));
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

fn ranges(abi: &Abi, users: UserIds, kernel: KernelName) -> Vec<Range> {
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
        Some(Rule::Observe | Rule::Emulate | Rule::KernelName) => answer(NOTIFY),
        Some(Rule::EmulateOpen(flags)) => load(
            argument(flags.into()),
            branch(IF_ANY, WRITING, answer(ALLOW), answer(NOTIFY)),
        ),
        Some(Rule::CloneWithoutNamespaces) => load(
            argument(0),
            branch(
                IF_ANY,
                NEW_NAMESPACES,
                answer(ALLOW),
                answer(errno(libc::EPERM)),
            ),
        ),
        Some(Rule::Personality) => load(
            argument(0),
            PERSONALITIES
                .iter()
                .fold(answer(errno(libc::EPERM)), |otherwise, allowed| {
                    branch(IF_EQUAL, *allowed, otherwise, answer(ALLOW))
                }),
        ),
        Some(Rule::Socket) => socket(),
        Some(Rule::SocketCall) => load(
            argument(0),
            // SYS_SOCKET of linux/net.h.
            branch(IF_EQUAL, 1, answer(ALLOW), answer(NOTIFY)),
        ),
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
mod tests {
    use super::{machine::Call, *};

    const ALL: [Abi; 4] = [X86_64, I386, AARCH64, ARM];

    fn run(abi: &Abi, name: &str, arguments: &[u64]) -> u32 {
        let number = (abi.number)(name).unwrap_or_else(|| panic!("{name} on {}", abi.name));
        run_number(abi, number, arguments)
    }

    fn run_number(abi: &Abi, number: u32, arguments: &[u64]) -> u32 {
        let call = Call::new(number, abi.audit, arguments);
        machine::run(&assemble(&ALL, UserIds::Range, KernelName::Real), &call)
    }

    #[test]
    fn a_filter_fits_into_the_kernels_limit() {
        for users in [UserIds::Range, UserIds::One] {
            assert!(program(users, KernelName::Canary).len() <= 4096);
        }
    }

    /// Every number of every ABI gets what the table says of its name, and no other.
    #[test]
    fn every_number_follows_the_table() {
        for abi in &ALL {
            let allowed: std::collections::BTreeSet<u32> =
                table::allowed().filter_map(abi.number).collect();
            let special: std::collections::BTreeSet<u32> = table::SPECIAL
                .iter()
                .filter_map(|(name, _)| (abi.number)(name))
                .collect();
            for number in 0..1000 {
                let action = run_number(abi, number, &[]);
                if allowed.contains(&number) {
                    assert_eq!(action, ALLOW, "{} {number}", abi.name);
                } else if !special.contains(&number) {
                    assert_eq!(action, errno(libc::EPERM), "{} {number}", abi.name);
                }
            }
        }
    }

    #[test]
    fn namespaces_cannot_be_made_by_clone() {
        for abi in &ALL {
            assert_eq!(run(abi, "clone", &[0x11]), ALLOW);
            for flag in [0x0002_0000, 0x1000_0000, 0x4000_0000_u64] {
                assert_eq!(run(abi, "clone", &[flag | 0x11]), errno(libc::EPERM));
            }
            assert_eq!(run(abi, "clone3", &[]), errno(libc::ENOSYS));
        }
    }

    #[test]
    fn sockets_that_end_inside_are_allowed_and_others_counted() {
        let cases = [
            ((1, 1, 0), ALLOW),
            ((1, 3, 0), ALLOW),
            ((2, 1, 6), ALLOW),
            ((2, 2 | 0x8_0800, 17), ALLOW),
            ((10, 1, 0), ALLOW),
            ((16, 3, 0), ALLOW),
            ((16, 3, 9), errno(libc::EPROTONOSUPPORT)),
            ((16, 3, 16), NOTIFY),
            ((2, 3 | 0x8_0000, 1), NOTIFY),
            ((10, 3, 58), NOTIFY),
            ((2, 10, 0), NOTIFY),
            ((17, 2, 0), NOTIFY),
            ((38, 5, 0), NOTIFY),
            ((40, 1, 0), NOTIFY),
            ((0xffff_ffff, 1, 0), NOTIFY),
        ];
        for abi in &ALL {
            for ((family, kind, protocol), action) in cases {
                assert_eq!(
                    run(abi, "socket", &[family, kind, protocol]),
                    action,
                    "{} {family} {kind} {protocol}",
                    abi.name
                );
            }
        }
        assert_eq!(run(&I386, "socketcall", &[1]), NOTIFY);
        assert_eq!(run(&I386, "socketcall", &[3]), ALLOW);
    }

    /// The kernel takes an `int`: what is above does not count, for it or for us.
    #[test]
    fn the_upper_half_of_an_argument_hides_nothing() {
        assert_eq!(run(&X86_64, "socket", &[0x1_0000_0026, 5, 0]), NOTIFY);
        assert_eq!(run(&X86_64, "socket", &[2, (1 << 32) | 3, 0]), NOTIFY);
    }

    #[test]
    fn personalities() {
        for (value, action) in [
            (0, ALLOW),
            (8, ALLOW),
            (0x2_0000, ALLOW),
            (0xffff_ffff, ALLOW),
            (0x0004_0000, errno(libc::EPERM)),
            (0x0400_0000, errno(libc::EPERM)),
        ] {
            assert_eq!(run(&X86_64, "personality", &[value]), action, "{value:x}");
        }
    }

    #[test]
    fn the_supervisor_knows_each_call_it_gets() {
        assert_eq!(notified(X86_64.audit, 42), Some(Notified::Connect));
        assert_eq!(notified(X86_64.audit, 41), Some(Notified::Socket));
        assert_eq!(notified(I386.audit, 102), Some(Notified::SocketCall));
        assert_eq!(notified(X86_64.audit, -1), None);
        assert_eq!(notified(1, 42), None);
    }

    #[test]
    fn calls_on_users_are_answered_where_the_kernel_knows_one() {
        let run = |abi: &Abi, name: &str, arguments: &[u64], users| {
            let number = (abi.number)(name).unwrap_or_else(|| panic!("{name} on {}", abi.name));
            let call = Call::new(number, abi.audit, arguments);
            machine::run(&assemble(&ABIS, users, KernelName::Real), &call)
        };
        let own = &ABIS[0];
        for (name, _, rule) in &table::EMULATED {
            if (own.number)(name).is_none() {
                continue;
            }
            assert_eq!(run(own, name, &[], UserIds::Range), ALLOW, "{name}");
            let reads = matches!(rule, Rule::EmulateOpen(_));
            let expected = if reads { ALLOW } else { NOTIFY };
            assert_eq!(run(own, name, &[], UserIds::One), expected, "{name}");
        }
        let writes = [0, 0, libc::O_WRONLY.unsigned_abs().into()];
        assert_eq!(run(own, "openat", &writes, UserIds::One), NOTIFY);
        let makes = [0, 0, (libc::O_RDONLY | libc::O_CREAT).unsigned_abs().into()];
        assert_eq!(run(own, "openat", &makes, UserIds::One), NOTIFY);
        assert_eq!(run(&ABIS[1], "fchown", &[], UserIds::One), ALLOW);
    }

    #[test]
    fn the_name_of_the_kernel_is_asked_for_where_it_varies() {
        for abi in &ALL {
            let number = (abi.number)("uname").unwrap();
            let call = Call::new(number, abi.audit, &[]);
            for (kernel, action) in [(KernelName::Real, ALLOW), (KernelName::Canary, NOTIFY)] {
                let filter = assemble(&ALL, UserIds::Range, kernel);
                assert_eq!(machine::run(&filter, &call), action, "{}", abi.name);
            }
        }
        let number = (ABIS[0].number)("uname").unwrap();
        let asked = notified(ABIS[0].audit, number.cast_signed());
        assert_eq!(asked, Some(Notified::KernelName));
    }

    #[test]
    fn numbers_of_other_abis_do_not_exist() {
        let absent = errno(libc::ENOSYS);
        for number in [X32, X32 + 41, X32 + 512, u32::MAX] {
            assert_eq!(run_number(&X86_64, number, &[]), absent);
        }
        let call = Call::new(0, 0xc000_0015, &[]);
        assert_eq!(
            machine::run(&program(UserIds::Range, KernelName::Real), &call),
            absent
        );
    }
}
