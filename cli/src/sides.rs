//! What `repro diff` compares: images of the store, archives, layers and directories, each made an
//! image that nothing keeps.

use std::{
    fmt,
    fs::File,
    io::{self, BufReader, Read, Write as _},
    path::{Path, PathBuf},
    str::FromStr,
};

use repro_core::{
    digest::{DiffId, Digest, HashingWriter},
    image::{
        Compression, ImageConfig, LayerDescriptor, MediaType,
        transport::{Archive, ImportOptions, Location, LocationError, import_all},
        write_image,
    },
    layer::{LayerReader, Limits, decompress},
    platform::Platform,
    reference::{ImageRef, ReferenceError},
    ruleset::Ruleset,
    store::{BlobError, BlobStore, BlobWriter, LocalBlobs, Store},
    tree::EntrySource as _,
};
use repro_verifier::compare::Tree;

use crate::{
    error::{CommandError, io_kind},
    images,
};

/// One of two things to compare, as the user writes it.
#[derive(Debug, Clone)]
pub(crate) struct Side {
    text: String,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    /// With a transport, or by its name in the store.
    Location(Location),
    /// `dir:PATH`.
    Directory(PathBuf),
    /// `layer:FILE`: one layer, its removals as they are.
    Layer(PathBuf),
    /// A path: what it is decides what lies there.
    Path(PathBuf),
}

/// Why a text names nothing that can be compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SideError {
    /// It is no name of an image, and begins like none of the others.
    #[error("{0}; a path begins with . or /")]
    Name(ReferenceError),
    /// What stands behind a transport.
    #[error(transparent)]
    Location(LocationError),
}

impl From<LocationError> for SideError {
    fn from(error: LocationError) -> Self {
        match error {
            LocationError::Reference(error) => Self::Name(error),
            error => Self::Location(error),
        }
    }
}

impl FromStr for Side {
    type Err = SideError;

    fn from_str(text: &str) -> Result<Self, SideError> {
        let what = match text.split_once(':') {
            Some(("dir", "")) => return Err(LocationError::NoPath("dir").into()),
            Some(("layer", "")) => return Err(LocationError::NoPath("layer").into()),
            Some(("dir", path)) => What::Directory(path.into()),
            Some(("layer", path)) => What::Layer(path.into()),
            // No reference begins like a path, so that nothing on the disk can hide an image.
            _ if text.starts_with(['.', '/']) => What::Path(text.into()),
            _ => What::Location(text.parse()?),
        };
        Ok(Self {
            text: text.to_owned(),
            what,
        })
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Side {
    /// Says how a path is written, where what is no image in the store is one.
    fn or_path(&self, error: CommandError) -> CommandError {
        if Path::new(&self.text).exists() {
            error.hint(format!("to compare what lies at {self}, write ./{self}"))
        } else {
            error
        }
    }
}

/// What a side turned out to be.
#[derive(Debug)]
pub(crate) enum Loaded {
    /// An image, or an index of several: the digest of its document.
    Image(Digest),
    /// A directory, compared where it lies.
    Directory(PathBuf),
}

impl Loaded {
    /// As a file system.
    pub(crate) fn tree(&self) -> Tree<'_> {
        match self {
            Self::Image(digest) => Tree::Image(*digest),
            Self::Directory(path) => Tree::Directory(path),
        }
    }
}

/// Brings an image of a registry into the store; the digest of its document.
pub(crate) type Fetch<'a> = dyn Fn(&ImageRef) -> Result<Digest, CommandError> + 'a;

/// The user's store below a place of its own: what a comparison makes is gone when it is done.
pub(crate) struct Scratch<'a> {
    store: &'a Store,
    made: LocalBlobs,
}

impl<'a> Scratch<'a> {
    /// Writes to the directory `dir`.
    pub(crate) fn new(store: &'a Store, dir: &Path) -> Result<Self, CommandError> {
        let made =
            LocalBlobs::open(dir).map_err(|error| CommandError::new(io_kind(&error), &error))?;
        Ok(Self { store, made })
    }

    /// What `side` is. `fetch` brings one of a registry into the store.
    pub(crate) fn load(&self, side: &Side, fetch: &Fetch<'_>) -> Result<Loaded, CommandError> {
        let failed = |error: CommandError| error.context(format!("cannot read {side}"));
        match &side.what {
            What::Location(Location::Store(reference)) => {
                let found = images::find(self.store, reference);
                let found = found.map_err(|error| side.or_path(error))?;
                Ok(Loaded::Image(found.digest))
            }
            What::Location(Location::Archive(archive)) => self.archive(archive).map_err(failed),
            What::Location(Location::Registry(reference)) => {
                Ok(Loaded::Image(fetch(reference).map_err(failed)?))
            }
            What::Directory(path) => Self::directory(path).map_err(failed),
            What::Layer(path) => self.layer(path).map_err(failed),
            What::Path(path) => self.path(path).map_err(failed),
        }
    }

