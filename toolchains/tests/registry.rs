//! A client and a registry that lies, breaks off, sends elsewhere, or asks who is there.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "registry/auth.rs"]
mod auth;
#[path = "registry/hostile.rs"]
mod hostile;
#[path = "registry/image.rs"]
mod image;
#[path = "registry/lists.rs"]
mod lists;
#[path = "registry/server.rs"]
mod server;
#[path = "registry/transfer.rs"]
mod transfer;

use std::{sync::Arc, time::Duration};

use repro_core::{
    event::NoEvents,
    platform::Platform,
    reference::ImageRef,
    store::{BlobStore as _, Store},
};
use repro_toolchains::{
    fetch::RetryPolicy,
    registry::{Platforms, Pulled, Registry, RegistryError, RegistrySettings},
};
use tempfile::TempDir;

use crate::{image::Image, server::Server};

/// A store of its own, and the settings of a client.
struct Client {
    dir: TempDir,
    store: Store,
    settings: RegistrySettings,
}

impl Client {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let mut settings = RegistrySettings::at(store.blobs().tmp().to_owned());
        settings.retry = RetryPolicy {
            attempts: 3,
            first_wait: Duration::from_millis(1),
        };
        Self {
            dir,
            store,
            settings,
        }
    }

    /// With credentials for a host, in a file of Docker's form.
    fn knowing(self, host: &str, entry: &serde_json::Value) -> Self {
        let mut client = self;
        let path = client.dir.path().join("config.json");
        let file = serde_json::json!({"auths": {host: entry}});
        std::fs::write(&path, file.to_string()).unwrap();
        client.settings.credentials.files = vec![path];
        client
    }

    fn registry(&self) -> Registry {
        Registry::new(self.settings.clone())
    }

    fn pull(&self, reference: &ImageRef) -> Result<Pulled, RegistryError> {
        let platforms = Platforms::One("linux/amd64".parse().unwrap());
        self.registry()
            .pull(reference, &platforms, self.store.blobs(), &NoEvents)
    }

    fn has(&self, image: &Image) -> bool {
        let digest = repro_core::digest::Digest::of(&image.layer);
        let blobs = self.store.blobs();
        blobs.size(digest).unwrap().is_some() && blobs.size(image.digest()).unwrap().is_some()
    }
}

fn name(server: &Server) -> ImageRef {
    format!("{}/a/b:1", server.host).parse().unwrap()
}

fn amd64() -> Platform {
    "linux/amd64".parse().unwrap()
}

/// A good registry that has `image`.
fn good(image: &Arc<Image>) -> Server {
    let image = Arc::clone(image);
    Server::start(move |asked, _| image.answer(asked))
}

fn small_image() -> Arc<Image> {
    Arc::new(Image::new("amd64", b"layer"))
}
