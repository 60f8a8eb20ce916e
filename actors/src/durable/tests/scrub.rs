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

/// A row is lost, another is changed: both are named, and the next start builds the rows again.
async fn is_found_and_mended(
    store: Arc<dyn Store>,
    tamper: &dyn Fn(&[u8], Option<&[u8]>),
    again: &dyn Fn() -> Arc<dyn Store>,
) {
    let system = scrubbing().start(store).await.unwrap();
    let counters = written(&system).await;
    let rounds = system.scrubbed().rounds;
    let found = scrubbed_until(&system, |found| found.rounds > rounds + 1).await;
    assert_eq!((found.problems, found.trouble), (Vec::new(), None));
    assert!(found.rows >= COUNTERS && found.at_ms.is_some(), "every row is compared");
    tamper(&stored::actor_key(counters[3].id), None);
    tamper(&stored::actor_key(counters[5].id), Some(b"nonsense"));
    let found = scrubbed_until(&system, |found| !found.problems.is_empty()).await;
    let said = found.problems.join("\n");
    for (counter, what) in [(3, "is missing among the rows"), (5, "is not what the journal says")] {
        let sentence = format!("actor {} {what}", counters[counter].id);
        assert!(said.contains(&sentence), "`{sentence}` is not in:\n{said}");
    }
    assert_eq!(found.problems.len(), 2, "{said}");
    system.stop(SOON).await;
    drop(system);
    let system = scrubbing().start(again()).await.unwrap();
    let repairs = system.repairs().join("\n");
    assert!(repairs.contains("built again") && repairs.contains("is missing among the rows"), "{repairs}");
    for (counter, number) in counters.iter().zip(1..) {
        assert_eq!(count(&system, *counter).await.total, number);
    }
    let found = scrubbed_until(&system, |found| found.rounds > 0).await;
    assert_eq!((found.problems, found.trouble), (Vec::new(), None));
    system.stop(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_lost_in_memory_is_found_while_the_system_works() {
    let store = Arc::new(Memory::with_rows());
    let tamper = |key: &[u8], row: Option<&[u8]>| store.tamper(key, row.map(bytes::Bytes::copy_from_slice));
    is_found_and_mended(store.clone(), &tamper, &|| Arc::new(store.reopen())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_lost_in_sled_is_found_while_the_system_works() {
    let folder = tempfile::tempdir().unwrap();
    let store = on(folder.path());
    let tamper = |key: &[u8], row: Option<&[u8]>| store.tamper(key, row);
    is_found_and_mended(store.clone(), &tamper, &|| on(folder.path())).await;
}

/// Everything that changes rows, all at once, while bases are made and the journal is trimmed, and the scrubber is killed now
/// and then.
async fn is_quiet(store: Arc<dyn Store>, rounds: u64) {
    let system = scrubbing().start(store).await.unwrap();
    let counters = written(&system).await;
    let tells = counters.chunks(10).enumerate().map(|(part, counters)| {
        let (system, counters) = (system.clone(), counters.to_vec());
        tokio::spawn(async move {
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
        })
    });
    let tells: Vec<_> = tells.collect();
    for killed in 1..=5 {
        let found = scrubbed_until(&system, |found| found.rounds >= killed * rounds / 5).await;
        assert_eq!((found.problems, found.trouble), (Vec::new(), None));
        assert!(system.kill_service("scrubber").await, "it is a service like the others");
    }
    let rounds = system.scrubbed().rounds;
    let found = scrubbed_until(&system, |found| found.rounds > rounds).await;
    assert_eq!((found.problems, found.trouble), (Vec::new(), None), "after it was started again, too");
    system.stop(SOON).await;
    for tell in tells {
        tell.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_system_in_memory_raises_no_alarm() {
    is_quiet(Arc::new(Memory::with_rows()), 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_system_on_sled_raises_no_alarm_while_bases_are_made_and_the_journal_is_trimmed() {
    let folder = tempfile::tempdir().unwrap();
    is_quiet(on(folder.path()), 10).await;
    let checked = Local::check(folder.path()).unwrap();
    assert!(checked.bases.files > 0, "bases were made meanwhile: {checked:?}");
    assert_eq!(Local::check_rows(folder.path()).unwrap().problems, Vec::<String>::new());
}
