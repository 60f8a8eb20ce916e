//! Rows that are compared with base and journal while the system works.

use std::path::Path;

use super::*;
use crate::durable::{
    live::stored,
    store::{Local, LocalOptions, Store},
};

const COUNTERS: u64 = 40;

fn scrubbing() -> SystemBuilder {
    let works = Closure::new(Effect::IDEMPOTENT, |_| async { Outcome::Done(Json::from(json!("done"))) });
    builder()
        .tool("works", Arc::new(works))
        .passivate(Duration::from_millis(30), 1_000)
        .checkpoint(Duration::from_millis(15), 1 << 20)
        .scrub_every(Duration::from_millis(1))
}

fn on(folder: &Path) -> Arc<Local> {
    let options = LocalOptions {
        segment_bytes: 64 * 1024,
        base_bytes: 128 * 1024,
        base_every: Duration::from_millis(20),
        ..LocalOptions::default()
    };
    Arc::new(Local::open(folder, options).unwrap())
}

/// Counters that were told something, and are written to their rows.
async fn written(system: &System) -> Vec<Address<Counter>> {
    let mut counters = Vec::new();
    for number in 1..=COUNTERS {
        let counter = counter(system).await;
        system.tell(counter, Told::Add(number)).await.unwrap();
        counters.push(counter);
    }
    for counter in &counters {
        // Its turn is taken: no row changes after this.
        count(system, *counter).await;
    }
    system.checkpoint(SOON).await.unwrap();
    counters
}

