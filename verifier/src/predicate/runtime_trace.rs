//! in-toto's runtime trace, as evidence on the network: for each RUN step of a run what it could
//! reach, and every attempt to reach further, all refused.

use std::net::{IpAddr, SocketAddr};

use repro_core::build::{BuildRecord, NetworkObservation, RunRecord};
use serde::{Deserialize, Serialize};

use super::{
    Predicate,
    provenance::{NetworkMode, keyword, mode},
};
use crate::{statement::ResourceDescriptor, uris};

/// The predicate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuntimeTrace {
    /// What watched.
    pub monitor: Monitor,
    /// What was watched.
    pub monitored_process: MonitoredProcess,
    /// What was seen.
    pub monitor_log: MonitorLog,
    /// When.
    pub metadata: TraceMetadata,
}

/// What watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Monitor {
    /// [`uris::NETWORK_MONITOR`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The sandbox policy.
    pub config_source: ResourceDescriptor,
    /// What the monitor was told to let through.
    pub trace_policy: TracePolicy,
}

/// The steps that were watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TracePolicy {
    /// Every RUN step that ended, in order of the plan.
    pub steps: Vec<WatchedStep>,
}

/// A step that was watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WatchedStep {
    /// Index in the plan.
    pub step: u32,
    /// What it could reach.
    pub network: NetworkMode,
}

/// What was watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MonitoredProcess {
    /// Builder id.
    #[serde(rename = "hostID")]
    pub host_id: String,
    /// Build type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Invocation id of the run.
    pub event: String,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MonitorLog {
    /// By step. Empty: every watched step tried nothing.
    pub network: Vec<NetworkEvent>,
}

/// Attempts of one step at one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkEvent {
    /// Index of the step in the plan.
    pub step: u32,
    /// What was tried.
    pub kind: EventKind,
    /// The name that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The address that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// Its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// What was asked for, where it is neither a name nor an address of the internet: the family or
    /// type of a socket, an address of another form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// How often.
    pub count: u64,
    /// What became of it.
    pub outcome: EventOutcome,
}

/// What a step can try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// Packets and connections that the kernel found no route for.
    NoRoute,
    /// A name that was looked up.
    Name,
    /// An address of a connection. Each is one of the attempts counted under the other kinds too.
    Address,
    /// A socket of a family or type that there is not.
    Socket,
    /// A socket name of the machine's that nobody inside the sandbox listens on.
    AbstractSocket,
    /// Requests that were answered with what the lock has.
    Replay,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventOutcome {
    /// Nothing got through.
    Refused,
    /// Answered from the lock; nothing left the sandbox.
    Answered,
}

/// When.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TraceMetadata {
    /// RFC 3339, UTC.
    pub build_started_on: String,
    /// RFC 3339, UTC.
    pub build_finished_on: String,
}

impl Predicate for RuntimeTrace {
    const TYPE: &'static str = "https://in-toto.io/attestation/runtime-trace/v0.1";
}

impl RuntimeTrace {
    /// The trace of `run`, one of the runs of `record`, by the builder with this id.
    #[must_use]
    pub fn of_run(record: &BuildRecord, run: &RunRecord, builder: &str) -> Self {
        let watched = run.steps.iter().filter(|step| {
            let planned = usize::try_from(step.index)
                .ok()
                .and_then(|index| record.plan.get(index));
            planned.is_some_and(|planned| keyword(&planned.instruction) == "RUN")
        });
        let mut steps = Vec::new();
        let mut network = Vec::new();
        for step in watched {
            steps.push(WatchedStep {
                step: step.index,
                network: mode(&step.network),
            });
            network.extend(events(step.index, &step.network));
        }
        Self {
            monitor: Monitor {
                kind: uris::NETWORK_MONITOR.into(),
                config_source: ResourceDescriptor::named("sandbox-policy", run.policy),
                trace_policy: TracePolicy { steps },
            },
            monitored_process: MonitoredProcess {
                host_id: builder.into(),
                kind: uris::DOCKERFILE_BUILD.into(),
                event: run.invocation_id.clone(),
            },
            monitor_log: MonitorLog { network },
            metadata: TraceMetadata {
                build_started_on: run.started_on.clone(),
                build_finished_on: run.finished_on.clone(),
            },
        }
    }

    /// Attempts of a step that were refused, each counted once.
    #[must_use]
    pub fn attempts(&self, step: u32) -> u64 {
        let counted = |event: &&NetworkEvent| {
            event.step == step && !matches!(event.kind, EventKind::Address | EventKind::Replay)
        };
        let counts = self.monitor_log.network.iter().filter(counted);
        counts.fold(0, |sum, event| sum.saturating_add(event.count))
    }
}

/// What `seen` has of the step with this index.
fn events(step: u32, seen: &NetworkObservation) -> Vec<NetworkEvent> {
    let event = |kind, count| NetworkEvent {
        step,
        kind,
        hostname: None,
        ip: None,
        port: None,
        target: None,
        count,
        outcome: EventOutcome::Refused,
    };
    let mut events = Vec::new();
    if seen.no_route > 0 {
        events.push(event(EventKind::NoRoute, seen.no_route));
    }
    for (name, count) in &seen.names {
        events.push(NetworkEvent {
            hostname: Some(name.clone()),
            ..event(EventKind::Name, *count)
        });
    }
    for (address, count) in &seen.addresses {
        let socket: Option<SocketAddr> = address.parse().ok();
        let ip = socket.map(|socket| socket.ip()).or(address.parse().ok());
        events.push(NetworkEvent {
            ip,
            port: socket.map(|socket| socket.port()),
            target: ip.is_none().then(|| address.clone()),
            ..event(EventKind::Address, *count)
        });
    }
    for (family, count) in &seen.refused_sockets {
        events.push(NetworkEvent {
            target: Some(family.clone()),
            ..event(EventKind::Socket, *count)
        });
    }
    if seen.abstract_sockets > 0 {
        events.push(event(EventKind::AbstractSocket, seen.abstract_sockets));
    }
    if let Some(replayed) = seen.replayed {
        events.push(NetworkEvent {
            outcome: EventOutcome::Answered,
            ..event(EventKind::Replay, replayed)
        });
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;

    #[test]
    fn every_attempt_is_an_event_and_counted_as_in_the_provenance() {
        let mut record = testing::record();
        let network = &mut record.runs[0].steps[1].network;
        network.names.insert("mirror.example".into(), 2);
        network.addresses.insert("192.0.2.7:443".into(), 1);
        network.addresses.insert("unix:@x".into(), 1);
        network.refused_sockets.insert("packet".into(), 4);
        network.abstract_sockets = 5;
        network.replayed = Some(6);
        let attempts = network.attempts();
        let trace = RuntimeTrace::of_run(&record, &record.runs[0], uris::BUILDER_LOCAL);
        assert_eq!(trace.attempts(1), attempts);
        assert_eq!(trace.attempts(0), 0);
        let value = serde_json::to_value(&trace).unwrap();
        assert_eq!(
            value["monitor"]["tracePolicy"]["steps"],
            json!([{"step": 1, "network": "replay"}]),
            "a COPY runs no program"
        );
        assert_eq!(
            value["monitorLog"]["network"][2],
            json!({"step": 1, "kind": "address", "ip": "192.0.2.7", "port": 443, "count": 1,
                "outcome": "refused"})
        );
        assert_eq!(value["monitoredProcess"]["hostID"], uris::BUILDER_LOCAL);
        assert_eq!(
            serde_json::from_value::<RuntimeTrace>(value).unwrap(),
            trace
        );
    }
}
