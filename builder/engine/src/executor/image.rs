//! Images that containers start from: the helper, and over it the tree that a stage begins with, as one
//! layer each. An engine that has one is found to have it by its name, which holds its digest.

use std::{
    fs::File,
    io::{self, Seek as _},
    path::Path,
    sync::{Mutex, PoisonError},
};

use bollard::{
    errors::Error as ApiError,
    query_parameters::{ListImagesOptionsBuilder, RemoveImageOptions},
};
use repro_core::{
    build::ExecutorError,
    digest::{ChainId, Digest, HashingWriter},
    event::EventSink,
    layer::LayerWriter,
    platform::Platform,
    ruleset::Ruleset,
    tree::{Entry, EntryKind, EntrySink as _, Meta, TreePath},
};
use repro_sandbox::guest::{Helper, PLACE};
use serde_json::json;

use super::{labels, trees::Tree};
use crate::{Client, EngineError};

/// Repository of all of them. `localhost` as its host: no engine would ask a server for one.
pub(super) const REPOSITORY: &str = "repro.localhost/base";

/// The images of one engine.
#[derive(Debug)]
pub(super) struct Images {
    helper: HelperLayer,
    /// Held while one is looked for and loaded, so that both runs do not load it.
    loading: Mutex<()>,
}

/// The helper as a layer.
#[derive(Debug)]
struct HelperLayer {
    archive: File,
    diff_id: Digest,
    command: Vec<String>,
}

impl Images {
    /// Packs the helper. `tmp` is for files that go with this process.
    pub(super) fn new(helper: Helper, tmp: &Path) -> Result<Self, ExecutorError> {
        let helper = pack(helper, tmp).map_err(|error| ExecutorError::Exhausted {
            what: "cannot pack the helper for containers".to_owned(),
            source: Some(error),
        })?;
        Ok(Self {
            helper,
            loading: Mutex::default(),
        })
    }

    /// The command of a container's first process.
    pub(super) fn command(&self) -> &[String] {
        &self.helper.command
    }

    /// The name of the image whose tree is that of `chain`, on which nothing else decides.
    fn name(&self, chain: Option<ChainId>) -> String {
        let chain = chain.map_or_else(|| "scratch".to_owned(), |chain| chain.to_string());
        let both = format!("{} {chain}", self.helper.diff_id);
        format!("{REPOSITORY}:{}", Digest::of(both.as_bytes()).hex())
    }

    /// The image with `tree`, loaded if the engine does not have it.
    pub(super) fn ensure(
        &self,
        client: &Client,
        chain: Option<ChainId>,
        tree: &Tree,
        (tmp, events): (&Path, &dyn EventSink),
    ) -> Result<String, ExecutorError> {
        let name = self.name(chain);
        let _one_at_a_time = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        match client.wait(client.docker.inspect_image(&name)) {
            Ok(_) => return Ok(name),
            Err(ApiError::DockerResponseServerError {
                status_code: 404, ..
            }) => {}
            Err(error) => return Err(EngineError::of("look for an image", error).into()),
        }
        let archive = self
            .archive(&name, tree, tmp)
            .map_err(|error| ExecutorError::Exhausted {
                what: "cannot write an image for the engine".to_owned(),
                source: Some(error),
            })?;
        client.load(archive, events)?;
        Ok(name)
    }

    /// The image as `docker save` writes it.
    fn archive(&self, name: &str, tree: &Tree, tmp: &Path) -> io::Result<File> {
        let (layer, diff_id) = spool(tmp, |writer| tree.write_to(writer))?;
        let platform = Platform::host();
        let config = json!({
            "architecture": platform.architecture(),
            "os": platform.os(),
            "config": {"Labels": {labels::BASE: "1"}},
            "rootfs": {
                "type": "layers",
                "diff_ids": [self.helper.diff_id.to_string(), diff_id.to_string()],
            },
        });
        let config = serde_json::to_vec(&config)?;
        let config_name = format!("{}.json", Digest::of(&config).hex());
        let layers = [
            (&self.helper.archive, self.helper.diff_id),
            (&layer, diff_id),
        ];
        let file = |digest: Digest| format!("{}/layer.tar", digest.hex());
        let manifest = json!([{
            "Config": config_name,
            "RepoTags": [name],
            "Layers": layers.map(|(_, digest)| file(digest)),
        }]);
        let mut archive = tar::Builder::new(tempfile::tempfile_in(tmp)?);
        let mut add = |name: &str, size: u64, content: &mut dyn io::Read| {
            let mut header = tar::Header::new_ustar();
            header.set_size(size);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, content)
        };
        for (mut content, digest) in layers {
            content.rewind()?;
            add(&file(digest), content.metadata()?.len(), &mut content)?;
        }
        add(&config_name, config.len() as u64, &mut &config[..])?;
        let manifest = serde_json::to_vec(&manifest)?;
        add("manifest.json", manifest.len() as u64, &mut &manifest[..])?;
        let mut archive = archive.into_inner()?;
        archive.rewind()?;
        Ok(archive)
    }
}

/// Removes every image that was loaded for containers to start from; one in use stays. Gives how many.
pub(super) fn remove_all(client: &Client) -> Result<u64, EngineError> {
    let label = [("label".to_owned(), vec![labels::BASE.to_owned()])];
    let options = ListImagesOptionsBuilder::default()
        .filters(&label.into_iter().collect())
        .build();
    let found = client
        .wait(client.docker.list_images(Some(options)))
        .map_err(|error| EngineError::of("list images", error))?;
    let mut removed = 0;
    for image in found {
        let ended = client.wait(client.docker.remove_image(
            &image.id,
            None::<RemoveImageOptions>,
            None,
        ));
        match ended {
            Ok(_) => removed += 1,
            Err(ApiError::DockerResponseServerError {
                // Gone, or in use.
                status_code: 404 | 409,
                ..
            }) => {}
            Err(error) => return Err(EngineError::of("remove an image", error)),
        }
    }
    Ok(removed)
}

fn pack(helper: Helper, tmp: &Path) -> io::Result<HelperLayer> {
    let place = TreePath::parse(PLACE.as_bytes()).map_err(io::Error::other)?;
    let meta = Meta {
        mode: 0o755,
        ..Meta::default()
    };
    let (archive, diff_id) = spool(tmp, |writer| {
        let directory = Entry {
            path: place.clone(),
            kind: EntryKind::Directory,
            meta: meta.clone(),
        };
        writer.entry(&directory, &mut io::empty())?;
        for mut file in helper.files {
            file.content.rewind()?;
            let entry = Entry {
                path: place.join(file.name.as_bytes()).map_err(io::Error::other)?,
                kind: EntryKind::File {
                    size: file.content.metadata()?.len(),
                },
                meta: meta.clone(),
            };
            writer.entry(&entry, &mut file.content)?;
        }
        Ok(())
    })?;
    Ok(HelperLayer {
        archive,
        diff_id,
        command: helper.command,
    })
}

/// Writes a layer to a file without a name.
fn spool(
    tmp: &Path,
    entries: impl FnOnce(&mut LayerWriter<Hashing>) -> io::Result<()>,
) -> io::Result<(File, Digest)> {
    let file = io::BufWriter::with_capacity(256 << 10, tempfile::tempfile_in(tmp)?);
    let mut writer = LayerWriter::new(HashingWriter::new(file), Ruleset::V1);
    entries(&mut writer)?;
    let (digest, _, file) = writer.finish()?.finish();
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok((file, digest))
}

/// What a layer is written to: a file, and its digest.
type Hashing = HashingWriter<io::BufWriter<File>>;
