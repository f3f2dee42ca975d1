//! Who is told who we are, and who is not.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use repro_toolchains::registry::RegistryError;
use serde_json::json;

use crate::{
    Client, good, name,
    server::{Answer, Manner, Server},
    small_image,
};

fn entry() -> serde_json::Value {
    json!({"auth": STANDARD.encode("me:pass-word")})
}

fn basic() -> String {
    format!("Basic {}", STANDARD.encode("me:pass-word"))
}

fn challenge(host: &str) -> Answer {
    let value =
        format!("Bearer realm=\"http://{host}/token?x=y\",service=\"the service\",scope=\"all\"");
    Answer::new(401).header("WWW-Authenticate", value)
}

/// A registry that takes one token, and gives it for a password or a refresh token.
fn with_tokens(image: &Arc<crate::image::Image>) -> Server {
    let image = Arc::clone(image);
    Server::start(move |asked, host| {
        if asked.path.starts_with("/token") {
            let refreshed =
                String::from_utf8_lossy(&asked.body).contains("refresh_token=long-lived");
            if asked.header("authorization") == Some(&basic()) || refreshed {
                return Answer::new(200).body(r#"{"token":"t0k3n","expires_in":60}"#);
            }
            return Answer::new(401);
        }
        if asked.path != "/v2/" && asked.header("authorization") != Some("Bearer t0k3n") {
            return challenge(host);
        }
        image.answer(asked)
    })
}

#[test]
fn a_token_is_asked_for_once_with_the_scope_that_is_needed() {
    let image = small_image();
    let server = with_tokens(&image);
    let client = Client::new().knowing(&server.host, &entry());
    client.pull(&name(&server)).unwrap();
    assert!(client.has(&image));
    let tokens = server.asked_for("/token");
    assert_eq!(tokens.len(), 1);
    // What we need, and not what the registry suggests.
    assert_eq!(
        tokens[0].path,
        "/token?x=y&service=the%20service&scope=repository%3Aa%2Fb%3Apull&account=me"
    );
    // Nothing was said before it was asked.
    assert_eq!(server.asked()[0].header("authorization"), None);
}

#[test]
fn an_identity_token_is_exchanged() {
    let image = small_image();
    let server = with_tokens(&image);
    let client = Client::new().knowing(&server.host, &json!({"identitytoken": "long-lived"}));
    client.pull(&name(&server)).unwrap();
    let tokens = server.asked_for("/token");
    let body = String::from_utf8_lossy(&tokens[0].body).into_owned();
    assert_eq!(tokens[0].method, "POST");
    assert!(body.starts_with("grant_type=refresh_token&"), "{body}");
    assert!(body.contains("scope=repository%3Aa%2Fb%3Apull"), "{body}");
}

#[test]
fn without_credentials_the_files_are_named_and_with_wrong_ones_where_they_are_from() {
    let image = small_image();
    let server = with_tokens(&image);
    let error = Client::new().pull(&name(&server)).unwrap_err();
    assert!(
        matches!(error, RegistryError::NoCredentials { .. }),
        "{error}"
    );
    let wrong = json!({"auth": STANDARD.encode("me:wrong-word")});
    let client = Client::new().knowing(&server.host, &wrong);
    let error = client.pull(&name(&server)).unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
    assert!(text.contains("config.json"), "{text}");
    assert!(
        !text.contains("wrong-word") && !text.contains("me:"),
        "{text}"
    );
}

#[test]
fn a_password_goes_to_the_registry_that_asks_for_it() {
    let image = small_image();
    let at_home = Arc::clone(&image);
    let server = Server::start(move |asked, _| {
        if asked.path != "/v2/" && asked.header("authorization") != Some(&basic()) {
            return Answer::new(401).header("WWW-Authenticate", "Basic realm=\"r\"");
        }
        at_home.answer(asked)
    });
    let client = Client::new().knowing(&server.host, &entry());
    client.pull(&name(&server)).unwrap();
    assert!(client.has(&image));
}

#[test]
fn another_host_is_told_nothing() {
    let image = small_image();
    let storage = good(&image);
    let (at_home, place) = (Arc::clone(&image), storage.host.clone());
    let server = Server::start(move |asked, _| {
        if asked.path != "/v2/" && asked.header("authorization") != Some(&basic()) {
            return Answer::new(401).header("WWW-Authenticate", "Basic realm=\"r\"");
        }
        if asked.path.contains("/blobs/") {
            let to = format!("http://{place}{}?signature=s3cret", asked.path);
            return Answer::new(307).header("Location", to);
        }
        at_home.answer(asked)
    });
    let client = Client::new().knowing(&server.host, &entry());
    client.pull(&name(&server)).unwrap();
    assert!(client.has(&image));
    let blobs = storage.asked();
    assert_eq!(blobs.len(), 2);
    for asked in blobs {
        assert_eq!(asked.header("authorization"), None);
    }
}

#[test]
fn a_question_of_another_host_is_not_answered() {
    let image = small_image();
    let thief = Server::start(|_, host| challenge(host));
    let (at_home, place) = (Arc::clone(&image), thief.host.clone());
    let server = Server::start(move |asked, _| {
        if asked.path.contains("/blobs/") {
            return Answer::new(302)
                .header("Location", format!("http://{place}/x?signature=s3cret"));
        }
        at_home.answer(asked)
    });
    let client = Client::new().knowing(&server.host, &entry());
    let error = client.pull(&name(&server)).unwrap_err();
    assert!(!error.to_string().contains("s3cret"), "{error}");
    assert!(!thief.asked_for("/x").is_empty());
    assert!(thief.asked_for("/token").is_empty());
}

#[test]
fn no_way_without_tls_to_another_machine_is_gone() {
    let image = small_image();
    let at_home = Arc::clone(&image);
    let server = Server::start(move |asked, _| {
        if asked.path.contains("/blobs/") {
            return Answer::new(302)
                .header("Location", "http://storage.example/x?signature=s3cret");
        }
        at_home.answer(asked)
    });
    let error = Client::new().pull(&name(&server)).unwrap_err();
    assert!(matches!(error, RegistryError::Redirect { .. }), "{error}");
    assert!(!error.to_string().contains("s3cret"), "{error}");

    let server = Server::start(|asked, _| {
        if asked.path == "/v2/" {
            return Answer::new(200);
        }
        let value = "Bearer realm=\"http://auth.example/token\"";
        Answer::new(401).header("WWW-Authenticate", value)
    });
    let client = Client::new().knowing(&server.host, &entry());
    let error = client.pull(&name(&server)).unwrap_err();
    assert!(matches!(error, RegistryError::Challenge { .. }), "{error}");
}

#[test]
fn redirects_end() {
    let server = Server::start(|asked, host| {
        if asked.path == "/v2/" {
            return Answer::new(200);
        }
        Answer::new(302).header("Location", format!("http://{host}{}x", asked.path))
    });
    let error = Client::new().pull(&name(&server)).unwrap_err();
    assert!(matches!(error, RegistryError::Redirect { .. }), "{error}");
    assert!(server.asked().len() < 10);
}

#[test]
fn a_token_without_end_and_one_that_is_none_are_refused() {
    for (manner, body) in [
        (Manner::Endless, String::new()),
        (Manner::Whole, "{}".to_owned()),
        (Manner::Whole, "<html>".to_owned()),
        (Manner::Whole, r#"{"token":"a\nb"}"#.to_owned()),
        (
            Manner::Whole,
            format!(r#"{{"token":"{}"}}"#, "a".repeat(70 << 10)),
        ),
    ] {
        let server = Server::start(move |asked, host| {
            if asked.path.starts_with("/token") {
                return Answer::new(200).body(body.clone()).manner(manner);
            }
            if asked.path == "/v2/" {
                return Answer::new(200);
            }
            challenge(host)
        });
        let error = Client::new().pull(&name(&server)).unwrap_err();
        assert!(matches!(error, RegistryError::Token { .. }), "{error:?}");
    }
}

#[test]
fn a_question_that_is_not_understood_says_so() {
    for value in [
        "Negotiate",
        "Bearer service=\"x\"",
        "Bearer realm=\"ftp://x\"",
        "a=b, ,",
        "",
    ] {
        let server = Server::start(move |asked, _| {
            if asked.path == "/v2/" {
                return Answer::new(200);
            }
            Answer::new(401).header("WWW-Authenticate", value)
        });
        let error = Client::new().pull(&name(&server)).unwrap_err();
        assert!(
            matches!(error, RegistryError::Challenge { .. }),
            "{value}: {error:?}"
        );
    }
}
