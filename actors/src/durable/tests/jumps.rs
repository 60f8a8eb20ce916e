//! What the store and the system know of a clock that jumped.

use super::*;
use crate::clock::{ManualClock, ManualReadings, Reading, SteadyClock};
use crate::durable::store::{Local, LocalOptions};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

fn clocks(wall_ms: u64) -> Arc<ManualReadings> {
    Arc::new(ManualReadings::at(Reading { wall_ms, boot_ms: 1_000 }))
}

async fn start(store: &Memory, clocks: &Arc<ManualReadings>) -> System {
    builder().readings(clocks.clone()).start(Arc::new(store.reopen())).await.unwrap()
}

/// The store's last record is of now.
fn now_ms() -> u64 {
    crate::clock::Clock::now_ms(&SteadyClock::not_before(0))
}

#[tokio::test]
async fn a_jump_within_a_life_is_written_down_and_holds_expiries_for_ten_minutes() {
    let (store, clocks) = (Memory::new(), clocks(now_ms()));
    let system = start(&store, &clocks).await;
    system.inner.look_at_clocks();
    assert_eq!((system.last_jump().await.unwrap(), system.holds_expiries()), (None, false));
    clocks.set_wall(-3_600_000);
    system.inner.look_at_clocks();
    let jumped = system.last_jump().await.unwrap().unwrap();
    assert_eq!((jumped.by_ms, jumped.at_start), (-3_600_000, false));
    assert!(system.holds_expiries());
    clocks.advance(600_000);
    system.inner.look_at_clocks();
    assert!(!system.holds_expiries());
    assert_eq!(system.last_jump().await.unwrap(), Some(jumped), "what was written down stays");
}

#[tokio::test]
async fn a_start_long_after_the_last_record_or_before_it_is_written_down() {
    for (wall_ms, is_jump) in [
        (now_ms() + 6 * DAY_MS, false),
        (now_ms() + 8 * DAY_MS, true),
        (now_ms() + 400 * DAY_MS, true),
        (now_ms() - DAY_MS, true),
    ] {
        let store = Memory::new();
        let first = start(&store, &clocks(now_ms())).await;
        counter(&first).await;
        first.stop(SOON).await;
        let system = start(&store, &clocks(wall_ms)).await;
        let jumped = system.last_jump().await.unwrap();
        assert_eq!(jumped.map(|jumped| jumped.at_start), is_jump.then_some(true));
        assert_eq!(system.holds_expiries(), is_jump);
    }
}

/// Once it was forgotten with the first checkpoint, and keys went minutes after a jump.
#[tokio::test]
async fn a_grace_goes_on_after_a_restart() {
    for store in [Memory::new(), Memory::with_rows()] {
        let clocks = clocks(now_ms());
        let first = start(&store, &clocks).await;
        clocks.set_wall(3_600_000);
        first.inner.look_at_clocks();
        assert!(first.last_jump().await.unwrap().is_some());
        // The row leaves memory, where there are rows.
        first.checkpoint(SOON).await.unwrap();
        first.stop(SOON).await;
        clocks.advance(300_000);
        let system = start(&store, &clocks).await;
        assert!(system.holds_expiries());
        clocks.advance(300_001);
        assert!(!system.holds_expiries());
    }
}

#[tokio::test]
async fn a_clock_of_ones_own_is_not_watched() {
    let store = Memory::new();
    for at_ms in [1_000_000, 500 * DAY_MS] {
        let clock = Arc::new(ManualClock::at(at_ms));
        let system = builder().clock(clock).start(Arc::new(store.reopen())).await.unwrap();
        counter(&system).await;
        system.inner.look_at_clocks();
        assert_eq!((system.last_jump().await.unwrap(), system.holds_expiries()), (None, false));
        system.stop(SOON).await;
    }
}

const HOUR_MS: u64 = 60 * 60 * 1_000;

async fn start_in(folder: &std::path::Path, clocks: &Arc<ManualReadings>) -> System {
    let store = Local::open(folder, LocalOptions::default()).unwrap();
    builder().readings(clocks.clone()).start(Arc::new(store)).await.unwrap()
}

/// When, in the time of the system, each number was added.
fn added(system: &System) -> Vec<(u64, u64)> {
    let mut added = Vec::new();
    let visit = &mut |item: Item| {
        if let What::Event(event) = &item.what
            && let Some(number) = event["Added"].as_u64().filter(|number| *number > 0)
        {
            added.push((number, item.at_ms));
        }
        true
    };
    system.ledger().all(visit).unwrap();
    added
}

/// The clock is set between two lives of a real store, and again within the second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_survive_a_clock_that_is_set_between_lives_and_are_not_early_within_one() {
    let day_ms = i64::try_from(DAY_MS).unwrap();
    for by_ms in [-day_ms, 8 * day_ms, 400 * day_ms] {
        let (folder, began_ms) = (tempfile::tempdir().unwrap(), now_ms());
        let before = clocks(began_ms);
        let system = start_in(folder.path(), &before).await;
        let (old, new) = (counter(&system).await, counter(&system).await);
        let later = |number| Told::AddLater { number, after_ms: HOUR_MS };
        system.tell(old, later(1)).await.unwrap();
        until(&system, old, |count| count.scheduled == 1).await;
        system.stop(SOON).await;

        // The machine was started anew, too.
        let set_ms = began_ms.saturating_add_signed(by_ms);
        let after = Arc::new(ManualReadings::at(Reading { wall_ms: set_ms, boot_ms: 7 }));
        let system = start_in(folder.path(), &after).await;
        let jumped = system.last_jump().await.unwrap().expect("a start so far from the last record is written down");
        assert_eq!((jumped.at_start, jumped.wall_ms), (true, set_ms));
        assert!((jumped.by_ms - by_ms).abs() < 60_000 && system.holds_expiries(), "{jumped:?}");
        let second_ms = set_ms.max(began_ms);
        if by_ms > 0 {
            // It was due when the life began.
            until(&system, old, |count| count.total == 1).await;
        }
        system.tell(new, later(2)).await.unwrap();
        until(&system, new, |count| count.scheduled == 2).await;
        for set in [day_ms, -2 * day_ms] {
            after.set_wall(set);
            system.inner.look_at_clocks();
            let jumped = system.last_jump().await.unwrap().unwrap();
            assert_eq!((jumped.at_start, jumped.by_ms), (false, set));
        }
        after.advance(HOUR_MS);
        for (counter, number) in [(old, 1), (new, 2)] {
            until(&system, counter, |count| count.total == number).await;
        }
        let added = added(&system);
        assert_eq!(added.len(), 2, "each fires once: {added:?}");
        let at_ms = |wanted| added.iter().find(|(number, _)| *number == wanted).unwrap().1;
        assert!(at_ms(1) >= began_ms + HOUR_MS, "by {by_ms}: {added:?}");
        assert!(at_ms(2) >= second_ms + HOUR_MS, "by {by_ms}: {added:?}");
        system.stop(SOON).await;
    }
}
