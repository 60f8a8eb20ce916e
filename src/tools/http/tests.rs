//! `http` against a real server that misbehaves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use headframe_actors::durable::Key;
use parking_lot::Mutex;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::*;

const SOON: Duration = Duration::from_secs(20);

/// What the server does with a request.
#[derive(Clone)]
enum Does {
    /// Sends this and closes.
    Sends(Vec<u8>),
    /// Sends this, then nothing, and keeps the connection.
    SendsAndHangs(Vec<u8>),
    /// Closes without a word.
    HangsUp,
}

fn says(head: &str, body: &str) -> Does {
    Does::Sends(format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).into())
}

/// A server on this machine that notes what it is asked.
struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Server {
    async fn new(does: impl Fn(&str) -> Does + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, connections) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
        let mut tasks = JoinSet::new();
        let (notes, counts) = (asked.clone(), connections.clone());
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            let does = Arc::new(does);
            while let Ok((stream, _)) = listener.accept().await {
                counts.fetch_add(1, Ordering::SeqCst);
                let (notes, does) = (notes.clone(), does.clone());
                open.spawn(async move { serve(stream, &notes, &*does).await });
            }
        });
        Self { port, asked, connections, _tasks: tasks }
    }

    fn with(&self, more: Value) -> Value {
        let mut with = json!({"url": format!("http://127.0.0.1:{}/thing", self.port), "allow_private": ["127.0.0.1"]});
        with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        with
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}

async fn serve(mut stream: TcpStream, notes: &Mutex<Vec<String>>, does: &(impl Fn(&str) -> Does + ?Sized)) {
    let mut read = Vec::new();
    let whole = |read: &[u8]| {
        let text = String::from_utf8_lossy(read).to_lowercase();
        let Some(end) = text.find("\r\n\r\n") else { return false };
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
        read.len() >= end + 4 + length.unwrap_or(0_usize)
    };
    let mut piece = [0; 4096];
    while !whole(&read) {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(count) => read.extend_from_slice(&piece[..count]),
        }
    }
    let request = String::from_utf8_lossy(&read).into_owned();
    let answer = does(&request);
    notes.lock().push(request);
    // A client that has gone is what some of these tests are about.
    match answer {
        Does::Sends(bytes) => _ = stream.write_all(&bytes).await,
        Does::SendsAndHangs(bytes) => {
            let _ = stream.write_all(&bytes).await;
            std::future::pending::<()>().await;
        }
        Does::HangsUp => {}
    }
}

