//! The rules of the filter, tried on every kind of machine without a kernel.

use super::{machine::Call, *};

const ALL: [Abi; 4] = [X86_64, I386, AARCH64, ARM];
/// Of a step of run A.
const PLAIN: Varying = Varying {
    users: UserIds::Range,
    kernel: KernelName::Real,
    clock: Clock::Real,
};

fn run(abi: &Abi, name: &str, arguments: &[u64]) -> u32 {
    let number = (abi.number)(name).unwrap_or_else(|| panic!("{name} on {}", abi.name));
    run_number(abi, number, arguments)
}

fn run_number(abi: &Abi, number: u32, arguments: &[u64]) -> u32 {
    let call = Call::new(number, abi.audit, arguments);
    machine::run(&assemble(&ALL, PLAIN), &call)
}

#[test]
fn a_filter_fits_into_the_kernels_limit() {
    for users in [UserIds::Range, UserIds::One] {
        for clock in [Clock::Real, Clock::Shifted] {
            let kernel = KernelName::Canary;
            let of = Varying {
                users,
                kernel,
                clock,
            };
            assert!(program(of).len() <= 4096);
        }
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
        let varied: std::collections::BTreeSet<u32> = varied::rules(Clock::Real)
            .filter_map(|(name, _)| (abi.number)(name))
            .collect();
        for number in 0..1000 {
            let action = run_number(abi, number, &[]);
            if varied.contains(&number) {
                assert_eq!(action, NOTIFY, "{} {number}", abi.name);
            } else if allowed.contains(&number) {
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
        machine::run(&assemble(&ABIS, Varying { users, ..PLAIN }), &call)
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

fn shifted(abi: &Abi, name: &str, arguments: &[u64]) -> u32 {
    let number = (abi.number)(name).unwrap_or_else(|| panic!("{name} on {}", abi.name));
    let call = Call::new(number, abi.audit, arguments);
    let of = Varying {
        clock: Clock::Shifted,
        ..PLAIN
    };
    machine::run(&assemble(&ALL, of), &call)
}

#[test]
fn clocks_of_the_day_are_answered_where_they_are_shifted() {
    for abi in &ALL {
        let mut names = vec!["clock_gettime"];
        if abi.word == Word::Four {
            names.push("clock_gettime64");
        }
        for name in names {
            for clock in OF_DAY {
                let arguments = [clock.unsigned_abs().into()];
                assert_eq!(shifted(abi, name, &arguments), NOTIFY, "{clock}");
                assert_eq!(run(abi, name, &arguments), ALLOW, "{clock}");
            }
            for clock in [libc::CLOCK_MONOTONIC, libc::CLOCK_PROCESS_CPUTIME_ID] {
                assert_eq!(shifted(abi, name, &[clock.unsigned_abs().into()]), ALLOW);
            }
            // The clock of a process is a negative number.
            assert_eq!(shifted(abi, name, &[0xffff_fffa]), ALLOW);
        }
        assert_eq!(shifted(abi, "gettimeofday", &[]), NOTIFY);
        assert_eq!(shifted(abi, "getdents64", &[]), NOTIFY);
        assert_eq!(shifted(abi, "clone3", &[]), errno(libc::ENOSYS));
    }
    assert_eq!(shifted(&X86_64, "time", &[]), NOTIFY);
    assert_eq!(shifted(&X86_64, "connect", &[]), NOTIFY);
}

/// The place of a stop as the tracer is told it.
fn place(name: &str) -> u32 {
    let index = varied::STOPS.iter().position(|stop| stop.name == name);
    stop(u16::try_from(index.unwrap()).unwrap())
}

#[test]
fn deadlines_stop_only_where_they_are_moments_of_the_day() {
    const POINTER: u64 = 0x1000;
    const HIGH: u64 = 1 << 32;
    let cases: [(&str, &[u64], bool); 23] = [
        ("futex", &[0, 0x189, 0, POINTER], true),
        ("futex", &[0, 0x109, 0, HIGH], true),
        // A condition variable that waits for ever.
        ("futex", &[0, 0x189, 0, 0], false),
        ("futex", &[0, 0x89, 0, POINTER], false),
        ("futex", &[0, 0x80, 0, POINTER], false),
        ("futex", &[0, 6, 0, POINTER], true),
        ("futex", &[0, 0x86, 0, POINTER], true),
        ("futex", &[0, 0x8d, 0, POINTER], false),
        ("futex", &[0, 0x18d, 0, POINTER], true),
        ("futex", &[0, 1], false),
        ("futex_waitv", &[0, 0, 0, POINTER, 0], true),
        ("futex_waitv", &[0, 0, 0, POINTER, 1], false),
        ("futex_waitv", &[0, 0, 0, 0, 0], false),
        ("clock_nanosleep", &[0, 1, POINTER], true),
        ("clock_nanosleep", &[11, 1, POINTER], true),
        ("clock_nanosleep", &[1, 1, POINTER], false),
        ("clock_nanosleep", &[0, 0, POINTER], false),
        ("timerfd_settime", &[0, 3, POINTER], true),
        ("timerfd_settime", &[0, 2, POINTER], false),
        ("timer_settime", &[0, 1, POINTER], true),
        ("mq_timedsend", &[0, 0, 0, 0, POINTER], true),
        ("mq_timedreceive", &[0, 0, 0, 0, 0], false),
        ("adjtimex", &[], true),
    ];
    for abi in &ALL {
        for (name, arguments, stops) in cases {
            let expected = if stops { place(name) } else { ALLOW };
            let said = shifted(abi, name, arguments);
            assert_eq!(said, expected, "{} {name} {arguments:x?}", abi.name);
            assert_eq!(run(abi, name, arguments), ALLOW, "{} {name}", abi.name);
        }
        let untraced = [libc::CLONE_UNTRACED.unsigned_abs().into()];
        assert_eq!(shifted(abi, "clone", &untraced), place("clone"));
        assert_eq!(shifted(abi, "clone", &[0x11]), ALLOW);
        let both = [untraced[0] | 0x1000_0000];
        assert_eq!(shifted(abi, "clone", &both), errno(libc::EPERM));
    }
    assert_eq!(
        shifted(&I386, "futex_time64", &[0, 0x189, 0, POINTER]),
        place("futex_time64")
    );
}

#[test]
fn the_tracer_knows_each_stop() {
    let said = |name: &str| place(name) & libc::SECCOMP_RET_DATA;
    let own = ABIS[0].audit;
    let predecessor = ABIS[1].audit;
    assert_eq!(
        stopped(own, said("futex")),
        Some((Change::Deadline(3), Word::Eight))
    );
    assert_eq!(
        stopped(predecessor, said("futex")),
        Some((Change::Deadline(3), Word::Four))
    );
    assert_eq!(
        stopped(predecessor, said("timer_settime64")),
        Some((Change::Expiry(2), Word::Eight))
    );
    assert_eq!(stopped(own, 0), None);
    assert_eq!(stopped(own, 1000), None);
    assert_eq!(stopped(1, said("futex")), None);
}

#[test]
fn who_wants_to_trace_is_told_no_only_where_there_is_a_tracer() {
    for request in [0, 16, 0x4206] {
        assert_eq!(shifted(&X86_64, "ptrace", &[request]), NOTIFY);
        assert_eq!(run(&X86_64, "ptrace", &[request]), ALLOW);
    }
    assert_eq!(shifted(&X86_64, "ptrace", &[7]), ALLOW);
}

#[test]
fn the_name_of_the_kernel_is_asked_for_where_it_varies() {
    for abi in &ALL {
        let number = (abi.number)("uname").unwrap();
        let call = Call::new(number, abi.audit, &[]);
        for (kernel, action) in [(KernelName::Real, ALLOW), (KernelName::Canary, NOTIFY)] {
            let filter = assemble(&ALL, Varying { kernel, ..PLAIN });
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
    assert_eq!(machine::run(&program(PLAIN), &call), absent);
}
