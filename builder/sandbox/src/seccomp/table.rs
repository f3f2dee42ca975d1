//! The calls by name, grouped by what they are for.

/// A rule that depends on arguments, or that is neither yes nor no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Goes through.
    Allow,
    /// `clone` without new namespaces.
    CloneWithoutNamespaces,
    /// Not there: programs then take `clone`, whose flags a filter can read.
    NotImplemented,
    /// The personalities of Linux, with and without `UNAME26`.
    Personality,
    /// Families that end inside the step; the others go to the supervisor.
    Socket,
    /// `socket` by the old way of i386 goes to the supervisor, whatever its arguments: they lie in
    /// memory, where a filter cannot read and the program can change them.
    SocketCall,
    /// The supervisor notes the address and lets the call go on.
    Observe,
    /// The supervisor answers on the axis of the kernel's name.
    KernelName,
    /// The supervisor answers for users of which the kernel knows none.
    Emulate,
    /// The same where a file is made or opened to be written to; which argument has the flags.
    EmulateOpen(u8),
}

impl Rule {
    /// For people.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Allow => "allowed",
            Self::CloneWithoutNamespaces => "EPERM with a flag that makes a namespace",
            Self::NotImplemented => "ENOSYS",
            Self::Personality => "PER_LINUX and PER_LINUX32, with or without UNAME26; else EPERM",
            Self::Socket => {
                "UNIX, INET and INET6 (not raw), NETLINK_ROUTE; EPROTONOSUPPORT for NETLINK_AUDIT; \
                 others refused and counted"
            }
            Self::SocketCall => "as socket, connect and the others",
            Self::Observe => "allowed, the address is noted",
            Self::KernelName => "answered by the supervisor on the axis kernel-name, else allowed",
            Self::Emulate => "answered by the supervisor, as far as it is of users",
            Self::EmulateOpen(_) => {
                "answered by the supervisor, as far as it is of users, if it can write or make a file"
            }
        }
    }
}

/// Calls with a rule of their own.
pub(super) const SPECIAL: [(&str, Rule); 7] = [
    ("clone", Rule::CloneWithoutNamespaces),
    ("clone3", Rule::NotImplemented),
    ("connect", Rule::Observe),
    ("personality", Rule::Personality),
    ("socket", Rule::Socket),
    ("socketcall", Rule::SocketCall),
    ("uname", Rule::KernelName),
];

/// A call that the supervisor answers where all users of a step are one to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UserCall {
    Chown,
    Lchown,
    Fchown,
    Fchownat,
    Stat,
    Lstat,
    Fstat,
    Fstatat,
    Statx,
    Open,
    Openat,
    Openat2,
    Creat,
    Mkdir,
    Mkdirat,
    Mknod,
    Mknodat,
    Symlink,
    Symlinkat,
    Get(Kind, Which),
    GetAll(Kind),
    GetGroups,
    Set(Kind),
    SetTwo(Kind),
    SetAll(Kind),
    SetFile(Kind),
    SetGroups,
}

/// Whether an id is a user's or a group's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    Group,
}

/// Which of a process's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Real,
    Effective,
}

