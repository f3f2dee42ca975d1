//! A program with its user, environment and place, as the tree of the image has them.

use std::{collections::BTreeMap, ffi::CString, os::fd::OwnedFd};

use repro_core::build::{LimitRange, NetworkKit, ProcessLimit, SecretVariable, Variation};
use rustix::{
    fs::{Gid, Uid},
    io::Errno,
    process::{Resource, Rlimit},
};

use super::super::machine;
use crate::{
    init::{Identity, Payload, Place, Watch, mounts::Setup},
    policy,
    protocol::{During, Failure, Program, Secret},
    sys::Strings,
    tree::Ids,
    users::ResolvedUser,
};

/// Puts together what the program starts with.
pub(crate) fn payload(
    (spec, secrets, network): (&Program, &BTreeMap<String, Secret>, Option<&NetworkKit>),
    variation: &Variation,
    (user, ids): (&ResolvedUser, Ids<'_>),
    log: OwnedFd,
    watch: Watch,
) -> Result<Payload, Failure> {
    let environment = environment(spec, secrets, network, &user.home)?;
    let path = spec
        .env
        .iter()
        .rev()
        .find(|(name, _)| name == "PATH")
        .map_or(policy::DEFAULT_PATH, |(_, value)| value);
    let program = spec
        .argv
        .first()
        .filter(|program| !program.is_empty())
        .ok_or_else(|| Failure::refused("the step names no program"))?;
    let arguments = spec
        .argv
        .iter()
        .map(|argument| CString::new(argument.as_str()).during("an argument"))
        .collect::<Result<_, _>>()?;
    Ok(Payload {
        candidates: candidates(program, path)?,
        arguments: Strings::new(arguments),
        environment: Strings::new(environment),
        directory: CString::new(spec.cwd.as_str()).during("the working directory")?,
        identity: match ids {
            Ids::Kernel => Identity::Own {
                user: Uid::from_raw(user.uid),
                group: Gid::from_raw(user.gid),
                groups: user.groups.iter().copied().map(Gid::from_raw).collect(),
            },
            Ids::Recorded(_) if user.uid == 0 => Identity::OnlyRoot,
            Ids::Recorded(_) => Identity::OnlyOther,
        },
        cpus: machine::affinity(variation),
        address_space: variation.address_space,
        limits: spec.settings.limits.iter().map(limit).collect(),
        log,
        watch,
    })
}

/// The step's own variables in their order, then `HOME` and `PATH` if it has none, then those of a
/// network that it does not set itself, then its secrets. A secret takes the place of a variable of the same name.
fn environment(
    spec: &Program,
    secrets: &BTreeMap<String, Secret>,
    network: Option<&NetworkKit>,
    home: &[u8],
) -> Result<Vec<CString>, Failure> {
    let is_secret = |name: &str| spec.secret_env.iter().any(|secret| secret.name == name);
    let mut variables = Vec::with_capacity(spec.env.len() + 2);
    for (name, value) in spec.env.iter().filter(|(name, _)| !is_secret(name)) {
        if name.is_empty() || name.contains('=') {
            return Err(Failure::refused(format!(
                "{name:?} cannot name an environment variable"
            )));
        }
        variables
            .push(CString::new(format!("{name}={value}")).during(&format!("variable {name:?}"))?);
    }
    let has = |wanted: &str| spec.env.iter().any(|(name, _)| name == wanted) || is_secret(wanted);
    if !has("HOME") {
        variables.push(CString::new([b"HOME=", home].concat()).during("the home directory")?);
    }
    if !has("PATH") {
        variables.push(CString::new(format!("PATH={}", policy::DEFAULT_PATH)).during("PATH")?);
    }
    let of_network = network.into_iter().flat_map(|kit| &kit.variables);
    for (name, value) in of_network.filter(|(name, _)| !has(name)) {
        variables.push(CString::new(format!("{name}={value}")).during("a network's variable")?);
    }
    for SecretVariable { name, id } in &spec.secret_env {
        let value = secrets
            .get(id)
            .ok_or_else(|| Failure::refused(format!("the secret {id} was not given")))?;
        let variable = [name.as_bytes(), b"=", &value.0].concat();
        variables.push(CString::new(variable).during(&format!("the secret {id} in a variable"))?);
    }
    Ok(variables)
}

/// Where `execvp` would look.
fn candidates(program: &str, path: &str) -> Result<Vec<CString>, Failure> {
    if program.contains('/') {
        return Ok(vec![CString::new(program).during("the program's path")?]);
    }
    path.split(':')
        .map(|directory| {
            let directory = if directory.is_empty() { "." } else { directory };
            CString::new(format!("{directory}/{program}")).during("the program's path")
        })
        .collect()
}

/// A limit as the kernel takes it.
fn limit((limit, range): (&ProcessLimit, &LimitRange)) -> (Resource, Rlimit) {
    let resource = match limit {
        ProcessLimit::Core => Resource::Core,
        ProcessLimit::Cpu => Resource::Cpu,
        ProcessLimit::Data => Resource::Data,
        ProcessLimit::Fsize => Resource::Fsize,
        ProcessLimit::Locks => Resource::Locks,
        ProcessLimit::Memlock => Resource::Memlock,
        ProcessLimit::Msgqueue => Resource::Msgqueue,
        ProcessLimit::Nice => Resource::Nice,
        ProcessLimit::Nofile => Resource::Nofile,
        ProcessLimit::Nproc => Resource::Nproc,
        ProcessLimit::Rss => Resource::Rss,
        ProcessLimit::Rtprio => Resource::Rtprio,
        ProcessLimit::Rttime => Resource::Rttime,
        ProcessLimit::Sigpending => Resource::Sigpending,
        ProcessLimit::Stack => Resource::Stack,
    };
    let rlimit = Rlimit {
        current: range.soft(),
        maximum: range.hard(),
    };
    (resource, rlimit)
}

/// Why the program was not started, for whoever wrote the step or owns the machine.
pub(crate) fn not_started(
    place: Place,
    errno: Errno,
    (setup, targets): (&[Setup], &[String]),
    spec: &Program,
) -> Failure {
    let program = spec.argv.first().map_or("", String::as_str);
    match (place, errno) {
        (Place::Exec, Errno::NOENT) => Failure::refused(format!(
            "program {program:?} is not in the image (or its interpreter is not)"
        )),
        (Place::Exec, Errno::ACCESS) => Failure::refused(format!(
            "program {program:?} is not executable for the user"
        )),
        (Place::Exec, Errno::NOEXEC) => Failure::refused(format!(
            "program {program:?} is not a program of this kind of machine"
        )),
        (Place::Exec, Errno::TOOBIG) => Failure::refused(format!(
            "arguments and environment of {program:?} are longer than a process can have"
        )),
        (Place::WorkingDirectory, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => {
            Failure::refused(format!(
                "working directory {:?} is not a directory of the image that can be entered",
                spec.cwd
            ))
        }
        (Place::OpenFiles, Errno::PERM) => Failure::machine(
            format!("setrlimit(RLIMIT_NOFILE, {})", policy::OPEN_FILES),
            format!(
                "raise the hard limit of open files (ulimit -Hn) of this user to {}: \
                 /etc/security/limits.conf, or LimitNOFILE= of the service",
                policy::OPEN_FILES
            ),
            errno,
        ),
        (Place::Limit(index), errno) => {
            let asked = spec.settings.limits.iter().nth(index as usize);
            let (name, range) = asked.map_or_else(Default::default, |(limit, range)| {
                (limit.name(), range.to_string())
            });
            Failure::machine(
                format!("the limit {name}={range} cannot be set"),
                "a hard limit cannot be above that of the user who builds (ulimit -H -a): ask for \
                 less, or raise that one in /etc/security/limits.conf or by the service's Limit...=",
                errno,
            )
        }
        (Place::Filter, Errno::INVAL | Errno::NOSYS | Errno::BUSY) => Failure::machine(
            "seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER)",
            "the sandbox needs Linux 5.19 or later with CONFIG_SECCOMP_FILTER, and no other \
             supervisor of system calls above it",
            errno,
        ),
        (Place::Attach(index), _) => {
            let target = targets.get(index as usize).map_or("", String::as_str);
            not_attached(target, errno)
        }
        (Place::Setup(index), _) => {
            let what = setup
                .get(index as usize)
                .map_or_else(|| format!("set-up {index}"), Setup::to_string);
            match errno {
                Errno::PERM | Errno::ACCESS | Errno::NODEV | Errno::NOSYS => Failure::machine(
                    what,
                    "in a container, /proc and /sys must not be masked (Docker: --security-opt \
                     systempaths=unconfined), or run repro on the machine itself",
                    errno,
                ),
                _ => Failure::operation(what, errno),
            }
        }
        _ => Failure::operation(place.text().unwrap_or_default(), errno),
    }
}

/// Why a mount did not get its place, which lies in another mount.
fn not_attached(target: &str, errno: Errno) -> Failure {
    let why = match errno {
        Errno::ROFS => {
            "it is missing in a mount that is read-only; make it in its source, or add rw"
        }
        Errno::LOOP => "it leads through a link of another mount",
        Errno::NOTDIR | Errno::ISDIR => "it is a file in another mount, or should be one",
        Errno::ACCESS => "it lies in a directory that cannot be written to",
        errno => return Failure::operation(format!("move_mount({target:?})"), errno),
    };
    Failure::refused(format!("the mount target {target:?} cannot be used: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::FailureKind;

    fn environment(spec: &Program, home: &[u8]) -> Result<Vec<CString>, Failure> {
        super::environment(spec, &BTreeMap::new(), None, home)
    }

    fn spec(env: &[(&str, &str)]) -> Program {
        Program {
            argv: vec!["sh".into()],
            env: env
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            cwd: "/".into(),
            user: String::new(),
            mounts: Vec::new(),
            settings: Box::default(),
            secret_env: Vec::new(),
            script: None,
        }
    }

    fn texts(strings: &[CString]) -> Vec<&str> {
        strings.iter().map(|text| text.to_str().unwrap()).collect()
    }

    #[test]
    fn the_environment_is_the_steps_and_two_more() {
        let variables = environment(&spec(&[("A", "1"), ("PATH", "/x")]), b"/root").unwrap();
        assert_eq!(texts(&variables), ["A=1", "PATH=/x", "HOME=/root"]);
        let own_home = environment(&spec(&[("HOME", "/h")]), b"/root").unwrap();
        assert_eq!(texts(&own_home)[0], "HOME=/h");
        assert_eq!(own_home.len(), 2);
        assert!(environment(&spec(&[("A=B", "1")]), b"/").is_err());
        assert!(environment(&spec(&[("A", "1\0")]), b"/").is_err());
    }

    #[test]
    fn a_secret_takes_the_place_of_a_variable_and_is_any_bytes() {
        let mut spec = spec(&[("A", "1"), ("B", "2")]);
        let secret = |name: &str| SecretVariable {
            name: name.into(),
            id: "s".into(),
        };
        spec.secret_env = vec![secret("A"), secret("PATH")];
        let secrets = |value: &[u8]| BTreeMap::from([("s".to_owned(), Secret(value.to_vec()))]);
        let variables = super::environment(&spec, &secrets(b"\xff="), None, b"/").unwrap();
        let shown: Vec<&[u8]> = variables.iter().map(CString::as_bytes).collect();
        assert_eq!(shown, [&b"B=2"[..], b"HOME=/", b"A=\xff=", b"PATH=\xff="]);
        // The message names the secret and does not show it.
        let failure = super::environment(&spec, &secrets(b"top\0"), None, b"/").unwrap_err();
        assert!(failure.what.contains("secret s") && !failure.what.contains("top"));
        assert!(super::environment(&spec, &BTreeMap::new(), None, b"/").is_err());
    }

    #[test]
    fn programs_are_looked_for_as_execvp_does() {
        assert_eq!(
            texts(&candidates("sh", "/a::b").unwrap()),
            ["/a/sh", "./sh", "b/sh"]
        );
        assert_eq!(texts(&candidates("./sh", "/a").unwrap()), ["./sh"]);
    }

    #[test]
    fn a_missing_program_is_the_steps_fault_and_a_refused_mount_the_machines() {
        let failure = not_started(Place::Exec, Errno::NOENT, (&[], &[]), &spec(&[]));
        assert_eq!(failure.kind, FailureKind::Refused);
        let setup = crate::init::mounts::plan(&[], 2, None, repro_core::build::UserIds::Range);
        let failure = not_started(Place::Setup(0), Errno::PERM, (&setup, &[]), &spec(&[]));
        assert!(matches!(failure.kind, FailureKind::Machine { .. }));
        assert!(
            failure.what.starts_with("mount(\"proc\""),
            "{}",
            failure.what
        );
    }
}
