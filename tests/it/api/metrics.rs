//! What is measured: the list in `docs/METRICS.md` against what a working server tells, in both directions.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use headframe::metrics::families;
use serde_json::json;

use super::{client::Api, served::Served};
use crate::scrape::{Scrape, line};

#[test]
fn the_list_of_metrics_is_what_a_working_server_tells() {
    let served = Served::new();
    work(served.api());
    let scraped = scrape(served.admin());
    let listed: Vec<_> = families().iter().map(line).collect();
    let told: Vec<_> = scraped.families.iter().map(|(name, family)| family.line(name)).collect();
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/METRICS.md")).unwrap();
    let documented: Vec<_> = document.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect();
    let sorted = |lines: &[String]| lines.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(sorted(&told), sorted(&listed), "what is told, and what is registered");
    assert_eq!(sorted(&documented), sorted(&listed), "docs/METRICS.md, and what is registered:\n{}", listed.join("\n"));
    assert_eq!(documented.len(), listed.len(), "docs/METRICS.md names one twice");
}

#[test]
fn figures_are_those_of_the_work_that_was_done() {
    let served = Served::new();
    let api = served.api();
    work(api);
    let napping = api.submit("nap", json!({}));
    let expect = [
        ("headframe_runs_submitted_total", 4.0),
        ("headframe_runs_ended_total{outcome=\"succeeded\"}", 2.0),
        ("headframe_runs_ended_total{outcome=\"failed\"}", 1.0),
        ("headframe_runs_ended_total{outcome=\"cancelled\"}", 0.0),
        ("headframe_run_duration_seconds_count", 3.0),
        ("headframe_tasks_ended_total{outcome=\"succeeded\"}", 501.0),
        ("headframe_tasks_ended_total{outcome=\"failed\"}", 1.0),
        ("headframe_calls_ended_total{tool=\"echo\",outcome=\"done\"}", 501.0),
        ("headframe_calls_ended_total{tool=\"fail\",outcome=\"failed\"}", 1.0),
        ("headframe_call_duration_seconds_count{tool=\"echo\"}", 501.0),
        ("headframe_permits_in_use{tool=\"echo\"}", 0.0),
        ("headframe_calls_in_doubt", 0.0),
        ("headframe_store_short_of_room", 0.0),
        ("headframe_http_requests_total{route=\"/v1/runs\",method=\"POST\",status=\"2xx\"}", 4.0),
    ];
    // A run may have ended a moment before that is counted.
    for (series, value) in expect {
        let told = || json!({ series: scrape(served.admin()).series.get(series) });
        served.until(told, |told| told[series] == json!(value));
    }
    let scraped = scrape(served.admin());
    let more =
        ["headframe_turns_total", "headframe_commit_records_total", "headframe_fdatasync_duration_seconds_count"];
    for series in more {
        assert!(scraped.series[series] > 0.0, "{series}");
    }
    // Surveys come by themselves.
    let live = |value: f64| scrape(served.admin()).series["headframe_runs_live"] == value;
    served.until(|| live(1.0).into(), |is| *is == true);
    assert!(scrape(served.admin()).series["headframe_store_bytes{part=\"journal\"}"] > 0.0);
    api.post(&format!("/v1/runs/{napping}/cancel"), &json!({}));
}

/// A series for each path, method or name that somebody thinks of would fill the memory of whoever keeps them.
#[test]
fn nobody_outside_makes_a_series() {
    let served = Served::new();
    let api = served.api();
    let ask = |from: usize| {
        for at in from..from + 3 {
            api.get(&format!("/no/such/path/{at}"));
            api.get(&format!("/v1/runs/run_{at}"));
            api.get(&format!("/v1/runs?label=a{at}"));
            api.post("/v1/runs", &json!({"workflow": format!("none{at}")}));
            api.post(&format!("/v1/doubts/call_{at}"), &json!({"decision": "repeat", "by": "Ada"}));
            api.send(&format!("BREW{at} /v1/runs HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", api.0));
            api.get("/metrics");
        }
    };
    ask(0);
    let before = scrape(served.admin());
    ask(100);
    let after = scrape(served.admin());
    let names = |scrape: &Scrape| scrape.series.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&after), names(&before));
}

#[test]
fn every_label_has_values_that_can_be_listed() {
    let served = Served::new();
    let api = served.api();
    work(api);
    api.get("/no/such/path");
    let openapi = api.get("/openapi.json").json();
    let mut routes: BTreeSet<String> = openapi["paths"].as_object().unwrap().keys().cloned().collect();
    routes.extend(["/openapi.json", "other"].map(str::to_owned));
    let words = |words: &str| words.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
    let reasons = headframe::durable::Reason::ALL.map(|reason| reason.word().to_owned());
    let allowed: BTreeMap<&str, BTreeSet<String>> = BTreeMap::from([
        ("kind", words("run phase task other")),
        ("method", words("GET POST HEAD OPTIONS PUT PATCH DELETE other")),
        ("of", words("actor service submissions messages")),
        ("outcome", words("succeeded failed cancelled skipped stopped done unknown")),
        ("part", words("journal rows bases ledger artifacts other")),
        ("reason", reasons.into_iter().collect()),
        ("route", routes),
        ("status", words("1xx 2xx 3xx 4xx 5xx other")),
        ("tool", words("artifact echo fail http items process render sleep store other")),
        ("version", words(env!("CARGO_PKG_VERSION"))),
        ("why", words("idle room")),
    ]);
    for (name, value) in scrape(served.admin()).labels.iter().filter(|(name, _)| name != "le") {
        let allowed = allowed.get(&**name).unwrap_or_else(|| panic!("nobody says what `{name}` may be"));
        assert!(allowed.contains(value), "{name}=\"{value}\" is none of {allowed:?}");
    }
}

/// Three runs that end: one of many calls, one of one call, and one that fails.
pub(super) fn work(api: Api) {
    for workflow in ["greet", "broken", "many"] {
        let run = api.submit(workflow, json!({}));
        assert_eq!(api.get(&format!("/v1/runs/{run}/result?wait=30s")).status, 200);
    }
}

pub(super) fn scrape(api: Api) -> Scrape {
    let reply = api.get("/metrics");
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    Scrape::read(&String::from_utf8(reply.body).unwrap())
}
