//! What makes locks of packages, ready to work.

use repro_core::{build::Grants, ruleset::Ruleset, store::Store};
use repro_toolchains::{
    fetch::Mirror,
    locking::{LockingError, Locksmith},
    materialise::Workshop,
};

use crate::{
    ambient::{self, SystemClock},
    commands::Context,
    engine::{self, Engine},
    error::CommandError,
    place::PlaceArgs,
    trust::TrustArgs,
};

/// Has `work` done by a locksmith that takes releases from `mirrors`, or from those of the
/// machine's apt sources if there are none.
pub(crate) fn with_locksmith<T>(
    context: &Context,
    store: &Store,
    mirrors: &[Mirror],
    trust: &TrustArgs,
    work: impl FnOnce(&Locksmith<'_>) -> Result<T, LockingError>,
) -> Result<T, CommandError> {
    let trust = trust.resolve(&SystemClock)?;
    let asked = engine::release_mirrors(mirrors)?;
    let invocation = ambient::invocation_id(&SystemClock)?;
    let engine = Engine::start(
        context,
        store,
        &invocation,
        mirrors,
        &Grants::default(),
        &PlaceArgs::default(),
    )?;
    let events = context.settings.view.start(&context.settings.output);
    let workshop = Workshop {
        store,
        executor: &*engine.executor,
        fetcher: &engine.fetcher,
        events: events.as_ref(),
        invocation: &invocation,
        ruleset: Ruleset::default(),
    };
    let done = work(&Locksmith::new(workshop, &asked, &trust)).map_err(CommandError::from);
    // The view ends before anything else is said.
    drop(events);
    engine.finish(done)
}
