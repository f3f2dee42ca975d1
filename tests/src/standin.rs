//! Images that everybody builds on, made from packages: there is no registry where tests run, and
//! the Dockerfiles of the examples are what people write.

use std::{process::Command, sync::Mutex};

use crate::{TestContext, program::ambient, succeeds, tool, write_project};

/// An image of a registry that an example begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandIn {
    /// Debian's minimal system.
    Debian,
    /// Node.js on it.
    Node,
    /// Python on it.
    Python,
    /// Rust on it.
    Rust,
}

impl StandIn {
    /// Its name in FROM.
    pub const fn reference(self) -> &'static str {
        match self {
            Self::Debian => "debian:bookworm-slim",
            Self::Node => "node:18-bookworm-slim",
            Self::Python => "python:3.11-slim-bookworm",
            Self::Rust => "rust:1.85-slim-bookworm",
        }
    }

    const fn toolchain(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Node => "debian-node",
            Self::Python => "debian-python",
            Self::Rust => "debian-rust",
        }
    }

    /// What the image of the registry has, and Debian's packages do not.
    const fn additions(self) -> &'static str {
        match self {
            Self::Debian | Self::Node => "",
            Self::Python => {
                "RUN ln -s /usr/bin/python3 /usr/local/bin/python \
                 && rm /usr/lib/python3.11/EXTERNALLY-MANAGED\n"
            }
            Self::Rust => "ENV CARGO_HOME=/usr/local/cargo\nRUN mkdir /usr/local/cargo\n",
        }
    }

    /// Makes the image in the context's store, under the name that FROM has.
    ///
    /// # Panics
    /// If it cannot be made, or could not be made for another test.
    pub fn make(self, context: &TestContext) {
        // Two tests that need one image shall not make its toolchain side by side.
        let _alone = MAKING[self as usize].lock().expect("the image was made");
        let name = self.toolchain();
        let dir = context.path(&format!("stand-in-{name}"));
        let dockerfile = format!(
            "FROM base\nCOPY sources.list /etc/apt/sources.list\n{}",
            self.additions()
        );
        let project = format!("[toolchain.base]\nuse = \"{name}\"\n");
        let sources = format!("deb {} bookworm main\n", mirror());
        write_project(
            &dir,
            &[
                ("Dockerfile", &dockerfile),
                ("repro.toml", &project),
                ("sources.list", &sources),
            ],
        );
        context
            .repro(["build", "--runs", "1", "--tag", self.reference()])
            .arg(&dir)
            .run()
            .exits(0);
    }
}

static MAKING: [Mutex<()>; 4] = [const { Mutex::new(()) }; 4];

/// Where this machine has bookworm from, which no file of the project says.
///
/// # Panics
/// If it has it from nowhere.
fn mirror() -> String {
    let given = ambient("REPRO_MIRROR").and_then(|given| given.into_string().ok());
    let given = given.and_then(|given| given.split_whitespace().next().map(str::to_owned));
    given.unwrap_or_else(|| {
        let targets = succeeds(Command::new(tool("apt-get")).args([
            "indextargets",
            "--format",
            "$(REPO_URI)",
            "Created-By: Packages",
            "Codename: bookworm",
            "Component: main",
        ]));
        let first = targets.lines().next().map(str::to_owned);
        first.expect("this machine has bookworm in its apt sources, or REPRO_MIRROR is set")
    })
}
