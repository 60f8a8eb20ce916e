//! Stores that older builds wrote, with work in flight: opened, finished and verified by this one.
//!
//! `tests/fixtures/format/N` is what a build of format N left behind when it was killed. It stays for good. That of format 5
//! was made by `cargo test -p headframe --test it -- --ignored leave_a_store_of_format_5_behind`; a change of the format
//! gets a folder of its own, made in the same way by the first build that writes it.

use std::{fs, path::Path, sync::Arc, time::Duration};

use headframe::{
    Engine, RunHandle, Submission,
    clock::ManualClock,
    durable::{
        Decision, Effect, Live,
        codec::Format,
        store::{Local, LocalOptions},
    },
    plan::Plan,
    run,
};
use serde_json::json;
use tempfile::TempDir;

/// When the store of format 1 was left behind: 2026-11-21 07:09 UTC.
const LEFT_MS: u64 = 1_795_244_940_000;

/// When the store of format 2 was.
const LEFT_2_MS: u64 = 1_795_600_000_000;
/// When the store of format 3 was.
const LEFT_3_MS: u64 = 1_795_700_000_000;
/// When the store of format 4 was.
const LEFT_4_MS: u64 = 1_795_800_000_000;
/// When the store of format 5 was.
const LEFT_5_MS: u64 = 1_795_900_000_000;
const HOUR_MS: u64 = 3_600_000;
const FORMAT_2: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/format/2");
const FORMAT_3: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/format/3");
const FORMAT_4: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/format/4");
const FORMAT_5: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/format/5");

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

/// The rows are not kept: they are built again from the base and the journal. Everything else on disk is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_format_2_with_work_in_flight_is_opened_and_finished() {
    let folder = tempfile::tempdir().unwrap();
    copy(Path::new(FORMAT_2), folder.path());
    let found = Local::check(folder.path()).unwrap();
    assert_eq!(found.problems, Vec::<String>::new());
    assert!(found.bases.files >= 2 && found.ledger.files >= 1, "bases and ledger segments are a part of it: {found:?}");
    let clock = Arc::new(ManualClock::at(LEFT_2_MS));
    let engine = engine(folder.path(), &clock).await;
    let repairs = engine.system().repairs().join("\n");
    assert!(repairs.contains("were built again: they are gone"), "{repairs}");
    let runs = engine.runs().await.unwrap();
    let open: Vec<_> = runs.iter().filter(|run| !run.has_ended()).map(|run| &*run.workflow).collect();
    assert_eq!(open, ["charge", "fixture", "fixture"], "one is in doubt, one sleeps, one waits for its next attempt");
    let first = engine.run_by_key("order-7").await.unwrap();
    assert_eq!(first.output().await.unwrap(), "7 was said", "a key and its run's row outlive everything");
    let doubts = engine.doubts().await.unwrap();
    assert_eq!(doubts.len(), 1);
    engine.resolve(doubts[0].0, Decision::Happened(json!({"charged": 7}).into()), "the test").await.unwrap();
    for row in runs.iter().filter(|run| !run.has_ended()) {
        let run = engine.run(row.run).await.unwrap();
        ends(&run, &clock).await;
        assert!(matches!(run.outcome().await.unwrap(), run::Outcome::Succeeded(_)), "{}", row.workflow);
    }
    assert_eq!(engine.system().ledger().verify().unwrap().problems, Vec::<String>::new());
    engine.stop().await;
    assert_eq!(Local::check(folder.path()).unwrap().problems, Vec::<String>::new());
    assert_eq!(Local::check_rows(folder.path()).unwrap().problems, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_format_3_with_work_in_flight_is_opened_and_finished() {
    is_opened_and_finished(FORMAT_3, LEFT_3_MS).await;
}

/// The first whose records are compressed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_format_4_with_work_in_flight_is_opened_and_finished() {
    is_opened_and_finished(FORMAT_4, LEFT_4_MS).await;
}

