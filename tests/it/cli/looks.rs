//! Commands that only look.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use headframe::{Engine, durable::store::LocalOptions, plan::Plan};
use serde_json::json;

use super::{
    CHARGE,
    place::{Place, code, json, lines, stderr, stdout},
};

const LOOKS: [&[&str]; 13] = [
    &["runs", "list"],
    &["runs", "show", "last"],
    &["ledger", "show", "last"],
    &["ledger", "export", "last"],
    &["ledger", "verify"],
    &["store", "verify"],
    &["store", "stats"],
    &["store", "collect", "--dry-run"],
    &["store", "prune-images"],
    &["doubt", "list"],
    &["dead", "list"],
    &["stuck", "list"],
    &["actors", "tree"],
];

#[test]
fn looking_works_beside_a_running_process_and_writes_nothing() {
    let place = Place::new();
    let mut child = place.start(&["run", CHARGE, "-i", "seconds=300"]);
    assert!(place.wait_while(&mut child, || place.read("charges.txt").is_empty()));
    for args in LOOKS {
        let told = place.run(args);
        assert_eq!(code(&told), 0, "{args:?}: {}", stderr(&told));
    }
    assert!(stdout(&place.run(&["runs", "list"])).contains("running"));
    assert!(stderr(&place.run(&["doubt", "list"])).contains("1 call had begun"));
    assert!(stdout(&place.run(&["runs", "show", "last"])).contains("waits for: "));
    let stats = json(&place.run(&["store", "stats", "-o", "json"]));
    assert_eq!((&stats["unfinished"], &stats["calls"], &stats["actors"]), (&json!(1), &json!(1), &json!(3)));
    let pid = child.id().to_string();
    let changes: [&[&str]; 3] = [&["run", CHARGE], &["runs", "resume"], &["doubt", "resolve", "call_1", "--repeat"]];
    for args in changes {
        let refused = place.run(args);
        assert_eq!(code(&refused), 4, "{args:?}");
        assert!(stderr(&refused).contains("HF0001") && stderr(&refused).contains(&pid), "{}", stderr(&refused));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = contents(&place.path(".headframe"));
    LOOKS.iter().for_each(|args| assert_eq!(code(&place.run(args)), 0, "{args:?}"));
    assert_eq!(contents(&place.path(".headframe")), before);
    // This ends what the program left running.
    assert_eq!(code(&place.run(&["runs", "resume"])), 6);
}

#[test]
fn what_is_told_by_looking_is_what_happened() {
    let place = Place::new();
    place.spec("shapes.yaml", "echo", "{ a: 1 }", "");
    place.run(&["run", "shapes.yaml", "--label", "n=1"]);
    place.run(&["run", "shapes.yaml", "--label", "n=2"]);
    let runs = lines(&place.run(&["runs", "list", "-o", "jsonl"]));
    assert_eq!(runs.iter().map(|run| &run["labels"]["n"]).collect::<Vec<_>>(), ["2", "1"], "newest first");
    let shown = json(&place.run(&["runs", "show", runs[1]["run"].as_str().unwrap(), "-o", "json"]));
    assert_eq!((&shown["labels"], &shown["output"]), (&json!({"n": "1"}), &json!({"a": 1})));
    let found = json(&place.run(&["store", "verify", "-o", "json"]));
    assert_eq!((&found["clean"], &found["streams"], &found["actors"]), (&json!(true), &json!(2), &json!(0)));
    assert!(found["index_rows"].as_u64() >= Some(3), "two runs and a plan: {found}");
    let exported = lines(&place.run(&["ledger", "export", "last"]));
    assert_eq!(exported.iter().map(|item| item["number"].as_u64().unwrap()).max(), Some(exported.len() as u64));
}

/// `ledger verify` once told of records that were lost, where they had moved to ledger segments.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_is_verified_also_when_the_journal_begins_in_the_middle() {
    let place = Place::new();
    let data = place.path(".headframe");
    let options = LocalOptions {
        segment_bytes: 64 << 10,
        base_bytes: 64 << 10,
        base_every: Duration::from_millis(10),
        ..LocalOptions::default()
    };
    let engine = Engine::builder().data(&data).store_options(options).start().await.unwrap();
    let plan = Plan::builder("echoes").phase("only", |phase| phase.task("t", "echo", |task| task)).build();
    let plan = engine.check(plan).unwrap();
    let begins_in_the_middle = || !data.join("journal/0000000001.seg").exists();
    while !begins_in_the_middle() {
        engine.submit(&plan, json!({})).await.unwrap().output().await.unwrap();
    }
    engine.stop().await;
    drop(engine);
    for args in LOOKS {
        let told = place.run(args);
        assert_eq!(code(&told), 0, "{args:?}: {}", stderr(&told));
    }
}

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.path().display().to_string();
        if entry.file_type().unwrap().is_dir() {
            found.append(&mut contents(&entry.path()));
            found.insert(name, Vec::new());
        } else {
            found.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    found
}