/// Calls that are emulated in the machine's own ABI. Programs of its 32-bit predecessor get the
/// kernel's answers: every file is root's there, and can be given to nobody else.
pub(super) const EMULATED: [(&str, UserCall, Rule); 36] = {
    use Kind::{Group, User};
    use Rule::{Emulate, EmulateOpen};
    use UserCall as C;
    [
        ("chown", C::Chown, Emulate),
        ("lchown", C::Lchown, Emulate),
        ("fchown", C::Fchown, Emulate),
        ("fchownat", C::Fchownat, Emulate),
        ("stat", C::Stat, Emulate),
        ("lstat", C::Lstat, Emulate),
        ("fstat", C::Fstat, Emulate),
        ("newfstatat", C::Fstatat, Emulate),
        ("statx", C::Statx, Emulate),
        ("open", C::Open, EmulateOpen(1)),
        ("openat", C::Openat, EmulateOpen(2)),
        ("openat2", C::Openat2, Emulate),
        ("creat", C::Creat, Emulate),
        ("mkdir", C::Mkdir, Emulate),
        ("mkdirat", C::Mkdirat, Emulate),
        ("mknod", C::Mknod, Emulate),
        ("mknodat", C::Mknodat, Emulate),
        ("symlink", C::Symlink, Emulate),
        ("symlinkat", C::Symlinkat, Emulate),
        ("getuid", C::Get(User, Which::Real), Emulate),
        ("geteuid", C::Get(User, Which::Effective), Emulate),
        ("getgid", C::Get(Group, Which::Real), Emulate),
        ("getegid", C::Get(Group, Which::Effective), Emulate),
        ("getresuid", C::GetAll(User), Emulate),
        ("getresgid", C::GetAll(Group), Emulate),
        ("getgroups", C::GetGroups, Emulate),
        ("setuid", C::Set(User), Emulate),
        ("setgid", C::Set(Group), Emulate),
        ("setreuid", C::SetTwo(User), Emulate),
        ("setregid", C::SetTwo(Group), Emulate),
        ("setresuid", C::SetAll(User), Emulate),
        ("setresgid", C::SetAll(Group), Emulate),
        ("setfsuid", C::SetFile(User), Emulate),
        ("setfsgid", C::SetFile(Group), Emulate),
        ("setgroups", C::SetGroups, Emulate),
        // What newfstatat is called on aarch64.
        ("fstatat", C::Fstatat, Emulate),
    ]
};

/// All calls that are allowed whatever their arguments.
pub(super) fn allowed() -> impl Iterator<Item = &'static str> {
    GROUPS
        .iter()
        .flat_map(|names| names.split_ascii_whitespace())
}

