//! The examples that fetch: Dockerfiles as people write them, locked once with a network and built
//! where there is none; then the same with the remedies that the report names, and with the patch that
//! `--suggest` wrote.
//!
//! Run B of each build lives 398 days later, so what was captured is also read with a clock of next
//! year: the validity of apt's releases and of certificates included.

use std::{path::PathBuf, process::Command};

use repro_tests::{Pack, StandIn, TestContext, target, tool};

/// How many hosts an example may need: those of packages, of their index, and of redirects.
const HOSTS: usize = 6;

/// An example in a directory of its own.
struct Example {
    context: TestContext,
    project: PathBuf,
    /// What its steps were found to ask.
    hosts: Vec<String>,
}

impl Example {
    fn new(name: &str, images: &[StandIn]) -> Self {
        // Not in the store that tests copy: these packages are ten times as large.
        let context = TestContext::with_store(target().join("example-store"));
        for image in images {
            image.make(&context);
        }
        let project = context.example(name);
        Self {
            context,
            project,
            hosts: Vec::new(),
        }
    }

    /// `repro lock`, allowing what it says is not allowed: the hosts are those that the tools of
    /// the image ask by themselves, and no file of the project names them.
    #[track_caller]
    fn lock(&mut self, dockerfile: &str) {
        loop {
            let mut lock = self.context.repro(["lock", "--progress", "plain"]);
            for host in &self.hosts {
                lock = lock.args(["--allow", host]);
            }
            let dockerfile = self.project.join(dockerfile);
            let ended = lock
                .arg("--file")
                .arg(dockerfile)
                .arg(&self.project)
                .run()
                .any();
            let refused = ended.stderr.lines().find_map(|line| {
                let (before, _) = line.split_once(", which is not allowed")?;
                Some(before.rsplit_once(" goes to ")?.1.to_owned())
            });
            match refused {
                Some(host) if self.hosts.len() < HOSTS && !self.hosts.contains(&host) => {
                    self.hosts.push(host);
                }
                _ => {
                    assert_eq!(ended.code, Some(0), "{ended}");
                    return;
                }
            }
        }
    }

    /// `repro build --locked --suggest` in a namespace without any interface that is up.
    #[track_caller]
    fn build(&self, dockerfile: &str, code: i32) -> Pack {
        let (build, evidence) = self.context.build(&self.project);
        let through: &[&str] = if rustix::process::geteuid().is_root() {
            &["unshare", "--net"]
        } else {
            &["unshare", "--map-root-user", "--net"]
        };
        build
            .args(["--locked", "--suggest", "--progress", "plain", "--file"])
            .arg(self.project.join(dockerfile))
            .through(through)
            .run()
            .exits(code);
        let pack = Pack::read(&evidence);
        self.assert_listed(&pack, dockerfile);
        pack
    }

    /// The report names what the steps fetched, by address and digest, and no way out was there.
    #[track_caller]
    fn assert_listed(&self, pack: &Pack, dockerfile: &str) {
        let inputs = pack.report["inputs"].as_array().expect("a list of inputs");
        let fetched = inputs.iter().filter(|input| {
            let uri = input["uri"].as_str().unwrap_or_default();
            self.hosts
                .iter()
                .any(|host| uri.contains(&format!("://{host}/")))
        });
        let mut count = 0;
        for input in fetched {
            assert!(input["digest"].is_string(), "{dockerfile}: {input}");
            count += 1;
        }
        assert!(count > 5, "{dockerfile}: {count} fetches are listed");
        assert_eq!(pack.report["hermetic"]["network"], "replay");
    }
}

/// As it is, the example is reproducible but for what these causes say.
#[track_caller]
fn plain(example: &mut Example, causes: &[&str]) -> Pack {
    example.lock("Dockerfile");
    let pack = example.build("Dockerfile", 1);
    assert_eq!(pack.verdict(), "not-reproducible");
    let found = pack.causes();
    for cause in causes {
        assert!(found.contains(cause), "{cause} is not in {found:?}");
    }
    let unknown = pack
        .differences("confidence")
        .into_iter()
        .filter(|confidence| *confidence == "unknown");
    assert_eq!(unknown.count(), 0, "{}", pack.report["differences"]);
    pack
}

/// Applies what `repro build --suggest` proposes for the Dockerfile, and nothing else.
#[track_caller]
fn patch(example: &Example) {
    let patched = Command::new(tool("patch"))
        .args(["--strip=1", "--input=Dockerfile.repro.patch"])
        .current_dir(&example.project)
        .output()
        .expect("patch starts");
    assert!(patched.status.success(), "{patched:?}");
}

#[track_caller]
fn reproducible(example: &mut Example, dockerfile: &str) {
    example.lock(dockerfile);
    let pack = example.build(dockerfile, 0);
    assert_eq!(pack.verdict(), "reproducible");
}

#[test]
fn apt_install_keeps_logs_and_caches_and_is_reproducible_without_them() {
    let mut example = Example::new("apt-install", &[StandIn::Debian]);
    plain(&mut example, &["dpkg-log", "apt-log", "ldconfig-cache"]);
    reproducible(&mut example, "Dockerfile.reproducible");
    patch(&example);
    reproducible(&mut example, "Dockerfile");
}

#[test]
fn python_app_keeps_a_temporary_path_and_is_reproducible_without_it() {
    let mut example = Example::new("python-app", &[StandIn::Python]);
    let pack = plain(&mut example, &["debug-path"]);
    assert!(!pack.causes().contains(&"random-content"));
    reproducible(&mut example, "Dockerfile.reproducible");
    patch(&example);
    reproducible(&mut example, "Dockerfile");
}

#[test]
fn node_app_keeps_the_cache_of_npm_and_is_reproducible_without_it() {
    let mut example = Example::new("node-app", &[StandIn::Node]);
    plain(&mut example, &["npm-cache"]);
    reproducible(&mut example, "Dockerfile.reproducible");
    patch(&example);
    reproducible(&mut example, "Dockerfile");
}

#[test]
fn rust_cli_is_reproducible_as_people_write_it() {
    let mut example = Example::new("rust-cli", &[StandIn::Debian, StandIn::Rust]);
    reproducible(&mut example, "Dockerfile");
}
