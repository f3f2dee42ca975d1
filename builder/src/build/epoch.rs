//! The time that nothing in an image is newer than (rule 1).

use repro_core::{
    build::{EpochChoice, EpochRecord, EpochSource, Finding},
    epoch::Epoch,
};

use crate::{
    dockerfile::{ArgDefinition, Dockerfile, GlobalScope, Instruction, Scope as _},
    plan::{PlanError, PlanFault},
};

/// An epoch that the Dockerfile has for those who choose none: `ARG SOURCE_DATE_EPOCH=...` above its
/// first `FROM`. BuildKit takes the name of a context or stage as well, and the time of what it
/// fetches for that; nothing is fetched here.
pub(super) fn epoch_of_file(
    file: &Dockerfile,
    globals: &GlobalScope,
) -> Result<EpochChoice, PlanError> {
    const NAME: &str = "SOURCE_DATE_EPOCH";
    let Some(text) = globals.get(NAME).filter(|text| !text.is_empty()) else {
        return Ok(EpochChoice::Base);
    };
    let refused = |fault: PlanFault| {
        let declares = |args: &&Instruction<Vec<ArgDefinition>>| {
            let mut names = args.kind.iter().filter_map(|arg| arg.name.literal());
            names.any(|name| name == NAME)
        };
        match file.global_args.iter().rev().find(declares) {
            Some(args) => PlanError::at(file, args, fault),
            None => PlanError::at(file, &file.stages[0].from, fault),
        }
    };
    let seconds = text
        .parse()
        .map_err(|_| refused(PlanFault::EpochText(text.to_owned())))?;
    let epoch = Epoch::new(seconds).map_err(|error| refused(error.into()))?;
    Ok(EpochChoice::Dockerfile(epoch))
}

/// Rule 1: the epoch in force, and a finding where it lies before the base.
pub(super) fn epoch(choice: EpochChoice, newest_base: u64) -> (EpochRecord, Option<Finding>) {
    let (value, source) = match choice {
        EpochChoice::Flag(epoch) => (epoch, EpochSource::Flag),
        EpochChoice::BuildArg(epoch) => (epoch, EpochSource::BuildArg),
        EpochChoice::Environment(epoch) => (epoch, EpochSource::Environment),
        EpochChoice::Config(epoch) => (epoch, EpochSource::Config),
        EpochChoice::Git(epoch) => (epoch, EpochSource::Git),
        EpochChoice::Dockerfile(epoch) => (epoch, EpochSource::Dockerfile),
        EpochChoice::Base => match Epoch::new(newest_base) {
            Ok(epoch) if epoch > Epoch::MIN => (epoch, EpochSource::Base),
            _ => (Epoch::MIN, EpochSource::Minimum),
        },
    };
    let finding = (value.seconds() < newest_base).then(|| Finding {
        code: "epoch-before-base".into(),
        message: format!(
            "SOURCE_DATE_EPOCH {} is older than the newest file of the base ({newest_base}): new \
             files look older than those of the base",
            value.seconds()
        ),
        line: None,
    });
    (EpochRecord { value, source }, finding)
}