/// Not in any group, hence denied: mounts and namespaces, modules, the clock, raw I/O, the kernel's
/// keyring and log, BPF, `perf`, `userfaultfd`, and `io_uring`, whose operations no filter sees.
const GROUPS: [&str; 14] = [
    // Files by descriptor.
    "read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek _llseek close \
     close_range dup dup2 dup3 fcntl fcntl64 ioctl flock fsync fdatasync sync syncfs \
     sync_file_range arm_sync_file_range fallocate ftruncate ftruncate64 \
     fadvise64 fadvise64_64 arm_fadvise64_64 readahead copy_file_range sendfile sendfile64 splice \
     tee vmsplice cachestat",
    // Files by name.
    "open openat openat2 creat access faccessat faccessat2 mkdir mkdirat rmdir unlink unlinkat \
     rename renameat renameat2 link linkat symlink symlinkat readlink readlinkat mknod mknodat \
     truncate truncate64 getdents getdents64 getcwd chdir fchdir chroot umask",
    // What is known of files, and its change.
    "stat stat64 lstat lstat64 fstat fstat64 newfstatat fstatat64 statx statfs statfs64 fstatfs \
     fstatfs64 chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 lchown lchown32 \
     fchownat utime utimes futimesat utimensat utimensat_time64",
    // Extended attributes.
    "getxattr lgetxattr fgetxattr setxattr lsetxattr fsetxattr listxattr llistxattr flistxattr \
     removexattr lremovexattr fremovexattr getxattrat setxattrat listxattrat removexattrat",
    // Watching files.
    "inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark",
    // Memory.
    "brk mmap mmap2 munmap mremap mprotect madvise mincore msync mlock mlock2 mlockall munlock \
     munlockall remap_file_pages membarrier memfd_create memfd_secret mseal map_shadow_stack \
     pkey_alloc pkey_free pkey_mprotect process_mrelease process_vm_readv process_vm_writev",
    // Processes and threads. ptrace: inside the step only, and safe with seccomp since Linux 4.8.
    "execve execveat fork vfork exit exit_group wait4 waitid waitpid getpid getppid gettid getpgid \
     getpgrp setpgid getsid setsid ptrace prctl arch_prctl set_tid_address set_robust_list \
     get_robust_list set_thread_area get_thread_area modify_ldt rseq pidfd_open \
     pidfd_send_signal kill tkill tgkill getcpu sysinfo getrusage times restart_syscall \
",
    // Users, groups, capabilities: within the bounding set and the id map.
    "getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 \
     getresgid getresgid32 getgroups getgroups32 setuid setuid32 setgid setgid32 setreuid \
     setreuid32 setregid setregid32 setresuid setresuid32 setresgid setresgid32 setfsuid \
     setfsuid32 setfsgid setfsgid32 setgroups setgroups32 capget capset",
    // Signals.
    "rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_tgsigqueueinfo rt_sigreturn \
     rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 sigaltstack sigaction sigprocmask \
     sigpending sigreturn sigsuspend signal signalfd signalfd4 pause alarm",
    // Waiting.
    "poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_create epoll_create1 \
     epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 \
     pipe pipe2 futex futex_time64 futex_waitv futex_wait futex_wake futex_requeue io_setup \
     io_destroy io_submit io_cancel io_getevents io_pgetevents io_pgetevents_time64",
    // Time: reading, sleeping, timers. adjtimex reads; to set, it wants a capability.
    "time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 \
     clock_nanosleep clock_nanosleep_time64 clock_adjtime clock_adjtime64 adjtimex nanosleep \
     getitimer setitimer timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 \
     timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 \
     timerfd_settime timerfd_settime64",
    // Limits and scheduling.
    "getrlimit ugetrlimit setrlimit prlimit64 getpriority setpriority ioprio_get ioprio_set \
     sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam \
     sched_setparam sched_getscheduler sched_setscheduler sched_get_priority_max \
     sched_get_priority_min sched_rr_get_interval sched_rr_get_interval_time64",
    // Talking to other processes, and to oneself over sockets.
    "bind listen accept accept4 getsockname getpeername getsockopt setsockopt socketpair shutdown \
     send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64 ipc msgget msgsnd \
     msgrcv msgctl semget semop semctl semtimedop semtimedop_time64 shmget shmat shmdt shmctl \
     mq_open mq_unlink mq_notify mq_getsetattr mq_timedsend mq_timedsend_time64 mq_timedreceive \
     mq_timedreceive_time64",
    // Random bytes, and less rights than one has.
    "getrandom seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_call_is_listed_twice() {
        let mut seen = BTreeSet::new();
        for name in allowed().chain(SPECIAL.iter().map(|(name, _)| *name)) {
            assert!(seen.insert(name), "{name}");
        }
    }

    /// A name that no ABI has is a slip of the pen.
    #[test]
    fn every_name_is_one_of_linux() {
        for name in allowed().chain(SPECIAL.iter().map(|(name, _)| *name)) {
            let known = name.parse::<syscalls::x86_64::Sysno>().is_ok()
                || name.parse::<syscalls::x86::Sysno>().is_ok()
                || name.parse::<syscalls::aarch64::Sysno>().is_ok()
                || name.parse::<syscalls::arm::Sysno>().is_ok();
            assert!(known, "{name}");
        }
    }

    #[test]
    fn what_reaches_the_kernel_past_the_filter_is_denied() {
        let allowed: BTreeSet<_> = allowed().collect();
        for name in [
            "mount",
            "umount2",
            "unshare",
            "setns",
            "pivot_root",
            "open_tree",
            "move_mount",
            "fsopen",
            "bpf",
            "io_uring_setup",
            "io_uring_enter",
            "io_uring_register",
            "keyctl",
            "add_key",
            "request_key",
            "userfaultfd",
            "perf_event_open",
            "init_module",
            "finit_module",
            "kexec_load",
            "reboot",
            "settimeofday",
            "clock_settime",
            "syslog",
            "open_by_handle_at",
            "sethostname",
            "swapon",
            "iopl",
            "ioperm",
            "quotactl",
            "acct",
        ] {
            assert!(!allowed.contains(name), "{name}");
        }
    }
}
