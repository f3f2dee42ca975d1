//! Dockerfiles to plans, without a file system.

use std::collections::{BTreeMap, BTreeSet};

use repro_core::{
    build::{ContextModes, EpochChoice, InvocationId, LockMode, MountSource, NamedText, Runs},
    digest::{DiffId, Digest},
    epoch::Epoch,
    image::{ImageConfig, LayerDescriptor, MediaType},
    platform::Platform,
    ruleset::Ruleset,
};

use super::*;
use crate::dockerfile::{GlobalScope, PlatformArgs, parse};

fn request(text: &str) -> repro_core::build::BuildRequest {
    repro_core::build::BuildRequest {
        version: 1,
        invocation: InvocationId::try_from("test".to_owned()).unwrap(),
        dockerfile: NamedText {
            name: "Dockerfile".into(),
            text: text.as_bytes().to_vec(),
        },
        ignore: None,
        context: ".".into(),
        exclude: Vec::new(),
        context_modes: ContextModes::Keep,
        lock_mode: LockMode::Open,
        target: None,
        build_args: BTreeMap::new(),
        allowed_args: BTreeSet::new(),
        labels: BTreeMap::new(),
        secrets: BTreeSet::new(),
        agents: BTreeSet::new(),
        platform: Platform::host(),
        tags: Vec::new(),
        epoch: EpochChoice::Base,
        runs: Runs::Two,
        vary: BTreeSet::new(),
        ruleset: Ruleset::V1,
    }
}

/// An image called `base` that sets PATH, CMD and a label, and a tree called `files`.
fn bases() -> Bases {
    let diff_id = DiffId(Digest::of(b"layer"));
    let layer = LayerDescriptor {
        media_type: MediaType::OciLayerGzip,
        digest: Digest::of(b"blob"),
        size: 1,
        diff_id,
    };
    let mut config = ImageConfig::for_platform(&Platform::host());
    config.config.env = vec!["PATH=/base/bin".into()];
    config.config.cmd = Some(vec!["inherited".into()]);
    config.config.labels = BTreeMap::from([("from".into(), "base".into())]);
    let chain = ChainId::chain(&[diff_id]);
    let image = BaseImage {
        config,
        layers: vec![layer],
        chain: chain.clone(),
    };
    Bases {
        images: BTreeMap::from([("base".into(), image)]),
        trees: BTreeMap::from([("files".into(), chain)]),
    }
}

fn planned(request: &repro_core::build::BuildRequest) -> Result<Plan, String> {
    let file = parse("Dockerfile", &request.dockerfile.text).map_err(|e| e.to_string())?;
    let platform = Platform::host();
    let platforms = PlatformArgs {
        build: platform.clone(),
        target: platform,
    };
    let mut globals = GlobalScope::new(&platforms, request.target.as_deref(), &request.build_args);
    for args in &file.global_args {
        globals.arg(&args.kind).unwrap();
    }
    let outline = outline(&file, request, &globals).map_err(|e| e.to_string())?;
    plan(&file, &outline, &bases(), &globals, request, Epoch::MIN).map_err(|e| e.to_string())
}

fn good(text: &str) -> Plan {
    planned(&request(text)).unwrap()
}

fn bad(text: &str) -> String {
    planned(&request(text)).unwrap_err()
}

fn run(plan: &Plan, index: usize) -> &RunSpec<CopyFrom> {
    match &plan.steps[index].work {
        Work::Run(spec) => spec,
        other => panic!("{other:?}"),
    }
}

fn env<'a>(spec: &'a RunSpec<CopyFrom>, name: &str) -> Option<&'a str> {
    spec.env
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

#[test]
fn only_needed_stages_are_planned() {
    let text = "FROM base AS a\nRUN a\nFROM base AS unused\nRUN u\nFROM base AS c\nRUN c\n\
                FROM scratch\nCOPY --from=a /x /x\n";
    let plan = good(text);
    let names: Vec<&str> = plan
        .stages
        .iter()
        .map(|stage| stage.name.as_str())
        .collect();
    assert_eq!(names, ["a", "3"]);
    assert_eq!(plan.target, 1);
    let mut request = request(text);
    request.target = Some("C".into());
    assert_eq!(planned(&request).unwrap().stages[0].name, "c");
    request.target = Some("nope".into());
    assert!(
        planned(&request)
            .unwrap_err()
            .contains("has no stage \"nope\"")
    );
}

#[test]
fn ticks_count_file_system_instructions_and_go_on_in_a_stage_of_a_stage() {
    let plan = good("FROM base AS a\nRUN x\nENV A=1\nRUN y\nFROM a\nRUN z\nFROM a\nRUN w\n");
    let ticks: Vec<u64> = plan.steps.iter().map(|step| step.tick.number()).collect();
    assert_eq!(ticks, [0, 1, 1, 2]);
    let mut many = String::from("FROM scratch\n");
    many.push_str(&"WORKDIR /a\n".repeat(4097));
    assert!(bad(&many).contains("more than 4096 file-system instructions"));
}

