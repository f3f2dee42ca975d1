//! Lists of images, mirrors, and what refers to an image.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use repro_core::{
    digest::Digest,
    event::NoEvents,
    image::MediaType,
    reference::ImageRef,
    store::{BlobStore as _, put_bytes},
};
use repro_toolchains::registry::{
    MountCandidates, Platforms, ReferrersSource, RegistryError, fallback_tag,
};
use serde_json::json;

use crate::{
    Client, amd64, good,
    image::{INDEX, Image, MANIFEST},
    name,
    server::{Answer, Asked, Server},
    small_image,
};

fn entry(image: &Image, architecture: &str) -> serde_json::Value {
    json!({
        "mediaType": MANIFEST, "digest": image.digest(), "size": image.manifest.len(),
        "platform": {"os": "linux", "architecture": architecture},
    })
}

/// A registry with a list of two images.
fn two() -> (Server, [Arc<Image>; 2], Digest) {
    let images = [
        Arc::new(Image::new("amd64", b"one")),
        Arc::new(Image::new("arm64", b"two")),
    ];
    let index = json!({"schemaVersion": 2, "mediaType": INDEX,
        "manifests": [entry(&images[0], "amd64"), entry(&images[1], "arm64")]});
    let index = index.to_string();
    let digest = Digest::of(index.as_bytes());
    let own = images.clone();
    let server = Server::start(move |asked, _| {
        let name = asked.path.rsplit('/').next().unwrap();
        if name == "1" || name == digest.to_string() {
            return Answer::new(200)
                .header("Content-Type", INDEX)
                .body(index.clone());
        }
        let [one, two] = own.each_ref().map(|image| image.answer(asked));
        if one.is_found() { one } else { two }
    });
    (server, images, digest)
}

#[test]
fn of_a_list_one_some_or_all_images_are_taken() {
    let (server, [one, two], index) = two();
    let platforms = |platforms: Platforms, reference: &ImageRef| {
        let client = Client::new();
        let store = client.store.blobs();
        let pulled = client
            .registry()
            .pull(reference, &platforms, store, &NoEvents);
        let pulled = pulled.unwrap();
        (pulled.root.digest, [client.has(&one), client.has(&two)])
    };
    let tag = name(&server);
    let only = Platforms::One(amd64());
    assert_eq!(platforms(only.clone(), &tag), (one.digest(), [true, false]));
    // Asked for by its digest, the list is what was asked for.
    let pinned = tag.with_digest(index);
    assert_eq!(platforms(only, &pinned), (index, [true, false]));
    let several = Platforms::Several([amd64(), "linux/arm64".parse().unwrap()].into());
    assert_eq!(platforms(several, &tag), (index, [true, true]));
    assert_eq!(platforms(Platforms::All, &tag), (index, [true, true]));
}

#[test]
fn what_a_tag_means_is_one_manifest_of_a_platform() {
    let (server, [one, _], index) = two();
    let client = Client::new();
    let resolved = client.registry().resolve(&name(&server), &amd64()).unwrap();
    assert_eq!(resolved.index, Some(index));
    assert_eq!(resolved.manifest, one.descriptor().with_platform(amd64()));
    let blobs = server.asked_for("/blobs/");
    // The configuration, and no layer.
    assert_eq!(blobs.len(), 1);
    let missing = client
        .registry()
        .resolve(&name(&server), &"linux/s390x".parse().unwrap());
    let error = missing.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("linux/amd64, linux/arm64"), "{source}");
}

