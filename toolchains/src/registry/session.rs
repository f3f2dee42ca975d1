//! One repository at one place, with who we are there.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use http_auth::{ChallengeRef, parse_challenges};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use ureq::{
    Body,
    http::{Method, Response, StatusCode, header},
};

use super::{
    Action, RegistryError,
    client::{Call, Client, Payload, harmless, read_body, words},
    credentials::{Found, Login, Secret},
    place::{Origin, Place, Scheme, Url},
};

/// Longest answer of a service of tokens. Tokens of real ones have up to 10 KiB.
const MAX_TOKEN_ANSWER: u64 = 128 << 10;
/// Longest token that is sent on: servers take headers of about that size.
const MAX_TOKEN: usize = 64 << 10;

/// What stays as it is in the query of a URL (RFC 3986, "unreserved").
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Headers that a place accepted, by place and what they are for.
#[derive(Default)]
pub(super) struct Known(Mutex<BTreeMap<(Origin, String), Secret>>);

impl Known {
    fn get(&self, key: &(Origin, String)) -> Option<Secret> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).cloned()
    }

    fn put(&self, key: (Origin, String), value: Secret) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(key, value);
    }
}

/// Requests about one repository.
pub(super) struct Session<'a> {
    pub(super) client: &'a Client,
    known: &'a Known,
    pub(super) place: Place,
    action: Action,
    /// Other repositories of the registry that blobs are taken from.
    from: Vec<String>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

impl<'a> Session<'a> {
    /// Finds out, where it is not certain, whether the place is talked to by TLS.
    pub(super) fn open(
        client: &'a Client,
        known: &'a Known,
        mut place: Place,
        action: Action,
    ) -> Result<Self, RegistryError> {
        if !place.certain {
            place.origin = probe(client, &place)?;
            place.certain = true;
        }
        Ok(Self {
            client,
            known,
            place,
            action,
            from: Vec::new(),
        })
    }

    /// The same, also allowed to read these repositories.
    pub(super) fn reading_from(mut self, repositories: Vec<String>) -> Self {
        self.from = repositories;
        self
    }

    pub(super) fn host(&self) -> &str {
        &self.place.origin.host
    }

