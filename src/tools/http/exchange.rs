//! Carrying a request to where it may go, and its answer back, within bounds.

use std::{error::Error as _, net::SocketAddr, sync::OnceLock, time::Duration};

use headframe_actors::{durable::Failure, plan::text};
use reqwest::{
    Client, Method, StatusCode, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{CONTENT_TYPE, HeaderMap, LOCATION},
    redirect::Policy,
};
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde_json::{Map, Value, json};

use super::{
    address::{is_allowed, is_private, literal},
    told::Shape,
};
use crate::artifacts::Artifacts;

const CONNECT: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(30);
const IDLE_PER_HOST: usize = 8;
/// How much of an answer goes into a sentence.
const EXCERPT_MAX: usize = 500;
/// Headers of an answer that are kept, and bytes of each.
const HEADERS_KEPT: usize = 64;
const HEADER_MAX: usize = 1024;

/// One request, ready to go.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Vec<u8>>,
    pub(super) redirects: usize,
    pub(super) max_response: usize,
    pub(super) allow_private: Vec<String>,
}

/// What came back.
pub(super) struct Answer {
    /// Method, host and path: what may be shown.
    pub(super) from: String,
    pub(super) status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Why nothing came back.
pub(super) enum Trouble {
    /// Nothing of the request was sent.
    Definite(Failure),
    /// It may have arrived.
    Doubtful(Failure),
}

/// The two ways out: to public addresses only, and to a host that the task allows, whatever its address.
#[derive(Default)]
pub(super) struct Clients {
    public: OnceLock<Result<Client, String>>,
    any: OnceLock<Result<Client, String>>,
}

impl Clients {
    pub(super) async fn exchange(&self, mut request: Request) -> Result<Answer, Trouble> {
        let mut left = request.redirects;
        loop {
            let client = self.client(&request)?;
            let mut sending =
                client.request(request.method.clone(), request.url.clone()).headers(request.headers.clone());
            if let Some(body) = request.body.clone() {
                sending = sending.body(body);
            }
            let from = shown(&request.method, &request.url);
            let response = sending.send().await.map_err(|error| trouble(&from, &error))?;
            match next(&request, response.status(), response.headers())? {
                Some(url) if left > 0 => {
                    left -= 1;
                    // What was meant for one server is not told to another.
                    if url.origin() != request.url.origin() {
                        request.headers.clear();
                    }
                    request.url = url;
                }
                _ => return take(from, response, request.max_response).await,
            }
        }
    }

    /// The client that may go there.
    fn client(&self, request: &Request) -> Result<Client, Trouble> {
        let allowed = is_allowed(&request.url, &request.allow_private);
        if !allowed && literal(&request.url).is_some_and(is_private) {
            return Err(Trouble::Definite(refused(request.url.host_str().unwrap_or_default())));
        }
        let client =
            if allowed { self.any.get_or_init(|| build(false)) } else { self.public.get_or_init(|| build(true)) };
        client.clone().map_err(|error| Trouble::Definite(Failure::new("tls", error)))
    }
}

fn build(public_only: bool) -> Result<Client, String> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_platform_verifier())
        .map_err(|error| format!("no TLS: {error}"))?
        .with_no_client_auth();
    let builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("headframe/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_PER_HOST);
    let builder = if public_only { builder.dns_resolver(std::sync::Arc::new(PublicOnly)) } else { builder };
    builder.build().map_err(|error| format!("no HTTP client: {error}"))
}

/// Resolves names to public addresses, and to no others.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let public: Vec<_> = found.into_iter().filter(|address| !is_private(address.ip())).collect();
            if public.is_empty() { Err(Private(host).into()) } else { Ok(Box::new(public.into_iter()) as Addrs) }
        })
    }
}

/// A name has no address that may be spoken to.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` has no public address")]
struct Private(String);

fn refused(host: &str) -> Failure {
    let help = "name it in `allow_private` if this workflow is to speak to it";
    Failure::new("refused", format!("`{host}` has no public address, so nothing was sent: {help}"))
}

