//! What an operator does: dead letters of runs, and runs that are held.

use std::{
    fs::{self, File},
    time::{Duration, UNIX_EPOCH},
};

use headframe::{
    Engine,
    artifacts::Artifacts,
    durable::{Address, Killed},
    plan::Plan,
    run::{self, Run},
};
use serde_json::json;

use super::{
    CHARGE,
    place::{Place, code, json as told_json, stderr, stdout},
};

const REASON: &str = "a phase lost a message";

/// A run that waits a minute before its second attempt, holds for an operator, and has a dead letter.
async fn held(place: &Place) -> run::RunId {
    let engine = Engine::builder().data(place.path(".headframe")).start().await.unwrap();
    let plan = Plan::builder("w").phase("a", |phase| {
        phase.task("t", "fail", |task| {
            task.with(json!({"message": "no luck", "times": 1})).retry(2).backoff(Duration::from_secs(60))
        })
    });
    let run = engine.submit(&engine.check(plan.build()).unwrap(), json!({})).await.unwrap();
    let actor = Address::<Run>::new(run.row().await.unwrap().actor);
    // The task waits, without a call.
    while engine.system().figures().calls > 0 || engine.system().figures().actors < 3 {
        tokio::task::yield_now().await;
    }
    let begin = run::Begin {
        run: run.id(),
        plan: run.row().await.unwrap().plan,
        input: headframe::json::Json::NULL,
        labels: Vec::new(),
    };
    engine.system().tell(actor, run::Message::Start(begin)).await.unwrap();
    engine.system().tell(actor, run::Message::Held { reason: REASON.to_owned() }).await.unwrap();
    while run.row().await.unwrap().held.is_none() {
        tokio::task::yield_now().await;
    }
    engine.stop().await;
    run.id()
}

#[tokio::test]
async fn a_held_run_is_ended_as_failed_with_the_reason_and_only_a_held_one() {
    let place = Place::new();
    held(&place).await;
    let ended = place.run(&["runs", "end", "last", "--reason", "the bank is closed", "--by", "ada"]);
    assert_eq!(code(&ended), 0, "{}", stderr(&ended));
    let shown = told_json(&place.run(&["runs", "show", "last", "-o", "json"]));
    assert_eq!((&shown["status"], &shown["failure"]["message"]), (&json!("failed"), &json!("the bank is closed")));
    let stats = told_json(&place.run(&["store", "stats", "-o", "json"]));
    assert_eq!((&stats["actors"], &stats["unfinished"]), (&json!(0), &json!(0)), "nothing of it is left");
    assert!(stdout(&place.run(&["ledger", "show", "last"])).contains("was given up by ada"));
    place.is_clean();
}

#[tokio::test]
async fn a_run_whose_lost_message_is_retried_is_no_longer_held() {
    let place = Place::new();
    held(&place).await;
    let listed = told_json(&place.run(&["dead", "list", "-o", "json"]));
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["kind"]), (1, &json!("run")));
    let number = listed[0]["letter"].to_string();
    assert!(stdout(&place.run(&["dead", "show", &number])).contains("Start"));
    assert_eq!(code(&place.run(&["dead", "retry"])), 2, "many need a filter");
    let looked = place.run(&["dead", "retry", "--kind", "run", "--dry-run"]);
    assert!(code(&looked) == 0 && stdout(&looked).contains("run"), "{}", stderr(&looked));
    assert_eq!(told_json(&place.run(&["runs", "list", "-o", "json"]))[0]["status"], "held");
    let retried = place.run(&["dead", "retry", "--kind", "run", "--by", "ada"]);
    assert_eq!(code(&retried), 0, "{}", stderr(&retried));
    let engine = Engine::builder().data(place.path(".headframe")).start().await.unwrap();
    while engine.runs().await.unwrap()[0].held.is_some() {
        tokio::task::yield_now().await;
    }
    engine.stop().await;
    assert!(stdout(&place.run(&["ledger", "show", "last"])).contains("delivered again by ada"));
}

#[tokio::test]
async fn a_dropped_letter_is_gone_and_an_unknown_one_is_not_found() {
    let place = Place::new();
    held(&place).await;
    let number = told_json(&place.run(&["dead", "list", "-o", "json"]))[0]["letter"].to_string();
    assert_eq!(code(&place.run(&["dead", "drop", &number])), 0);
    assert_eq!(code(&place.run(&["dead", "drop", &number])), 3);
    assert!(stderr(&place.run(&["dead", "list"])).contains("there are no dead letters"));
}

#[test]
fn left_over_artifacts_are_shown_before_they_are_removed() {
    let place = Place::new();
    place.spec("shapes.yaml", "echo", "{ a: 1 }", "");
    place.run(&["run", "shapes.yaml"]);
    let artifacts = Artifacts::open(place.path(".headframe/artifacts")).unwrap();
    let left = artifacts.put(b"left over").unwrap();
    File::open(artifacts.path(left.digest)).unwrap().set_modified(UNIX_EPOCH).unwrap();
    let looked = place.run(&["store", "collect", "--dry-run"]);
    assert_eq!(code(&looked), 0, "{}", stderr(&looked));
    assert!(stdout(&looked).contains(&left.digest.hex()), "{}", stdout(&looked));
    assert!(artifacts.contains(left.digest));
    let done = told_json(&place.run(&["store", "collect", "-o", "json"]));
    assert_eq!((&done["artifacts"]["removed"], &done["artifacts"]["removed_bytes"]), (&json!(1), &json!(9)), "{done}");
    assert!(!artifacts.contains(left.digest));
    let stats = told_json(&place.run(&["store", "stats", "-o", "json"]));
    assert_eq!((&stats["artifacts"], &stats["submission_keys"]), (&json!(0), &json!(0)));
    place.is_clean();
}

