//! What an `http` task says: its arguments, read and bounded, and the requests they make.

use headframe_actors::{durable::Key, plan::text};
use reqwest::{
    Method, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;

use super::exchange::Request;
use crate::tools::{
    CONTENT_MAX, INLINE_MAX_DEFAULT,
    arguments::{Arguments, expected, holds_template, word},
};

/// Every key of `with`.
pub(super) const KEYS: &[&str] = &[
    "method",
    "url",
    "query",
    "headers",
    "json",
    "text",
    "ok_status",
    "failed_status",
    "output",
    "max_response",
    "inline_max",
    "redirects",
    "idempotency_header",
    "probe",
    "allow_private",
];
const PROBE_KEYS: &[&str] = &["method", "url", "query", "headers", "happened", "did_not"];
const METHODS: &[(&str, Method)] = &[
    ("GET", Method::GET),
    ("HEAD", Method::HEAD),
    ("OPTIONS", Method::OPTIONS),
    ("POST", Method::POST),
    ("PUT", Method::PUT),
    ("PATCH", Method::PATCH),
    ("DELETE", Method::DELETE),
];
/// Where a key goes when not said.
const IDEMPOTENCY_HEADER: &str = "idempotency-key";
/// What stands for the call's key in the URL of a probe.
const KEY: &str = "{key}";
/// Bytes of an answer when not said: 1 MiB.
const RESPONSE_DEFAULT: u64 = 1024 * 1024;
const REDIRECTS_DEFAULT: u64 = 5;
const REDIRECTS_MAX: u64 = 10;
const HEADERS_MAX: usize = 100;
const STATUSES_MAX: usize = 100;

/// The arguments of one call.
pub(super) struct Told {
    pub(super) request: Asked,
    body: Option<Body>,
    pub(super) ok_status: Vec<u16>,
    pub(super) failed_status: Vec<u16>,
    pub(super) output: Shape,
    max_response: usize,
    pub(super) inline_max: usize,
    redirects: usize,
    idempotency_header: Option<HeaderName>,
    pub(super) probe: Option<Asking>,
    allow_private: Vec<String>,
}

/// The kind of content, where the task says none, and the bytes.
type Body = (Option<&'static str>, Vec<u8>);

/// Where a request goes.
pub(super) struct Asked {
    method: Method,
    url: Url,
    headers: HeaderMap,
}

/// How to ask what became of a call.
pub(super) struct Asking {
    method: Method,
    url: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    pub(super) happened: Vec<u16>,
    pub(super) did_not: Vec<u16>,
}

/// What a body becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// JSON if the server says so, text otherwise.
    Auto,
    Json,
    Text,
}

/// What decides where a request may go is written in the workflow, where it can be read before a run is given anything.
pub(super) fn written_out(with: &Value) -> Result<(), String> {
    if with.is_string() {
        return Err("`with` must be a map: a request made whole of data could be sent anywhere".to_owned());
    }
    match with.get("allow_private") {
        Some(allowed) if holds_template(allowed) => {
            Err("`allow_private` must be written out: what a run is given must not widen where requests go".to_owned())
        }
        _ => Ok(()),
    }
}

impl Told {
    pub(super) fn read(with: &Value) -> Result<Self, String> {
        let arguments = Arguments::of(with, KEYS)?;
        let mut url = url("url", arguments.text("url")?.ok_or("`url` is missing: say where the request goes")?)?;
        add_query(&mut url, &query(&arguments)?);
        let method = method(&arguments)?;
        let body = body(&arguments)?;
        if body.is_some() && [Method::GET, Method::HEAD, Method::OPTIONS].contains(&method) {
            return Err(format!("a {method} has no body: say `method: POST`, or take out `json` and `text`"));
        }
        Ok(Self {
            body,
            ok_status: statuses(&arguments, "ok_status")?,
            failed_status: statuses(&arguments, "failed_status")?,
            output: arguments
                .choice("output", &[("auto", Shape::Auto), ("json", Shape::Json), ("text", Shape::Text)])?,
            max_response: bounded(&arguments, "max_response", RESPONSE_DEFAULT, CONTENT_MAX as u64)?,
            inline_max: bounded(&arguments, "inline_max", INLINE_MAX_DEFAULT as u64, 256 * 1024)?,
            redirects: bounded(&arguments, "redirects", REDIRECTS_DEFAULT, REDIRECTS_MAX)?,
            idempotency_header: idempotency_header(&arguments)?,
            probe: arguments.get("probe").map(Asking::read).transpose()?,
            allow_private: allow_private(&arguments)?,
            request: Asked { method, url, headers: headers(&arguments)? },
        })
    }

    fn request(&self, asked: Asked, body: Option<Vec<u8>>) -> Request {
        let Asked { method, url, headers } = asked;
        let redirects = if is_safe(&method) { self.redirects } else { 0 };
        let allow_private = self.allow_private.clone();
        Request { method, url, headers, body, redirects, max_response: self.max_response, allow_private }
    }

    /// The header that carries the key, unless the task sets it itself.
    fn give_key(&self, headers: &mut HeaderMap, key: Key) {
        if let Some(name) = self.idempotency_header.as_ref().filter(|name| !headers.contains_key(*name)) {
            let value = HeaderValue::from_str(&key.to_string()).expect("a key is hexadecimal");
            headers.insert(name, value);
        }
    }
}

impl Asked {
    pub(super) fn is_safe(&self) -> bool {
        is_safe(&self.method)
    }

    /// The request of a call. What can have an effect carries the call's key.
    pub(super) fn for_call(&self, told: &Told, key: Key) -> Request {
        let mut headers = self.headers.clone();
        if !self.is_safe() {
            told.give_key(&mut headers, key);
        }
        if let Some((Some(kind), _)) = &told.body
            && !headers.contains_key(CONTENT_TYPE)
        {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        let body = told.body.as_ref().map(|(_, body)| body.clone());
        told.request(Asked { method: self.method.clone(), url: self.url.clone(), headers }, body)
    }
}

impl Asking {
    fn read(probe: &Value) -> Result<Self, String> {
        let said = |error| format!("`probe`: {error}");
        let arguments = Arguments::of(probe, PROBE_KEYS).map_err(said)?;
        let read = || {
            let method = method(&arguments)?;
            if !is_safe(&method) {
                return Err(format!("a probe only reads, and {method} does not: use GET or HEAD"));
            }
            let wanted = arguments.text("url")?.ok_or("`url` is missing: say where to ask")?;
            url("url", &wanted.replace(KEY, "key"))?;
            let or =
                |statuses: Vec<u16>, default: &[u16]| if statuses.is_empty() { default.to_vec() } else { statuses };
            Ok(Self {
                method,
                url: wanted.to_owned(),
                query: query(&arguments)?,
                headers: headers(&arguments)?,
                happened: or(statuses(&arguments, "happened")?, &[200]),
                did_not: or(statuses(&arguments, "did_not")?, &[404]),
            })
        };
        read().map_err(said)
    }

    /// The request of a probe: the key is where the URL says `{key}`, and in the header that the call had.
    pub(super) fn request(&self, told: &Told, key: Key) -> Result<Request, String> {
        let mut url = url("url", &self.url.replace(KEY, &key.to_string()))?;
        let query: Vec<_> =
            self.query.iter().map(|(name, value)| (name.clone(), value.replace(KEY, &key.to_string()))).collect();
        add_query(&mut url, &query);
        let mut headers = self.headers.clone();
        told.give_key(&mut headers, key);
        Ok(told.request(Asked { method: self.method.clone(), url, headers }, None))
    }
}

/// RFC 9110, 9.2.1.
fn is_safe(method: &Method) -> bool {
    method.is_safe()
}

fn method(arguments: &Arguments<'_>) -> Result<Method, String> {
    let Some(given) = arguments.text("method")? else { return Ok(Method::GET) };
    let found = METHODS.iter().find(|(name, _)| *name == given).map(|(_, method)| method.clone());
    found.ok_or_else(|| {
        let names: Vec<_> = METHODS.iter().map(|(name, _)| *name).collect();
        format!("`method` must be one of {}, not `{given}`", names.join(", "))
    })
}

fn url(key: &str, written: &str) -> Result<Url, String> {
    let url: Url = written.parse().map_err(|error| format!("`{key}` is no URL: {error}"))?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(format!("`{key}` must begin with https:// or http://, not {}:", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("`{key}` must hold no user or password: they would be in every log; send a header"));
    }
    Ok(url)
}

fn query(arguments: &Arguments<'_>) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    for (name, value) in arguments.map("query")?.into_iter().flatten() {
        let key = format!("query.{name}");
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in values.iter().filter(|value| !value.is_null()) {
            pairs.push((name.clone(), scalar(&key, value)?));
        }
    }
    Ok(pairs)
}

fn add_query(url: &mut Url, pairs: &[(String, String)]) {
    if !pairs.is_empty() {
        url.query_pairs_mut().extend_pairs(pairs);
    }
}

fn scalar(key: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(written) => Ok(written.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(expected(key, "text, a number or a boolean", value)),
    }
}

fn headers(arguments: &Arguments<'_>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in arguments.map("headers")?.into_iter().flatten() {
        let known: HeaderName = header_name("headers", name)?;
        let value = HeaderValue::from_bytes(&word(&format!("headers.{name}"), value)?)
            .map_err(|_| format!("`headers.{name}` must be one line"))?;
        headers.insert(known, value);
    }
    if headers.len() > HEADERS_MAX { Err(format!("`headers` has more than {HEADERS_MAX} names")) } else { Ok(headers) }
}

