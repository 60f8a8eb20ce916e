//! A client of sockets: what it sends is what stands there.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// Nothing here takes longer, on the slowest machine.
const DEADLINE: Duration = Duration::from_secs(90);

/// Where a server answers.
#[derive(Clone, Copy)]
pub(super) struct Api(pub(super) SocketAddr);

/// What it answered.
pub(super) struct Reply {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?} {}", self.status, self.headers, String::from_utf8_lossy(&self.body))
    }
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The status and the code of a problem; its form is checked.
    pub(super) fn problem(&self) -> (u16, String) {
        let problem = self.json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(problem["status"], self.status, "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        (self.status, problem["code"].as_str().unwrap().to_owned())
    }
}

impl Api {
    pub(super) fn get(self, path: &str) -> Reply {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.0))
    }

    pub(super) fn post(self, path: &str, body: &Value) -> Reply {
        self.post_with(path, "", body.to_string().as_bytes())
    }

    /// Submit and expect it to be taken; gives the run.
    pub(super) fn submit(self, workflow: &str, input: Value) -> String {
        let told = self.post("/v1/runs", &serde_json::json!({"workflow": workflow, "input": input}));
        assert_eq!(told.status, 202, "{told:?}");
        told.json()["run"].as_str().unwrap().to_owned()
    }

    /// With further headers, each ended by a line break.
    pub(super) fn post_with(self, path: &str, headers: &str, body: &[u8]) -> Reply {
        let (host, length) = (self.0, body.len());
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n"
        )
        .into_bytes();
        request.extend(body);
        self.send_bytes(&request)
    }

    pub(super) fn send(self, request: &str) -> Reply {
        self.send_bytes(request.as_bytes())
    }

    fn send_bytes(self, request: &[u8]) -> Reply {
        let mut stream = self.connect();
        // A server that has refused already need not read the rest.
        let _ = stream.write_all(request);
        reply(stream)
    }

    pub(super) fn connect(self) -> TcpStream {
        let stream = TcpStream::connect(self.0).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// Follow a run; `more` is what comes behind the path.
    pub(super) fn follow(self, run: &str, more: &str, headers: &str) -> Events {
        self.try_follow(run, more, headers).expect("the stream was refused")
    }

    /// The same, if it is not refused.
    pub(super) fn try_follow(self, run: &str, more: &str, headers: &str) -> Option<Events> {
        let mut stream = self.connect();
        write!(stream, "GET /v1/runs/{run}/events{more} HTTP/1.1\r\nhost: {}\r\n{headers}\r\n", self.0).unwrap();
        let mut reader = BufReader::new(stream);
        let (status, _) = head(&mut reader);
        (status == 200).then_some(Events { reader, rest: String::new() })
    }
}

/// Read an answer to its end.
pub(super) fn reply(stream: TcpStream) -> Reply {
    let mut reader = BufReader::new(stream);
    let (status, headers) = head(&mut reader);
    let of = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let mut body = Vec::new();
    if of("transfer-encoding").is_some() {
        while let Some(chunk) = chunk(&mut reader) {
            body.extend(chunk);
        }
    } else {
        let length = of("content-length").map_or(0, |length| length.parse().unwrap());
        body.resize(length, 0);
        reader.read_exact(&mut body).unwrap();
    }
    Reply { status, headers, body }
}

fn head(reader: &mut BufReader<TcpStream>) -> (u16, Vec<(String, String)>) {
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let status = first.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {first:?}")).parse().unwrap();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { return (status, headers) };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
}

/// The next piece of a body whose length nobody knew; nothing if it is over, or was cut off.
fn chunk(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let length = usize::from_str_radix(line.trim_end(), 16).ok()?;
    let mut chunk = vec![0; length + 2];
    reader.read_exact(&mut chunk).ok()?;
    chunk.truncate(length);
    (length > 0).then_some(chunk)
}

/// One event of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) id: Option<u64>,
    pub(super) name: Option<String>,
    pub(super) data: Value,
}

/// The events of a run as they come.
pub(super) struct Events {
    reader: BufReader<TcpStream>,
    rest: String,
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.rest.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.rest = rest;
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                // A comment only shows that the stream lives.
                let Some(data) = field("data:") else { continue };
                return Some(Event {
                    id: field("id:").map(|id| id.parse().unwrap()),
                    name: field("event:").map(str::to_owned),
                    data: serde_json::from_str(data).unwrap(),
                });
            }
            self.rest.push_str(&String::from_utf8(chunk(&mut self.reader)?).unwrap());
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.reader.get_ref().shutdown(Shutdown::Both);
    }
}
