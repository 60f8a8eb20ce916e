//! What the server promises over HTTP, asked of the real program.
//!
//! **Invariant:** no test waits for a time; it waits for what it needs to see, with a deadline. The client here is a socket
//! and the rules of HTTP/1.1, so that it can also break them.

mod client;
mod deaths;
mod drain;
mod follow;
mod health;
mod inside;
mod keys;
mod metrics;
mod patience;
mod prometheus;
mod refusals;
mod remote;
mod served;

use serde_json::{Value, json};

use self::{client::Api, served::Served};

#[test]
fn a_run_is_submitted_and_its_result_waited_for() {
    let served = Served::new();
    let api = served.api();
    let told = api.post("/v1/runs", &json!({"workflow": "greet", "input": {"name": "Ada"}, "labels": {"for": "test"}}));
    assert_eq!(told.status, 202, "{told:?}");
    let run = told.json()["run"].as_str().unwrap().to_owned();
    assert_eq!(told.header("location"), Some(&*format!("/v1/runs/{run}")));
    let result = api.get(&format!("/v1/runs/{run}/result?wait=30s"));
    assert_eq!((result.status, &result.json()["output"]), (200, &"Hello, Ada!".into()), "{result:?}");
    let shown = api.get(&format!("/v1/runs/{run}")).json();
    assert_eq!((&shown["status"], &shown["labels"]["for"]), (&"succeeded".into(), &"test".into()), "{shown}");
    assert!(shown["ended_at_ms"].as_u64() >= shown["submitted_at_ms"].as_u64(), "{shown}");
}

#[test]
fn a_run_that_failed_says_where_and_why() {
    let served = Served::new();
    let api = served.api();
    let run = api.submit("broken", json!({}));
    let result = api.get(&format!("/v1/runs/{run}/result?wait=30s")).json();
    assert_eq!(result["status"], "failed", "{result}");
    assert_eq!((&result["failure"]["class"], &result["output"]), (&"planned".into(), &Value::Null), "{result}");
    assert!(result["failure"]["task"].as_str().unwrap().contains("a/t"), "{result}");
}

#[test]
fn runs_are_listed_page_by_page_newest_first_and_filtered() {
    let mut served = Served::new();
    let api = served.api();
    let mut runs: Vec<_> = (0..5).map(|at| api.submit("greet", json!({"name": at.to_string()}))).collect();
    runs.extend((0..2).map(|_| api.submit("broken", json!({}))));
    for run in &runs {
        api.get(&format!("/v1/runs/{run}/result?wait=30s"));
    }
    runs.reverse();
    assert_eq!(pages(api), runs);
    let count = |query: &str| api.get(&format!("/v1/runs?{query}")).json()["runs"].as_array().unwrap().len();
    assert_eq!(["workflow=greet", "status=failed", "status=held", "label=for"].map(count), [5, 2, 0, 0]);
    assert_eq!(count("workflow=greet&status=succeeded&limit=500"), 5);
    // The next life reads rows that a checkpoint wrote.
    served.terminate();
    assert!(served.child.wait().unwrap().success());
    served.start();
    runs.insert(0, served.api().submit("greet", json!({})));
    assert_eq!(pages(served.api()), runs);
}

#[test]
fn a_cancelled_run_ends_as_cancelled() {
    let served = Served::new();
    let api = served.api();
    let run = api.submit("nap", json!({}));
    assert_eq!(api.get(&format!("/v1/runs/{run}/result")).status, 202);
    let told = api.post(&format!("/v1/runs/{run}/cancel"), &json!({"reason": "not needed"}));
    assert_eq!((told.status, &told.json()["cancelled_for"]), (202, &"not needed".into()), "{told:?}");
    let result = api.get(&format!("/v1/runs/{run}/result?wait=30s")).json();
    assert_eq!((&result["status"], &result["failure"]["message"]), (&"cancelled".into(), &"not needed".into()));
    let again = api.post(&format!("/v1/runs/{run}/cancel"), &json!({"reason": "again"}));
    assert_eq!((again.status, &again.json()["cancelled_for"]), (200, &"not needed".into()), "{again:?}");
}

#[test]
fn a_call_in_doubt_is_decided_over_http() {
    let mut served = Served::new();
    let api = served.api();
    let run = api.submit("charge", json!({}));
    served.wait_for_file("charging");
    served.kill();
    served.start();
    let api = served.api();
    let doubts = served.until(|| api.get("/v1/doubts").json(), |doubts| !doubts.as_array().unwrap().is_empty());
    let call = doubts[0]["call"].as_str().unwrap();
    assert_eq!(api.get(&format!("/v1/runs/{run}")).json()["status"], "held");
    assert_eq!(api.get("/v1/stuck").json()[0]["call"], call);
    assert_eq!(api.get("/v1/runs?status=held").json()["runs"][0]["in_doubt"], json!([call]));
    let decided = api.post(
        &format!("/v1/doubts/{call}"),
        &json!({"decision": "happened", "output": {"stdout": "paid"}, "by": "Ada"}),
    );
    assert_eq!(decided.status, 200, "{decided:?}");
    let result = api.get(&format!("/v1/runs/{run}/result?wait=30s")).json();
    assert_eq!((&result["status"], &result["output"]["stdout"]), (&"succeeded".into(), &"paid".into()), "{result}");
    assert_eq!(api.post(&format!("/v1/doubts/{call}"), &json!({"decision": "repeat", "by": "Ada"})).status, 404);
}

#[test]
fn workflows_are_named_with_their_inputs_and_a_broken_file_with_its_problems() {
    let served = Served::new();
    let api = served.api();
    let workflows = api.get("/v1/workflows").json();
    let named = |name: &str| workflows.as_array().unwrap().iter().find(|is| is["name"] == name).unwrap().clone();
    let greet = named("greet");
    assert_eq!((&greet["ready"], &greet["inputs"]["name"]["type"]), (&true.into(), &"string".into()), "{greet}");
    let wrong = named("wrong");
    assert_eq!(wrong["ready"], false, "{wrong}");
    assert!(wrong["problems"][0].as_str().unwrap().starts_with("HF0"), "{wrong}");
    assert!(named("misnamed")["problems"][0].as_str().unwrap().contains("by one name"));
    assert!(served.place.read("stderr").contains("workflow wrong cannot be submitted"));
    let refused = api.post("/v1/runs", &json!({"workflow": "wrong"}));
    assert_eq!((refused.status, &refused.json()["code"]), (422, &"HF0305".into()), "{refused:?}");
}

/// The runs of all pages.
fn pages(api: Api) -> Vec<String> {
    let (mut listed, mut next) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/v1/runs?limit=3{next}")).json();
        listed.extend(page["runs"].as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next"].as_str() else { return listed };
        next = format!("&cursor={cursor}");
    }
}