/// What the connection itself needs is not for a task to say.
fn header_name(key: &str, name: &str) -> Result<HeaderName, String> {
    let known: HeaderName = name.parse().map_err(|_| format!("`{key}`: `{}` is no header", name.escape_debug()))?;
    match known.as_str() {
        "host" | "content-length" | "transfer-encoding" | "connection" | "upgrade" | "te" | "trailer" => {
            Err(format!("`{key}`: `{known}` is set by the connection"))
        }
        _ => Ok(known),
    }
}

fn body(arguments: &Arguments<'_>) -> Result<Option<Body>, String> {
    match (arguments.get("json"), arguments.text("text")?) {
        (Some(_), Some(_)) => Err("give either `json` or `text`".to_owned()),
        (Some(json), None) => Ok(Some((Some("application/json"), json.to_string().into_bytes()))),
        (None, Some(written)) => Ok(Some((None, text::to_bytes(written)))),
        (None, None) => Ok(None),
    }
}

fn statuses(arguments: &Arguments<'_>, key: &str) -> Result<Vec<u16>, String> {
    let Some(list) = arguments.list(key)? else { return Ok(Vec::new()) };
    if list.is_empty() || list.len() > STATUSES_MAX {
        return Err(format!("`{key}` must be a list of 1 to {STATUSES_MAX} statuses"));
    }
    let status = |value: &Value| value.as_u64().and_then(|code| u16::try_from(code).ok());
    let read = |value: &Value| status(value).filter(|code| (200..600).contains(code));
    list.iter()
        .map(|value| read(value).ok_or_else(|| expected(key, "a list of numbers from 200 to 599", value)))
        .collect()
}

fn bounded(arguments: &Arguments<'_>, key: &str, default: u64, most: u64) -> Result<usize, String> {
    let given = arguments.number(key)?.unwrap_or(default);
    if given > most {
        return Err(format!("`{key}` must be at most {most}"));
    }
    Ok(usize::try_from(given).unwrap_or(usize::MAX))
}

fn idempotency_header(arguments: &Arguments<'_>) -> Result<Option<HeaderName>, String> {
    match arguments.text("idempotency_header")? {
        None => Ok(Some(HeaderName::from_static(IDEMPOTENCY_HEADER))),
        Some("") => Ok(None),
        Some(name) => header_name("idempotency_header", name).map(Some),
    }
}

fn allow_private(arguments: &Arguments<'_>) -> Result<Vec<String>, String> {
    let Some(list) = arguments.list("allow_private")? else { return Ok(Vec::new()) };
    let is_host = |host: &&str| !host.is_empty() && !host.contains(['/', '*', '@']);
    let read = |value: &Value| match value.as_str().filter(is_host) {
        Some(host) => Ok(host.to_owned()),
        None => Err("`allow_private` must be a list of hosts, `HOST` or `HOST:PORT`, each written out".to_owned()),
    };
    list.iter().map(read).collect()
}