/// The first in whose records what is long and said again is written once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_format_5_with_work_in_flight_is_opened_and_finished() {
    assert!(says_less(&Path::new(FORMAT_5).join("journal")));
    let folder = is_opened_and_finished(FORMAT_5, LEFT_5_MS).await;
    let engine = engine(folder.path(), &Arc::new(ManualClock::at(LEFT_5_MS))).await;
    assert_eq!(engine.run_by_key("long").await.unwrap().output().await.unwrap(), long());
    engine.stop().await;
}

/// Text that is long and does not repeat itself.
fn long() -> String {
    (0..2_000).map(|at| format!("{:06}", at * 7_919 % 999_983)).collect()
}

/// Whether there is a record in a journal out of which repeats were cut: its flags, and that it is a record.
fn says_less(journal: &Path) -> bool {
    let [a, b, c, d] = Format::new("record", 1).type_id.to_le_bytes();
    let mut files = fs::read_dir(journal).unwrap();
    files.any(|file| fs::read(file.unwrap().path()).unwrap().windows(6).any(|bytes| bytes == [0xF4, 3, a, b, c, d]))
}

/// Everything that a run can be in the middle of: a sleep, a wait for the next attempt before a fallback, a deadline, a call in
/// doubt, a call that is told to stop.
async fn is_opened_and_finished(left_behind: &str, left_ms: u64) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(Path::new(left_behind), folder.path());
    let found = Local::check(folder.path()).unwrap();
    assert_eq!(found.problems, Vec::<String>::new());
    assert!(found.bases.files >= 2 && found.ledger.files >= 1, "bases and ledger segments are a part of it: {found:?}");
    let options = LocalOptions { read_only: true, ..LocalOptions::default() };
    let (live, _) = Live::fold(&Local::open(folder.path(), options).unwrap()).unwrap();
    assert_eq!(live.calls.len(), 2, "one is told to stop, and of one nobody will know");
    let clock = Arc::new(ManualClock::at(left_ms));
    let engine = engine(folder.path(), &clock).await;
    let mut runs = engine.runs().await.unwrap();
    runs.retain(|run| &*run.workflow != "say");
    let mut there: Vec<_> = runs.iter().map(|run| &*run.workflow).collect();
    there.sort_unstable();
    assert_eq!(there, ["cancelled", "charge", "fixture", "fixture", "late"]);
    let doubts = engine.doubts().await.unwrap();
    assert_eq!(doubts.len(), 1, "{doubts:?}");
    engine.resolve(doubts[0].0, Decision::Happened(json!({"charged": 7}).into()), "the test").await.unwrap();
    for row in &runs {
        let run = engine.run(row.run).await.unwrap();
        ends(&run, &clock).await;
        let outcome = run.outcome().await.unwrap();
        match &*row.workflow {
            "late" => assert!(
                matches!(&outcome, run::Outcome::Failed { failure, .. } if failure.class == "deadline"),
                "{outcome:?}"
            ),
            "cancelled" => assert!(matches!(outcome, run::Outcome::Cancelled { .. }), "{outcome:?}"),
            "fixture" => assert_eq!(run.output().await.unwrap(), json!({"price": "the default"}), "the fallback's"),
            _ => assert!(matches!(outcome, run::Outcome::Succeeded(_)), "{outcome:?}"),
        }
    }
    assert_eq!(engine.system().ledger().verify().unwrap().problems, Vec::<String>::new());
    engine.stop().await;
    assert_eq!(Local::check(folder.path()).unwrap().problems, Vec::<String>::new());
    assert_eq!(Local::check_rows(folder.path()).unwrap().problems, Vec::<String>::new());
    folder
}

/// What format 5 stands for, besides its files: events and states of these versions. A newer version of any of them needs a
/// newer format, so that builds before it refuse the folder as a whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_version_of_an_event_or_a_state_comes_with_a_newer_format() {
    let folder = tempfile::tempdir().unwrap();
    engine(folder.path(), &Arc::new(ManualClock::at(LEFT_5_MS))).await.stop().await;
    for name in ["format", "versions"] {
        let [today, kept] = [folder.path(), Path::new(FORMAT_5)].map(|of| fs::read_to_string(of.join(name)).unwrap());
        assert_eq!(today, kept, "{name}: see actors/src/durable/store/local/format.rs");
    }
}

