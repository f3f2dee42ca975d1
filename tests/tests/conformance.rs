//! The same Dockerfiles built by `repro` and by the established builders: one image, or one
//! refusal.
//!
//! A case is up to five tests. `GROUP::NAME::repro` builds it twice, `privileged_user` builds it
//! again as an ordinary user and wants the same digest, and `privileged_BUILDER` compares file
//! system and configuration with what that builder makes. A filter chooses among them:
//!
//! ```text
//! cargo test -p repro-tests --test conformance -- copy::glob
//! ```
//!
//! Differences must be on the list; once all cases ran, everything on the list must have been seen.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex, OnceLock},
};

use libtest_mimic::{Arguments, Failed, Trial};
use repro_tests::{
    Pack, TestContext, User,
    conformance::{Allowed, Builder, Built, Case, Expected, Image, Peers, differences},
    require_root,
};

/// Tests at once. A build waits two seconds between its runs, and other builders wait for
/// their daemons; cores are idle most of the time.
const THREADS: usize = 8;

/// What `repro` made of a case: the manifest's digest and the image, or the refusal.
type Ours = Option<(String, Arc<Image>)>;

struct Suite {
    allowed: Allowed,
    root: TestContext,
    user: OnceLock<TestContext>,
    peers: Option<Peers>,
    ours: BTreeMap<String, OnceLock<Result<Ours, String>>>,
    /// Cases by builder and how they ended.
    counts: Mutex<BTreeMap<(Builder, &'static str), usize>>,
}

impl Suite {
    /// Builds a case with `repro`, or waits for whoever does.
    fn ours(&self, case: &Case) -> Result<Ours, String> {
        self.ours[&case.name]
            .get_or_init(|| build(&self.root, User::Caller, case, &[]))
            .clone()
    }

    fn user(&self) -> &TestContext {
        self.user
            .get_or_init(|| TestContext::with_packages(User::ordinary()))
    }

    fn count(&self, builder: Builder, what: &'static str) {
        let mut counts = self.counts.lock().expect("no test panics here");
        *counts.entry((builder, what)).or_default() += 1;
    }

    fn as_user(&self, case: &Case) -> Result<(), Failed> {
        require_root();
        let digest = |ours: Ours| ours.map(|(digest, _)| digest);
        // A run of its own is compared with both of root's.
        let user = build(self.user(), User::ordinary(), case, &["--runs", "1"])?;
        let user = digest(user);
        let root = digest(self.ours(case)?);
        if root == user {
            return Ok(());
        }
        Err(format!("root: {root:?}, ordinary user: {user:?}").into())
    }

    /// What differs between `repro` and another builder.
    fn lines(
        &self,
        case: &Case,
        peers: &Peers,
        builder: Builder,
        context: &Path,
    ) -> Result<Vec<String>, String> {
        // The other builder first: whoever asks for ours meanwhile waits for one build, seconds long.
        let theirs = peers.build(builder, case, context)?;
        Ok(match (self.ours(case)?, theirs) {
            (None, Built::Refused { .. }) => Vec::new(),
            (None, Built::Image(_)) => vec!["accepted".to_owned()],
            (Some(_), Built::Refused { said }) => vec![format!("refused: {}", said.trim())],
            (Some((_, ours)), Built::Image(theirs)) => differences(&ours, &theirs),
        })
    }

    fn compare(&self, case: &Case, builder: Builder) -> Result<(), Failed> {
        require_root();
        let peers = self.peers.as_ref().ok_or("the builders were not started")?;
        let context = self.root.path(&format!("{}-{builder}", flat(case)));
        case.write(&context, User::Caller);
        let mut lines = self.lines(case, peers, builder, &context)?;
        if let Some(text) = case.instead.get(&builder) {
            if self
                .allowed
                .unlisted(&case.name, builder, &lines)
                .is_empty()
            {
                return Err(format!("{builder} knows the case, and needs nothing instead").into());
            }
            fs::write(context.join("Dockerfile"), text)?;
            lines = self.lines(case, peers, builder, &context)?;
        }
        let unlisted = self.allowed.unlisted(&case.name, builder, &lines);
        if unlisted.is_empty() {
            let refused = lines.iter().any(|line| line.starts_with("refused"));
            let instead = case.instead.contains_key(&builder);
            self.count(
                builder,
                match (&case.expected, lines.is_empty()) {
                    _ if instead => "instead",
                    (_, false) if refused => "not known",
                    (_, false) => "listed",
                    (Expected::Image, true) => "equal",
                    (Expected::Refused { .. }, true) => "refused",
                },
            );
            return Ok(());
        }
        self.count(builder, "NOT LISTED");
        Err(unlisted.join("\n").into())
    }

