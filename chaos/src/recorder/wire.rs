//! What goes over the socket: one line of JSON there, one back.

use std::{
    io::{BufRead as _, BufReader as BlockingReader, Write as _},
    os::unix::net::UnixStream as BlockingStream,
    path::Path,
};

use anyhow::Context as _;
use headframe::durable::Outcome;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
};

use super::{Answer, Call, Entry};

/// What can be asked of the recorder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Do it.
    Call {
        /// What.
        call: Call,
        /// When it was called, by the clock of the engine that calls, in milliseconds since 1970.
        at_ms: u64,
    },
    /// Did it happen?
    Ask {
        /// The idempotency key.
        key: String,
    },
    /// Everything that happened.
    Books,
}

/// What a tool gives for an effect, and gives again for a repeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    /// Its number: no two effects have the same.
    pub(crate) receipt: u64,
    pub(crate) label: String,
    pub(crate) tool: String,
}

/// The recorder's end of a connection.
pub(super) struct Peer(BufReader<UnixStream>);

impl Peer {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self(BufReader::new(stream))
    }

    /// The request; nothing if the peer went before it was whole.
    pub(super) async fn request(&mut self) -> Option<Request> {
        let mut line = String::new();
        self.0.read_line(&mut line).await.ok()?;
        serde_json::from_str(&line).ok()
    }

    pub(super) async fn answer(&mut self, answer: &Answer) {
        if *answer != Answer::Lost {
            self.tell(answer).await;
        }
    }

    pub(super) async fn tell<T: Serialize>(&mut self, what: &T) {
        if let Ok(mut line) = serde_json::to_vec(what) {
            line.push(b'\n');
            // Whoever asked may be dead; what is in the books stays there.
            let _ = self.0.get_mut().write_all(&line).await;
        }
    }
}

/// Call a tool of the outside world.
pub(crate) async fn call(socket: &Path, request: Request) -> Outcome {
    let stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) => return Outcome::failed("unreachable", error.to_string()),
    };
    match exchange(stream, &request).await {
        Ok(answer) => outcome(answer),
        Err(error) => Outcome::unknown("reset", format!("{error:#}")),
    }
}

/// The same without ever waiting for the runtime: the call is ready when it is first polled.
pub(crate) fn call_at_once(socket: &Path, request: Request) -> Outcome {
    let stream = match BlockingStream::connect(socket) {
        Ok(stream) => stream,
        Err(error) => return Outcome::failed("unreachable", error.to_string()),
    };
    match exchange_at_once(stream, &request) {
        Ok(answer) => outcome(answer),
        Err(error) => Outcome::unknown("reset", format!("{error:#}")),
    }
}

fn outcome(answer: Answer) -> Outcome {
    match answer {
        Answer::Done(receipt) | Answer::Late(receipt) => Outcome::Done(serde_json::json!(receipt).into()),
        Answer::Refused => Outcome::failed("refused", "the outside world refused"),
        Answer::Lost => Outcome::unknown("reset", "the answer was lost"),
    }
}

/// Whether something happened under a key, and its receipt if so.
pub(crate) async fn ask(socket: &Path, key: &str) -> anyhow::Result<Option<Receipt>> {
    let stream = UnixStream::connect(socket).await.context("cannot reach the recorder")?;
    exchange(stream, &Request::Ask { key: key.to_owned() }).await
}

/// The receipt of a call, made by a program that has no runtime.
pub(crate) fn receipt_at_once(socket: &Path, request: Request) -> anyhow::Result<Receipt> {
    match exchange_at_once(BlockingStream::connect(socket)?, &request)? {
        Answer::Done(receipt) | Answer::Late(receipt) => Ok(receipt),
        Answer::Refused | Answer::Lost => anyhow::bail!("no receipt"),
    }
}

/// The same question, asked by a program that has no runtime.
pub(crate) fn ask_at_once(socket: &Path, key: &str) -> anyhow::Result<Option<Receipt>> {
    exchange_at_once(BlockingStream::connect(socket)?, &Request::Ask { key: key.to_owned() })
}

/// Everything that happened.
pub(crate) async fn read_books(socket: &Path) -> anyhow::Result<Vec<Entry>> {
    let stream = UnixStream::connect(socket).await.context("cannot reach the recorder")?;
    exchange(stream, &Request::Books).await
}

async fn exchange<T: DeserializeOwned>(mut stream: UnixStream, request: &Request) -> anyhow::Result<T> {
    stream.write_all(&line_of(request)?).await?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    serde_json::from_str(&line).context("no answer")
}

fn exchange_at_once<T: DeserializeOwned>(mut stream: BlockingStream, request: &Request) -> anyhow::Result<T> {
    stream.write_all(&line_of(request)?)?;
    let mut line = String::new();
    BlockingReader::new(stream).read_line(&mut line)?;
    serde_json::from_str(&line).context("no answer")
}

fn line_of(request: &Request) -> anyhow::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    Ok(line)
}
