//! What the targets have in common.

use std::collections::BTreeMap;

use repro_builder::dockerfile::{Dockerfile, Scope};

/// What printing must keep: everything but places and findings.
pub fn meaning(file: &Dockerfile) -> String {
    let globals: Vec<_> = file.global_args.iter().map(|args| &args.kind).collect();
    let stages: Vec<_> = file
        .stages
        .iter()
        .map(|stage| {
            let kinds: Vec<_> = stage.instructions.iter().map(|one| &one.kind).collect();
            (&stage.from.kind, kinds)
        })
        .collect();
    format!("{:?} {globals:?} {stages:?}", file.directives)
}

/// Variables for an expansion.
#[derive(Debug, Default)]
pub struct Values(pub BTreeMap<String, String>);

impl Scope for Values {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}
