//! Event streams: in order, complete, and taken up again where they were cut off.

use serde_json::json;

use super::served::Served;

#[test]
fn the_events_of_a_run_come_in_order_and_end_with_it() {
    tells_what_the_ledger_holds("greet");
}

/// More than is read at once.
#[test]
fn the_events_of_a_long_run_are_complete_however_late_somebody_reads() {
    tells_what_the_ledger_holds("many");
}

fn tells_what_the_ledger_holds(workflow: &str) {
    let served = Served::new();
    let api = served.api();
    let run = api.submit(workflow, json!({}));
    // One reader from the beginning, and one that comes when all is over.
    let events: Vec<_> = api.follow(&run, "", "").collect();
    assert_eq!(events, api.follow(&run, "", "").collect::<Vec<_>>());
    let ids: Vec<_> = events.iter().filter_map(|event| event.id).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
    let last = events.last().unwrap();
    assert_eq!((last.name.as_deref(), &last.data["status"]), (Some("end"), &"succeeded".into()));
    let ledger = served.place.run(&["ledger", "export", &run]);
    let exported: Vec<serde_json::Value> = crate::cli::place::lines(&ledger);
    let streamed: Vec<_> = events.into_iter().filter(|event| event.id.is_some()).map(|event| event.data).collect();
    assert_eq!(streamed, exported, "a stream tells what the ledger holds");
}

#[test]
fn a_stream_goes_on_where_it_was_cut_off_also_across_a_restart() {
    let mut served = Served::new();
    let api = served.api();
    let run = api.submit("gate", json!({}));
    let mut before: Vec<_> = api.follow(&run, "", "").take(3).collect();
    served.kill();
    served.start();
    let api = served.api();
    std::fs::write(served.place.path("go"), "").unwrap();
    before.extend(api.follow(&run, "?after=1", "last-event-id: 3\r\n"));
    let whole: Vec<_> = api.follow(&run, "", "").collect();
    assert_eq!(before, whole);
    assert_eq!(api.follow(&run, &format!("?after={}", whole.len() - 2), "").count(), 2, "the last event, and the end");
    assert_eq!(api.follow(&run, "?after=1000000", "").count(), 1, "the end alone");
}

#[test]
fn a_stream_that_follows_a_running_run_is_ended_by_a_drain() {
    let mut served = Served::new();
    let api = served.api();
    let run = api.submit("nap", json!({}));
    let mut events = api.follow(&run, "", "");
    assert_eq!(events.next().unwrap().id, Some(1));
    served.terminate();
    assert!(events.all(|event| event.name.is_none()), "the run has not ended");
    assert!(served.child.wait().unwrap().success());
}
