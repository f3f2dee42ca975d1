//! `--iidfile` and `--metadata-file`: what a build came to, for scripts.

use std::{io, path::Path};

use repro_core::{
    build::{BuildRecord, ImageRecord, RunId},
    image::{Descriptor, StoredImage},
    reference::ImageRef,
};
use serde_json::{Map, Value, json};

use crate::{
    error::{CommandError, ErrorKind, io_kind},
    files,
};

/// The image that is delivered: that of run A.
pub(crate) fn image_of(record: &BuildRecord) -> Option<&ImageRecord> {
    let mut runs = record.runs.iter();
    runs.find(|run| run.id == RunId::A)?.image.as_ref()
}

/// Removes what an earlier build left: a build that fails must not leave another's id behind.
pub(crate) fn forget(paths: &[Option<&Path>]) -> Result<(), CommandError> {
    for path in paths.iter().copied().flatten() {
        // A device or a named pipe holds nothing of an earlier build, and is not to be removed.
        let special =
            std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
        if special {
            continue;
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(CommandError::new(io_kind(&error), &error)
                    .context(format!("cannot replace {}", path.display())));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes the image's id: the digest of its configuration, as in Docker, without a line's end.
pub(crate) fn write_id(path: &Path, image: &ImageRecord) -> Result<(), CommandError> {
    files::write(path, image.config.to_string().as_bytes())
}

/// Writes the document that `docker buildx build --metadata-file` writes, as far as its fields mean
/// something here.
pub(crate) fn write_metadata(
    path: &Path,
    image: &StoredImage,
    names: &[ImageRef],
) -> Result<(), CommandError> {
    let text = serde_json::to_string_pretty(&metadata(&image.descriptor, image, names))
        .map_err(|error| CommandError::new(ErrorKind::Internal, &error))?;
    files::write(path, text.as_bytes())
}

fn metadata(descriptor: &Descriptor, image: &StoredImage, names: &[ImageRef]) -> Value {
    let mut fields = Map::from_iter([
        (
            "containerimage.config.digest".to_owned(),
            json!(image.manifest.config.digest),
        ),
        ("containerimage.descriptor".to_owned(), json!(descriptor)),
        ("containerimage.digest".to_owned(), json!(descriptor.digest)),
    ]);
    if !names.is_empty() {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        fields.insert("image.name".to_owned(), json!(names.join(",")));
    }
    Value::Object(fields)
}