#[test]
fn a_mirror_is_asked_first_and_believed_as_little() {
    let image = small_image();
    let (registry, mirror) = (good(&image), good(&image));
    let mut client = Client::new();
    client.settings.mirrors = vec![
        format!("{}=http://{}/cache", registry.host, mirror.host)
            .parse()
            .unwrap(),
    ];
    client.pull(&name(&registry)).unwrap();
    assert!(registry.asked().is_empty());
    assert_eq!(mirror.asked()[0].path, "/v2/cache/a/b/manifests/1");

    // One that lies, or has nothing, is passed by.
    let layer = Digest::of(&image.layer).to_string();
    let own = Arc::clone(&image);
    let liar = Server::start(move |asked, _| {
        if asked.path.ends_with(&layer) {
            return Answer::new(200).body("LAYER");
        }
        own.answer(asked)
    });
    let empty = Server::start(|_, _| Answer::new(404));
    let mut client = Client::new();
    client.settings.mirrors = [&liar, &empty]
        .map(|mirror| {
            format!("{}=http://{}", registry.host, mirror.host)
                .parse()
                .unwrap()
        })
        .to_vec();
    client.pull(&name(&registry)).unwrap();
    assert!(client.has(&image));
    assert!(!registry.asked().is_empty());

    // Where all fail, all are named.
    let gone = Server::start(|_, _| Answer::new(404));
    let mut client = Client::new();
    client.settings.mirrors = vec![
        format!("{}=http://{}", gone.host, empty.host)
            .parse()
            .unwrap(),
    ];
    let error = client.pull(&name(&gone)).unwrap_err();
    assert!(matches!(error, RegistryError::Everywhere { .. }), "{error}");
    assert!(error.to_string().contains(&empty.host), "{error}");
}

/// A registry that keeps what it is given. With `own` it keeps lists of referrers.
struct Keeper {
    server: Server,
}

impl Keeper {
    fn start(own: bool) -> Self {
        let kept: Mutex<BTreeMap<String, Vec<u8>>> = Mutex::default();
        let server = Server::start(move |asked, _| {
            let mut kept = kept.lock().unwrap();
            answer(asked, &mut kept, own)
        });
        Self { server }
    }
}

fn answer(asked: &Asked, kept: &mut BTreeMap<String, Vec<u8>>, own: bool) -> Answer {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let name = path.rsplit('/').next().unwrap().to_owned();
    match asked.method.as_str() {
        "POST" => Answer::new(202).header("Location", "/v2/a/b/blobs/uploads/one?state=x"),
        "PUT" if path.contains("/uploads/") => {
            let digest = query.split("digest=").nth(1).unwrap();
            assert_eq!(Digest::of(&asked.body).to_string(), digest);
            kept.insert(digest.to_owned(), asked.body.clone());
            Answer::new(201)
        }
        "PUT" => {
            let json: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
            kept.insert(name, asked.body.clone());
            kept.insert(Digest::of(&asked.body).to_string(), asked.body.clone());
            match json["subject"]["digest"].as_str() {
                Some(subject) if own => {
                    let entry = json!({"mediaType": MANIFEST, "artifactType": json["artifactType"],
                        "digest": Digest::of(&asked.body), "size": asked.body.len()});
                    // A page for each.
                    let page =
                        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]});
                    let pages = kept.keys().filter(|key| key.starts_with("page")).count();
                    kept.insert(format!("page{pages}"), page.to_string().into_bytes());
                    Answer::new(201).header("OCI-Subject", subject)
                }
                _ => Answer::new(201),
            }
        }
        _ if path == "/v2/" => Answer::new(200),
        _ if path.contains("/referrers/") && own => {
            let page: usize = query
                .strip_prefix("page=")
                .map_or(0, |page| page.parse().unwrap());
            let answer = Answer::new(200).header("Content-Type", INDEX);
            let more = kept.contains_key(&format!("page{}", page + 1));
            let link = format!("<{path}?page={}>; rel=\"next\"", page + 1);
            let answer = if more {
                answer.header("Link", link)
            } else {
                answer
            };
            answer.body(
                kept.get(&format!("page{page}"))
                    .cloned()
                    .unwrap_or_default(),
            )
        }
        _ => match kept.get(&name) {
            Some(bytes) if name.starts_with("sha256-") => Answer::new(200)
                .header("Content-Type", INDEX)
                .body(bytes.clone()),
            Some(bytes) => Answer::new(200)
                .header("Content-Type", MANIFEST)
                .body(bytes.clone()),
            None => Answer::new(404),
        },
    }
}

