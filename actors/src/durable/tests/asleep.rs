//! Actors that leave memory and come back, and rows, bases and ledger segments under a running system.

use std::path::Path;

use super::*;
use crate::durable::store::{Local, LocalOptions};

const MANY: u64 = 50;

fn sleepy() -> SystemBuilder {
    builder().passivate(Duration::from_millis(20), 1_000).checkpoint(Duration::from_millis(20), 1 << 20)
}

fn on(folder: &Path) -> Arc<Local> {
    let options = LocalOptions { segment_bytes: 64 * 1024, base_bytes: 128 * 1024, ..LocalOptions::default() };
    Arc::new(Local::open(folder, options).unwrap())
}

/// Wait until nothing is in memory but rows.
async fn asleep(system: &System) {
    let sleeps = async {
        while system.figures().actors > 0 || system.figures().hosted > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, sleeps).await.expect("idle actors leave memory");
}

type Open = dyn Fn() -> Arc<dyn store::Store>;

/// Each store that there is, opened again and again.
fn stores(folder: &Path) -> [(&'static str, Box<Open>); 2] {
    let (memory, folder) = (Memory::with_rows(), folder.to_path_buf());
    [("memory", Box::new(move || Arc::new(memory.reopen()))), ("local", Box::new(move || on(&folder)))]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_actors_leave_memory_and_come_back_with_what_they_knew() {
    let folder = tempfile::tempdir().unwrap();
    for (name, open) in stores(folder.path()) {
        idle_actors_leave_memory_and_come_back(name, &*open).await;
    }
}

async fn idle_actors_leave_memory_and_come_back(name: &str, open: &Open) {
    let system = sleepy().start(open()).await.unwrap();
    let mut counters = Vec::new();
    for number in 1..=MANY {
        let counter = counter(&system).await;
        system.tell(counter, Told::Add(number)).await.unwrap();
        counters.push((number, counter));
    }
    asleep(&system).await;
    assert_eq!(system.census().await.unwrap().actors as u64, MANY);
    for (number, counter) in &counters {
        assert_eq!(count(&system, *counter).await.total, *number, "{name}");
    }
    system.stop(SOON).await;
    let system = sleepy().start(open()).await.unwrap();
    assert_eq!(system.census().await.unwrap().actors as u64, MANY, "{name}");
    for (number, counter) in &counters {
        system.tell(*counter, Told::Add(1)).await.unwrap();
        assert_eq!(count(&system, *counter).await.total, number + 1, "{name}");
    }
    // Without a last checkpoint.
    drop(system);
    let system = sleepy().start(open()).await.unwrap();
    for (number, counter) in &counters {
        assert_eq!(count(&system, *counter).await.total, number + 1, "{name}");
    }
    asleep(&system).await;
    system.stop(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_wakes_an_actor_that_is_not_in_memory_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let system = sleepy().start(on(folder.path())).await.unwrap();
    let (soon, later) = (counter(&system).await, counter(&system).await);
    system.tell(soon, Told::AddLater { number: 3, after_ms: 700 }).await.unwrap();
    system.tell(later, Told::AddLater { number: 5, after_ms: 1_500 }).await.unwrap();
    asleep(&system).await;
    until(&system, soon, |count| count.total == 3).await;
    asleep(&system).await;
    system.stop(SOON).await;
    let system = sleepy().start(on(folder.path())).await.unwrap();
    until(&system, later, |count| count.total == 5).await;
    system.stop(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_ends_while_its_caller_sleeps_wakes_it() {
    let folder = tempfile::tempdir().unwrap();
    let slow = Closure::new(Effect::IDEMPOTENT, |_| async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        Outcome::Done(Json::from(json!("done")))
    });
    let system = sleepy().tool("slow", Arc::new(slow)).start(on(folder.path())).await.unwrap();
    let caller = counter(&system).await;
    system.tell(caller, Told::Call { tool: "slow".to_owned(), effect: Effect::IDEMPOTENT }).await.unwrap();
    asleep(&system).await;
    let count = until(&system, caller, |count| !count.verdicts.is_empty()).await;
    assert_eq!(count.verdicts, ["done"]);
    system.stop(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_moves_from_the_journal_to_ledger_segments_and_rows_are_built_again_from_a_base() {
    let folder = tempfile::tempdir().unwrap();
    let system = sleepy().start(on(folder.path())).await.unwrap();
    let (busy, idle) = (counter(&system).await, counter(&system).await);
    system.tell(idle, Told::Add(7)).await.unwrap();
    let archived = || std::fs::read_dir(folder.path().join("ledger")).is_ok_and(|files| files.count() > 1);
    let mut total = 0;
    let works = async {
        while !archived() {
            for _ in 0..100 {
                total += 1;
                system.tell(busy, Told::Add(1)).await.unwrap();
            }
            system.put(vec![("filler".into(), noise())]).await.unwrap();
        }
    };
    tokio::time::timeout(6 * SOON, works).await.expect("bases are made and history is archived");
    assert_eq!(count(&system, busy).await.total, total);
    all_is_well(&system, busy, total);
    system.stop(SOON).await;

    let first = Local::check(folder.path()).unwrap();
    assert_eq!(first.problems, Vec::<String>::new());
    std::fs::remove_dir_all(folder.path().join("live")).unwrap();
    let system = sleepy().start(on(folder.path())).await.unwrap();
    assert!(system.repairs().iter().any(|repair| repair.contains("built again")), "{:?}", system.repairs());
    assert_eq!(count(&system, busy).await.total, total);
    assert_eq!(count(&system, idle).await.total, 7);
    all_is_well(&system, busy, total);
    system.stop(SOON).await;
}

/// Every event is there once, in order, and every chain arrives.
fn all_is_well(system: &System, busy: Address<Counter>, total: u64) {
    let (mut events, mut next) = (0, 1);
    let visit = &mut |item: Item| {
        assert_eq!(item.number, next);
        next += 1;
        events += u64::from(matches!(item.what, What::Event(_)));
        true
    };
    system.ledger().stream(StreamId(busy.id.0), visit).unwrap();
    // The first message added nothing.
    assert_eq!(events, total + 1);
    assert_eq!(system.ledger().verify().unwrap().problems, Vec::<String>::new());
}
