//! The command line, with a server on its folder.

use serde_json::{Value, json};

use super::served::Served;
use crate::cli::place::{code, json as told_json, lines, stderr, stdout};

#[test]
fn the_command_line_goes_through_the_server_that_works_on_the_folder() {
    let served = Served::new();
    let place = &served.place;
    let told = place.run(&["run", "flows/greet.yaml", "-i", "name=Ada", "--key", "k", "--label", "for=test"]);
    assert_eq!((code(&told), &*stdout(&told)), (0, "Hello, Ada!\n"), "{}", stderr(&told));
    assert!(stderr(&told).contains("through the server at"), "{}", stderr(&told));
    let again = place.run(&["run", "flows/greet.yaml", "-i", "name=Bob", "--key", "k"]);
    assert_eq!(code(&again), 6, "{}", stderr(&again));
    let failed = place.run(&["run", "flows/broken.yaml", "-o", "json"]);
    assert_eq!((code(&failed), &told_json(&failed)["failure"]["class"]), (1, &"planned".into()));
    let listed = lines(&place.run(&["runs", "list", "-o", "jsonl"]));
    let statuses: Vec<_> = listed.iter().map(|run| run["status"].as_str().unwrap()).collect();
    assert_eq!((statuses, &listed[1]["labels"]["for"]), (vec!["failed", "succeeded"], &"test".into()));
    assert!(stdout(&place.run(&["runs", "list"])).contains("for=test"));
    let run = served.api().submit("nap", json!({}));
    let timed_out = place.run(&["run", "flows/nap.yaml", "--resume", "--timeout", "10ms"]);
    assert_eq!(code(&timed_out), 5, "{}", stderr(&timed_out));
    assert!(stderr(&timed_out).contains(&format!("{run} continues")), "{}", stderr(&timed_out));
    let cancelled = place.run(&["runs", "cancel", "last", "--reason", "enough"]);
    assert_eq!(code(&cancelled), 0, "{}", stderr(&cancelled));
    let watched = place.run(&["runs", "watch", &run, "-o", "json"]);
    assert_eq!((code(&watched), &told_json(&watched)["failure"]["message"]), (1, &"enough".into()));
    assert_eq!(lines(&place.run(&["ledger", "show", &run, "-o", "jsonl"])).last().unwrap()["kind"], "run");
}

#[test]
fn a_file_that_the_server_does_not_offer_is_not_run() {
    let served = Served::new();
    served.place.spec("greet.yaml", "echo", "{text: another}", "");
    let told = served.place.run(&["run", "greet.yaml"]);
    assert_eq!(code(&told), 2);
    assert!(stderr(&told).contains("offers no workflow `w`"), "{}", stderr(&told));
    assert_eq!(served.api().get("/v1/runs").json()["runs"], json!([]));
}

#[test]
fn a_charge_that_was_cut_off_is_decided_through_the_server() {
    let mut served = Served::new();
    let run = served.api().submit("charge", json!({}));
    served.wait_for_file("charging");
    served.kill();
    served.start();
    let held = served.place.run(&["runs", "watch", &run]);
    assert_eq!(code(&held), 6, "{}", stderr(&held));
    let call = lines(&served.place.run(&["doubt", "list", "-o", "jsonl"]))[0]["call"].as_str().unwrap().to_owned();
    let decided = served.place.run(&["doubt", "resolve", &call, "--happened", "{\"stdout\": \"paid\"}"]);
    assert_eq!(code(&decided), 0, "{}", stderr(&decided));
    let watched = served.place.run(&["runs", "watch", &run, "-o", "json"]);
    assert_eq!((code(&watched), &told_json(&watched)["output"]["stdout"]), (0, &"paid".into()));
}

#[test]
fn what_needs_the_folder_for_itself_names_the_server_that_has_it() {
    let served = Served::new();
    for verb in [&["runs", "resume"][..], &["runs", "end", "last", "--reason", "x"]] {
        served.api().submit("nap", json!({}));
        let told = served.place.run(verb);
        assert_eq!(code(&told), 4, "{verb:?}: {}", stderr(&told));
        assert!(stderr(&told).contains("HF0001"), "{verb:?}: {}", stderr(&told));
        let address = served.api().0.to_string();
        assert!(stderr(&told).contains(&address), "{verb:?}: {}", stderr(&told));
    }
    assert_eq!(code(&served.place.run(&["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])), 4);
}

/// Another server may have got the address of one that was killed.
#[test]
fn a_file_that_a_dead_server_left_behind_is_not_believed() {
    let mut dead = Served::new();
    dead.api().submit("greet", json!({}));
    dead.kill();
    assert!(dead.place.path(".headframe/server").exists());
    let other = Served::new();
    let file = dead.place.read(".headframe/server").replace(&dead.api().0.to_string(), &other.api().0.to_string());
    std::fs::write(dead.place.path(".headframe/server"), file).unwrap();
    let listed = lines(&dead.place.run(&["runs", "list", "-o", "jsonl"]));
    assert_eq!(listed.len(), 1, "its own runs, not those of the other");
    std::fs::write(dead.place.path(".headframe/server"), "{").unwrap();
    assert_eq!(code(&dead.place.run(&["runs", "resume"])), 0);
}

/// A repeat that was decided for a run which is being cancelled was once carried out; and a second cancel did not say that it
/// was the second.
#[test]
fn a_charge_whose_run_is_cancelled_is_not_repeated_whoever_decides_it() {
    let mut served = Served::new();
    let run = served.api().submit("charge", json!({}));
    served.wait_for_file("charging");
    served.kill();
    std::fs::remove_file(served.place.path("charging")).unwrap();
    served.start();
    let place = &served.place;
    let api = served.api();
    let doubt = || api.get("/v1/doubts").json()[0]["call"].clone();
    let call = served.until(doubt, Value::is_string);
    let first = place.run(&["runs", "cancel", &run, "--reason", "too dear"]);
    assert!(stdout(&first).contains("is asked to end"), "{}", stdout(&first));
    served.until(|| api.get(&format!("/v1/runs/{run}")).json(), |told| told["cancelled_for"] == "too dear");
    let second = place.run(&["runs", "cancel", &run, "--reason", "too late"]);
    assert!(stdout(&second).contains("was asked to end before: too dear"), "{}", stdout(&second));
    assert_eq!(code(&place.run(&["doubt", "resolve", call.as_str().unwrap(), "--repeat"])), 0);
    let again = served.until(doubt, |again| again.is_string() && *again != call);
    let waits = api.get("/v1/stuck").json();
    assert!(
        waits[0]["sentence"].as_str().unwrap().contains("a repeat was decided, and no call is made any more"),
        "{waits}"
    );
    assert!(!place.path("charging").exists(), "nothing was charged again");
    assert_eq!(code(&place.run(&["doubt", "resolve", again.as_str().unwrap(), "--failed", "the bank says no"])), 0);
    let watched = place.run(&["runs", "watch", &run, "-o", "json"]);
    assert_eq!((code(&watched), &told_json(&watched)["failure"]["message"]), (1, &"too dear".into()));
}