/// Where a redirect leads, if it is one. Only what asks for nothing to happen is sent again.
fn next(request: &Request, status: StatusCode, headers: &HeaderMap) -> Result<Option<Url>, Trouble> {
    let Some(location) = headers.get(LOCATION).filter(|_| status.is_redirection() && request.redirects > 0) else {
        return Ok(None);
    };
    let wrong = |why: String| Trouble::Doubtful(Failure::new("redirect", why));
    let from = shown(&request.method, &request.url);
    let location = location.to_str().map_err(|_| wrong(format!("{from} leads to what is no URL")))?;
    let url = request.url.join(location).map_err(|error| wrong(format!("{from} leads to what is no URL: {error}")))?;
    if !["http", "https"].contains(&url.scheme()) || (request.url.scheme() == "https" && url.scheme() == "http") {
        return Err(wrong(format!(
            "{from} leads from {} to {}, and that is not followed",
            request.url.scheme(),
            url.scheme()
        )));
    }
    Ok(Some(url))
}

/// The whole answer, within its bound.
async fn take(from: String, mut response: reqwest::Response, most: usize) -> Result<Answer, Trouble> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| trouble(&from, &error))? {
        if body.len() + piece.len() > most {
            let message = format!("{from} answered {status} with more than {most} bytes: raise `max_response`");
            return Err(Trouble::Doubtful(Failure::new("output", message)));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Answer { from, status, headers, body })
}

/// Before a connection there was nobody to send anything to.
fn trouble(from: &str, error: &reqwest::Error) -> Trouble {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = error.source();
    let mut last = error.to_string();
    while let Some(inner) = cause {
        if let Some(Private(host)) = inner.downcast_ref::<Private>() {
            return Trouble::Definite(refused(host));
        }
        last = inner.to_string();
        cause = inner.source();
    }
    if error.is_connect() || error.is_builder() {
        return Trouble::Definite(Failure::new("connect", format!("{from}: no connection: {last}")));
    }
    Trouble::Doubtful(Failure::new(
        "connection",
        format!("{from}: the connection broke before the answer was whole: {last}"),
    ))
}

/// What may be shown of a request: a query may hold what is nobody's business.
fn shown(method: &Method, url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{method} {}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Headers with lower-case names; the first value of each, where it is text of a sensible length.
    pub(super) fn headers(&self) -> Map<String, Value> {
        let text = |value: &reqwest::header::HeaderValue| {
            value.to_str().ok().filter(|text| text.len() <= HEADER_MAX).map(Value::from)
        };
        let all = self.headers.keys().filter_map(|name| Some((name.to_string(), text(self.headers.get(name)?)?)));
        all.filter(|(name, _)| name != "set-cookie").take(HEADERS_KEPT).collect()
    }

    /// The beginning of the body, for a sentence.
    pub(super) fn excerpt(&self) -> String {
        let said = String::from_utf8_lossy(&self.body[..self.body.len().min(EXCERPT_MAX)]);
        text::for_people(said.trim())
    }

    fn is_json(&self) -> bool {
        let kind = self.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        kind == "application/json" || kind.ends_with("+json")
    }

    /// What a task reads. A server that promised JSON and sent something else may have done what it was asked to.
    pub(super) fn into_value(self, shape: Shape, inline_max: usize, artifacts: &Artifacts) -> Result<Value, Failure> {
        let wants_json = shape == Shape::Json || (shape == Shape::Auto && self.is_json());
        let mut answer = json!({"status": self.status, "headers": self.headers(), "bytes": self.body.len()});
        let is_long = self.body.len() > inline_max;
        let body = if wants_json && !self.body.is_empty() {
            let value: Value = serde_json::from_slice(&self.body)
                .map_err(|error| Failure::new("output", format!("{}: the answer is not JSON: {error}", self.from)))?;
            if is_long { artifacts.put(&self.body).map(|stored| stored.as_json().to_value()) } else { Ok(value) }
        } else if is_long {
            artifacts.put(&self.body).map(|stored| stored.to_value())
        } else if self.body.is_empty() && wants_json {
            Ok(Value::Null)
        } else {
            Ok(text::from_bytes(&self.body).into())
        };
        answer["body"] = body.map_err(|error| Failure::new("artifact", format!("the answer was not kept: {error}")))?;
        Ok(answer)
    }
}
