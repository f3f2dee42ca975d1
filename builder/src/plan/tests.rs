//! Dockerfiles to plans, without a file system.

use std::collections::{BTreeMap, BTreeSet};

use repro_core::{
    build::{
        Annotations, ContextModes, EpochChoice, InvocationId, LockMode, MountSource, NamedContext,
        NamedText, RunSettings, Runs,
    },
    digest::{DiffId, Digest},
    epoch::Epoch,
    image::{ImageConfig, LayerDescriptor, MediaType},
    platform::Platform,
    ruleset::Ruleset,
};

use super::*;
use crate::dockerfile::{GlobalScope, PlatformArgs, parse};

pub(crate) fn request(text: &str) -> repro_core::build::BuildRequest {
    repro_core::build::BuildRequest {
        version: 1,
        invocation: InvocationId::try_from("test".to_owned()).unwrap(),
        dockerfile: NamedText {
            name: "Dockerfile".into(),
            text: text.as_bytes().to_vec(),
        },
        ignore: None,
        context: repro_core::build::ContextPlace::Directory(".".into()),
        contexts: BTreeMap::from([(
            "dir".into(),
            NamedContext::Directory {
                path: ".".into(),
                ignore: None,
            },
        )]),
        exclude: Vec::new(),
        context_modes: ContextModes::Keep,
        lock_mode: LockMode::Open,
        target: None,
        build_args: BTreeMap::new(),
        allowed_args: BTreeSet::new(),
        annotations: Annotations::default(),
        settings: RunSettings::default(),
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

fn key(name: &str) -> SourceKey {
    SourceKey {
        name: name.into(),
        platform: Platform::host(),
    }
}

fn with_triggers(mut image: BaseImage) -> BaseImage {
    image.config.config.on_build = vec![
        "COPY --from=0 /a /a".into(),
        "run <<-EOF\n\tone\n\ttwo\nEOF".into(),
        "ENV TRIGGERED=$A".into(),
    ];
    image
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
        images: BTreeMap::from([
            (key("base"), image.clone()),
            (key("onbuild"), with_triggers(image)),
        ]),
        trees: BTreeMap::from([(key("files"), chain)]),
        contexts: BTreeSet::from([key("dir")]),
    }
}

pub(crate) fn planned(request: &repro_core::build::BuildRequest) -> Result<Plan, String> {
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
    let triggers = bases()
        .images
        .iter()
        .map(|(key, image)| (key.clone(), image.config.config.on_build.clone()))
        .collect();
    let outline = outline(&file, request, &globals, &triggers).map_err(|e| e.to_string())?;
    plan(&file, &outline, &bases(), &globals, request, Epoch::MIN).map_err(|e| e.to_string())
}

pub(crate) fn good(text: &str) -> Plan {
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
fn an_absolute_working_directory_is_kept_as_written() {
    let plan = good("FROM base\nWORKDIR /a//b/\nRUN x\nCOPY c d\n");
    assert_eq!(plan.stages[0].config.config.working_dir, "/a//b/");
    assert_eq!(plan.steps[0].history, "WORKDIR /a//b/");
    assert_eq!(run(&plan, 1).cwd, "/a/b");
    assert!(matches!(&plan.steps[2].work, Work::Copy { what, .. } if what.destination == "/a/b/d"));
    let plan = good("FROM base\nWORKDIR /a//b/\nWORKDIR c/\n");
    assert_eq!(plan.stages[0].config.config.working_dir, "/a/b/c");
}

#[test]
fn copies_know_whence_and_whither() {
    let plan = good(
        "FROM base AS b\nFROM base\nWORKDIR /w\nCOPY a b ./\nCOPY --from=0 --chown=u /x y\n\
         COPY --from=files --chmod=755 / /src\n",
    );
    let copies: Vec<(&CopyFrom, &str, &Owner, Option<ModeChange>)> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.work {
            Work::Copy { from, what } => Some((
                from,
                what.destination.as_str(),
                &what.owner,
                what.mode.clone(),
            )),
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
    assert_eq!(copies[2].1, "/src");
    assert_eq!(copies[2].3, Some(ModeChange::Bits(0o755)));
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
        (
            "FROM base\nCOPY --from=1 /a /b\n",
            Some("Dockerfile:2: there is no stage 1"),
        ),
        ("FROM files\n", Some("Dockerfile:1: files is an input")),
        ("FROM --platform=linux/s390x scratch\nRUN x\n", None),
        (
            "FROM --platform=a/b/c/d base\n",
            Some("Dockerfile:1: a platform is written"),
        ),
        (
            "FROM --platform=$NONE base\n",
            Some("Dockerfile:1: a platform is written"),
        ),
        ("FROM dir\n", Some("Dockerfile:1: dir is a directory")),
        (
            "FROM base\nADD https://example.org/a.tar /\n",
            Some("Dockerfile:2: https://example.org/a.tar is not locked"),
        ),
        (
            "FROM base\nADD --checksum=sha256:00 a /\n",
            Some("Dockerfile:2: --checksum is for one source"),
        ),
        (
            "FROM base\nCOPY git@example.org:a/b.git /\n",
            Some("Dockerfile:2: git@example.org:a/b.git is an address"),
        ),
        (
            "FROM base\nARG S=nope\nSTOPSIGNAL $S\n",
            Some("Dockerfile:3: \"nope\" is not a signal"),
        ),
        (
            "FROM base\nVOLUME /a $NONE\n",
            Some("Dockerfile:2: $NONE becomes empty"),
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

/// Codes and lines of what is found.
fn found(text: &str) -> Vec<(String, u32)> {
    let findings = good(text).findings.into_iter();
    findings
        .map(|finding| (finding.code, finding.line.unwrap_or_default()))
        .collect()
}

#[test]
fn rules_that_need_values_find_what_breaks_them() {
    for (code, broken, line, sound) in [
        (
            "json-args-recommended",
            "FROM base\nCMD a\n",
            2,
            "FROM base\nSHELL [\"sh\"]\nCMD a\n",
        ),
        (
            "workdir-relative-path",
            "FROM base\nWORKDIR a\n",
            2,
            "FROM base\nWORKDIR /a\nWORKDIR b\n",
        ),
        (
            "undefined-var",
            "FROM base\nENV A=$NOPE\n",
            2,
            "FROM base\nARG NOPE\nENV A=$NOPE B=${X:-y} C=$PATH\n",
        ),
        (
            "undefined-arg-in-from",
            "ARG V=1\nFROM base$NOPE\n",
            2,
            "ARG V=\nFROM base$V\n",
        ),
    ] {
        assert_eq!(found(broken), [(code.to_owned(), line)], "{broken}");
        assert_eq!(found(sound), [], "{sound}");
    }
    let mut asked = request("ARG V\nFROM $V\n");
    asked.build_args.insert("V".into(), "base".into());
    let plan = planned(&asked).unwrap();
    assert_eq!(plan.findings[0].code, "invalid-default-arg-in-from");
    assert_eq!(found("ARG V=base\nFROM $V\n"), []);
    let near = good("FROM base\nENV LEVEL=1\nENV A=$LEVLE\n").findings;
    assert!(near[0].message.contains("did you mean $LEVEL?"), "{near:?}");
}

#[test]
fn triggers_of_images_and_stages_come_first_and_once() {
    let plan = good("FROM base AS tools\nRUN t\nFROM onbuild AS x\nRUN own\nFROM x\nRUN last\n");
    let texts: Vec<&str> = plan
        .steps
        .iter()
        .map(|step| step.history.as_str())
        .collect();
    assert_eq!(
        texts,
        [
            "RUN /bin/sh -c t # repro",
            "COPY --from=0 /a /a # repro",
            "RUN /bin/sh -c one\ntwo\n # repro",
            "ENV TRIGGERED=",
            "RUN /bin/sh -c own # repro",
            "RUN /bin/sh -c last # repro",
        ]
    );
    assert_eq!(plan.steps[1].line, 3);
    assert!(
        plan.stages
            .iter()
            .all(|stage| stage.config.config.on_build.is_empty())
    );
    let plan = good("FROM base AS a\nONBUILD ENV A=1\nFROM a\n");
    assert_eq!(plan.stages[0].config.config.on_build, ["ENV A=1"]);
    assert_eq!(plan.steps.len(), 2);
    assert_eq!(plan.stages[1].config.config.on_build, Vec::<String>::new());
}

#[test]
fn heredocs_become_what_the_shell_gets() {
    let plan = good(
        "FROM base\nSHELL [\"bash\", \"-e\"]\nRUN <<A\nx\nA\nRUN <<B\n#!/x\nB\nRUN cat <<-C\n\ty\n\tC\n",
    );
    assert_eq!(run(&plan, 1).argv, ["bash", "-e", "x\n"]);
    let script = run(&plan, 2);
    assert_eq!(script.argv, ["bash", "-e", "/dev/pipes/B"]);
    assert_eq!(script.script.as_ref().unwrap().content, "#!/x\n");
    assert_eq!(run(&plan, 3).argv[2], "cat <<-C\n\ty\nC");
    assert_eq!(run(&plan, 3).script, None);
}

#[test]
fn a_stage_can_be_for_another_platform_if_it_runs_nothing() {
    let text = "FROM --platform=linux/s390x scratch AS a\nRUN x\nFROM base\nRUN y\n";
    assert_eq!(good(text).stages.len(), 1);
    let mut asked = request("FROM scratch\nCOPY a /\n");
    asked.platform = "linux/s390x".parse().unwrap();
    let plan = planned(&asked).unwrap();
    assert_eq!(plan.stages[0].config.architecture, "s390x");
    asked.dockerfile.text.extend_from_slice(b"RUN x\n");
    assert!(
        planned(&asked)
            .unwrap_err()
            .contains("RUN in a stage for linux/s390x")
    );
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
