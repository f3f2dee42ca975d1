//! Flags of `RUN`.

use std::collections::BTreeMap;

use repro_core::build::{MountAccess, MountFacts};

use super::{
    super::{
        GlobalScope, InstructionKind, MAX_MOUNTS, Mount, MountError, Need, PlatformArgs, RunArgs,
        RunFlagError, StageScope, SyntaxError,
    },
    error, good, one,
};

fn run(flags: &str) -> RunArgs {
    match one(&format!("RUN {flags} make")) {
        InstructionKind::Run(run) => run,
        other => panic!("{other:?}"),
    }
}

/// The only mount, expanded where `A` is `one` and `EMPTY` is empty.
fn mount(value: &str) -> Result<Mount, MountError> {
    let run = run(&format!("--mount={value}"));
    assert_eq!(run.mounts.len(), 1);
    let platform = repro_core::platform::Platform::host();
    let platforms = PlatformArgs {
        build: platform.clone(),
        target: platform,
    };
    let globals = GlobalScope::new(&platforms, None, &BTreeMap::new());
    let env = [
        ("A".to_owned(), "one".to_owned()),
        ("EMPTY".to_owned(), String::new()),
    ];
    run.mounts[0].check(&StageScope::new(&globals, &env))
}

fn refused(value: &str) -> MountError {
    match error(&format!("FROM scratch\nRUN --mount={value} make")) {
        (SyntaxError::Mount(error), 2) => error,
        other => panic!("{value}: {other:?}"),
    }
}

const fn facts(mode: u16, uid: u32, gid: u32) -> MountFacts {
    MountFacts { mode, uid, gid }
}

