//! A connection to an engine.

use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker, errors::Error as ApiError, models::SystemVersion};
use http::Uri;
use tokio::runtime::{Builder, Runtime};

use crate::{
    about::{self, About, ApiVersion},
    endpoint::Endpoint,
    error::{EngineError, io_error},
    find::Found,
};

/// How long an engine may take to say that it is there: one that has just been started listens before
/// it answers.
const GREETING: Duration = Duration::from_secs(30);
/// How long it may take to begin its answer to anything else.
const ANSWER: Duration = Duration::from_mins(2);
/// Threads that carry bytes: one a run.
const WORKERS: usize = 2;

/// The newest API that is understood here.
const NEWEST: ApiVersion = ApiVersion {
    major: API_DEFAULT_VERSION.major_version,
    minor: API_DEFAULT_VERSION.minor_version,
};

/// A connection to an engine that can be worked with.
#[derive(Debug)]
pub struct Client {
    pub(crate) docker: Docker,
    runtime: Runtime,
    about: About,
}

impl Client {
    /// Greets the engine, and agrees on a version of the API.
    pub fn connect(found: &Found) -> Result<Self, EngineError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("engine")
            .enable_io()
            .enable_time()
            .build()
            .map_err(EngineError::Runtime)?;
        let (docker, about) = runtime.block_on(greet(&found.endpoint))?;
        tracing::debug!(engine = %about, api = %about.api, "connected");
        Ok(Self {
            docker,
            runtime,
            about,
        })
    }

    /// What the engine said of itself.
    #[must_use]
    pub const fn about(&self) -> &About {
        &self.about
    }

    /// Does what `future` says, here and now.
    pub(crate) fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }
}

async fn greet(endpoint: &Endpoint) -> Result<(Docker, About), EngineError> {
    // Whatever it says instead of a greeting, it is no engine.
    let unreachable = |error: ApiError| EngineError::Unreachable {
        place: endpoint.to_string(),
        source: match error {
            ApiError::RequestTimeoutError => std::io::ErrorKind::TimedOut.into(),
            ApiError::DockerResponseServerError { message, .. } => {
                std::io::Error::other(message.trim_end().to_owned())
            }
            error => io_error(&error),
        },
    };
    // Without a version: every engine answers these two, and says which ones it speaks.
    let docker = open(endpoint).map_err(unreachable)?;
    docker.ping().await.map_err(unreachable)?;
    let version = docker.version().await.map_err(unreachable)?;
    let api = agree(endpoint, &version)?;
    let mut docker = speaking(docker, api);
    let info = docker.info();
    let info = info
        .await
        .map_err(|error| EngineError::of("describe itself", error))?;
    docker.set_timeout(ANSWER);
    let about = About::new(endpoint.clone(), api, version, &info);
    Ok((docker, about))
}

fn open(endpoint: &Endpoint) -> Result<Docker, ApiError> {
    let limit = GREETING.as_secs();
    // Spelt as in DOCKER_HOST, which is what the library takes.
    let text = endpoint.to_string();
    match endpoint {
        Endpoint::Unix(_) => Docker::connect_with_unix(&text, limit, API_DEFAULT_VERSION),
        Endpoint::Tcp { .. } => Docker::connect_with_http(&text, limit, API_DEFAULT_VERSION),
        Endpoint::Tls { files, .. } => Docker::connect_with_ssl(
            &text,
            &files.key,
            &files.cert,
            &files.ca,
            limit,
            API_DEFAULT_VERSION,
        ),
    }
}

/// The newest version of the API that both sides speak.
fn agree(endpoint: &Endpoint, version: &SystemVersion) -> Result<ApiVersion, EngineError> {
    let engine = || {
        let kind = about::kind(version);
        let name = version.version.as_deref().unwrap_or("of no version");
        format!("{kind} {name} at {endpoint}")
    };
    if let Some(system) = version.os.as_ref().filter(|system| *system != "linux") {
        return Err(EngineError::Foreign {
            engine: engine(),
            system: system.clone(),
        });
    }
    let api = version.api_version.as_ref();
    match api.and_then(|api| api.parse::<ApiVersion>().ok()) {
        // One newer than all that is known here may still speak what is.
        Some(api) if api >= ApiVersion::LEAST => Ok(api.min(NEWEST)),
        api => Err(EngineError::TooOld {
            engine: engine(),
            api,
        }),
    }
}

/// The same connection, which names `api` in every request: the library itself names none, and would
/// be answered in the engine's newest.
fn speaking(docker: Docker, api: ApiVersion) -> Docker {
    docker.with_request_modifier(move |mut request| {
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str());
        let mut parts = request.uri().clone().into_parts();
        // A path after a prefix of digits and dots is one.
        parts.path_and_query = format!("/v{api}{path}").parse().ok();
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
        request
    })
}
