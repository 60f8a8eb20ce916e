//! What is a jump, and how long it is remembered.

use super::*;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
const NOW: Reading = Reading { wall_ms: 1_800_000_000_000, boot_ms: 5_000_000 };

#[test]
fn a_wall_clock_that_is_set_is_told_by_how_much() {
    for by_ms in [-DAY_MS, -61_000, 61_000, DAY_MS, 400 * DAY_MS] {
        let clocks = ManualReadings::at(NOW);
        clocks.advance(30_000);
        clocks.set_wall(by_ms);
        assert_eq!(Jump::between(NOW, clocks.read()), Some(Jump { by_ms }));
    }
}

#[test]
fn a_correction_of_less_than_a_minute_is_no_jump() {
    for by_ms in [-60_000, -1, 0, 1, 60_000] {
        let clocks = ManualReadings::at(NOW);
        clocks.set_wall(by_ms);
        assert_eq!(Jump::between(NOW, clocks.read()), None, "{by_ms} ms");
    }
}

#[test]
fn time_in_which_the_process_or_the_machine_stood_still_is_no_jump() {
    let clocks = ManualReadings::at(NOW);
    for passed_ms in [60_000, 3_600_000, 400 * DAY_MS.unsigned_abs()] {
        let before = clocks.read();
        clocks.advance(passed_ms);
        assert_eq!(Jump::between(before, clocks.read()), None, "{passed_ms} ms on both clocks");
    }
}

#[test]
fn a_start_before_the_last_record_or_a_week_after_it_is_a_jump() {
    let last = NOW.wall_ms;
    let at = |by_ms: i64| Jump::at_start(last, last.saturating_add_signed(by_ms)).map(|jump| jump.by_ms);
    assert_eq!([at(-DAY_MS), at(-60_001), at(7 * DAY_MS + 1)], [Some(-DAY_MS), Some(-60_001), Some(7 * DAY_MS + 1)]);
    assert_eq!([at(-60_000), at(0), at(7 * DAY_MS)], [None; 3]);
    assert_eq!(at(400 * DAY_MS), Some(400 * DAY_MS));
    assert_eq!(Jump::at_start(0, last), None, "a new store has no last record");
}

#[test]
fn no_reading_is_out_of_range() {
    let (least, most) = (Reading::default(), Reading { wall_ms: u64::MAX, boot_ms: u64::MAX });
    assert_eq!(Jump::between(least, Reading { boot_ms: 0, ..most }), Some(Jump { by_ms: i64::MAX }));
    assert_eq!(Jump::between(Reading { boot_ms: 0, ..most }, least), Some(Jump { by_ms: i64::MIN }));
    assert!(Grace::from(u64::MAX).holds(u64::MAX - 1));
}

#[test]
fn grace_ends_after_its_length_whatever_the_wall_clock_does() {
    let grace = Grace::from(NOW.boot_ms);
    assert!(grace.holds(NOW.boot_ms) && grace.holds(NOW.boot_ms + 599_999));
    assert!(!grace.holds(NOW.boot_ms + 600_000));
    assert!(!Grace::default().holds(0));
}

#[test]
fn what_is_left_of_a_grace_outlives_a_restart() {
    let later = Reading { wall_ms: NOW.wall_ms + 200_000, boot_ms: 10 };
    let grace = Grace::resumed(NOW.wall_ms, later);
    assert!(grace.holds(10 + 399_999) && !grace.holds(10 + 400_000));
    assert_eq!(Grace::resumed(NOW.wall_ms, Reading { wall_ms: NOW.wall_ms + 600_001, boot_ms: 10 }), Grace::default());
    assert_eq!(Grace::resumed(NOW.wall_ms + 1, NOW), Grace::default(), "the start itself is a jump then");
}
