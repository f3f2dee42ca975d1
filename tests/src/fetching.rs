//! Examples whose steps fetch from a network: locked once where there is one, built where there is none.

use std::path::{Path, PathBuf};

use crate::{Repro, StandIn, TestContext, target};

/// How many hosts an example may need: those of packages, of their index, and of redirects.
const HOSTS: usize = 6;

/// Such an example, in a directory of its own.
#[derive(Debug)]
pub struct FetchingExample {
    context: TestContext,
    project: PathBuf,
    /// What its steps were found to ask.
    hosts: Vec<String>,
}

impl FetchingExample {
    /// Copies `examples/NAME`, and makes the images that it begins with.
    pub fn new(name: &str, images: &[StandIn]) -> Self {
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

    /// Where it lies.
    #[must_use]
    pub fn project(&self) -> &Path {
        &self.project
    }

    /// `repro lock`, allowing what it says is not allowed: the hosts are those that the tools of
    /// the image ask by themselves, and no file of the project names them.
    #[track_caller]
    pub fn lock(&mut self, dockerfile: &str) {
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

    /// Whether a step fetched this address when it was locked.
    #[must_use]
    pub fn fetched(&self, uri: &str) -> bool {
        let of = |host: &String| uri.contains(&format!("://{host}/"));
        self.hosts.iter().any(of)
    }

    /// `repro build --locked` in a namespace without any interface that is up, with the place of the evidence.
    pub fn build(&self, dockerfile: &str) -> (Repro, PathBuf) {
        let (build, evidence) = self.context.build(&self.project);
        let through: &[&str] = if rustix::process::geteuid().is_root() {
            &["unshare", "--net"]
        } else {
            &["unshare", "--map-root-user", "--net"]
        };
        let build = build
            .args(["--locked", "--progress", "plain", "--file"])
            .arg(self.project.join(dockerfile))
            .through(through);
        (build, evidence)
    }
}
