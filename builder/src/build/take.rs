//! Directories and archives of the caller: taken into the store, and looked through for what steps
//! copy.

use std::{collections::BTreeMap, path::Path};

use repro_core::build::{
    BuildRequest, ContextPlace, CopyLayout, MountSource, NamedContext, NamedText,
};

use super::Builder;
use crate::{
    context::{ArchiveSpec, Context, ContextSpec, IgnoreFile, check_source, take, take_archive},
    dockerfile::Dockerfile,
    error::BuildError,
    plan::{CopyFrom, Plan, Work},
    source::unpack,
};

impl Builder<'_> {
    /// Takes the context if a step copies from it, and makes sure that it and the directories that
    /// have names have what is copied.
    pub(super) fn context(
        &self,
        request: &BuildRequest,
        file: &Dockerfile,
        plan: &Plan,
        named: &BTreeMap<String, Context>,
    ) -> Result<Option<Context>, BuildError> {
        let needs_context = plan.steps.iter().any(|step| {
            let sources = local_sources(&step.work);
            sources
                .iter()
                .any(|source| matches!(source.from, CopyFrom::Context))
        });
        let context = needs_context
            .then(|| match &request.context {
                ContextPlace::Directory(root) => self.take(request, root, request.ignore.as_ref()),
                ContextPlace::Archive(file) => {
                    self.take_archive(request, file, request.ignore.as_ref())
                }
            })
            .transpose()?;
        for step in &plan.steps {
            for LocalSource {
                from,
                pattern,
                layout,
            } in local_sources(&step.work)
            {
                let source = match from {
                    CopyFrom::Context => context.as_ref(),
                    CopyFrom::Named(name) => named.get(name),
                    CopyFrom::Stage(_) | CopyFrom::Tree(_) => None,
                };
                let Some(source) = source else { continue };
                check_source(source, &pattern, layout).map_err(|missing| {
                    BuildError::MissingSource {
                        diagnostic: Box::new(file.diagnostic_at(
                            step.line,
                            missing.to_string(),
                            missing.hint.clone(),
                        )),
                        missing,
                    }
                })?;
            }
        }
        Ok(context)
    }

    /// Takes what has a name, if it is files of the caller.
    pub(super) fn take_named(
        &self,
        request: &BuildRequest,
        context: &NamedContext,
    ) -> Result<Option<Context>, BuildError> {
        match context {
            NamedContext::Directory { path, ignore } => {
                self.take(request, path, ignore.as_ref()).map(Some)
            }
            NamedContext::Archive(file) => self.take_archive(request, file, None).map(Some),
            NamedContext::Image(_) | NamedContext::Manifest(_) => Ok(None),
        }
    }

    /// Takes an archive into the store and unpacks it.
    fn take_archive(
        &self,
        request: &BuildRequest,
        file: &Path,
        ignore: Option<&NamedText>,
    ) -> Result<Context, BuildError> {
        let spec = ArchiveSpec {
            file,
            tmp: self.store.blobs().tmp(),
            ignore: &ignore_file(ignore)?,
            modes: request.context_modes,
            ruleset: request.ruleset,
        };
        let context = take_archive(&spec, self.store.blobs(), self.events)?;
        self.unpack_context(&context)?;
        Ok(context)
    }

    fn unpack_context(&self, context: &Context) -> Result<(), BuildError> {
        if let Some(layer) = &context.layer {
            let layers = [layer.descriptor()];
            unpack(&layers, self.store, self.executor, self.events)?;
        }
        Ok(())
    }

    /// Takes a directory into the store and unpacks it.
    fn take(
        &self,
        request: &BuildRequest,
        root: &Path,
        ignore: Option<&NamedText>,
    ) -> Result<Context, BuildError> {
        let spec = ContextSpec {
            root,
            ignore: &ignore_file(ignore)?,
            exclude: &request.exclude,
            modes: request.context_modes,
            ruleset: request.ruleset,
        };
        let context = take(&spec, self.store.blobs(), self.events)?;
        self.unpack_context(&context)?;
        Ok(context)
    }
}

/// Something that a step takes from a directory of the caller.
pub(super) struct LocalSource<'a> {
    from: &'a CopyFrom,
    pattern: String,
    layout: CopyLayout,
}

/// What a step takes from directories of the caller, and from other places as well.
pub(super) fn local_sources(work: &Work) -> Vec<LocalSource<'_>> {
    match work {
        Work::Copy { from, what } => {
            let patterns = what.patterns.iter().cloned();
            let source = |pattern| LocalSource {
                from,
                pattern,
                layout: what.layout,
            };
            patterns.map(source).collect()
        }
        Work::Run(spec) => {
            let mounts = spec.mounts.iter();
            let sources = mounts.filter_map(|mount| match &mount.source {
                MountSource::Bind { trees, path }
                | MountSource::Cache {
                    trees: Some(trees),
                    path,
                    ..
                } => Some(LocalSource {
                    from: trees,
                    pattern: escaped(path),
                    layout: CopyLayout::Contents,
                }),
                _ => None,
            });
            sources.collect()
        }
        Work::Nothing | Work::MakeDir(_) => Vec::new(),
    }
}

/// A pattern that matches this path alone: sources of mounts are no patterns.
pub(super) fn escaped(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

pub(super) fn ignore_file(text: Option<&NamedText>) -> Result<IgnoreFile, BuildError> {
    let Some(text) = text else {
        return Ok(IgnoreFile::default());
    };
    IgnoreFile::parse(&text.text).map_err(|source| BuildError::Ignore {
        file: text.name.clone(),
        source,
    })
}