/// A store with an image and two artifacts about it.
fn with_artifacts(client: &Client) -> (Arc<Image>, [Digest; 2]) {
    let image = small_image();
    let store = client.store.blobs();
    for bytes in [&image.layer, &image.config, &image.manifest] {
        put_bytes(store, bytes).unwrap();
    }
    let empty = put_bytes(store, b"{}").unwrap();
    let artifacts = ["text/one", "text/two"].map(|kind| {
        let layer = put_bytes(store, kind.as_bytes()).unwrap();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json",
                "digest": empty.digest, "size": empty.size},
            "layers": [{"mediaType": kind, "digest": layer.digest, "size": layer.size}],
            "subject": {"mediaType": MANIFEST, "digest": image.digest(), "size": image.manifest.len()},
            "annotations": {"made": "by a test"},
        });
        put_bytes(store, manifest.to_string().as_bytes()).unwrap().digest
    });
    (image, artifacts)
}

#[test]
fn referrers_are_found_whoever_keeps_the_list() {
    for (own, source) in [
        (true, ReferrersSource::Registry),
        (false, ReferrersSource::Tag),
    ] {
        let Keeper { server } = Keeper::start(own);
        let client = Client::new();
        let (image, artifacts) = with_artifacts(&client);
        let registry = client.registry();
        let name = name(&server);
        let store = client.store.blobs();
        let root = image.descriptor();
        registry
            .push(&root, &name, &MountCandidates::default(), store, &NoEvents)
            .unwrap();
        for artifact in artifacts.iter().chain([&artifacts[0]]) {
            registry
                .push_referrer(*artifact, &name, store, &NoEvents)
                .unwrap();
            if own {
                break;
            }
        }
        if own {
            registry
                .push_referrer(artifacts[1], &name, store, &NoEvents)
                .unwrap();
        }
        let all = registry.referrers(&name, image.digest(), None).unwrap();
        let found: Vec<_> = all.manifests.iter().map(|found| found.digest).collect();
        assert_eq!((found, all.source), (artifacts.to_vec(), source));
        let one = registry
            .referrers(&name, image.digest(), Some("text/two"))
            .unwrap();
        assert_eq!(one.manifests.len(), 1);
        assert_eq!(one.manifests[0].digest, artifacts[1]);
        assert_eq!(one.manifests[0].media_type, MediaType::OciManifest);
        let written = server.asked_for(&fallback_tag(image.digest()));
        let written = written.iter().filter(|asked| asked.method == "PUT").count();
        assert_eq!(written, if own { 0 } else { 2 });
    }
}

#[test]
fn an_artifact_about_nothing_is_no_referrer() {
    let Keeper { server } = Keeper::start(false);
    let client = Client::new();
    let (image, _) = with_artifacts(&client);
    let registry = client.registry();
    let name = name(&server);
    let error = registry.push_referrer(image.digest(), &name, client.store.blobs(), &NoEvents);
    assert!(matches!(error, Err(RegistryError::NoSubject(_))));
    assert!(
        registry
            .referrers(&name, image.digest(), None)
            .unwrap()
            .manifests
            .is_empty()
    );
}

#[test]
fn a_list_with_a_hole_is_not_pushed() {
    let (from, [one, two], index) = two();
    let client = Client::new();
    let pinned = name(&from).with_digest(index);
    let root = client.pull(&pinned).unwrap().root;
    let Keeper { server } = Keeper::start(false);
    let (registry, store) = (client.registry(), client.store.blobs());
    let to = name(&server);
    let error = registry.push(&root, &to, &MountCandidates::default(), store, &NoEvents);
    let Err(RegistryError::Incomplete { missing, .. }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(missing, two.digest());
    assert!(server.asked().is_empty());
    let other = to.with_digest(one.digest());
    let error = registry.push(&root, &other, &MountCandidates::default(), store, &NoEvents);
    assert!(matches!(error, Err(RegistryError::OtherDigest { .. })));
    assert_eq!(store.size(two.digest()).unwrap(), None);
}