    fn archive(&self, archive: &Archive) -> Result<Loaded, CommandError> {
        let options = ImportOptions {
            platform: &Platform::host(),
            limits: Limits::default(),
            ruleset: Ruleset::default(),
        };
        Ok(Loaded::Image(import_all(&self.made, archive, options)?))
    }

    fn directory(path: &Path) -> Result<Loaded, CommandError> {
        let wrong = |error: io::Error| CommandError::new(io_kind(&error), &error);
        if path.metadata().map_err(wrong)?.is_dir() {
            Ok(Loaded::Directory(path.to_owned()))
        } else {
            Err(wrong(io::ErrorKind::NotADirectory.into()))
        }
    }

    /// One layer as it is, plain or compressed.
    fn layer(&self, path: &Path) -> Result<Loaded, CommandError> {
        let wrong = |error: io::Error| CommandError::new(io_kind(&error), &error);
        let (mut file, compression, size) = open(path).map_err(wrong)?;
        let mut blob = self.made.create()?;
        io::copy(&mut file, &mut blob).map_err(wrong)?;
        let stored = blob.commit()?;
        let (file, _, _) = open(path).map_err(wrong)?;
        let mut plain = decompress(Box::new(file), compression, size, Limits::default());
        let mut hash = HashingWriter::new(io::sink());
        io::copy(&mut plain, &mut hash).map_err(wrong)?;
        hash.flush().map_err(wrong)?;
        let (diff_id, _, _) = hash.finish();
        let layer = LayerDescriptor {
            media_type: match compression {
                Compression::None => MediaType::OciLayer,
                Compression::Gzip => MediaType::OciLayerGzip,
                Compression::Zstd => MediaType::OciLayerZstd,
            },
            digest: stored.digest,
            size: stored.size,
            diff_id: DiffId(diff_id),
        };
        let config = ImageConfig::for_platform(&Platform::host());
        let image = write_image(&self.made, &config, &[layer])?;
        Ok(Loaded::Image(image.descriptor.digest))
    }

    fn path(&self, path: &Path) -> Result<Loaded, CommandError> {
        let wrong = |error: io::Error| CommandError::new(io_kind(&error), &error);
        if path.metadata().map_err(wrong)?.is_dir() {
            if path.join("oci-layout").is_file() {
                let dir = path.to_owned();
                return self.archive(&Archive::OciDir { dir, tag: None });
            }
            return Self::directory(path);
        }
        let file = path.to_owned();
        match form(path).map_err(wrong)? {
            Form::OciArchive => self.archive(&Archive::OciArchive { file, tag: None }),
            Form::DockerArchive => self.archive(&Archive::DockerArchive {
                file,
                reference: None,
            }),
            Form::Layer => self.layer(path),
        }
    }
}

/// What a tar holds.
enum Form {
    OciArchive,
    DockerArchive,
    Layer,
}

/// Tells an archive of an image from a layer, by the documents that only the former has.
fn form(path: &Path) -> io::Result<Form> {
    let (file, compression, size) = open(path)?;
    let limits = Limits::default();
    let tar = decompress(Box::new(file), compression, size, limits);
    let mut tar = LayerReader::new(BufReader::new(tar), limits);
    let (mut layout, mut manifest) = (false, false);
    while tar.next_entry(&mut |entry, _| {
        layout |= entry.path.as_bytes() == b"oci-layout";
        manifest |= entry.path.as_bytes() == b"manifest.json";
        Ok(())
    })? {}
    // Newer archives of Docker are layouts as well, with names that only `manifest.json` has.
    Ok(match (manifest, layout) {
        (true, _) => Form::DockerArchive,
        (false, true) => Form::OciArchive,
        (false, false) => Form::Layer,
    })
}

/// A file with its compression, by its magic, and its size.
fn open(path: &Path) -> io::Result<(File, Compression, u64)> {
    let mut head = [0; 4];
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let read = file.read(&mut head)?;
    let compression = match &head[..read] {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
        _ => Compression::None,
    };
    Ok((File::open(path)?, compression, size))
}

impl BlobStore for Scratch<'_> {
    fn size(&self, digest: Digest) -> Result<Option<u64>, BlobError> {
        match self.made.size(digest)? {
            Some(size) => Ok(Some(size)),
            None => self.store.blobs().size(digest),
        }
    }

    fn open(&self, digest: Digest) -> Result<Box<dyn Read + Send>, BlobError> {
        match self.made.size(digest)? {
            Some(_) => self.made.open(digest),
            None => self.store.blobs().open(digest),
        }
    }

    fn create(&self) -> Result<Box<dyn BlobWriter + '_>, BlobError> {
        self.made.create()
    }
}