    fn table(&self) -> String {
        let counts = self.counts.lock().expect("no test panics here");
        let columns = [
            "equal",
            "listed",
            "refused",
            "instead",
            "not known",
            "NOT LISTED",
        ];
        let mut text = format!("{:10}", "");
        for column in columns {
            write!(text, "{column:>12}").expect("a String takes every write");
        }
        for builder in Builder::ALL {
            write!(text, "\n{:10}", builder.to_string()).expect("a String takes every write");
            for column in columns {
                let count = counts.get(&(builder, column)).copied().unwrap_or_default();
                write!(text, "{count:>12}").expect("a String takes every write");
            }
        }
        text
    }
}

fn flat(case: &Case) -> String {
    case.name.replace('/', "-")
}

fn build(context: &TestContext, user: User, case: &Case, args: &[&str]) -> Result<Ours, String> {
    let name = flat(case);
    let project = context.path(&name);
    case.write(&project, user);
    let archive = context.path(&format!("{name}.tar"));
    let (build, evidence) = context.build(&project);
    let ended = build
        .args(["-o", &format!("docker-archive:{}", archive.display())])
        .args(&case.args)
        .args(args)
        .dir(&project)
        .run()
        .any();
    match &case.expected {
        Expected::Image if ended.code == Some(0) => {
            let image = Image::read(&archive, &context.path("tmp"));
            let image = image.map_err(|error| format!("{error}\n{ended}"))?;
            Ok(Some((
                Pack::read(&evidence).digest().to_owned(),
                Arc::new(image),
            )))
        }
        Expected::Refused { code, says } if ended.code == Some(*code) => {
            let said = ended.stderr.contains(says.as_str());
            said.then_some(None)
                .ok_or_else(|| format!("does not say {says:?}\n{ended}"))
        }
        expected => Err(format!("expected {expected:?}\n{ended}")),
    }
}

/// The base image, from the store that the tests share, and the builders that got it.
fn start(context: &TestContext) -> Peers {
    let archive = context.path("busybox.tar");
    let tag = ["toolchain", "build", "busybox", "--tag", "busybox"];
    context.repro(tag).run().exits(0);
    context
        .repro(["export", "busybox"])
        .arg(format!(
            "docker-archive:{}:busybox:latest",
            archive.display()
        ))
        .run()
        .exits(0);
    let ours = Image::read(&archive, &context.path("tmp")).expect("the base can be read");
    let peers = Peers::start(&archive);
    for builder in Builder::ALL {
        let theirs = peers.base(builder);
        let (ours, theirs) = (&ours.config["rootfs"], &theirs.config["rootfs"]);
        assert_eq!(ours, theirs, "{builder} has another base");
    }
    peers
}

fn trials(suite: &Arc<Suite>, cases: Vec<Case>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for case in cases.into_iter().map(Arc::new) {
        let name = case.name.replace('/', "::");
        let mut add = |kind: &str,
                       test: fn(&Suite, &Case, Option<Builder>) -> Result<(), Failed>,
                       builder| {
            let (suite, case) = (Arc::clone(suite), Arc::clone(&case));
            let run = move || test(&suite, &case, builder);
            trials.push(Trial::test(format!("{name}::{kind}"), run));
        };
        add(
            "repro",
            |suite, case, _| Ok(suite.ours(case).map(drop)?),
            None,
        );
        add(
            "privileged_user",
            |suite, case, _| suite.as_user(case),
            None,
        );
        for builder in Builder::ALL {
            let kind = format!("privileged_{builder}");
            let compare = |suite: &Suite, case: &Case, builder: Option<Builder>| {
                builder.map_or(Ok(()), |builder| suite.compare(case, builder))
            };
            add(&kind, compare, Some(builder));
        }
    }
    trials
}

#[expect(clippy::print_stdout, reason = "the table is what the suite shows")]
fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let cases = Case::all();
    let root = TestContext::new();
    let peers = User::is_root() && !arguments.list;
    let suite = Arc::new(Suite {
        allowed: Allowed::read(),
        peers: peers.then(|| start(&root)),
        root,
        user: OnceLock::new(),
        ours: cases
            .iter()
            .map(|case| (case.name.clone(), OnceLock::new()))
            .collect(),
        counts: Mutex::default(),
    });
    let conclusion = libtest_mimic::run(&arguments, trials(&suite, cases));
    if arguments.list {
        return conclusion.exit_code();
    }
    println!("{}", suite.table());
    // A part of the suite does not see all of the list.
    if conclusion.num_filtered_out == 0 && conclusion.num_failed == 0 {
        let unseen = suite.allowed.unseen();
        if !unseen.is_empty() {
            println!("on the list, and not seen:\n{}", unseen.join("\n"));
            return ExitCode::FAILURE;
        }
    }
    conclusion.exit_code()
}