#[test]
fn binds_are_read_only_and_caches_and_memory_are_not() {
    let bind = |source: &str, target: &str, access| Mount::Bind {
        source: source.into(),
        target: target.into(),
        access,
    };
    let (ro, rw) = (MountAccess::ReadOnly, MountAccess::ReadWrite);
    for (value, expected) in [
        ("target=/a", bind("", "/a", ro)),
        ("type=bind,src=b,dst=a", bind("b", "a", ro)),
        ("TYPE=Bind,Source=b,destination=/a,rw", bind("b", "/a", rw)),
        ("target=/a,readwrite=true", bind("", "/a", rw)),
        ("target=/a,rw=0", bind("", "/a", ro)),
        ("target=/a,ro=false", bind("", "/a", rw)),
        ("target=/$A/${B:-b},source=$EMPTY", bind("", "/one/b", ro)),
        ("type=${T:-bind},target=/a", bind("", "/a", ro)),
        // Commas in quotes, which the line's own quotes must carry.
        ("'type=bind,\"target=/a,b\"'", bind("", "/a,b", ro)),
        (r#"type=bind,\"target=/a,b\""#, bind("", "/a,b", ro)),
    ] {
        assert_eq!(mount(value), Ok(expected), "{value}");
    }
    let cache = |id: Option<&str>, access, facts| Mount::Cache {
        id: id.map(Into::into),
        source: String::new(),
        target: "/c".into(),
        access,
        facts,
    };
    for (value, expected) in [
        ("type=cache,target=/c", cache(None, rw, facts(0o755, 0, 0))),
        (
            "type=cache,id=x,sharing=locked,target=/c,ro,mode=0700,uid=1,gid=2",
            cache(Some("x"), ro, facts(0o700, 1, 2)),
        ),
        (
            "type=cache,target=/c,sharing=Private,gid=$N,uid=${N:-7}",
            // An empty number is none.
            cache(None, rw, facts(0o755, 0, 0)),
        ),
    ] {
        match mount(value) {
            Ok(mount) => assert_eq!(mount, expected, "{value}"),
            Err(error) => {
                assert!(value.contains("$N") && matches!(error, MountError::Invalid { .. }));
            }
        }
    }
    let tmpfs = |size| Mount::Tmpfs {
        size,
        target: "/t".into(),
        access: rw,
    };
    assert_eq!(mount("type=tmpfs,target=/t"), Ok(tmpfs(None)));
    assert_eq!(
        mount("type=tmpfs,target=/t,size=1m"),
        Ok(tmpfs(Some(1 << 20)))
    );
}

#[test]
fn secrets_and_agents_have_names_and_places_of_their_own() {
    let secret = |id: &str, file: Option<&str>, variable: Option<&str>, need| Mount::Secret {
        id: id.into(),
        file: file.map(Into::into),
        variable: variable.map(Into::into),
        need,
        facts: facts(0o400, 0, 0),
    };
    let (optional, required) = (Need::Optional, Need::Required);
    for (value, expected) in [
        ("id=x", secret("x", Some("/run/secrets/x"), None, optional)),
        (
            "source=x",
            secret("x", Some("/run/secrets/x"), None, optional),
        ),
        (
            "id=a/b",
            secret("a/b", Some("/run/secrets/b"), None, optional),
        ),
        (
            "target=/etc/key",
            secret("key", Some("/etc/key"), None, optional),
        ),
        (
            "id=x,required",
            secret("x", Some("/run/secrets/x"), None, required),
        ),
        (
            "id=x,required=false",
            secret("x", Some("/run/secrets/x"), None, optional),
        ),
        ("id=x,env=X", secret("x", None, Some("X"), optional)),
        (
            "id=x,env=X,target=/x",
            secret("x", Some("/x"), Some("X"), optional),
        ),
    ] {
        assert_eq!(
            mount(&format!("type=secret,{value}")),
            Ok(expected),
            "{value}"
        );
    }
    let agent = |id: &str, target: Option<&str>, need, facts| Mount::Agent {
        id: id.into(),
        target: target.map(Into::into),
        need,
        facts,
    };
    for (value, expected) in [
        (
            "type=ssh",
            agent("default", None, optional, facts(0o600, 0, 0)),
        ),
        (
            "type=ssh,id=x,target=/s,required=1,mode=666,uid=5",
            agent("x", Some("/s"), required, facts(0o666, 5, 0)),
        ),
    ] {
        assert_eq!(mount(value), Ok(expected), "{value}");
    }
}

/// What an error must be.
type Test<'a> = &'a dyn Fn(&MountError) -> bool;

#[test]
fn mounts_that_make_no_sense_are_refused_with_the_line() {
    let invalid = |e: &MountError| matches!(e, MountError::Invalid { .. });
    let misplaced = |e: &MountError| matches!(e, MountError::Misplaced { .. });
    let table: &[(&str, Test<'_>)] = &[
        ("type=volume,target=/a", &|e| {
            *e == MountError::Type("volume".into())
        }),
        ("taget=/a", &|e| {
            *e == MountError::UnknownKey {
                key: "taget".into(),
                nearest: Some("target"),
            }
        }),
        ("type=bind,bind-propagation=shared,target=/a", &|e| {
            matches!(e, MountError::UnknownKey { .. })
        }),
        ("type=bind", &|e| *e == MountError::Target("bind")),
        ("type=cache", &|e| *e == MountError::Target("cache")),
        ("type=tmpfs,target=", &|e| *e == MountError::Target("tmpfs")),
        ("target", &|e| *e == MountError::Value("target".into())),
        ("from=$A,target=/a", &|e| *e == MountError::VariableInFrom),
        ("from=$A,target=$B", &|e| *e == MountError::VariableInFrom),
        ("target=${", &|e| matches!(e, MountError::Template(_))),
        ("\\\"target=/a", &|e| *e == MountError::Csv),
        ("target=/a,rw=maybe", &invalid),
        ("type=cache,target=/a,sharing=all", &invalid),
        ("type=cache,target=/a,mode=rwx", &invalid),
        ("type=cache,target=/a,mode=17777", &invalid),
        ("type=cache,target=/a,uid=root", &invalid),
        ("type=tmpfs,target=/a,size=big", &invalid),
        ("type=bind,target=/a,mode=0700", &misplaced),
        ("type=tmpfs,target=/a,uid=1", &misplaced),
        ("type=bind,target=/a,sharing=shared", &misplaced),
        ("type=bind,target=/a,size=1m", &misplaced),
        ("type=bind,target=/a,required", &misplaced),
        // Keys are read from left to right.
        ("required,type=secret,id=a", &misplaced),
        ("type=ssh,source=a", &misplaced),
        ("type=secret,from=a,id=b", &misplaced),
        ("type=secret", &|e| *e == MountError::SecretName),
        ("type=secret,id=..", &|e| *e == MountError::SecretName),
        ("type=secret,id=a,source=b", &|e| {
            *e == MountError::SecretNames
        }),
        ("type=secret,id=a,env=A=B", &|e| {
            *e == MountError::Variable("A=B".into())
        }),
    ];
    for (value, test) in table {
        let error = refused(value);
        assert!(test(&error), "{value}: {error:?}");
    }
    // What a variable makes of it is known only when its turn comes.
    assert_eq!(
        mount("type=$A,target=/a"),
        Err(MountError::Type("one".into()))
    );
    assert_eq!(mount("target=$EMPTY"), Err(MountError::Target("bind")));
}

#[test]
fn a_run_may_have_many_mounts_and_not_too_many() {
    let flags = |count| "--mount=type=tmpfs,target=/a ".repeat(count);
    assert_eq!(run(&flags(MAX_MOUNTS)).mounts.len(), MAX_MOUNTS);
    let (found, _) = error(&format!("FROM scratch\nRUN {}make", flags(MAX_MOUNTS + 1)));
    assert_eq!(found, SyntaxError::Run(RunFlagError::TooManyMounts));
}

#[test]
fn what_would_open_the_sandbox_is_refused_with_advice() {
    for (flag, expected) in [
        ("--network=host", RunFlagError::Network("host".into())),
        ("--network=default", RunFlagError::Network("default".into())),
        (
            "--network=bridge",
            RunFlagError::UnknownNetwork("bridge".into()),
        ),
        ("--security=insecure", RunFlagError::Insecure),
        (
            "--security=none",
            RunFlagError::UnknownSecurity("none".into()),
        ),
        (
            "--device=vendor.example/gpu",
            RunFlagError::Device("vendor.example/gpu".into()),
        ),
    ] {
        let (found, line) = error(&format!("FROM scratch\n\nRUN {flag} make"));
        assert_eq!((&found, line), (&SyntaxError::Run(expected), 3), "{flag}");
    }
    let (network, _) = error("FROM scratch\nRUN --network=host make");
    assert!(network.hint().unwrap().contains("repro lock"));
    assert!(run("--network=none --security=sandbox").network.is_some());
}

#[test]
fn flags_print_as_they_were_read() {
    for flags in [
        "--mount=type=cache,target=/x --mount=type=secret,id=a,required",
        r#"--mount='type=bind,"target=/a,""b""",source=x y' --network=none"#,
        r"--security=sandbox --mount=target=${A:-x\ y},from=b",
    ] {
        let text = format!("FROM scratch AS b\nRUN {flags} -- --x\n");
        let file = good(&text);
        let printed = file.to_string();
        let again = good(&printed);
        let kinds = |file: &super::Dockerfile| file.stages[0].instructions[0].kind.clone();
        assert_eq!(kinds(&file), kinds(&again), "{printed}");
    }
}