#[test]
fn a_damaged_artifact_and_one_that_is_gone_are_named_by_a_check() {
    let place = Place::new();
    place.spec("keeps.yaml", "artifact", "{ put: kept }", "");
    place.run(&["run", "keeps.yaml"]);
    let found = told_json(&place.run(&["store", "verify", "-o", "json"]));
    let artifacts = &found["artifacts"];
    assert_eq!(
        (&found["clean"], &artifacts["stored"], &artifacts["named"]),
        (&json!(true), &json!(1), &json!(1)),
        "{found}"
    );
    let artifacts = Artifacts::at(place.path(".headframe/artifacts"));
    let kept = artifacts.list().unwrap()[0].digest;
    fs::write(artifacts.path(kept), "Kept").unwrap();
    let damaged = place.run(&["store", "verify"]);
    assert_eq!(code(&damaged), 1);
    assert!(stdout(&damaged).contains(&format!("HF0211: artifact {kept} is damaged")), "{}", stdout(&damaged));
    fs::remove_file(artifacts.path(kept)).unwrap();
    let missing = place.run(&["store", "verify"]);
    assert_eq!(code(&missing), 1);
    assert!(
        stdout(&missing).contains(&format!("HF0211: artifact {kept} is named and is not there")),
        "{}",
        stdout(&missing)
    );
}

#[test]
fn what_was_kept_before_an_upgrade_goes_when_somebody_says_so_and_the_store_reads_well() {
    let place = Place::new();
    place.spec("keeps.yaml", "artifact", "{ put: kept }", "");
    place.run(&["run", "keeps.yaml"]);
    let none = place.run(&["store", "prune-images"]);
    assert!(code(&none) == 0 && stdout(&none).contains("nothing was kept"), "{}", stdout(&none));
    // As a build of format 2 would have left it.
    fs::write(place.path(".headframe/format"), "2\n").unwrap();
    fs::remove_file(place.path(".headframe/versions")).unwrap();
    let mut child = place.start(&["run", CHARGE, "-i", "seconds=300"]);
    assert!(place.wait_while(&mut child, || place.read("charges.txt").is_empty()));
    let image = place.path(".headframe/before-format-2");
    let held = place.run(&["store", "prune-images", "--yes"]);
    assert!(code(&held) == 4 && stderr(&held).contains("HF0001") && image.exists(), "{}", stderr(&held));
    child.kill().unwrap();
    child.wait().unwrap();
    let dry = place.run(&["store", "prune-images"]);
    assert!(
        code(&dry) == 0 && stdout(&dry).contains("before-format-2") && stdout(&dry).contains("would go"),
        "{}",
        stdout(&dry)
    );
    assert!(image.join("format").exists());
    let artifacts = Artifacts::at(place.path(".headframe/artifacts"));
    let kept = artifacts.list().unwrap()[0].digest;
    fs::write(artifacts.path(kept), "Kept").unwrap();
    let damaged = place.run(&["store", "prune-images", "--yes"]);
    assert!(code(&damaged) == 1 && stdout(&damaged).contains("HF0211") && image.exists(), "{}", stdout(&damaged));
    fs::write(artifacts.path(kept), "kept").unwrap();
    let told = told_json(&place.run(&["store", "prune-images", "--yes", "-o", "json"]));
    assert_eq!((&told["pruned"], &told["images"][0]["name"]), (&json!(1), &json!("before-format-2")), "{told}");
    assert!(!image.exists());
    let stats = told_json(&place.run(&["store", "stats", "-o", "json"]));
    assert_eq!(stats["images_before_upgrades"], json!(0));
    // This ends what the program left running.
    assert_eq!(code(&place.run(&["runs", "resume"])), 6);
}

#[tokio::test]
async fn restarts_are_shown_in_the_ledger_and_with_the_actor() {
    let place = Place::new();
    held(&place).await;
    let engine = Engine::builder().data(place.path(".headframe")).start().await.unwrap();
    let actor = engine.runs().await.unwrap()[0].actor;
    for kill in 0..3 {
        // A message gives it a host, which has nothing to do once that is taken.
        let reason = format!("reason {kill}");
        engine.system().tell(Address::<Run>::new(actor), run::Message::Held { reason: reason.clone() }).await.unwrap();
        while engine.runs().await.unwrap()[0].held.as_ref() != Some(&reason) {
            tokio::task::yield_now().await;
        }
        assert_eq!(engine.system().kill(&actor.to_string()).await.unwrap(), Killed::Host);
        while engine.system().hosted().contains(&actor) {
            tokio::task::yield_now().await;
        }
    }
    let actor = actor.to_string();
    engine.stop().await;
    let shown = told_json(&place.run(&["actors", "show", &actor, "-o", "json"]));
    assert_eq!(shown["restarts"], 3);
    assert!(
        stdout(&place.run(&["actors", "show", &actor]))
            .contains("was loaded again 3 times, the last time: it was killed")
    );
    let ledger = stdout(&place.run(&["ledger", "show", "last"]));
    assert!(ledger.contains("was loaded again: it was killed"), "{ledger}");
    assert!(ledger.contains("was loaded again 2 times: it was killed"), "{ledger}");
}