async fn scrubbed_until(system: &System, wanted: impl Fn(&Scrubbed) -> bool) -> Scrubbed {
    let looks = async {
        while !wanted(&system.scrubbed()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let seen = tokio::time::timeout(3 * SOON, looks).await;
    seen.unwrap_or_else(|_| panic!("{:?}", system.scrubbed()));
    system.scrubbed()
}

type Tamper<'a> = &'a dyn Fn(&[u8], Option<&[u8]>);

/// One row is lost or changed: it is named, and the next start builds the rows again.
async fn is_found_and_mended(
    open: &dyn Fn() -> Arc<dyn Store>,
    store: Arc<dyn Store>,
    tamper: Tamper<'_>,
    (row, what): (Option<&[u8]>, &str),
) {
    let system = scrubbing().start(store).await.unwrap();
    let counters = written(&system).await;
    let found = scrubbed_until(&system, |found| found.rows >= COUNTERS).await;
    assert_eq!((found.problems, found.trouble), (Vec::new(), None));
    assert!(found.rounds > 0 && found.at_ms.is_some());
    tamper(&stored::actor_key(counters[3].id), row);
    let found = scrubbed_until(&system, |found| !found.problems.is_empty()).await;
    assert_eq!(found.problems, [format!("actor {} {what}", counters[3].id)]);
    system.stop(SOON).await;
    drop(system);
    let system = scrubbing().start(open()).await.unwrap();
    let repairs = system.repairs().join("\n");
    assert!(repairs.contains("built again") && repairs.contains(what), "{repairs}");
    for (counter, number) in counters.iter().zip(1..) {
        assert_eq!(count(&system, *counter).await.total, number);
    }
    let found = scrubbed_until(&system, |found| found.rounds > 0).await;
    assert_eq!((found.problems, found.trouble), (Vec::new(), None));
    system.stop(SOON).await;
}

const WAYS: [(Option<&[u8]>, &str); 2] =
    [(None, "is missing among the rows"), (Some(b"nonsense"), "is not what the journal says")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_lost_in_memory_is_found_while_the_system_works() {
    for way in WAYS {
        let store = Arc::new(Memory::with_rows());
        let tamper = |key: &[u8], row: Option<&[u8]>| store.tamper(key, row.map(bytes::Bytes::copy_from_slice));
        is_found_and_mended(&|| Arc::new(store.reopen()), store.clone(), &tamper, way).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_lost_in_sled_is_found_while_the_system_works() {
    for way in WAYS {
        let folder = tempfile::tempdir().unwrap();
        let store = on(folder.path());
        let tamper = |key: &[u8], row: Option<&[u8]>| store.tamper(key, row);
        is_found_and_mended(&|| on(folder.path()), store.clone(), &tamper, way).await;
    }
}

/// Everything that changes rows, all at once, while bases are made and the journal is trimmed, and the scrubber is killed now
/// and then.
async fn is_quiet(store: Arc<dyn Store>, rounds: u64, is_enough: impl Fn() -> bool) {
    let system = scrubbing().start(store).await.unwrap();
    let counters = written(&system).await;
    let mut tells = tokio::task::JoinSet::new();
    for (part, counters) in counters.chunks(10).enumerate() {
        let (system, counters) = (system.clone(), counters.to_vec());
        tells.spawn(async move {
            for turn in 0_u64.. {
                for (at, counter) in counters.iter().enumerate() {
                    let told = match (turn + at as u64 + part as u64) % 5 {
                        0 => Told::AddLater { number: turn, after_ms: turn % 40 },
                        1 => Told::Call { tool: "works".to_owned(), effect: Effect::IDEMPOTENT },
                        _ => Told::Add(turn),
                    };
                    if system.tell(*counter, told).await.is_err() {
                        return;
                    }
                }
                if turn % 50 == 0 {
                    tokio::time::sleep(Duration::from_millis(60)).await;
                }
            }
        });
    }
    for killed in 1..=5 {
        let found = scrubbed_until(&system, |found| found.rounds >= killed * rounds / 5).await;
        assert_eq!((found.problems, found.trouble), (Vec::new(), None));
        // It may just be starting again.
        while !system.kill_service("scrubber").await {
            tokio::task::yield_now().await;
        }
    }
    for _ in 0..500 {
        let rounds = system.scrubbed().rounds;
        let found = scrubbed_until(&system, |found| found.rounds > rounds).await;
        assert_eq!((found.problems, found.trouble), (Vec::new(), None), "after it was started again, too");
        if is_enough() {
            break;
        }
    }
    system.stop(SOON).await;
    while let Some(told) = tells.join_next().await {
        told.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_system_in_memory_raises_no_alarm() {
    is_quiet(Arc::new(Memory::with_rows()), 5, || true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_system_on_sled_raises_no_alarm_while_bases_are_made_and_the_journal_is_trimmed() {
    let folder = tempfile::tempdir().unwrap();
    // One that is being made has another name, and is gone when the system stops.
    let has_bases = || {
        let files = std::fs::read_dir(folder.path().join("base"));
        files.is_ok_and(|files| files.flatten().any(|file| file.path().extension().is_some_and(|end| end == "base")))
    };
    is_quiet(on(folder.path()), 10, has_bases).await;
    let checked = Local::check(folder.path()).unwrap();
    assert!(checked.bases.files > 0, "bases were made meanwhile: {checked:?}");
    assert_eq!(Local::check_rows(folder.path()).unwrap().problems, Vec::<String>::new());
}

/// It once came back at once when another had taken the rows, and had not written them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_is_asked_for_waits_for_one_that_is_under_way() {
    let store = Arc::new(Memory::with_rows());
    let system = scrubbing().start(store.clone()).await.unwrap();
    let counters = written(&system).await;
    for round in 1..6 {
        for counter in &counters {
            system.tell(*counter, Told::Add(1)).await.unwrap();
            count(&system, *counter).await;
        }
        system.checkpoint(SOON).await.unwrap();
        let rows = store.open().unwrap().rows.unwrap();
        for counter in &counters {
            let row = rows.get(&stored::actor_key(counter.id)).unwrap().unwrap();
            assert_eq!(stored::open_actor(&row).unwrap().0.version, 3 + 2 * round, "every turn is in its row");
        }
    }
    system.stop(SOON).await;
}