#[test]
fn a_step_sees_env_args_path_and_epoch() {
    let plan =
        good("ARG G=g\nFROM base\nARG G\nENV B=$G PATH=/x:$PATH\nUSER u\nWORKDIR w\nRUN make\n");
    let spec = run(&plan, plan.steps.len() - 1);
    assert_eq!(spec.argv, ["/bin/sh", "-c", "make"]);
    assert_eq!((spec.cwd.as_str(), spec.user.as_str()), ("/w", "u"));
    assert_eq!(env(spec, "PATH"), Some("/x:/base/bin"));
    assert_eq!((env(spec, "G"), env(spec, "B")), (Some("g"), Some("g")));
    assert_eq!(env(spec, "SOURCE_DATE_EPOCH"), Some("315532800"));
    // Arguments are for the build, not for the image.
    assert_eq!(
        plan.stages[0].config.config.env,
        ["PATH=/x:/base/bin", "B=g"]
    );
}

#[test]
fn scratch_has_dockers_path_and_a_given_epoch_variable_stays() {
    let plan = good("FROM scratch\nENV SOURCE_DATE_EPOCH=7\nRUN [\"/a\", \"b c\"]\n");
    let spec = run(&plan, 1);
    assert_eq!(spec.argv, ["/a", "b c"]);
    assert!(env(spec, "PATH").unwrap().starts_with("/usr/local/sbin:"));
    assert_eq!(env(spec, "SOURCE_DATE_EPOCH"), Some("7"));
    assert_eq!(plan.steps[1].history, "RUN [\"/a\" \"b c\"] # repro");
}

#[test]
fn the_configuration_follows_the_instructions() {
    let text = "FROM base\nENTRYPOINT [\"e\"]\nLABEL a=1 from=here\nEXPOSE 80 53/udp\nUSER u:g\n";
    let mut asked = request(text);
    asked.labels = BTreeMap::from([("given".into(), "yes".into())]);
    let config = planned(&asked).unwrap().stages[0].config.config.clone();
    assert_eq!(
        (config.entrypoint, config.cmd),
        (Some(vec!["e".into()]), None)
    );
    assert_eq!(config.user, "u:g");
    assert_eq!(
        config.exposed_ports.into_iter().collect::<Vec<_>>(),
        ["53/udp", "80/tcp"]
    );
    let labels: Vec<String> = config
        .labels
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    assert_eq!(labels, ["a=1", "from=here", "given=yes"]);
    let own = good("FROM base\nCMD [\"own\"]\nENTRYPOINT [\"e\"]\n");
    assert_eq!(own.stages[0].config.config.cmd, Some(vec!["own".into()]));
    let shell = good("FROM base\nCMD echo $HOME\n");
    let expected = ["/bin/sh", "-c", "echo $HOME"].map(String::from).to_vec();
    assert_eq!(shell.stages[0].config.config.cmd, Some(expected));
}

#[test]
fn copies_know_whence_and_whither() {
    let plan = good(
        "FROM base AS b\nFROM base\nWORKDIR /w\nCOPY a b ./\nCOPY --from=0 --chown=u /x y\n\
         COPY --from=files --chmod=755 / /src\n",
    );
    let copies: Vec<(&CopyFrom, &str, &Owner, Option<u16>)> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.work {
            Work::Copy {
                from,
                destination,
                owner,
                mode,
                ..
            } => Some((from, destination.as_str(), owner, *mode)),
            _ => None,
        })
        .collect();
    assert!(matches!(
        copies[0],
        (CopyFrom::Context, "/w/", Owner::Keep, None)
    ));
    assert!(matches!(copies[1].0, CopyFrom::Stage(0)));
    assert_eq!(
        (copies[1].1, copies[1].2),
        ("/w/y", &Owner::Named("u".into()))
    );
    assert!(matches!(copies[2].0, CopyFrom::Tree(chain) if chain.len() == 1));
    assert_eq!((copies[2].1, copies[2].3), ("/src", Some(0o755)));
    assert_eq!(
        plan.steps[2].history,
        "COPY --from=0 --chown=u /x y # repro"
    );
}

#[test]
fn what_cannot_be_planned_says_where() {
    for (text, expected) in [
        (
            "FROM base\nCOPY --from=later /a /a\nFROM base AS later\n",
            None,
        ),
        (
            "FROM base AS x\nCOPY --from=x /a /a\n",
            Some("Dockerfile:2: the stage x is not finished"),
        ),
        (
            "FROM base\nCOPY --from=0 /a /a\n",
            Some("Dockerfile:2: the stage 0 is not finished"),
        ),
        ("FROM files\n", Some("Dockerfile:1: files is an input")),
        (
            "FROM --platform=linux/s390x base\n",
            Some("Dockerfile:1: the platform linux/s390x cannot"),
        ),
        ("ARG X\nFROM $X\n", Some("Dockerfile:2: $X becomes empty")),
        (
            "FROM base\nUSER $NOPE\n",
            Some("Dockerfile:2: $NOPE becomes empty"),
        ),
        (
            "FROM base\nCOPY a b c\n",
            Some("Dockerfile:2: with more than one source"),
        ),
        (
            "FROM base\nEXPOSE http\n",
            Some("Dockerfile:2: \"http\" is not a port"),
        ),
        ("FROM base\nENV A=${B:?no B}\n", Some("Dockerfile:2:")),
    ] {
        match expected {
            Some(expected) => assert!(bad(text).starts_with(expected), "{text}: {}", bad(text)),
            // The last stage needs nothing of the first, which is then never looked at.
            None => assert_eq!(good(text).stages.len(), 1),
        }
    }
}

