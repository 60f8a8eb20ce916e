//! Calls and timers in the accepted view: whatever is asked of it, in any order, and wherever its process dies.
//!
//! ```text
//! words ─► turns, entrances, outcomes, probes, decisions, cancels, timers, seals, deaths ─► the accepted view
//!                                                        what must be so is kept beside it (`Model`) ◄─┘
//! ```
//! Words name calls and actors that are there, that were, and that never were. After each: nothing panicked; a call has its
//! row until it has its one verdict; no firing is early, of a former setting, or there twice. At each seal: the fold of the
//! records, read back from their bytes, is the live state.

mod model;
mod scene;

use std::{cell::RefCell, collections::BTreeMap};

use proptest::prelude::*;
use serde_json::json;

use self::scene::Scene;
use crate::{
    clock::monotonic,
    replay::{Seeds, holds},
    scale::{Scale, note},
};

/// What happens: what, to whom, and more about it.
type Word = (u8, u8, u32);

#[test]
fn calls_and_timers_keep_their_rules_whatever_is_asked_in_whatever_order() {
    let (began, cases) = (monotonic(), Scale::chosen().pick(400, 8_000, 800_000));
    let name = "calls_and_timers_keep_their_rules_whatever_is_asked_in_whatever_order";
    let seeds = Seeds::of(env!("CARGO_PKG_NAME"), module_path!(), name, cases);
    let (is_replay, seen) = (seeds.is_replay(), RefCell::new(BTreeMap::<&str, u64>::new()));
    holds(seeds, &prop::collection::vec(any::<Word>(), 0..120), |words| {
        let mut scene = Scene::begin();
        for word in words {
            scene.hear(word)?;
        }
        scene.end()?;
        for (what, count) in scene.model.seen {
            *seen.borrow_mut().entry(what).or_default() += count;
        }
        Ok(())
    });
    if is_replay {
        return;
    }
    let seen = seen.into_inner();
    let missing: Vec<_> = model::ALL.iter().filter(|what| !seen.contains_key(*what)).collect();
    assert!(missing.is_empty(), "these never happened: {missing:?}");
    let figures =
        [("sequences", json!(cases)), ("happened", json!(seen)), ("seconds", json!(began.elapsed().as_secs()))];
    note("calls and timers, any order", &figures);
}
