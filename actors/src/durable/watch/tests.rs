//! What the watcher says of a turn, and when.

use std::sync::Arc;

use super::*;
use crate::durable::{ActorId, flight::Label};

const TICK: Duration = Duration::from_millis(250);

fn turn() -> Running {
    let named = Named::Turn { actor: ActorId(256), entry: 1 };
    Running { named, of: Label::Kind("counter"), age: None, told: Told::Nothing }
}

/// After how many looks something was said, and what.
fn said(ticks: impl IntoIterator<Item = Duration>) -> Vec<(usize, Told)> {
    let mut turn = turn();
    let looks = ticks.into_iter().enumerate();
    looks.filter_map(|(at, tick)| Some((at, look(&mut turn, tick, Limits::default())?))).collect()
}

#[test]
fn a_turn_is_named_once_after_a_second_and_acted_on_once_after_thirty() {
    assert_eq!(said(vec![TICK; 1_000]), [(4, Told::Named), (120, Told::Acted)]);
}

#[test]
fn a_process_that_stood_still_names_nobody() {
    let hour = Duration::from_secs(3_600);
    assert_eq!(said([TICK, hour]), []);
    assert_eq!(said([hour, TICK, TICK, TICK]), [], "the first look only finds the turn");
}

#[test]
fn a_late_watcher_still_comes_to_act() {
    assert_eq!(said(vec![Duration::from_secs(2); 100]), [(2, Told::Named), (60, Told::Acted)]);
}

#[test]
fn a_watcher_that_sleeps_wakes_for_a_turn_and_ends_with_the_recorder() {
    let recorder = Arc::new(Recorder::in_memory());
    let (sender, seen) = std::sync::mpsc::channel();
    let watcher = {
        let recorder = recorder.clone();
        #[expect(clippy::disallowed_methods, reason = "the test joins it")]
        std::thread::spawn(move || {
            // As the watcher does: rest until something runs, and look.
            while recorder.rest(None) {
                recorder.survey(|running| sender.send(running.named).unwrap());
            }
        })
    };
    let named = turn().named;
    let noted = recorder.begin(named, Label::Kind("counter"));
    assert_eq!(seen.recv_timeout(Duration::from_secs(10)), Ok(named));
    drop(noted);
    recorder.close();
    watcher.join().unwrap();
}
