//! Clients that are slow, on purpose or not, do not keep others out.
//!
//! Each test has a server with one connection: the second client is answered only when the first was let go.

use std::{io::Write as _, time::Duration};

use headframe::api::Limits;

use super::{client::reply, inside::Inside};

const SHORT: Duration = Duration::from_millis(100);
const IN_TIME: Duration = Duration::from_secs(60);

fn one_connection() -> Limits {
    Limits { connections: 1, ..Limits::default() }
}

#[test]
fn a_head_that_never_ends_is_let_go() {
    let inside = Inside::new(2, Limits { head_time: SHORT, ..one_connection() });
    let mut slow = inside.api.connect();
    slow.write_all(b"GET /livez HTTP/1.1\r\nhost:").unwrap();
    assert_eq!(inside.api.get("/livez").status, 200);
    inside.end();
}

#[test]
fn a_connection_that_lies_idle_is_let_go() {
    let inside = Inside::new(2, Limits { head_time: SHORT, ..one_connection() });
    let mut idle = inside.api.connect();
    // Whoever is slow to ask is let go before he has asked.
    let began = headframe::clock::monotonic();
    while idle.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").is_err()
        || idle.peek(&mut [0]).unwrap_or(0) == 0
    {
        assert!(began.elapsed() < IN_TIME, "it never was fast enough to ask");
        idle = inside.api.connect();
    }
    assert_eq!(inside.api.get("/livez").status, 200);
    assert_eq!(reply(idle).status, 200);
    let silent = inside.api.connect();
    assert_eq!(inside.api.get("/livez").status, 200);
    drop(silent);
    inside.end();
}

#[test]
fn a_body_that_never_ends_is_refused() {
    let inside = Inside::new(2, Limits { body_time: SHORT, ..one_connection() });
    let mut slow = inside.api.connect();
    slow.write_all(
        b"POST /v1/runs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{",
    )
    .unwrap();
    assert_eq!(reply(slow).problem(), (408, "HF0312".to_owned()));
    assert_eq!(inside.api.get("/livez").status, 200);
    inside.end();
}

#[test]
fn a_reader_that_does_not_read_is_let_go() {
    let inside = Inside::new(2, Limits { write_time: SHORT, ..one_connection() });
    let mut deaf = inside.api.connect();
    let asked = "GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(50);
    deaf.set_write_timeout(Some(SHORT)).unwrap();
    // More answers than sockets hold; at some point the server takes no more questions either.
    while deaf.write_all(asked.as_bytes()).is_ok() {}
    assert_eq!(inside.api.get("/livez").status, 200);
    drop(deaf);
    inside.end();
}
