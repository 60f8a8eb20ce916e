//! Health: answered by the server, and on a thread of its own when every worker is busy.

use std::sync::mpsc;

use headframe::api::Limits;

use super::{inside::Inside, served::Served};

#[test]
fn health_is_told_part_by_part_at_both_addresses() {
    let served = Served::new();
    for api in [served.api(), served.admin()] {
        let ready = api.get("/readyz");
        assert_eq!((ready.status, &ready.json()["ready"]), (200, &true.into()), "{ready:?}");
        for part in ["calls", "door", "store", "workers", "workflows"] {
            assert_eq!(ready.json()["components"][part]["ok"], true, "{ready:?}");
        }
        assert_eq!(api.get("/livez").json()["pid"], served.child.id());
        let metrics = api.get("/metrics");
        assert_eq!(
            (metrics.status, metrics.header("content-type").unwrap().split(';').next()),
            (200, Some("text/plain"))
        );
    }
    assert_eq!(served.admin().get("/v1/runs").problem(), (404, "HF0313".to_owned()));
}

#[test]
fn health_and_metrics_answer_while_every_worker_is_busy() {
    let inside = Inside::new(1, Limits::default());
    assert_eq!(inside.api.get("/livez").status, 200);
    let (begun, is_begun) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    inside.runtime.spawn(async move {
        begun.send(()).unwrap();
        // The only worker waits, and can do nothing else.
        released.recv().unwrap();
    });
    is_begun.recv().unwrap();
    assert_eq!(inside.admin.get("/livez").status, 200);
    assert_eq!(inside.admin.get("/metrics").body, b"one 1\n");
    assert!(inside.admin.get("/readyz").json()["components"]["store"]["ok"].as_bool().unwrap());
    release.send(()).unwrap();
    inside.end();
}

#[test]
fn the_description_of_the_api_names_every_path() {
    let served = Served::new();
    let told = served.api().get("/openapi.json").json();
    let paths: Vec<_> = told["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "/livez",
            "/metrics",
            "/readyz",
            "/v1/dead",
            "/v1/doubts",
            "/v1/doubts/{call}",
            "/v1/runs",
            "/v1/runs/{run}",
            "/v1/runs/{run}/cancel",
            "/v1/runs/{run}/events",
            "/v1/runs/{run}/result",
            "/v1/stuck",
            "/v1/workflows",
        ]
    );
    assert_eq!(told, serde_json::to_value(headframe::api::openapi()).unwrap());
}
