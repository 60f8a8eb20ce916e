//! Keys that are kept for a while, and then go.

use super::*;
use crate::clock::{ManualClock, ManualReadings, Reading};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
const NOON_MS: u64 = 1_000_000;

#[tokio::test]
async fn a_key_is_remembered_for_its_time_and_then_forgotten() {
    for store in [Memory::new(), Memory::with_rows()] {
        let clock = Arc::new(ManualClock::at(NOON_MS));
        let system = builder().clock(clock.clone()).start(Arc::new(store)).await.unwrap();
        let address = counter(&system).await;
        let tell = || system.tell_once("order-7", address, Told::Add(1));
        tell().await.unwrap();
        // With rows: it leaves memory, and is found where it lies.
        let _ = system.checkpoint(SOON).await;
        clock.advance(DAY_MS - 1);
        assert_eq!(system.sweep().await.unwrap(), Swept { looked: 1, removed: 0, held: false });
        tell().await.unwrap();
        assert_eq!(count(&system, address).await.total, 1);
        assert_eq!(system.keys("once/").await.unwrap(), KeyFigures { kept: 1, removed: 0, hits: 1 });
        clock.advance(1);
        assert_eq!(system.sweep().await.unwrap().removed, 1);
        assert_eq!(system.keys("once/").await.unwrap(), KeyFigures { kept: 0, removed: 1, hits: 1 });
        tell().await.unwrap();
        assert_eq!(count(&system, address).await.total, 2, "what is told after that is told anew");
        let _ = system.checkpoint(SOON).await;
        assert_eq!(system.keys("once/").await.unwrap(), KeyFigures { kept: 1, removed: 1, hits: 1 });
        system.stop(SOON).await;
    }
}

#[tokio::test]
async fn the_janitor_does_its_work_by_itself() {
    let store = Memory::new();
    let clock = Arc::new(ManualClock::at(NOON_MS));
    let often = Duration::from_millis(1);
    let start = || builder().clock(clock.clone()).keys_kept(Duration::from_secs(1)).janitor_every(often);
    let system = start().start(Arc::new(store.reopen())).await.unwrap();
    let address = counter(&system).await;
    system.tell_once("order-7", address, Told::Add(1)).await.unwrap();
    clock.advance(1_000);
    let gone = async {
        while system.keys("once/").await.unwrap() != (KeyFigures { kept: 0, removed: 1, hits: 0 }) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, gone).await.expect("the key goes");
    system.stop(SOON).await;
}

/// Three pages of keys, every other one of which is old: whatever becomes of a record, those that are old go and are counted
/// once, and those that are young stay.
#[tokio::test]
async fn keys_go_once_wherever_the_process_dies() {
    const EACH: u64 = 300;
    let clock = Arc::new(ManualClock::at(NOON_MS));
    let born = Memory::new();
    let start = |store: Memory| builder().clock(clock.clone()).start(Arc::new(store));
    let system = start(born.reopen()).await.unwrap();
    let row = |name: &str, number: u64| Bytes::from(format!("once/{number:04}-{name}"));
    let address = counter(&system).await;
    // The rows of two keys, so that the others are written at once rather than told one by one.
    system.tell_once("old", address, Told::Add(1)).await.unwrap();
    let old = system.get(b"once/old").await.unwrap().unwrap();
    clock.advance(DAY_MS);
    system.tell_once("young", address, Told::Add(1)).await.unwrap();
    let young = system.get(b"once/young").await.unwrap().unwrap();
    let rows = (1..EACH).flat_map(|n| [(row("old", n), old.clone()), (row("young", n), young.clone())]);
    system.put(rows.collect()).await.unwrap();
    system.stop(SOON).await;
    let mut deaths = 0;
    for tail in [Tail::Lost, Tail::Kept, Tail::Partial(9)] {
        for record in 1.. {
            let store = born.fork();
            let life = store.reopen();
            life.fail_at(record, tail);
            let system = start(life).await.unwrap();
            let died = system.sweep().await.is_err();
            system.stop(SOON).await;
            let system = start(store.reopen()).await.unwrap();
            system.sweep().await.unwrap();
            let left = system.keys("once/").await.unwrap();
            assert_eq!((left.kept, left.removed), (EACH, EACH), "died at record {record}, which was {tail:?}");
            system.stop(SOON).await;
            if !died {
                break;
            }
            deaths += 1;
        }
    }
    assert!(deaths >= 9, "it died at each page with each tail, and not {deaths} times");
}

#[tokio::test]
async fn a_key_of_a_former_build_is_found_and_goes_a_day_after_it_was_first_looked_at() {
    let clock = Arc::new(ManualClock::at(NOON_MS));
    let system = builder().clock(clock.clone()).start(Arc::new(Memory::new())).await.unwrap();
    let address = counter(&system).await;
    system.put(vec![(Bytes::from_static(b"once/order-7"), Bytes::from_static(b"1"))]).await.unwrap();
    system.tell_once("order-7", address, Told::Add(1)).await.unwrap();
    assert_eq!(count(&system, address).await.total, 0);
    assert_eq!(system.sweep().await.unwrap().removed, 0);
    clock.advance(DAY_MS - 1);
    assert_eq!(system.sweep().await.unwrap().removed, 0);
    clock.advance(1);
    assert_eq!(system.sweep().await.unwrap().removed, 1);
}

#[tokio::test]
async fn no_key_goes_while_the_wall_clock_is_not_to_be_trusted() {
    let clock = Arc::new(ManualClock::at(NOON_MS));
    let readings = Arc::new(ManualReadings::at(Reading { wall_ms: NOON_MS, boot_ms: 1_000 }));
    let start = builder().clock(clock.clone()).readings(readings.clone());
    let system = start.start(Arc::new(Memory::new())).await.unwrap();
    let address = counter(&system).await;
    system.tell_once("order-7", address, Told::Add(1)).await.unwrap();
    readings.set_wall(2 * 86_400_000);
    clock.advance(2 * DAY_MS);
    system.inner.look_at_clocks();
    assert_eq!(system.sweep().await.unwrap(), Swept { looked: 0, removed: 0, held: true });
    readings.advance(600_000);
    assert_eq!(system.sweep().await.unwrap(), Swept { looked: 1, removed: 1, held: false });
}
