//! The plain data of a build: what is asked for, what one step is, what was seen, how it
//! ended. No type here opens a file or knows where it runs.

mod annotations;
mod clock;
mod copy;
mod executor;
mod grants;
mod mode;
mod mount;
mod network;
mod outcome;
mod record;
mod request;
mod settings;
mod step;
mod variation;

pub use annotations::Annotations;
pub use clock::Clock;
pub use copy::{Archives, CopyLayout, CopySource, CopySpec, InlineFile, Owner, Placement};
pub use executor::{Executor, ExecutorError, SnapshotInfo, Snapshotter, StepObserver, UserIds};
pub use grants::{Grants, MAX_SECRET_BYTES, SecretTooLong, SecretValue};
pub use mode::{ModeChange, ModeClause, ModeError};
pub use mount::{MountAccess, MountFacts, MountSource, MountSpec, SecretVariable, cache_key};
pub use network::{NetworkFile, NetworkKit, StepListener, StepNetwork};
pub use outcome::{Cost, Outcome, Reason, Retry};
pub use record::{
    BuildRecord, EpochRecord, EpochSource, Failure, Finding, ImageRecord, InputKind, InputRecord,
    PlannedStep, RunRecord, StepRecord, as_written,
};
pub use request::{
    BuildRequest, ContextModes, ContextPlace, EpochChoice, InvocationId, InvocationIdError,
    LockMode, NamedContext, NamedText, RunId, Runs,
};
pub use settings::{
    HostEntry, HostEntryError, LimitError, LimitRange, LimitSetting, ProcessLimit, RunSettings,
};
pub use step::{
    Hindrances, LayerPolicy, MakeDirSpec, NetworkObservation, Normalisation, RunSpec, SnapshotName,
    StepAction, StepExit, StepResult, StepSpec, Usage,
};
pub use variation::{
    AddressSpace, Axis, AxisError, Caller, Cpus, DeviceNumber, DirectoryOrder, KernelName,
    Scheduling, Variation,
};
