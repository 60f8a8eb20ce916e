//! A supervisor hears anything in any order: what is due to it late, what it never asked for, and what is of former lives.
//!
//! Unlike the bench of `machine.rs`, nothing that it wants is done at once: starts are over, and children end, when a word
//! says so. A book beside it says what must be so, from nothing but what it was told and what it wanted.

mod book;

use std::{cell::RefCell, collections::BTreeMap};

use proptest::prelude::*;
use serde_json::json;

use self::book::Book;
use crate::{
    clock::monotonic,
    durable::supervision::{AutoShutdown, Backoff, Intensity, Policy, Strategy as Children},
    replay::{Seeds, holds},
    scale::{Scale, note},
};

/// What happens: what, to whom, and how much time has passed before.
pub(super) type Word = (u8, u8, u16);

fn policies() -> impl Strategy<Value = Policy> {
    let strategies = vec![Children::OneForOne, Children::OneForAll, Children::RestForOne, Children::Dynamic];
    let auto = vec![AutoShutdown::Never, AutoShutdown::AnySignificant, AutoShutdown::AllSignificant];
    let times = (0_u32..6, 0_u64..20_000, 0_u64..3_000, 0_u64..20_000, any::<u64>());
    (prop::sample::select(strategies), prop::sample::select(auto), times).prop_map(
        |(strategy, auto_shutdown, times)| {
            let (max_restarts, period, base, max, seed) = times;
            let [period, base, max] = [period, base, max].map(std::time::Duration::from_millis);
            let (intensity, backoff) = (Intensity { max_restarts, period }, Backoff { base, max, seed });
            Policy { strategy, intensity, backoff, auto_shutdown }
        },
    )
}

/// Restarts are as many as they may be and as late as they must be, whoever gives up does so for a reason, every question is
/// answered once, and the end is reached.
#[test]
fn a_supervisor_that_hears_anything_keeps_its_rules() {
    let (began, cases) = (monotonic(), Scale::chosen().pick(300, 6_000, 600_000));
    let seeds =
        Seeds::of(env!("CARGO_PKG_NAME"), module_path!(), "a_supervisor_that_hears_anything_keeps_its_rules", cases);
    let (is_replay, seen) = (seeds.is_replay(), RefCell::new(BTreeMap::<&str, u64>::new()));
    let words = prop::collection::vec(any::<Word>(), 0..80);
    holds(seeds, &(policies(), words), |(policy, words)| {
        let mut book = Book::begin(policy)?;
        for word in words {
            book.hear(word)?;
        }
        book.end()?;
        for (what, count) in book.counts() {
            *seen.borrow_mut().entry(what).or_default() += count;
        }
        Ok(())
    });
    let seen = seen.into_inner();
    if is_replay {
        return;
    }
    assert!(seen.values().all(|count| *count > 0), "something never happened: {seen:?}");
    let figures =
        [("sequences", json!(cases)), ("happened", json!(seen)), ("seconds", json!(began.elapsed().as_secs()))];
    note("supervision, any order", &figures);
}
