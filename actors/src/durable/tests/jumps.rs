//! What the store and the system know of a clock that jumped.

use super::*;
use crate::clock::{ManualClock, ManualReadings, Reading, SteadyClock};

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

#[tokio::test]
async fn a_grace_goes_on_after_a_restart() {
    let (store, clocks) = (Memory::new(), clocks(now_ms()));
    let first = start(&store, &clocks).await;
    clocks.set_wall(3_600_000);
    first.inner.look_at_clocks();
    assert!(first.last_jump().await.unwrap().is_some());
    first.stop(SOON).await;
    clocks.advance(300_000);
    let system = start(&store, &clocks).await;
    assert!(system.holds_expiries());
    clocks.advance(300_001);
    assert!(!system.holds_expiries());
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
