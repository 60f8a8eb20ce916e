//! The server dies, and nothing that it acknowledged is lost.

use std::io::{Read as _, Write as _};

use serde_json::json;

use super::served::Served;

#[test]
fn a_result_is_there_after_the_server_was_killed_while_somebody_waited() {
    let mut served = Served::new();
    let api = served.api();
    let run = api.submit("gate", json!({}));
    let mut waiting = api.connect();
    write!(waiting, "GET /v1/runs/{run}/result?wait=60s HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    served.until(|| api.get(&format!("/v1/runs/{run}")).json(), |run| run["status"] == "running");
    served.kill();
    // There is no answer, whole or in part.
    let mut told = Vec::new();
    let _ = waiting.read_to_end(&mut told);
    assert_eq!(told, b"");
    served.start();
    std::fs::write(served.place.path("go"), "").unwrap();
    let result = served.api().get(&format!("/v1/runs/{run}/result?wait=60s")).json();
    assert_eq!((&result["status"], &result["output"]["stdout"]), (&"succeeded".into(), &"went\n".into()), "{result}");
}

#[test]
fn clients_that_hang_up_leave_nothing_behind() {
    let served = Served::new();
    let api = served.api();
    let run = api.submit("nap", json!({}));
    let starts = [
        "GET".to_owned(),
        "POST /v1/runs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"work".to_owned(),
        format!("GET /v1/runs/{run}/result?wait=60s HTTP/1.1\r\nhost: localhost\r\n\r\n"),
        format!("GET /v1/runs/{run}/events HTTP/1.1\r\nhost: localhost\r\n\r\n"),
    ];
    for _ in 0..200 {
        for start in &starts {
            api.connect().write_all(start.as_bytes()).unwrap();
        }
    }
    // Every stream and every connection was given back: as many more can be opened.
    let mut open = Vec::new();
    let began = headframe::clock::monotonic();
    while open.len() < 100 {
        match api.try_follow(&run, "", "") {
            Some(mut events) => {
                assert_eq!(events.next().unwrap().id, Some(1));
                open.push(events);
            }
            // The server has not noticed yet that somebody is gone.
            None => assert!(began.elapsed() < std::time::Duration::from_secs(60), "streams were not given back"),
        }
    }
    assert_eq!(api.get("/livez").status, 200);
}
