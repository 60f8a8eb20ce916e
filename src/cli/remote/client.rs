//! A client of a server on this machine: one connection per request, every one with a limit.

use std::time::Duration;

use bytes::{Buf as _, Bytes};
use headframe::api::Marker;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Response, StatusCode, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use crate::cli::exit::Error;

/// How long a server may take to say who it is.
const HELLO: Duration = Duration::from_secs(2);
/// How long an answer may take that is not waited for on purpose.
const ANSWER: Duration = Duration::from_secs(60);
/// The most that is read of an answer.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// A server.
pub(crate) struct Client {
    marker: Marker,
}

/// An answer whose body still comes, and the connection that it comes over.
pub(super) struct Open {
    pub(super) response: Response<Incoming>,
    _connection: JoinSet<()>,
}

impl Client {
    pub(super) fn new(marker: Marker) -> Self {
        Self { marker }
    }

    /// What its file says.
    pub(crate) fn marker(&self) -> &Marker {
        &self.marker
    }

    /// Whether somebody answers there, and is the one that wrote the file.
    pub(super) async fn is_ours(&self) -> bool {
        let answer = timeout(HELLO, self.get("/livez")).await;
        matches!(answer, Ok(Ok(answer)) if answer["instance"] == self.marker.instance.as_str())
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Error> {
        Ok(self.ask("GET", path, None, None).await?.1)
    }

    /// Change something; `key` makes a submission repeatable.
    pub(crate) async fn post(&self, path: &str, body: &Value, key: Option<&str>) -> Result<Value, Error> {
        Ok(self.ask("POST", path, Some(body), key).await?.1)
    }

    /// Ask for something that takes its time; also says whether it was taken on, or changes nothing.
    pub(crate) async fn order(&self, path: &str, body: &Value) -> Result<(bool, Value), Error> {
        let (status, told) = self.ask("POST", path, Some(body), None).await?;
        Ok((status == StatusCode::ACCEPTED, told))
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<(StatusCode, Value), Error> {
        let asked = async {
            let open = self.open(method, path, body, key).await?;
            let status = open.response.status();
            let read = Limited::new(open.response.into_body(), ANSWER_MAX).collect().await;
            let read = read.map_err(|error| self.broken(error.as_ref()))?;
            let told = serde_json::from_reader(read.aggregate().reader()).unwrap_or(Value::Null);
            if status.is_success() { Ok((status, told)) } else { Err(refused(status.as_u16(), &told)) }
        };
        let late = || Error::Unreachable(format!("the server at {} did not answer", self.marker.address));
        timeout(ANSWER, asked).await.unwrap_or_else(|_| Err(late()))
    }

    /// Ask, and leave the body of the answer to whoever asked.
    pub(super) async fn open(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<Open, Error> {
        let address = self.marker.address;
        let stream = TcpStream::connect(address).await.map_err(|error| self.broken(&error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(&error))?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // Whoever asked hears of it from the answer.
            let _ = connection.await;
        });
        let mut request = Request::builder().method(method).uri(path).header("host", address.to_string());
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        let request = request
            .body(Full::new(body))
            .map_err(|error| Error::Usage(format!("this cannot be sent over HTTP: {error}")))?;
        let response = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
        Ok(Open { response, _connection: driver })
    }

    fn broken(&self, error: &dyn std::error::Error) -> Error {
        Error::Unreachable(format!("the server at {} does not answer: {error}", self.marker.address))
    }
}

/// A problem, as the server told it.
pub(super) fn refused(status: u16, told: &Value) -> Error {
    let text = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
    let errors = told["errors"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let detail = errors.fold(text("detail"), |detail, error| format!("{detail}\n  {error}"));
    Error::Told { status, code: text("code"), detail }
}
