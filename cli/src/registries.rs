//! Registries, as the options and the surroundings describe them.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use repro_core::{
    digest::Digest,
    image::{Descriptor, Reach, StoredImage, find_platform, load_image, reach},
    platform::Platform,
    reference::ImageRef,
    store::Store,
};
use repro_toolchains::{
    fetch::RetryPolicy,
    registry::{
        CredentialSources, MountCandidates, Platforms, Pushed, Registry, RegistryMirror,
        RegistrySettings, Trust,
    },
};

use crate::{
    ambient::{self, Surroundings},
    commands::Context,
    error::CommandError,
};

/// Where the machine's administrator says whom to believe, as Docker and Podman have it.
const CERTS_DIRS: [&str; 2] = ["/etc/containers/certs.d", "/etc/docker/certs.d"];

/// How registries are reached.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct RegistryArgs {
    /// Ask this mirror of a registry before the registry itself; repeat for several. What the URL has
    /// behind its host comes before the repository
    #[arg(
        long = "registry-mirror",
        value_name = "HOST=URL",
        help_heading = "Registries",
        env = "REPRO_REGISTRY_MIRROR",
        value_delimiter = ' '
    )]
    registry_mirrors: Vec<RegistryMirror>,
    /// Read credentials from this file alone, in the form of Docker's config.json; unless given, those
    /// of Podman and Docker are looked at
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Registries",
        env = "REGISTRY_AUTH_FILE"
    )]
    authfile: Option<PathBuf>,
    /// Believe the certificate authorities in this file (PEM), besides those of the machine and of
    /// certs.d; repeat for several
    #[arg(
        long = "tls-ca",
        value_name = "FILE",
        help_heading = "Registries",
        env = "REPRO_TLS_CA",
        value_delimiter = ':'
    )]
    authorities: Vec<PathBuf>,
    /// Talk to this registry without TLS; repeat for several. Those on this machine need not be named
    #[arg(
        long = "plain-http",
        value_name = "HOST[:PORT]",
        help_heading = "Registries",
        env = "REPRO_PLAIN_HTTP",
        value_delimiter = ' '
    )]
    plain_http: Vec<String>,
}

impl RegistryArgs {
    /// A client that ends its work when `cancelled` is set.
    pub(crate) fn client(&self, store: &Store, cancelled: Arc<AtomicBool>) -> Registry {
        let surroundings = ambient::surroundings();
        Registry::new(RegistrySettings {
            credentials: self.credentials(&surroundings),
            mirrors: self.registry_mirrors.clone(),
            plain_http: self.plain_http.iter().cloned().collect(),
            trust: Trust {
                files: self.authorities.clone(),
                dirs: certs_dirs(&surroundings),
            },
            partial: store.blobs().tmp().to_owned(),
            retry: RetryPolicy::default(),
            cancelled,
        })
    }

    /// A client for a command that does nothing else: a signal stops it.
    pub(crate) fn watched(&self, context: &Context, store: &Store) -> Registry {
        let cancelled = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&cancelled);
        context
            .interrupts
            .on_signal(move || stop.store(true, Ordering::SeqCst));
        self.client(store, cancelled)
    }

    /// In the order of Podman (containers-auth.json(5)), which ends with Docker's file.
    fn credentials(&self, around: &Surroundings) -> CredentialSources {
        let files = match &self.authfile {
            Some(file) => vec![file.clone()],
            None => [
                around
                    .runtime_dir
                    .as_ref()
                    .map(|dir| dir.join("containers/auth.json")),
                around
                    .config_dir()
                    .map(|dir| dir.join("containers/auth.json")),
                around.docker_dir().map(|dir| dir.join("config.json")),
            ]
            .into_iter()
            .flatten()
            .collect(),
        };
        CredentialSources {
            files,
            helper_dirs: around.path.clone(),
        }
    }
}

fn certs_dirs(around: &Surroundings) -> Vec<PathBuf> {
    let own = [
        around
            .config_dir()
            .map(|dir| dir.join("containers/certs.d")),
        around.docker_dir().map(|dir| dir.join("certs.d")),
    ];
    own.into_iter()
        .flatten()
        .chain(CERTS_DIRS.map(PathBuf::from))
        .collect()
}

/// Brings images into the store, without a name there; the digest of the document that has them.
pub(crate) fn pull(
    args: &RegistryArgs,
    context: &Context,
    store: &Store,
    reference: &ImageRef,
    platforms: &Platforms,
) -> Result<Digest, CommandError> {
    let registry = args.watched(context, store);
    let events = context.settings.view.start(&context.settings.output);
    let pulled = registry.pull(reference, platforms, store.blobs(), events.as_ref())?;
    Ok(pulled.root.digest)
}

/// Brings the image of one platform into the store, without a name there.
pub(crate) fn fetch(
    args: &RegistryArgs,
    context: &Context,
    store: &Store,
    reference: &ImageRef,
    platform: &Platform,
) -> Result<StoredImage, CommandError> {
    let root = pull(
        args,
        context,
        store,
        reference,
        &Platforms::One(platform.clone()),
    )?;
    let manifest = find_platform(store.blobs(), root, platform)?;
    Ok(load_image(store.blobs(), manifest)?)
}

/// Sends an image or index of the store to a registry.
pub(crate) fn send(
    registry: &Registry,
    context: &Context,
    store: &Store,
    root: &Descriptor,
    to: &ImageRef,
) -> Result<Pushed, CommandError> {
    let mounts = mounts(store, root, to)?;
    let events = context.settings.view.start(&context.settings.output);
    Ok(registry.push(root, to, &mounts, store.blobs(), events.as_ref())?)
}

/// Which repositories of the registry have blobs of the image, as far as names of the store tell.
fn mounts(
    store: &Store,
    root: &Descriptor,
    to: &ImageRef,
) -> Result<MountCandidates, CommandError> {
    let mut wanted = Reach::default();
    reach(store.blobs(), root.digest, &mut wanted)?;
    let mut mounts = MountCandidates::default();
    for (name, image) in store.tags()? {
        let elsewhere = name.registry() == to.registry() && name.repository() != to.repository();
        if !elsewhere {
            continue;
        }
        let mut has = Reach::default();
        reach(store.blobs(), image.digest, &mut has)?;
        for blob in has.blobs.intersection(&wanted.blobs) {
            mounts
                .0
                .entry(*blob)
                .or_insert_with(|| name.repository().to_owned());
        }
    }
    Ok(mounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_looked_for_where_podman_and_docker_keep_them() {
        let around = |docker: Option<&str>| Surroundings {
            home: Some("/h".into()),
            runtime_dir: Some("/run/user/7".into()),
            config_home: None,
            docker_config: docker.map(Into::into),
            path: vec!["/bin".into()],
        };
        let files = |args: &RegistryArgs, docker| args.credentials(&around(docker)).files;
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let args = RegistryArgs::default();
        let expected = [
            "/run/user/7/containers/auth.json",
            "/h/.config/containers/auth.json",
            "/h/.docker/config.json",
        ];
        assert_eq!(files(&args, None), paths(&expected));
        assert_eq!(files(&args, Some("/d"))[2..], paths(&["/d/config.json"]));
        let args = RegistryArgs {
            authfile: Some("/a".into()),
            ..args
        };
        assert_eq!(files(&args, Some("/d")), paths(&["/a"]));
    }
}
