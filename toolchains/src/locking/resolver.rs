//! The resolver of the suite, in the sandbox.

use std::sync::{Mutex, PoisonError};

use repro_core::{
    build::{SnapshotName, StepObserver},
    digest::{ChainId, Digest},
    epoch::Tick,
    layer::FlatTree,
    tree::{Entry, EntrySink},
};

use crate::{
    archive::{PackageIndex, SignedRelease},
    definition::{Definition, Method},
    entries::{EntryList, path},
    lock::PoolFile,
    materialise::{
        MaterialiseError, Workshop, bootstrap,
        steps::{Log, Steps},
    },
};

/// What has to be there for apt to resolve.
pub(super) const PROGRAMS: [&str; 2] = ["apt", "dpkg"];

/// Where everything of the resolution is, in the tree.
const PLACE: &str = "repro";

/// Longest answer that is read; a system of ten thousand packages has less than 1 MiB.
const MAX_ANSWER: usize = 32 << 20;

/// Packages with their versions, in the order in which apt unpacks them.
pub(super) type Order = Vec<(String, String)>;

/// A tree with apt, an index, and no package installed.
pub(super) struct Resolver<'a> {
    steps: Steps<'a>,
    base: ChainId,
    architecture: String,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(
        workshop: &'a Workshop<'a>,
        release: &SignedRelease,
        definition: &Definition,
        index: &PackageIndex,
        programs: &[PoolFile],
    ) -> Result<Self, MaterialiseError> {
        const NAME: &str = "the resolver";
        let in_tree = |source| MaterialiseError::Tree {
            name: NAME.to_owned(),
            source,
        };
        let epoch = release.date().epoch();
        let store = workshop.store.blobs();
        let files: Vec<&PoolFile> = programs.iter().collect();
        workshop
            .fetcher
            .fetch("fetch the resolver", &files, epoch, store, workshop.events)
            .map_err(|source| MaterialiseError::Fetch {
                name: NAME.to_owned(),
                source: Box::new(source),
            })?;
        let mut tree = FlatTree::new(store.tmp()).map_err(in_tree)?;
        tree.apply(&mut bootstrap::before(Method::Install, epoch))
            .map_err(in_tree)?;
        for file in programs {
            bootstrap::unpack(&mut tree, file, Method::Install, store).map_err(|source| {
                MaterialiseError::Package {
                    path: file.path.clone(),
                    source,
                }
            })?;
        }
        let mut lists = lists(release, definition, index);
        tree.apply(&mut lists).map_err(in_tree)?;
        // Two resolutions of one invocation run one after the other and share nothing but this.
        let digest = Digest::of(format!("{NAME} {}", definition.name).as_bytes());
        let steps = Steps::new(workshop, NAME, digest, epoch)?;
        let base = steps.unpack(&mut tree)?;
        Ok(Self {
            steps,
            base,
            architecture: definition.architecture.clone(),
        })
    }

    /// What apt would install on a system without packages, for each of `requests`.
    pub(super) fn orders(self, requests: &[Vec<String>]) -> Result<Vec<Order>, MaterialiseError> {
        let all = requests.iter().zip(0..).map(|(request, index)| {
            let argv: Vec<String> = self.command(request).collect();
            let base = [SnapshotName::Stored(self.base)];
            let spec = self.steps.spec(&base, index, Tick::FIRST, &argv);
            let answer = Answer::default();
            self.steps.execute(&spec, &argv, &mut Nowhere, &answer)?;
            Ok(answer.order())
        });
        let result: Result<Vec<Order>, _> = all.collect();
        let discarded = self.steps.discard();
        result.and_then(|orders| discarded.map(|()| orders))
    }

    fn command(&self, request: &[String]) -> impl Iterator<Item = String> {
        let dir = |name: &str| format!("/{PLACE}/{name}");
        let options = [
            ("Dir::State", dir("")),
            ("Dir::State::lists", dir("lists")),
            ("Dir::State::status", dir("status")),
            ("Dir::Cache", dir("cache")),
            ("Dir::Etc", dir("etc")),
            ("Dir::Etc::Parts", "/dev/null".into()),
            ("Dir::Etc::PreferencesParts", "/dev/null".into()),
            ("Dir::Etc::SourceList", dir("etc/sources.list")),
            ("Dir::Etc::SourceParts", "/dev/null".into()),
            ("APT::Architecture", self.architecture.clone()),
            ("APT::Architectures", self.architecture.clone()),
            ("APT::Install-Recommends", "false".into()),
        ];
        let options = options
            .into_iter()
            .flat_map(|(name, value)| ["-o".to_owned(), format!("{name}={value}")]);
        ["apt-get".to_owned()]
            .into_iter()
            .chain(options)
            .chain(["--simulate".to_owned(), "install".to_owned()])
            .chain(request.iter().cloned())
    }
}

