//! Stores that older builds wrote, with work in flight: opened, finished and verified by this one.
//!
//! `tests/fixtures/format/N` is what a build of format N left behind when it was killed. It stays for good.

use std::{fs, path::Path, sync::Arc, time::Duration};

use headframe::{
    Engine,
    clock::ManualClock,
    durable::{Decision, store::Local},
    run,
};
use serde_json::json;

/// When the store of format 1 was left behind: 2026-11-21 07:09 UTC.
const LEFT_MS: u64 = 1_795_244_940_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_format_1_with_work_in_flight_is_opened_finished_and_kept_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    copy(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/format/1")), folder.path());
    let clock = Arc::new(ManualClock::at(LEFT_MS));
    let engine = Engine::builder().data(folder.path()).clock(clock.clone()).start().await.unwrap();
    let runs = engine.runs().await.unwrap();
    assert_eq!(
        runs.iter().map(|run| (&*run.workflow, run.has_ended())).collect::<Vec<_>>(),
        [("fixture", false), ("charge", false), ("fixture", true)]
    );
    // What was in doubt then is in doubt now.
    let doubts = engine.doubts().await.unwrap();
    assert_eq!(doubts.len(), 1);
    engine.resolve(doubts[0].0, Decision::Happened(json!({"stdout": "charged"}).into()), "the test").await.unwrap();
    let charge = engine.run(runs[1].run).await.unwrap();
    assert!(matches!(charge.outcome().await.unwrap(), run::Outcome::Succeeded(_)));
    // A back-off that was under way ends on time, and so do those after it.
    let fixture = engine.run(runs[0].run).await.unwrap();
    let ended = async {
        while !fixture.row().await.unwrap().has_ended() {
            clock.advance(1_000);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the run of the older build ends");
    assert_eq!(engine.system().ledger().verify().unwrap().problems, Vec::<String>::new());
    engine.stop().await;
    assert_eq!(Local::check(folder.path()).unwrap().problems, Vec::<String>::new());
    let kept = folder.path().join("before-format-1/HEAD");
    assert!(kept.is_file(), "the folder is kept as it was");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
