//! The container engines: those that answer, and every place where one was looked for.

use repro_engine::{About, Candidate, Client, EngineKind, Found, Origin, SystemCallFilter, survey};
use serde_json::{Value, json};

use super::{Check, Group, Status};
use crate::{ambient, error::CommandError};

/// What was seen of them.
#[derive(Debug)]
pub(super) struct Engines {
    /// One for Docker and one for Podman.
    pub(super) checks: Vec<Check>,
    /// Every place, for programs.
    pub(super) found: Vec<Value>,
    usable: Vec<EngineKind>,
}

/// A place, and what came of it.
struct Place {
    kind: EngineKind,
    name: String,
    is_named: bool,
    outcome: Result<About, Trouble>,
}

/// Why nothing there can be used.
struct Trouble {
    what: String,
    next_steps: Vec<String>,
}

impl Engines {
    /// Asks every engine that may be there. Where the machine's own sandbox works, none is needed.
    pub(super) fn look(native_works: bool) -> Self {
        let places: Vec<Place> = survey(&ambient::engines()).into_iter().map(ask).collect();
        let absent = if native_works {
            Status::Absent
        } else {
            Status::Missing
        };
        let of = |kind| {
            let places: Vec<&Place> = places.iter().filter(|place| place.kind() == kind).collect();
            check(kind, &places, absent)
        };
        let checks = vec![of(EngineKind::Docker), of(EngineKind::Podman)];
        let answering = places
            .iter()
            .filter_map(|place| place.outcome.as_ref().ok());
        Self {
            checks,
            usable: answering.map(|about| about.kind).collect(),
            found: places.iter().map(Place::document).collect(),
        }
    }

    pub(super) fn docker(&self) -> bool {
        self.usable.contains(&EngineKind::Docker)
    }

    pub(super) fn podman(&self) -> bool {
        self.usable.contains(&EngineKind::Podman)
    }
}

impl Place {
    /// Whose engine answers, else whose it would be.
    fn kind(&self) -> EngineKind {
        self.outcome.as_ref().map_or(self.kind, |about| about.kind)
    }

    fn document(&self) -> Value {
        match &self.outcome {
            Ok(about) => json!({
                "kind": about.kind.name(),
                "place": self.name,
                "endpoint": about.endpoint.to_string(),
                "version": about.version,
                "api": about.api.to_string(),
                "privileges": about.privileges.name(),
                "storageDriver": about.storage_driver,
                "cgroupVersion": about.cgroup_version,
                "cgroupDriver": about.cgroup_driver,
                "architecture": about.architecture,
                "runtime": about.runtime,
                "seccomp": about.filter == SystemCallFilter::Seccomp,
            }),
            Err(trouble) => json!({
                "kind": self.kind.name(),
                "place": self.name,
                "problem": trouble.what,
                "nextSteps": trouble.next_steps,
            }),
        }
    }
}

fn ask(candidate: Candidate) -> Place {
    let name = candidate.to_string();
    let (kind, origin) = (candidate.kind, candidate.origin);
    let is_named = origin.is_named();
    let outcome = match (candidate.endpoint, candidate.problem) {
        (_, Some(problem)) => Err(Trouble {
            what: CommandError::new(crate::error::ErrorKind::Machine, &problem).to_string(),
            next_steps: problem.hint(kind).map(str::to_owned).into_iter().collect(),
        }),
        (Some(endpoint), None) => greet(&Found {
            endpoint,
            origin,
            passed: Vec::new(),
        }),
        (None, None) => Err(Trouble {
            what: "it names no place".to_owned(),
            next_steps: Vec::new(),
        }),
    };
    Place {
        kind,
        name,
        is_named,
        outcome,
    }
}

fn greet(found: &Found) -> Result<About, Trouble> {
    match Client::connect(found) {
        Ok(client) => Ok(client.about().clone()),
        Err(error) => {
            let next_steps = match (&found.origin, error.hint()) {
                // It is the one of the variable, and this is the doctor.
                (Origin::Usual, _) | (_, None) => Vec::new(),
                (_, Some(hint)) => vec![hint],
            };
            Err(Trouble {
                what: CommandError::from(error).to_string(),
                next_steps,
            })
        }
    }
}

/// One row for an engine: the first that answers, else why there is none.
fn check(kind: EngineKind, places: &[&Place], absent: Status) -> Check {
    let lines = |skipped: Option<&Place>| -> Vec<String> {
        let others = places
            .iter()
            .filter(|place| skipped.is_none_or(|skipped| !std::ptr::eq(skipped, **place)));
        others
            .map(|place| match &place.outcome {
                Ok(about) => format!("{}: {} {}", place.name, about.kind, about.version),
                Err(trouble) => format!("{}: {}", place.name, trouble.what),
            })
            .collect()
    };
    let answering = places
        .iter()
        .find_map(|place| Some((*place, place.outcome.as_ref().ok()?)));
    // Who names an engine wants that one.
    let named = places
        .iter()
        .filter(|place| place.is_named)
        .find_map(|place| place.outcome.as_ref().err());
    if let Some((place, about)) = answering {
        let status = if named.is_some() || about.filter == SystemCallFilter::Absent {
            Status::Warn
        } else {
            Status::Ok
        };
        let mut check = Check::new(Group::Engines, kind.name(), status, describe(about));
        check.notes.push(place.name.clone());
        check.notes.extend(lines(Some(place)));
        check.next(
            named
                .into_iter()
                .flat_map(|trouble| trouble.next_steps.clone()),
        )
    } else {
        let status = if named.is_some() && absent == Status::Absent {
            Status::Warn
        } else {
            absent
        };
        let mut check = Check::new(Group::Engines, kind.name(), status, "none answers");
        check.notes = lines(None);
        if status == Status::Absent {
            return check;
        }
        let mut steps: Vec<String> = places
            .iter()
            .filter_map(|place| place.outcome.as_ref().err())
            .flat_map(|trouble| trouble.next_steps.clone())
            .collect();
        steps.dedup();
        check.next(steps)
    }
}

fn describe(about: &About) -> String {
    let mut parts = vec![
        format!("{} (API {})", about.version, about.api),
        about.privileges.name().to_owned(),
        about.storage_driver.clone(),
    ];
    if !about.cgroup_version.is_empty() {
        parts.push(format!("cgroup v{}", about.cgroup_version));
    }
    if !about.runtime.is_empty() {
        parts.push(about.runtime.clone());
    }
    if about.filter == SystemCallFilter::Absent {
        parts.push("no seccomp".to_owned());
    }
    parts.join(", ")
}