/// The index as apt keeps it after an update. What has to be checked of it was checked before.
fn lists(release: &SignedRelease, definition: &Definition, index: &PackageIndex) -> EntryList {
    let Definition {
        suite,
        component,
        architecture,
        ..
    } = definition;
    let time = release.date().epoch().seconds();
    let mut list = EntryList::default();
    // Made by base-files, which apt does not need.
    list.directory(path("tmp"), 0o1777, time);
    for name in [
        "",
        "/cache",
        "/cache/archives",
        "/cache/archives/partial",
        "/etc",
        "/lists",
        "/lists/partial",
    ] {
        list.directory(path(&format!("{PLACE}{name}")), 0o755, time);
    }
    // The name of a list is the address it came from, `/` as `_`.
    let name = |rest: &str| {
        path(&format!(
            "{PLACE}/lists/_archive_dists_{suite}_{}",
            rest.replace('/', "_")
        ))
    };
    let source = format!("deb [trusted=yes] file:/archive {suite} {component}\n");
    let packages = format!("{component}/binary-{architecture}/Packages");
    for (at, text) in [
        (path(&format!("{PLACE}/status")), ""),
        (path(&format!("{PLACE}/etc/sources.list")), source.as_str()),
        (name("InRelease"), release.text()),
        (name(&packages), index.text()),
    ] {
        list.file(at, 0o644, time, text.as_bytes());
    }
    list
}

/// What a simulation changes is of no interest.
struct Nowhere;

impl EntrySink for Nowhere {
    fn entry(&mut self, _: &Entry, content: &mut dyn std::io::Read) -> std::io::Result<()> {
        std::io::copy(content, &mut std::io::sink()).map(drop)
    }
}

/// What apt prints.
#[derive(Default)]
struct Answer(Mutex<Vec<u8>>);

impl Answer {
    /// `Inst NAME (VERSION ...` of each package, in the order of the lines.
    fn order(&self) -> Order {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes)
            .lines()
            .filter_map(|line| {
                let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
                let version = rest.strip_prefix('(')?.split([' ', ')']).next()?;
                Some((name.to_owned(), version.to_owned()))
            })
            .collect()
    }
}

impl StepObserver for Answer {
    fn output(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_ANSWER.saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

impl Log for Answer {
    fn end(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&bytes);
        // Errors are what apt ends with; the lists of packages before them say nothing.
        let errors = text.lines().skip_while(|line| {
            !line.starts_with("The following packages have unmet") && !line.starts_with("E: ")
        });
        let shown: Vec<&str> = errors.take(60).collect();
        shown
            .join("\n")
            .chars()
            .filter(|c| !c.is_control() || *c == '\n')
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_lines() {
        let answer = Answer::default();
        answer.output(
            b"NOTE: This is only a simulation!\nInst gcc-12-base (12.2.0-14 Debian:12/x [amd64])\n",
        );
        answer.output(b"Inst libc6 (2.36-9 Debian:12/x [amd64]) []\nConf libc6 (2.36-9 Debian)\n");
        let order = answer.order();
        assert_eq!(
            order,
            [
                ("gcc-12-base".to_owned(), "12.2.0-14".to_owned()),
                ("libc6".to_owned(), "2.36-9".to_owned())
            ]
        );
    }
}