struct Bench {
    tool: Http,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { tool: Http::new(Artifacts::open(folder.path()).unwrap()), _folder: folder }
    }

    fn context() -> CallContext {
        CallContext::detached("run/phase/task", Key([7; 32]), SOON)
    }

    async fn call(&self, with: Value) -> Outcome {
        self.tool.check(&with).expect("the arguments are right");
        let cx = Self::context();
        tokio::time::timeout(SOON, self.tool.call(&cx, with.into())).await.expect("an answer")
    }

    async fn done(&self, with: Value) -> Value {
        match self.call(with).await {
            Outcome::Done(output) => output.value(),
            other => panic!("{other:?}"),
        }
    }

    async fn failed(&self, with: Value) -> Failure {
        match self.call(with).await {
            Outcome::Failed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    async fn unknown(&self, with: Value) -> Failure {
        match self.call(with).await {
            Outcome::Unknown(failure) => failure,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_request_is_sent_as_it_is_told_and_its_answer_is_read() {
    let server =
        Server::new(|_| says("201 Created\r\ncontent-type: application/json\r\nx-id: 9", r#"{"id": 9}"#)).await;
    let with = server.with(json!({
        "method": "POST", "query": {"expand": ["a b", "c&d"], "n": 3}, "headers": {"X-From": "headframe"},
        "json": {"order": 7}, "ok_status": [201],
    }));
    let answer = Bench::new().done(with).await;
    assert_eq!(
        (&answer["status"], &answer["body"]["id"], &answer["headers"]["x-id"]),
        (&json!(201), &json!(9), &json!("9"))
    );
    let asked = server.asked().remove(0);
    assert!(asked.starts_with("POST /thing?expand=a+b&expand=c%26d&n=3 HTTP/1.1\r\n"), "{asked}");
    for line in ["x-from: headframe", "content-type: application/json", &format!("idempotency-key: {}", Key([7; 32]))] {
        assert!(asked.contains(line), "{line} is missing in {asked}");
    }
    assert!(asked.ends_with(r#"{"order":7}"#), "{asked}");
}

#[tokio::test]
async fn a_safe_request_carries_no_key_and_never_ends_unknown() {
    let server = Server::new(|_| says("503 Service Unavailable\r\nretry-after: 7", "later")).await;
    let failure = Bench::new().failed(server.with(json!({}))).await;
    assert_eq!((&*failure.class, failure.retry_after_ms), ("http_503", Some(7_000)));
    let said = format!("GET http://127.0.0.1:{}/thing answered 503 Service Unavailable: later", server.port);
    assert_eq!(failure.message, said, "of a server that is not on port 80, too");
    assert!(!server.asked()[0].contains("idempotency-key"));
}

#[tokio::test]
async fn what_a_status_proves_decides_how_a_call_ends() {
    for (status, is_definite) in
        [(400, true), (404, true), (422, true), (408, false), (409, false), (429, false), (500, false)]
    {
        let server = Server::new(move |_| says(&format!("{status} X"), "no")).await;
        let with = server.with(json!({"method": "POST", "text": "x"}));
        match Bench::new().call(with).await {
            Outcome::Failed(failure) => assert!(is_definite, "{status}: {failure:?}"),
            Outcome::Unknown(failure) => assert!(!is_definite, "{status}: {failure:?}"),
            Outcome::Done(_) => panic!("{status} is no success"),
        }
    }
    let server = Server::new(|_| says("429 Too Many Requests\r\nretry-after: 2", "")).await;
    let failure = Bench::new().failed(server.with(json!({"method": "POST", "failed_status": [429]}))).await;
    assert_eq!(failure.retry_after_ms, Some(2_000));
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let with = json!({"method": "POST", "url": format!("http://127.0.0.1:{free}/"), "allow_private": ["127.0.0.1"]});
    assert_eq!(Bench::new().failed(with).await.class, "connect");
    // Nobody may be asked for this name, so nothing answers to it (RFC 6761).
    let with = json!({"method": "POST", "url": "http://nobody.invalid/"});
    assert_eq!(Bench::new().failed(with).await.class, "connect");
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_the_outcome_unknown() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf of".to_vec();
    let bad = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec();
    for does in [Does::HangsUp, Does::Sends(cut), Does::Sends(bad), Does::Sends(b"SSH-2.0-not-http\r\n".to_vec())] {
        let server = Server::new(move |_| does.clone()).await;
        let failure = Bench::new().unknown(server.with(json!({"method": "POST"}))).await;
        assert_eq!(failure.class, "connection", "{}", failure.message);
        assert_eq!(server.asked().len(), 1, "it is not sent again by itself");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_when_the_call_is() {
    for begun in ["", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nslow"] {
        let server = Server::new(move |_| Does::SendsAndHangs(begun.into())).await;
        let (bench, cx) = (Bench::new(), Bench::context());
        let with = server.with(json!({"method": "POST"}));
        let calling = bench.tool.call(&cx, with.into());
        let giving_up = async {
            while server.asked().is_empty() {
                tokio::task::yield_now().await;
            }
            cx.cancel();
        };
        let (outcome, ()) =
            tokio::time::timeout(SOON, async { tokio::join!(calling, giving_up) }).await.expect("an end");
        assert!(matches!(outcome, Outcome::Unknown(failure) if failure.class == "cancelled"));
    }
}

#[tokio::test]
async fn an_answer_over_its_bound_is_not_taken() {
    let server = Server::new(|_| says("200 OK", &"x".repeat(5_000))).await;
    let failure = Bench::new().unknown(server.with(json!({"method": "POST", "max_response": 4_000}))).await;
    assert!(failure.message.contains("`max_response`"), "{}", failure.message);
}

#[tokio::test]
async fn a_long_answer_is_put_aside_and_odd_bytes_come_through() {
    let server = Server::new(|_| says("200 OK\r\ncontent-type: text/plain", &"x".repeat(5_000))).await;
    let answer = Bench::new().done(server.with(json!({"inline_max": 100}))).await;
    assert!(answer["body"]["$artifact"].is_string(), "{answer}");
    let odd = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\n\xff\xfe\n".to_vec();
    let server = Server::new(move |_| Does::Sends(odd.clone())).await;
    let answer = Bench::new().done(server.with(json!({}))).await;
    assert_eq!(headframe_actors::plan::text::to_bytes(answer["body"].as_str().unwrap()), b"\xff\xfe\n");
}

#[tokio::test]
async fn json_that_is_none_leaves_the_outcome_of_a_post_unknown() {
    let server = Server::new(|_| says("200 OK\r\ncontent-type: application/json; charset=utf-8", "{\"id\": ")).await;
    let failure = Bench::new().unknown(server.with(json!({"method": "POST"}))).await;
    assert!(failure.message.contains("not JSON"), "{}", failure.message);
    let text = Bench::new().done(server.with(json!({"method": "POST", "output": "text"}))).await;
    assert_eq!(text["body"], "{\"id\": ");
}

#[tokio::test]
async fn redirects_are_followed_for_safe_requests_so_often_and_never_for_others() {
    let server = Server::new(|asked| match asked.split(' ').nth(1) {
        Some("/end") => says("200 OK", "there"),
        Some("/loop") => says("302 Found\r\nlocation: /loop", ""),
        _ => says("302 Found\r\nlocation: /end", ""),
    })
    .await;
    assert_eq!(Bench::new().done(server.with(json!({}))).await["body"], "there");
    let looping = server.with(json!({"url": format!("http://127.0.0.1:{}/loop", server.port), "redirects": 3}));
    assert_eq!(Bench::new().failed(looping).await.class, "http_302");
    assert_eq!(server.asked().len(), 2 + 4);
    assert_eq!(Bench::new().unknown(server.with(json!({"method": "POST"}))).await.class, "http_302");
    assert_eq!(server.asked().len(), 2 + 4 + 1);
}

#[tokio::test]
async fn a_redirect_to_another_server_takes_no_headers_along() {
    let other = Server::new(|_| says("200 OK", "other")).await;
    let location = format!("302 Found\r\nlocation: http://localhost:{}/", other.port);
    let server = Server::new(move |_| says(&location, "")).await;
    let with = server
        .with(json!({"headers": {"authorization": "Bearer s3cret"}, "allow_private": ["127.0.0.1", "localhost"]}));
    assert_eq!(Bench::new().done(with).await["body"], "other");
    assert!(server.asked()[0].contains("s3cret") && !other.asked()[0].contains("s3cret"));
}

#[tokio::test]
async fn a_private_address_is_refused_unless_it_is_allowed_however_it_is_spelt() {
    let server = Server::new(|_| says("200 OK", "secret")).await;
    let port = server.port;
    for host in ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        for allowed in [json!([]), json!(["other.example"]), json!(["127.0.0.1:1"])] {
            let with = json!({"method": "POST", "url": format!("http://{host}:{port}/"), "allow_private": allowed});
            let failure = Bench::new().failed(with).await;
            assert_eq!(failure.class, "refused", "{host}: {}", failure.message);
            assert!(failure.message.contains("`allow_private`"), "{}", failure.message);
        }
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
    // A public server cannot send a request on to a private one either.
    let here = format!("302 Found\r\nlocation: http://127.0.0.1:{port}/");
    let first = Server::new(move |_| says(&here, "")).await;
    let with = json!({"url": format!("http://localhost:{}/", first.port), "allow_private": ["localhost"]});
    assert_eq!(Bench::new().failed(with).await.class, "refused");
    assert_eq!((first.asked().len(), server.connections.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test]
async fn a_probe_asks_with_the_key_and_believes_the_statuses_it_is_told() {
    for (status, expected) in [("200 OK", "happened"), ("404 Not Found", "did not"), ("500 X", "cannot tell")] {
        let server = Server::new(move |_| says(status, "charged")).await;
        let url = format!("http://127.0.0.1:{}/charges/{{key}}", server.port);
        let with = server.with(json!({"method": "POST", "probe": {"url": url}}));
        let bench = Bench::new();
        assert!(bench.tool.can_probe(&with));
        let found = match bench.tool.probe(&Bench::context(), with.into()).await {
            Probe::Happened(output) => {
                assert_eq!(output.value()["body"], "charged");
                "happened"
            }
            Probe::DidNot(_) => "did not",
            Probe::CannotTell(_) => "cannot tell",
        };
        assert_eq!(found, expected, "{status}");
        let asked = server.asked().remove(0);
        assert!(asked.starts_with(&format!("GET /charges/{} HTTP/1.1", Key([7; 32]))), "{asked}");
    }
}

#[test]
fn wrong_arguments_are_told_before_a_run_starts() {
    let bench = Bench::new();
    for (with, said) in [
        (json!({}), "`url` is missing"),
        (json!({"url": "ftp://example.com"}), "https://"),
        (json!({"url": "example.com"}), "no URL"),
        (json!({"url": "https://user:word@example.com"}), "no user or password"),
        (json!({"url": "https://example.com", "method": "get"}), "one of GET"),
        (json!({"url": "https://example.com", "metod": "GET"}), "did you mean `method`"),
        (json!({"url": "https://example.com", "json": {}}), "a GET has no body"),
        (json!({"url": "https://example.com", "method": "POST", "json": 1, "text": "x"}), "either"),
        (json!({"url": "https://example.com", "headers": {"host": "x"}}), "set by the connection"),
        (json!({"url": "https://example.com", "headers": {"a b": "x"}}), "no header"),
        (json!({"url": "https://example.com", "headers": {"a": "x\ny"}}), "one line"),
        (json!({"url": "https://example.com", "ok_status": [99]}), "200 to 599"),
        (json!({"url": "https://example.com", "max_response": 1_u64 << 40}), "at most"),
        (json!({"url": "https://example.com", "redirects": 11}), "at most 10"),
        (
            json!({"url": "https://example.com", "probe": {"method": "POST", "url": "https://example.com"}}),
            "only reads",
        ),
        (json!({"url": "https://example.com", "allow_private": ["*"]}), "written out"),
        (json!({"url": "https://example.com", "allow_private": ["{{ input.host }}"]}), "must not widen"),
        (json!("{{ input.request }}"), "must be a map"),
    ] {
        let told = bench.tool.check(&with).expect_err(&with.to_string());
        assert!(told.contains(said), "{with}: {told}");
    }
    bench
        .tool
        .check(&json!({"url": "https://{{ input.host }}/", "json": "{{ input.body }}", "method": "POST"}))
        .unwrap();
}
