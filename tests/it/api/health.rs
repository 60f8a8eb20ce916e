//! Health: answered by the server, and on a thread of its own when every worker is busy.

use std::{
    net::SocketAddr,
    sync::{Arc, mpsc},
};

use headframe::{
    Engine,
    api::{Limits, Options, Server, Workflows},
};

use super::{client::Api, served::Served};

#[test]
fn health_is_told_part_by_part_at_both_addresses() {
    let served = Served::new();
    for api in [served.api(), served.admin()] {
        let ready = api.get("/readyz");
        assert_eq!((ready.status, &ready.json()["ready"]), (200, &true.into()), "{ready:?}");
        for part in ["door", "store", "workers", "workflows"] {
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
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let options = Options {
        listen: any,
        admin: any,
        limits: Limits::default(),
        metrics: Arc::new(|| "one 1\n".to_owned()),
        folder: folder.path().to_path_buf(),
    };
    let sockets = options.bind().unwrap();
    let engine = runtime.block_on(Engine::builder().data(folder.path()).start()).unwrap();
    let (server, drain) = Server::new(sockets, engine.clone(), Workflows::default(), options).unwrap();
    let (api, admin) = (Api(server.marker().address), Api(server.marker().admin));
    let served = runtime.spawn(server.serve());
    assert_eq!(api.get("/livez").status, 200);
    let (begun, is_begun) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    runtime.spawn(async move {
        begun.send(()).unwrap();
        // The only worker waits, and can do nothing else.
        released.recv().unwrap();
    });
    is_begun.recv().unwrap();
    assert_eq!(admin.get("/livez").status, 200);
    assert_eq!(admin.get("/metrics").body, b"one 1\n");
    assert!(admin.get("/readyz").json()["components"]["store"]["ok"].as_bool().unwrap());
    release.send(()).unwrap();
    drain.begin();
    runtime.block_on(served).unwrap().unwrap();
    runtime.block_on(engine.stop());
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
            "/v1/workflows",
        ]
    );
    assert_eq!(told, serde_json::to_value(headframe::api::openapi()).unwrap());
}
