//! By what things of an engine are known to have been made here. Nothing without one of them is touched.

use std::collections::BTreeMap;

use repro_core::build::{InvocationId, RunId};

use super::StoreId;

/// On images that containers start from.
pub(super) const BASE: &str = "io.intelgraph.repro.base";
/// On containers and volumes: the store that they belong to.
pub(super) const STORE: &str = "io.intelgraph.repro.store";
/// On containers and volumes: the invocation.
pub(super) const INVOCATION: &str = "io.intelgraph.repro.invocation";
/// On containers: the run.
pub(super) const RUN: &str = "io.intelgraph.repro.run";

/// Labels of something that one run of a build makes.
pub(super) fn of_run(
    store: &StoreId,
    invocation: &InvocationId,
    run: RunId,
) -> BTreeMap<String, String> {
    let labels = [
        (STORE, store.to_string()),
        (INVOCATION, invocation.to_string()),
        (RUN, run.to_string()),
    ];
    labels.map(|(name, value)| (name.to_owned(), value)).into()
}

/// What an engine is asked to list, by the names of its filters.
pub(super) type Filter = BTreeMap<String, Vec<String>>;

/// A filter for what an invocation made.
pub(super) fn filter(store: &StoreId, invocation: Option<&InvocationId>) -> Filter {
    let mut labels = vec![format!("{STORE}={store}")];
    labels.extend(invocation.map(|invocation| format!("{INVOCATION}={invocation}")));
    [("label".to_owned(), labels)].into()
}
