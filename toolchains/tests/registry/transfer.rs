//! Transfers that break, wait, go on and stop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use repro_core::{digest::Digest, store::BlobStore as _};
use repro_toolchains::registry::RegistryError;

use crate::{
    Client, good,
    image::Image,
    name,
    server::{Answer, Manner, Server},
    small_image,
};

/// Answers requests for the layer in another way, the first `times` times.
fn with_layer(
    image: &Arc<Image>,
    times: usize,
    other: impl Fn(&Image) -> Answer + Send + Sync + 'static,
) -> Server {
    let (image, count) = (Arc::clone(image), AtomicUsize::new(0));
    let layer = Digest::of(&image.layer).to_string();
    Server::start(move |asked, _| {
        if asked.path.ends_with(&layer) && count.fetch_add(1, Ordering::SeqCst) < times {
            return other(&image);
        }
        image.answer(asked)
    })
}

#[test]
fn what_breaks_off_is_gone_on_with() {
    let image = Arc::new(Image::new("amd64", &vec![7; 100_000]));
    let server = with_layer(&image, 1, |image| {
        Answer::new(200)
            .body(image.layer.clone())
            .manner(Manner::Half(60_000))
    });
    let client = Client::new();
    client.pull(&name(&server)).unwrap();
    assert!(client.has(&image));
    let layer = Digest::of(&image.layer).to_string();
    let ranges: Vec<_> = server
        .asked_for(&layer)
        .iter()
        .map(|asked| asked.header("range").map(ToOwned::to_owned))
        .collect();
    assert_eq!(ranges, [None, Some("bytes=60000-".to_owned())]);
}

#[test]
fn another_process_goes_on_where_one_was_killed() {
    let image = Arc::new(Image::new("amd64", &vec![7; 100_000]));
    let client = Client::new();
    let broken = with_layer(&image, usize::MAX, |image| {
        Answer::new(200)
            .body(image.layer.clone())
            .manner(Manner::Half(60_000))
    });
    // The first try leaves what arrived; the registry gives nothing further.
    let error = client.pull(&name(&broken)).unwrap_err();
    assert!(
        matches!(error, RegistryError::Unreachable { .. }),
        "{error}"
    );
    let server = good(&image);
    client.pull(&name(&server)).unwrap();
    let layer = Digest::of(&image.layer).to_string();
    let asked = server.asked_for(&layer);
    assert_eq!(asked[0].header("range"), Some("bytes=60000-"));
    let left = repro_core::fs::sorted_names(client.store.blobs().tmp()).unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_registry_that_ignores_ranges_gives_everything_again() {
    let image = Arc::new(Image::new("amd64", &vec![7; 100_000]));
    let count = AtomicUsize::new(0);
    let (whole, layer) = (Arc::clone(&image), Digest::of(&image.layer).to_string());
    let server = Server::start(move |asked, _| {
        if !asked.path.ends_with(&layer) {
            return whole.answer(asked);
        }
        let answer = Answer::new(200).body(whole.layer.clone());
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => answer.manner(Manner::Half(10)),
            _ => answer,
        }
    });
    let client = Client::new();
    client.pull(&name(&server)).unwrap();
    assert!(client.has(&image));
}

#[test]
fn a_busy_registry_is_asked_again_when_it_says() {
    let image = small_image();
    for busy in [
        Answer::new(429).header("Retry-After", "1"),
        Answer::new(503)
            .header("Date", "Wed, 21 Oct 2026 07:28:00 GMT")
            .header("Retry-After", "Wed, 21 Oct 2026 07:28:01 GMT"),
    ] {
        let server = with_layer(&image, 1, move |_| busy.clone());
        let client = Client::new();
        let begun = Instant::now();
        client.pull(&name(&server)).unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(1));
        assert!(client.has(&image));
    }
}

#[test]
fn a_registry_that_is_busy_for_long_or_always_is_given_up() {
    let image = small_image();
    let server = with_layer(&image, usize::MAX, |_| {
        Answer::new(429).header("Retry-After", "3600")
    });
    let begun = Instant::now();
    let error = Client::new().pull(&name(&server)).unwrap_err();
    assert!(
        matches!(error, RegistryError::Status { status: 429, .. }),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(20));

    let body = r#"{"errors":[{"code":"X","message":"no \u001b[31mdisk"}]}"#;
    let server = with_layer(&image, usize::MAX, move |_| Answer::new(500).body(body));
    let error = Client::new().pull(&name(&server)).unwrap_err();
    // As many tries as were allowed, and its own words without what a terminal acts on.
    let layer = Digest::of(&image.layer).to_string();
    assert_eq!(server.asked_for(&layer).len(), 3);
    let text = error.to_string();
    assert!(
        text.contains("500") && text.contains("no [31mdisk"),
        "{text}"
    );
}

#[test]
fn what_is_in_the_store_is_not_fetched_again() {
    let image = small_image();
    let server = good(&image);
    let client = Client::new();
    client.pull(&name(&server)).unwrap();
    let before = server.asked().len();
    let again = client.pull(&name(&server)).unwrap();
    assert_eq!((again.fetched, again.bytes), (0, 0));
    // The tag alone, which could mean something else by now.
    assert_eq!(server.asked().len(), before + 1);
    let pinned = name(&server).with_digest(image.digest());
    client.pull(&pinned).unwrap();
    assert_eq!(server.asked().len(), before + 1);
}

#[test]
fn a_damaged_document_of_the_store_is_fetched_again() {
    let image = small_image();
    let server = good(&image);
    let client = Client::new();
    client.pull(&name(&server)).unwrap();
    let path = client.store.blobs().path(image.digest());
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "{}").unwrap();
    client
        .pull(&name(&server).with_digest(image.digest()))
        .unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), image.manifest);
}

#[test]
fn a_pull_ends_soon_when_it_is_told_to() {
    let image = Arc::new(Image::new("amd64", &vec![7; 100_000]));
    let server = with_layer(&image, usize::MAX, |_| {
        Answer::new(503).header("Retry-After", "50")
    });
    let client = Client::new();
    let cancelled = Arc::clone(&client.settings.cancelled);
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        cancelled.store(true, Ordering::SeqCst);
    });
    let begun = Instant::now();
    let error = client.pull(&name(&server)).unwrap_err();
    assert!(
        matches!(
            error,
            RegistryError::Cancelled | RegistryError::Status { .. }
        ),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(client.store.blobs().size(image.digest()).unwrap(), None);
}

#[test]
fn nobody_there_is_said_after_some_tries() {
    // A port that was just free.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = free.local_addr().unwrap();
    drop(free);
    let reference = format!("{host}/a:1").parse().unwrap();
    let error = Client::new().pull(&reference).unwrap_err();
    assert!(
        matches!(error, RegistryError::Unreachable { .. }),
        "{error}"
    );
}