    pub(super) fn call(&self, method: Method, rest: &str, what: &str) -> Call<'a> {
        let what = format!("{what} of {}", self.place.repository);
        Call::new(method, self.place.url(rest), what)
    }

    /// The scopes of tokens (distribution's "Token Scope Documentation"): what is needed, and
    /// nothing that the registry suggests.
    fn scopes(&self) -> Vec<String> {
        let own = match self.action {
            Action::Pull => "pull",
            Action::Push => "pull,push",
        };
        let own = format!("repository:{}:{own}", self.place.repository);
        let others = self
            .from
            .iter()
            .map(|from| format!("repository:{from}:pull"));
        std::iter::once(own).chain(others).collect()
    }

    fn key(&self) -> (Origin, String) {
        (self.place.origin.clone(), self.scopes().join(" "))
    }

    /// Sends it with what the place accepted before, and says who we are if it asks. The answer may
    /// have any status but 401 and 403.
    pub(super) fn send(&self, call: &Call<'_>) -> Result<Response<Body>, RegistryError> {
        // Where an upload goes elsewhere, nobody there is told who we are.
        let at_home = call.url.origin == self.place.origin;
        let known = self.known.get(&self.key()).filter(|_| at_home);
        let mut response = self.client.send(call, known.as_ref())?;
        if response.status() == StatusCode::UNAUTHORIZED && at_home {
            let (secret, from) = self.answer(&response)?;
            self.known.put(self.key(), secret.clone());
            response = self.client.send(call, Some(&secret))?;
            if refuses(response.status()) {
                return Err(self.refused(&mut response, from));
            }
        } else if refuses(response.status()) {
            let from = self.find()?.map(|found| found.from);
            return Err(self.refused(&mut response, from));
        }
        Ok(response)
    }

    /// As [`Session::send`], for an answer that must have one of these statuses.
    pub(super) fn expect(
        &self,
        call: &Call<'_>,
        good: &[StatusCode],
    ) -> Result<Response<Body>, RegistryError> {
        let response = self.send(call)?;
        if good.contains(&response.status()) {
            return Ok(response);
        }
        Err(self.bad(call, response))
    }

    /// An answer of another status than those that help.
    pub(super) fn bad(&self, call: &Call<'_>, mut response: Response<Body>) -> RegistryError {
        let host = self.host().to_owned();
        let what = call.what.clone();
        match response.status() {
            StatusCode::NOT_FOUND => RegistryError::NotFound { host, what },
            status => RegistryError::Status {
                host,
                what,
                status: status.as_u16(),
                message: words(&mut response),
            },
        }
    }

    fn find(&self) -> Result<Option<Found>, RegistryError> {
        let sources = &self.client.settings.credentials;
        let found = sources.find(
            &self.place.login,
            &self.place.repository,
            self.client.cancelled(),
        );
        Ok(found?)
    }

    fn refused(&self, response: &mut Response<Body>, from: Option<String>) -> RegistryError {
        let host = self.host().to_owned();
        let repository = self.place.repository.clone();
        let action = self.action;
        match from {
            Some(from) => RegistryError::Denied {
                host,
                repository,
                action,
                from,
                message: words(response),
            },
            None => RegistryError::NoCredentials {
                host,
                repository,
                action,
                files: self.client.settings.credentials.existing(),
            },
        }
    }

    /// The header that answers the challenges of `response`, and where what is in it is from.
    fn answer(&self, response: &Response<Body>) -> Result<(Secret, Option<String>), RegistryError> {
        let wrong = |why: String| RegistryError::Challenge {
            host: self.host().to_owned(),
            why,
        };
        let mut all = Vec::new();
        for value in response.headers().get_all(header::WWW_AUTHENTICATE) {
            let text = value
                .to_str()
                .map_err(|_| wrong("its question is no text".into()))?;
            let challenges = parse_challenges(text)
                .map_err(|_| wrong("its question has no form that is known".into()))?;
            all.extend(challenges);
        }
        let found = self.find()?;
        let of = |scheme: &str| {
            let mut all = all.iter();
            all.find(|challenge| challenge.scheme.eq_ignore_ascii_case(scheme))
        };
        if let Some(challenge) = of("bearer") {
            let secret = match &found {
                Some(Found {
                    login: Login::Bearer(token),
                    ..
                }) => bearer(token.expose()),
                _ => self.token(challenge, found.as_ref())?,
            };
            return Ok((secret, found.map(|found| found.from)));
        }
        if of("basic").is_some() {
            return match found {
                Some(Found {
                    login: Login::Basic { user, password },
                    from,
                }) => Ok((Login::basic(&user, &password), Some(from))),
                Some(found) => Err(wrong(format!(
                    "it wants a user and a password, and {} has a token",
                    found.from
                ))),
                None => Err(RegistryError::NoCredentials {
                    host: self.host().to_owned(),
                    repository: self.place.repository.clone(),
                    action: self.action,
                    files: self.client.settings.credentials.existing(),
                }),
            };
        }
        let schemes: Vec<String> = all.iter().map(|c| harmless(c.scheme)).collect();
        Err(wrong(if schemes.is_empty() {
            "it does not say how it wants to know who asks".into()
        } else {
            format!("it wants to know who asks by {}", schemes.join(", "))
        }))
    }

    /// A token of the service that the challenge names (distribution's "Token Authentication").
    fn token(
        &self,
        challenge: &ChallengeRef<'_>,
        found: Option<&Found>,
    ) -> Result<Secret, RegistryError> {
        let wrong = |why: &str| RegistryError::Challenge {
            host: self.host().to_owned(),
            why: why.to_owned(),
        };
        let parameter = |name: &str| {
            let mut all = challenge.params.iter();
            all.find(|(found, _)| found.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.to_unescaped())
        };
        let realm = parameter("realm").ok_or_else(|| wrong("it names no service of tokens"))?;
        let realm = Url::parse(&realm)
            .ok_or_else(|| wrong("the service of tokens that it names has no URL"))?;
        // What we know goes there: never without TLS, unless the registry itself is talked to so.
        let plain = realm.origin.scheme == Scheme::Http;
        if plain
            && (self.place.origin.scheme == Scheme::Https
                || !(self.client.may_be_plain(&realm.origin) || realm.origin == self.place.origin))
        {
            return Err(wrong("the service of tokens that it names is without TLS"));
        }
        let escape = |text: &str| utf8_percent_encode(text, QUERY).to_string();
        let service = parameter("service").map(|service| escape(&service));
        let scopes = self.scopes();
        let what = "a token".to_owned();
        let form;
        let (call, authorization) = if let Some(Found {
            login: Login::Identity(token),
            ..
        }) = found
        {
            form = format!(
                "grant_type=refresh_token&client_id=repro&service={}&scope={}&refresh_token={}",
                service.unwrap_or_default(),
                escape(&scopes.join(" ")),
                escape(token.expose())
            );
            let call = Call::new(Method::POST, realm.clone(), what)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .payload(Payload::Bytes(form.as_bytes()));
            (call, None)
        } else {
            let mut url = realm.clone();
            if let Some(service) = service {
                url = url.with_query("service", &service);
            }
            for scope in &scopes {
                url = url.with_query("scope", &escape(scope));
            }
            let authorization = match found.map(|found| &found.login) {
                Some(Login::Basic { user, password }) => {
                    url = url.with_query("account", &escape(user));
                    Some(Login::basic(user, password))
                }
                _ => None,
            };
            (Call::new(Method::GET, url, what), authorization)
        };
        self.fetch_token(&call, authorization.as_ref(), found)
    }

    fn fetch_token(
        &self,
        call: &Call<'_>,
        authorization: Option<&Secret>,
        found: Option<&Found>,
    ) -> Result<Secret, RegistryError> {
        let realm = call.url.origin.host.clone();
        let none = |why: String| RegistryError::Token {
            host: self.host().to_owned(),
            realm: realm.clone(),
            why,
        };
        let mut response = self.client.send(call, authorization)?;
        if refuses(response.status()) {
            return Err(self.refused(&mut response, found.map(|found| found.from.clone())));
        }
        if response.status() != StatusCode::OK {
            return Err(none(format!("status {}", response.status().as_u16())));
        }
        let bytes =
            read_body(&mut response, &realm, "the token", MAX_TOKEN_ANSWER).map_err(|error| {
                match error {
                    RegistryError::TooLong { limit, .. } => {
                        none(format!("more than {limit} bytes"))
                    }
                    error => error,
                }
            })?;
        let answer: TokenAnswer =
            serde_json::from_slice(&bytes).map_err(|_| none("no JSON of a token".into()))?;
        let token = answer
            .token
            .or(answer.access_token)
            .filter(|token| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()));
        let token = token.ok_or_else(|| none("an answer without a token".into()))?;
        if token.len() > MAX_TOKEN {
            return Err(none(format!("a token of {} bytes", token.len())));
        }
        Ok(bearer(&token))
    }
}

