//! What is refused, how it is said, and that nothing of it is written.

use std::io::Write as _;

use serde_json::json;

use super::{client::reply, served::Served};

const NO_RUN: &str = "/v1/runs/run_00000000000000000000000000000000";

#[test]
fn a_wrong_path_query_or_method_is_a_problem_with_a_code() {
    let served = Served::new();
    let api = served.api();
    let huge = format!("/v1/runs/{}", "9".repeat(5_000));
    for (path, wanted) in [
        ("/", (404, "HF0313")),
        ("/v2/runs", (404, "HF0313")),
        (NO_RUN, (404, "HF0205")),
        (&format!("{NO_RUN}/result"), (404, "HF0205")),
        (&format!("{NO_RUN}/events"), (404, "HF0205")),
        (&huge, (404, "HF0313")),
        ("/v1/runs/run_+0000000000000000000000000000000", (404, "HF0313")),
        ("/v1/runs/%ff%00", (400, "HF0308")),
        ("/v1/runs/..%2f..%2fetc", (404, "HF0313")),
        ("/v1/runs?limit=0", (400, "HF0308")),
        ("/v1/runs?limit=501", (400, "HF0308")),
        ("/v1/runs?limit=-1", (400, "HF0308")),
        ("/v1/runs?limit=99999999999999999999", (400, "HF0308")),
        ("/v1/runs?status=dead", (400, "HF0308")),
        ("/v1/runs?cursor=zzz", (400, "HF0308")),
        ("/v1/runs?offset=3", (400, "HF0308")),
        ("/v1/runs?limit=1&limit=2", (400, "HF0308")),
        ("/v1/runs/run_/result?wait=-1s", (404, "HF0313")),
    ] {
        let refused = api.get(path).problem();
        assert_eq!((refused.0, &*refused.1), wanted, "{path}");
    }
    let run = api.submit("nap", json!({}));
    for query in ["wait=soon", "wait=-1s", "wait=", "weight=1s"] {
        assert_eq!(api.get(&format!("/v1/runs/{run}/result?{query}")).problem(), (400, "HF0308".to_owned()), "{query}");
    }
    let waited = api.get(&format!("/v1/runs/{run}/result?wait=1ms"));
    assert_eq!(waited.status, 202, "{waited:?}");
    let headers = "last-event-id: x\r\n";
    let asked = format!("GET /v1/runs/{run}/events HTTP/1.1\r\nhost: localhost\r\n{headers}connection: close\r\n\r\n");
    assert_eq!(api.send(&asked).problem(), (400, "HF0308".to_owned()));
    let deleted = api.send("DELETE /v1/runs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\r\n");
    assert_eq!(deleted.problem(), (405, "HF0313".to_owned()));
}

