//! One key, one run.

use std::collections::BTreeSet;

use serde_json::json;

use super::served::Served;

fn body(name: &str) -> Vec<u8> {
    json!({"workflow": "greet", "input": {"name": name}}).to_string().into_bytes()
}

#[test]
fn a_key_gives_its_first_run_again_and_refuses_another_body() {
    let mut served = Served::new();
    let post = |api: super::Api, name: &str| api.post_with("/v1/runs", "idempotency-key: order-7\r\n", &body(name));
    let first = post(served.api(), "Ada");
    assert_eq!((first.status, &first.json()["is_new"]), (202, &true.into()), "{first:?}");
    let second = post(served.api(), "Ada");
    assert_eq!((second.status, &second.json()["is_new"]), (200, &false.into()), "{second:?}");
    assert_eq!(second.json()["run"], first.json()["run"]);
    assert_eq!(post(served.api(), "Bob").problem(), (409, "HF0204".to_owned()));
    served.kill();
    served.start();
    assert_eq!(post(served.api(), "Ada").json()["run"], first.json()["run"], "after a kill");
    assert_eq!(served.api().get("/v1/runs").json()["runs"].as_array().unwrap().len(), 1);
}

#[test]
fn of_submissions_at_once_with_one_key_one_makes_the_run() {
    let served = Served::new();
    let api = served.api();
    let replies: Vec<_> = std::thread::scope(|scope| {
        let post = || api.post_with("/v1/runs", "idempotency-key: k\r\n", &body("Ada"));
        let posts: Vec<_> = (0..8).map(|_| scope.spawn(post)).collect();
        posts.into_iter().map(|post| post.join().unwrap()).collect()
    });
    assert_eq!(replies.iter().filter(|reply| reply.status == 202).count(), 1, "{replies:?}");
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 7, "{replies:?}");
    let runs: BTreeSet<_> = replies.iter().map(|reply| reply.json()["run"].to_string()).collect();
    assert_eq!(runs.len(), 1);
}

#[test]
fn of_two_bodies_at_once_with_one_key_one_is_refused() {
    let served = Served::new();
    let api = served.api();
    let replies: Vec<_> = std::thread::scope(|scope| {
        let post = |name: &'static str| move || api.post_with("/v1/runs", "idempotency-key: k\r\n", &body(name));
        let posts = ["Ada", "Bob"].map(|name| scope.spawn(post(name)));
        posts.into_iter().map(|post| post.join().unwrap()).collect()
    });
    let mut statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409], "{replies:?}");
}

#[test]
fn a_key_that_is_none_is_refused() {
    let served = Served::new();
    let api = served.api();
    let long = format!("idempotency-key: {}\r\n", "k".repeat(257));
    for headers in [
        "idempotency-key: \r\n",
        "idempotency-key: caf\u{e9}\r\n",
        &long,
        "idempotency-key: a\r\nidempotency-key: a\r\n",
    ] {
        let refused = api.post_with("/v1/runs", headers, &body("Ada"));
        assert_eq!(refused.problem(), (400, "HF0308".to_owned()), "{headers}");
    }
    let longest = format!("idempotency-key: {}\r\n", "k".repeat(256));
    assert_eq!(api.post_with("/v1/runs", &longest, &body("Ada")).status, 202);
}
