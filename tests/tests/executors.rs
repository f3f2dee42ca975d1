//! One contract for every place where steps run: the cases of the conformance suite and the examples, built
//! once by the sandbox and once by an engine, are one image.
//!
//! A part of them runs always; all with
//!
//! ```text
//! cargo test -p repro-tests --test executors -- --include-ignored
//! ```

use std::{
    process::ExitCode,
    sync::{Arc, OnceLock},
};

use libtest_mimic::{Arguments, Failed, Trial};
use repro_tests::{
    Engine, FetchingExample, Pack, Repro, StandIn, TestContext, User,
    conformance::{Case, Expected},
    require_root,
};

/// Tests at once. Containers wait for their engine most of the time.
const THREADS: usize = 3;
/// Of the cases of a group, each of this many runs always.
const EACH: usize = 12;

/// Cases that an engine builds otherwise, and why: nothing else may differ.
const OTHERWISE: [(&str, &str); 1] = [(
    "mounts/bind-is-read-only",
    "a helper in a container can mount nothing, so a step can write to what lies there (docs/executors.md)",
)];

/// The examples that a change of the executor must not change, with the images that they begin with where
/// their steps fetch. `examples/stamp` is not reproducible on purpose.
const EXAMPLES: [(&str, &str, &[StandIn]); 7] = [
    ("static-hello", "Dockerfile", &[]),
    ("zlib", "Dockerfile", &[]),
    ("service", "Dockerfile", &[]),
    ("apt-install", "Dockerfile.reproducible", &[StandIn::Debian]),
    ("python-app", "Dockerfile.reproducible", &[StandIn::Python]),
    ("node-app", "Dockerfile.reproducible", &[StandIn::Node]),
    ("rust-cli", "Dockerfile", &[StandIn::Debian, StandIn::Rust]),
];

/// An engine with the one who builds in it.
struct Site {
    kind: Kind,
    engine: OnceLock<Engine>,
    context: OnceLock<TestContext>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Docker,
    Podman,
    Rootless,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Docker, Self::Podman, Self::Rootless];

    const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Rootless => "podman_rootless",
        }
    }

    /// As `--executor` has it.
    const fn executor(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman | Self::Rootless => "podman",
        }
    }

    fn start(self) -> Engine {
        match self {
            Self::Docker => Engine::docker(),
            Self::Podman => Engine::podman(),
            Self::Rootless => Engine::podman_rootless(),
        }
    }

    fn user(self) -> User {
        match self {
            Self::Docker | Self::Podman => User::Caller,
            Self::Rootless => User::ordinary(),
        }
    }
}

impl Site {
    fn new(kind: Kind) -> Arc<Self> {
        Arc::new(Self {
            kind,
            engine: OnceLock::new(),
            context: OnceLock::new(),
        })
    }

    fn context(&self) -> &TestContext {
        self.context
            .get_or_init(|| TestContext::with_packages(self.kind.user()))
    }

    /// Where it listens. It is started from the thread that lives as long as the tests.
    fn host(&self) -> String {
        self.engine.get().expect("it was started").host()
    }

    fn there(&self, build: Repro, executor: &str) -> Repro {
        build
            .args(["--executor", executor])
            .env("DOCKER_HOST", self.host())
            .env("CONTAINER_HOST", self.host())
    }

    /// The sandbox and the engine make one image of the example, with every axis that the engine has.
    #[expect(
        clippy::print_stdout,
        reason = "a digest that can be held against others"
    )]
    fn makes_the_example(
        &self,
        (name, dockerfile, images): (&str, &str, &[StandIn]),
    ) -> Result<(), Failed> {
        let fetching;
        let (build, evidence) = if images.is_empty() {
            let context = self.context();
            context.build(&context.example(name))
        } else {
            let mut example = FetchingExample::new(name, images);
            example.lock(dockerfile);
            fetching = example;
            fetching.build(dockerfile)
        };
        let executor = format!("native,{}", self.kind.executor());
        let ended = self.there(build, &executor).run().any();
        if ended.code != Some(0) {
            return Err(ended.to_string().into());
        }
        let pack = Pack::read(&evidence);
        if pack.verdict() != "reproducible" {
            return Err(format!("{}\n{ended}", pack.verdict()).into());
        }
        println!("examples/{name}: {}", pack.digest());
        Ok(())
    }

    fn conforms(&self, case: &Case) -> Result<(), Failed> {
        let context = self.context();
        let name = case.name.replace('/', "-");
        let project = context.path(&name);
        case.write(&project, self.kind.user());
        let executor = match case.expected {
            Expected::Image => format!("native,{}", self.kind.executor()),
            Expected::Refused { .. } => self.kind.executor().to_owned(),
        };
        let runs = match case.expected {
            Expected::Image => "2",
            Expected::Refused { .. } => "1",
        };
        let (build, _) = context.build(&project);
        let ended = self
            .there(build.args(&case.args), &executor)
            .args(["--runs", runs, "--vary", "none"])
            .dir(&project)
            .run()
            .any();
        match &case.expected {
            Expected::Image if ended.code == Some(0) => Ok(()),
            Expected::Refused { code, says }
                if ended.code == Some(*code) && ended.stderr.contains(says.as_str()) =>
            {
                Ok(())
            }
            expected => Err(format!("expected {expected:?}\n{ended}").into()),
        }
    }
}

fn conformance(sites: &[Arc<Site>]) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (number, case) in Case::all().into_iter().map(Arc::new).enumerate() {
        for (turn, site) in sites.iter().enumerate() {
            let name = case.name.replace('/', "::");
            let (site, case) = (Arc::clone(site), Arc::clone(&case));
            let name = format!("{}::{name}", site.kind.name());
            if OTHERWISE.iter().any(|(known, _)| *known == case.name) {
                continue;
            }
            let trial = Trial::test(name, move || site.conforms(&case));
            // Each engine has others of the cases, so that together they have more of them.
            trials.push(trial.with_ignored_flag(!(number + turn * EACH / 3).is_multiple_of(EACH)));
        }
    }
    trials
}

fn examples(sites: &[Arc<Site>]) -> Vec<Trial> {
    let mut trials = Vec::new();
    for example in EXAMPLES {
        let (name, _, images) = example;
        for site in sites {
            // What a network gave is in a store that an ordinary user cannot read.
            if site.kind == Kind::Rootless && !images.is_empty() {
                continue;
            }
            let trial = format!("{}::examples::{name}", site.kind.name());
            let site = Arc::clone(site);
            let trial = Trial::test(trial, move || site.makes_the_example(example));
            trials.push(trial.with_ignored_flag(name != "static-hello"));
        }
    }
    trials
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let sites = Kind::ALL.map(Site::new);
    let mut trials = conformance(&sites);
    trials.extend(examples(&sites));
    if !arguments.list {
        for site in &sites {
            let is_meant =
                |trial: &Trial| trial.name().starts_with(&format!("{}::", site.kind.name()));
            let is_wanted = |trial: &Trial| match &arguments.filter {
                None => true,
                Some(filter) => trial.name().contains(filter.as_str()),
            };
            if trials
                .iter()
                .any(|trial| is_meant(trial) && is_wanted(trial))
            {
                require_root();
                site.engine.get_or_init(|| site.kind.start());
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