#[test]
fn a_wrong_body_is_a_problem_and_nothing_of_it_is_written() {
    let served = Served::new();
    let api = served.api();
    let deep = format!(r#"{{"workflow": "greet", "input": {}1{}}}"#, r#"{"a":"#.repeat(100), "}".repeat(100));
    let bomb = [vec![b'['; 400_000], vec![b']'; 400_000]].concat();
    let wide = format!(r#"{{"workflow": "greet", "input": {{"name": "{}"}}}}"#, "x".repeat(300_000));
    let large = format!(r#"{{"workflow": "greet", "input": {{"name": "{}"}}}}"#, "x".repeat(1_100_000));
    for (body, wanted) in [
        (&b""[..], (400, "HF0308")),
        (b"{", (400, "HF0308")),
        (b"null", (400, "HF0308")),
        (b"[]", (400, "HF0308")),
        (b"\xff\xfe", (400, "HF0308")),
        (br#"{"workflow": 7}"#, (400, "HF0308")),
        (br#"{"workflow": "greet", "inputs": {}}"#, (400, "HF0308")),
        (br#"{"workflow": "greet", "workflow": "nap"}"#, (400, "HF0308")),
        (br#"{"workflow": "greet", "input": [1]}"#, (400, "HF0308")),
        (br#"{"workflow": "greet", "input": {"name": 1e999}}"#, (400, "HF0308")),
        (br#"{"workflow": "greet", "labels": {"a": 1}}"#, (400, "HF0308")),
        (br#"{"workflow": "greet"} {}"#, (400, "HF0308")),
        (br#"{"workflow": "../greet"}"#, (404, "HF0304")),
        (br#"{"workflow": ""}"#, (404, "HF0304")),
        (br#"{"workflow": "greet", "input": {"name": 7}}"#, (422, "HF0203")),
        (br#"{"workflow": "greet", "input": {"nome": "x"}}"#, (422, "HF0203")),
        (deep.as_bytes(), (400, "HF0308")),
        (&bomb, (400, "HF0308")),
        (wide.as_bytes(), (422, "HF0203")),
        (large.as_bytes(), (413, "HF0309")),
    ] {
        let refused = api.post_with("/v1/runs", "", body).problem();
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!((refused.0, &*refused.1), wanted, "{shown}");
    }
    let labels: serde_json::Map<_, _> = (0..65).map(|at| (at.to_string(), json!("x"))).collect();
    let refused = api.post("/v1/runs", &json!({"workflow": "greet", "labels": labels}));
    assert_eq!(refused.problem(), (422, "HF0203".to_owned()));
    let named = api.post("/v1/runs", &json!({"workflow": "greet", "colour": "red"})).json();
    assert!(named["detail"].as_str().unwrap().contains("`colour`"), "{named}");
    assert_eq!(api.get("/v1/runs").json()["runs"], json!([]));
}

#[test]
fn a_page_from_elsewhere_reaches_nothing() {
    let served = Served::new();
    let api = served.api();
    let rebound = api.send("GET /v1/runs HTTP/1.1\r\nhost: evil.example:7440\r\nconnection: close\r\n\r\n");
    assert_eq!(rebound.problem(), (421, "HF0306".to_owned()));
    let absolute = api.send("GET http://evil.example/v1/runs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert_eq!(absolute.problem(), (421, "HF0306".to_owned()));
    let twice = api.send("GET /v1/runs HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert_eq!(twice.problem(), (421, "HF0306".to_owned()));
    let old = api.send("GET /v1/runs HTTP/1.0\r\n\r\n");
    assert_eq!(old.problem(), (421, "HF0306".to_owned()));
    let body = br#"{"workflow": "greet"}"#;
    let foreign = api.post_with("/v1/runs", "origin: http://evil.example\r\n", body);
    assert_eq!(foreign.problem(), (403, "HF0306".to_owned()));
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp"] {
        let form = format!(
            "POST /v1/runs HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\ncontent-length: 21\r\nconnection: close\r\n\r\n{{\"workflow\": \"greet\"}}"
        );
        assert_eq!(api.send(&form).problem(), (415, "HF0307".to_owned()), "{kind}");
    }
    assert_eq!(api.get("/v1/runs").json()["runs"], json!([]));
    assert_eq!(api.post_with("/v1/runs", "origin: http://localhost:3000\r\n", body).status, 202);
}

#[test]
fn more_changes_than_the_rate_are_told_to_come_back_before_anything_is_written() {
    let served = Served::with(&["--rate", "1"]);
    let api = served.api();
    let replies: Vec<_> = (0..20).map(|_| api.post("/v1/runs", &json!({"workflow": "greet"}))).collect();
    let taken = replies.iter().filter(|reply| reply.status == 202).count();
    let refused: Vec<_> = replies.iter().filter(|reply| reply.status != 202).collect();
    assert!(!refused.is_empty());
    for reply in refused {
        assert_eq!(reply.problem(), (429, "HF0310".to_owned()));
        assert!(reply.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    }
    assert_eq!(api.get("/v1/runs").json()["runs"].as_array().unwrap().len(), taken);
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let served = Served::new();
    let api = served.api();
    let long = format!("GET /livez HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(17_000));
    assert_eq!(api.send(&long).status, 431);
    let many = "x: 1\r\n".repeat(100);
    assert_eq!(api.send(&format!("GET /livez HTTP/1.1\r\nhost: localhost\r\n{many}\r\n")).status, 431);
    let mut stream = api.connect();
    stream.write_all(b"\x16\x03\x01 this is TLS\r\n\r\n").unwrap();
    assert_eq!(reply(stream).status, 400);
    assert_eq!(api.get("/livez").status, 200);
}
