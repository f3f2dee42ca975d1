//! What a `RUN` mounts: expanded, with absolute paths, without what the caller does not give.

use repro_core::build::{
    BuildRequest, MountAccess, MountFacts, MountSource, MountSpec, SecretVariable,
};

use super::{CopyFrom, PlanFault, paths::join};
use crate::dockerfile::{Mount, Need, RunArgs, RunNetwork, RunSecurity, Scope};

/// Directory of agents that have no target: `BuildKit`'s, since scripts may know it.
const AGENTS: &str = "/run/buildkit";

/// The flags of one `RUN`.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    /// The flags as the history shows them, each with a blank behind it. Whether an optional secret
    /// was given does not show, since it must not change the image.
    pub(super) shown: String,
    pub(super) specs: Vec<MountSpec<CopyFrom>>,
    pub(super) secret_env: Vec<SecretVariable>,
    /// `SSH_AUTH_SOCK`, where there is an agent to be: also if the caller gives none.
    pub(super) agent_socket: Option<String>,
    /// ssh mounts so far; those without an agent count, so that names of sockets stay.
    agents: usize,
}

/// Where flags are expanded.
pub(super) struct Place<'a> {
    pub(super) scope: &'a dyn Scope,
    /// The working directory, absolute.
    pub(super) cwd: &'a str,
    pub(super) request: &'a BuildRequest,
}

impl Mounts {
    /// Spells the flags out. `from` gives the trees of a mount by its index.
    pub(super) fn new(
        args: &RunArgs,
        place: &Place<'_>,
        mut from: impl FnMut(usize) -> Result<CopyFrom, PlanFault>,
    ) -> Result<Self, PlanFault> {
        let mut mounts = Self::default();
        for (index, flag) in args.mounts.iter().enumerate() {
            let mount = flag.check(place.scope)?;
            mounts.add(mount, flag.from.as_deref(), place, || from(index))?;
        }
        if let Some(RunNetwork::None) = args.network {
            mounts.shown.push_str("--network=none ");
        }
        if let Some(RunSecurity::Sandbox) = args.security {
            mounts.shown.push_str("--security=sandbox ");
        }
        Ok(mounts)
    }

    fn add(
        &mut self,
        mount: Mount,
        from: Option<&str>,
        place: &Place<'_>,
        trees: impl FnOnce() -> Result<CopyFrom, PlanFault>,
    ) -> Result<(), PlanFault> {
        let target_of = |target: &str| {
            let joined = join(place.cwd, target);
            if joined == "/" {
                return Err(PlanFault::MountOnRoot(target.to_owned()));
            }
            Ok(joined)
        };
        let mut shown = Shown::default();
        match mount {
            Mount::Bind {
                source,
                target,
                access,
            } => {
                let (path, target) = (join("/", &source), target_of(&target)?);
                shown.field("type", "bind");
                shown.option("from", from);
                shown.field("source", &path);
                shown.field("target", &target);
                shown.switch("rw", access == MountAccess::ReadWrite);
                let trees = trees()?;
                self.push(target, access, MountSource::Bind { trees, path });
            }
            Mount::Cache {
                id,
                source,
                target,
                access,
                facts,
            } => {
                let (path, target) = (join("/", &source), target_of(&target)?);
                let id = id.unwrap_or_else(|| target.clone());
                shown.field("type", "cache");
                shown.field("id", &id);
                shown.option("from", from);
                shown.option("source", Some(path.as_str()).filter(|path| *path != "/"));
                shown.field("target", &target);
                shown.switch("ro", access == MountAccess::ReadOnly);
                shown.facts(facts, 0o755);
                let trees = from.map(|_| trees()).transpose()?;
                let source = MountSource::Cache {
                    id,
                    trees,
                    path,
                    facts,
                };
                self.push(target, access, source);
            }
            Mount::Tmpfs {
                size,
                target,
                access,
            } => {
                let target = target_of(&target)?;
                shown.field("type", "tmpfs");
                shown.field("target", &target);
                shown.option("size", size.map(|size| size.to_string()).as_deref());
                shown.switch("ro", access == MountAccess::ReadOnly);
                self.push(target, access, MountSource::Tmpfs { size });
            }
            Mount::Secret {
                id,
                file,
                variable,
                need,
                facts,
            } => {
                let file = file.as_deref().map(target_of).transpose()?;
                shown.field("type", "secret");
                shown.field("id", &id);
                shown.option("target", file.as_deref());
                shown.option("env", variable.as_deref());
                shown.switch("required", need == Need::Required);
                shown.facts(facts, 0o400);
                if place.request.secrets.contains(&id) {
                    self.secret(id, file, variable, facts);
                } else if need == Need::Required {
                    return Err(PlanFault::MissingSecret(id));
                }
            }
            Mount::Agent {
                id,
                target,
                need,
                facts,
            } => {
                let target = match target {
                    Some(target) => target_of(&target)?,
                    None => format!("{AGENTS}/ssh_agent.{}", self.agents),
                };
                self.agents += 1;
                shown.field("type", "ssh");
                shown.field("id", &id);
                shown.field("target", &target);
                shown.switch("required", need == Need::Required);
                shown.facts(facts, 0o600);
                self.agent_socket.get_or_insert_with(|| target.clone());
                if place.request.agents.contains(&id) {
                    self.push(
                        target,
                        MountAccess::ReadWrite,
                        MountSource::Agent { id, facts },
                    );
                } else if need == Need::Required {
                    return Err(PlanFault::MissingAgent(id));
                }
            }
        }
        self.shown.extend(["--mount=", &shown.0, " "]);
        Ok(())
    }

    fn push(&mut self, target: String, access: MountAccess, source: MountSource<CopyFrom>) {
        self.specs.push(MountSpec {
            target,
            access,
            source,
        });
    }

    fn secret(
        &mut self,
        id: String,
        file: Option<String>,
        variable: Option<String>,
        facts: MountFacts,
    ) {
        self.secret_env.extend(variable.map(|name| SecretVariable {
            name,
            id: id.clone(),
        }));
        if let Some(target) = file {
            let source = MountSource::Secret { id, facts };
            self.push(target, MountAccess::ReadOnly, source);
        }
    }
}

/// A flag as the history shows it.
#[derive(Debug, Default)]
struct Shown(String);

impl Shown {
    fn field(&mut self, key: &str, value: &str) {
        let field = format!("{key}={value}");
        if !self.0.is_empty() {
            self.0.push(',');
        }
        if field.contains([',', '"']) {
            let doubled = field.replace('"', "\"\"");
            self.0.extend(["\"", &doubled, "\""]);
        } else {
            self.0.push_str(&field);
        }
    }

    fn option(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.field(key, value);
        }
    }

    fn switch(&mut self, key: &str, on: bool) {
        if on {
            self.0.push(',');
            self.0.push_str(key);
        }
    }

    fn facts(&mut self, facts: MountFacts, mode: u16) {
        if facts.mode != mode {
            self.field("mode", &format!("{:04o}", facts.mode));
        }
        for (key, id) in [("uid", facts.uid), ("gid", facts.gid)] {
            if id != 0 {
                self.field(key, &id.to_string());
            }
        }
    }
}
