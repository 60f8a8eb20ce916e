//! What a table of families must keep to, and what happens to a name too many.

use super::*;

#[test]
fn a_name_too_many_is_called_other() {
    let known = Known::of(["c", "a", "b"].map(str::to_owned), 2);
    assert_eq!(["a", "b", "c", "z"].map(|name| known.label(name)), ["a", "b", OTHER, OTHER]);
}

#[test]
fn the_unit_is_what_a_name_ends_with() {
    let unit = |name| Family::counter(name, &[], "").unit();
    assert_eq!(unit("headframe_run_duration_seconds"), Some("seconds"));
    assert_eq!(unit("headframe_commit_written_bytes_total"), Some("bytes"));
    assert_eq!(unit("headframe_runs_ended_total"), None);
}

#[test]
fn buckets_grow() {
    for buckets in [SYNC_SECONDS, CALL_SECONDS, RUN_SECONDS, BATCH] {
        assert!(buckets.is_sorted_by(|less, more| less < more), "{buckets:?}");
    }
}
