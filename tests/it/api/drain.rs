//! Stopping: in order when asked once, at once when asked twice; and not starting at all.

use std::io::Write as _;

use serde_json::json;

use super::{client::reply, metrics, served::Served};
use crate::cli::place::{Place, code, stderr};

#[test]
fn a_drain_finishes_what_is_open_refuses_what_is_new_and_ends_well() {
    let mut served = Served::new();
    let api = served.api();
    let run = api.submit("nap", json!({}));
    // A request that is half sent keeps the drain waiting.
    let body = json!({"workflow": "greet"}).to_string();
    let mut open = api.connect();
    let length = body.len();
    write!(open, "POST /v1/runs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n").unwrap();
    // The server asks for the body: the request was let in.
    let mut asked = [0; 25];
    std::io::Read::read_exact(&mut open, &mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    let mut waiting = api.connect();
    write!(waiting, "GET /v1/runs/{run}/result?wait=60s HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    // Both were read, and so was the one that asks.
    served
        .until(|| metrics::scrape(served.admin()).series["headframe_http_requests_in_flight"].into(), |of| *of == 3.0);
    served.terminate();
    served.until(|| served.admin().get("/readyz").json(), |ready| ready["components"]["door"]["ok"] == false);
    let refused = api.post("/v1/runs", &json!({"workflow": "greet"}));
    assert_eq!(refused.problem(), (503, "HF0311".to_owned()));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(reply(waiting).status, 202, "who waits is told at once");
    open.write_all(body.as_bytes()).unwrap();
    assert_eq!(reply(open).status, 202, "what was open is answered");
    assert!(served.child.wait().unwrap().success(), "{}", served.place.read("stderr"));
    assert!(!served.place.path(".headframe/server").exists());
    served.place.is_clean();
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut served = Served::new();
    let api = served.api();
    let mut open = api.connect();
    write!(open, "POST /v1/runs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n").unwrap();
    std::io::Read::read_exact(&mut open, &mut [0; 25]).unwrap();
    served.terminate();
    served.until(|| served.admin().get("/readyz").json(), |ready| ready["ready"] == false);
    served.terminate();
    assert_eq!(served.child.wait().unwrap().code(), Some(130));
}

#[test]
fn an_address_that_is_taken_or_not_ours_is_refused_before_anything_starts() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let place = Place::new();
    let told = place.run(&["serve", "--listen", &address, "--admin", "127.0.0.1:0"]);
    assert_eq!(code(&told), 4);
    assert!(stderr(&told).contains("HF0302") && stderr(&told).contains(&address), "{}", stderr(&told));
    let told = place.run(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(code(&told), 2);
    assert!(stderr(&told).contains("HF0301"), "{}", stderr(&told));
    let told = place.run(&["serve", "--workflows", "nowhere", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert_eq!(code(&told), 4);
    assert!(stderr(&told).contains("HF0303"), "{}", stderr(&told));
    assert!(!place.path(".headframe").exists(), "nothing was started");
}