/// Makes `tests/fixtures/format/5`, as a build that was killed would leave it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "makes a fixture, which is made once"]
async fn leave_a_store_of_format_5_behind() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(LEFT_5_MS - HOUR_MS));
    let engine = engine(folder.path(), &clock).await;
    // History, until there are bases and ledger segments.
    let say = Plan::builder("say")
        .phase("say", |phase| phase.task("say", "echo", |task| task.with(json!({"text": "7 was said"}))))
        .output(json!("{{ outputs.say.say.text }}"));
    let say = engine.check(say.build()).unwrap();
    let labels = vec![("team".to_owned(), "blue".to_owned())];
    let keyed = Submission { key: Some("order-7".to_owned()), labels, ..Submission::default() };
    engine.submit(&say, keyed).await.unwrap().outcome().await.unwrap();
    assert!(engine.system().kill_service("timers").await, "its restart is written down");
    while Local::check(folder.path()).unwrap().ledger.files < 2 {
        engine.submit(&say, json!({})).await.unwrap().outcome().await.unwrap();
    }
    // One that waits for its next attempt, one that sleeps, one with a deadline, a charge of which nobody will know, and one
    // that is told to stop.
    let plan = engine.load(Path::new(FORMAT_5).join("plan.yaml")).unwrap();
    for advanced in [HOUR_MS / 2, 0] {
        engine.submit(&plan, json!({})).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        clock.advance(advanced);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let late = engine.load(Path::new(FORMAT_5).join("late.yaml")).unwrap();
    engine.submit(&late, json!({})).await.unwrap();
    for (name, tool) in [("charge", "bank"), ("cancelled", "deaf")] {
        let plan = Plan::builder(name).phase("only", |phase| phase.task("call", tool, |task| task));
        let run = engine.submit(&engine.check(plan.build()).unwrap(), json!({})).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        if name == "cancelled" {
            run.cancel("nobody wants it").await.unwrap();
        }
    }
    let long = Plan::builder("say")
        .phase("say", |phase| phase.task("say", "echo", |task| task.with(json!({"text": long()}))))
        .output(json!("{{ outputs.say.say.text }}"));
    let keyed = Submission { key: Some("long".to_owned()), ..Submission::default() };
    engine.submit(&engine.check(long.build()).unwrap(), keyed).await.unwrap().outcome().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(engine.system().figures().calls, 2);
    // HEAD first: it may lag behind the journal, and never leads.
    for name in ["HEAD", "format", "versions", "open", "flight", "journal", "base", "ledger"] {
        let (from, to) = (folder.path().join(name), Path::new(FORMAT_5).join(name));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
    let _ = fs::remove_file(Path::new(FORMAT_5).join("journal/spare.new"));
    engine.stop().await;
    assert!(says_less(&Path::new(FORMAT_5).join("journal")));
}

/// Small files, so that a little history makes bases and ledger segments; a bank that never answers, and a tool that does not hear that
/// it is to stop.
async fn engine(folder: &Path, clock: &Arc<ManualClock>) -> Engine {
    let options = LocalOptions {
        segment_bytes: 16 * 1024,
        base_bytes: 32 * 1024,
        base_every: Duration::from_millis(20),
        ..LocalOptions::default()
    };
    let bank = Effect::AtMostOnce;
    let engine = Engine::builder().data(folder).clock(clock.clone()).store_options(options);
    let engine = engine.closure("bank", bank, |_| std::future::pending());
    let engine = engine.closure("deaf", Effect::IDEMPOTENT, |_| std::future::pending());
    engine.checkpoint(Duration::from_millis(50), 1 << 20).start().await.unwrap()
}

/// Let time pass until a run has ended.
async fn ends(run: &RunHandle, clock: &ManualClock) {
    let ended = async {
        while !run.row().await.unwrap().has_ended() {
            clock.advance(HOUR_MS / 10);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the run of the older build ends");
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