#[test]
fn mounts_are_spelt_out_and_know_whence() {
    let text = "FROM base AS b\nFROM base\nENV D=dir\nWORKDIR /w\n\
                RUN --mount=target=. --mount=type=bind,from=b,src=../x,dst=$D/y,rw \
                --mount=type=cache,target=~/c --mount=from=files,target=/f \
                --mount=type=cache,id=k,from=scratch,target=/k,uid=5 make\n";
    let plan = good(text);
    let step = plan.steps.last().unwrap();
    let Work::Run(spec) = &step.work else {
        panic!("{step:?}")
    };
    let targets: Vec<&str> = spec
        .mounts
        .iter()
        .map(|mount| mount.target.as_str())
        .collect();
    assert_eq!(targets, ["/w", "/w/dir/y", "/w/~/c", "/f", "/k"]);
    assert!(matches!(spec.mounts[0].trees(), Some(CopyFrom::Context)));
    assert!(matches!(
        &spec.mounts[1].source,
        MountSource::Bind { trees: CopyFrom::Stage(0), path } if path == "/x"
    ));
    assert!(matches!(
        &spec.mounts[2].source,
        MountSource::Cache { id, trees: None, .. } if id == "/w/~/c"
    ));
    assert!(matches!(spec.mounts[3].trees(), Some(CopyFrom::Tree(chain)) if chain.len() == 1));
    assert!(matches!(spec.mounts[4].trees(), Some(CopyFrom::Tree(chain)) if chain.is_empty()));
    assert_eq!(
        step.history,
        "RUN --mount=type=bind,source=/,target=/w \
         --mount=type=bind,from=b,source=/x,target=/w/dir/y,rw \
         --mount=type=cache,id=/w/~/c,target=/w/~/c \
         --mount=type=bind,from=files,source=/,target=/f \
         --mount=type=cache,id=k,from=scratch,target=/k,uid=5 /bin/sh -c make # repro"
    );
    // A stage that is only mounted is needed all the same.
    assert_eq!(plan.stages.len(), 2);
}

#[test]
fn what_the_caller_does_not_lend_is_left_out_or_missed() {
    let text = "FROM base\nRUN --mount=type=secret,id=s --mount=type=secret,id=v,env=V \
                --mount=type=ssh --mount=type=ssh,id=x make\n";
    let mut asked = request(text);
    let without = planned(&asked).unwrap();
    assert!(run(&without, 0).mounts.is_empty() && run(&without, 0).secret_env.is_empty());
    asked.secrets = BTreeSet::from(["s".to_owned(), "v".to_owned(), "unused".to_owned()]);
    asked.agents = BTreeSet::from(["x".to_owned()]);
    let with = planned(&asked).unwrap();
    let targets: Vec<&str> = run(&with, 0)
        .mounts
        .iter()
        .map(|m| m.target.as_str())
        .collect();
    assert_eq!(targets, ["/run/secrets/s", "/run/buildkit/ssh_agent.1"]);
    assert_eq!(run(&with, 0).secret_env[0].name, "V");
    assert_eq!(
        with.steps[0].work.secrets(),
        BTreeSet::from(["s".to_owned(), "v".to_owned()])
    );
    assert_eq!(with.steps[0].work.agents(), asked.agents);
    // What depends on the caller alone is in no image and no environment.
    assert_eq!(without.steps[0].history, with.steps[0].history);
    assert_eq!(
        env(run(&without, 0), "SSH_AUTH_SOCK"),
        Some("/run/buildkit/ssh_agent.0")
    );
    assert_eq!(run(&without, 0).env, run(&with, 0).env);
    for (flag, message) in [
        ("type=secret,id=n,required", "the step needs the secret n"),
        ("type=ssh,id=n,required", "the step needs the ssh agent n"),
        ("target=/", "the mount target / is the root"),
        (
            "type=cache,target=a/../..",
            "the mount target a/../.. is the root",
        ),
        ("from=1,target=/a", "the stage 1 is not finished"),
        ("type=$NO,target=/a", "\"\" is not a type of mount"),
    ] {
        let text = format!("FROM base\nRUN --mount={flag} make\nFROM base\nCOPY --from=0 /a /\n");
        let error = bad(&text);
        assert!(
            error.starts_with(&format!("Dockerfile:2: {message}")),
            "{flag}: {error}"
        );
    }
}