fn bearer(token: &str) -> Secret {
    Secret::new(format!("Bearer {token}"))
}

fn refuses(status: StatusCode) -> bool {
    status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN
}

/// Whether a host on this machine speaks TLS. It is asked without first, which tells it nothing: the
/// other way round a server without TLS could wait for ever for the end of a line.
fn probe(client: &Client, place: &Place) -> Result<Origin, RegistryError> {
    let plain = Origin::new(Scheme::Http, &place.origin.host);
    let ask = |origin: &Origin| {
        let url = Url {
            origin: origin.clone(),
            rest: "/v2/".into(),
        };
        client.send_once(&Call::new(Method::GET, url, "its interface".into()))
    };
    match ask(&plain) {
        // Servers that want TLS say so with this status, or break off.
        Ok(response) if response.status() != StatusCode::BAD_REQUEST => return Ok(plain),
        Err(RegistryError::Cancelled) => return Err(RegistryError::Cancelled),
        _ => {}
    }
    let safe = Origin::new(Scheme::Https, &place.origin.host);
    match ask(&safe) {
        Ok(_) => Ok(safe),
        // It has TLS, which is not to be trusted: that is what the user should read.
        Err(error @ RegistryError::Untrusted { .. }) => Err(error),
        // Nobody is there. The first request says so, after it was repeated.
        Err(_) => Ok(plain),
    }
}
