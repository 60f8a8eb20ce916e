//! Every operation on our files as a crash point, and what a machine may make of what was not synced.
//!
//! ```text
//! a story ─► it ends after some operation ─► a model of the disk ─► opened, read, gone on with, power gone, opened again
//! ```
//! The stories: a store is made, opened again, filled over several segments, bases and ledger segments are made and the
//! journal is trimmed (`archiver.rs`), in three manners: `HEAD` close behind, `HEAD` lagging, and nothing synced but what `HEAD`
//! vouches for; losses are accepted (`loss.rs`); and all there is is kept before an upgrade (`upgrade.rs`).
//!
//! A failure prints a line that replays it. `HEADFRAME_CRASH_SEED` chooses other combinations of pages, and `HEADFRAME_CRASH_PART=2/6`
//! plays the second sixth of all cases, where all at once would take too long.

mod case;
mod rows;

use std::{collections::BTreeMap, sync::Arc, thread};

use serde_json::json;

use self::case::{Case, MODELS, Model, Plots};
use crate::{
    clock, replay,
    scale::{Scale, note},
};

/// What `HEADFRAME_REPLAY` calls a case of this.
const CRASH: &str = "crash";
const SEED: &str = "HEADFRAME_CRASH_SEED";
const PART: &str = "HEADFRAME_CRASH_PART";
/// With how many seeds each point is tried in each model that has seeds, when all are.
const SEEDS: u64 = 16;

#[test]
fn nothing_acknowledged_is_lost_after_any_operation_on_our_files_whatever_the_disk_keeps() {
    let plots = Arc::new(Plots::new());
    if let Some(told) = replay::asked(CRASH) {
        return plots.play(&Case::parse(&told));
    }
    let (began, seed) = (clock::monotonic(), std::env::var(SEED).map_or(1, |seed| seed.parse().expect("a number")));
    let part = std::env::var(PART).unwrap_or_else(|_| "1/1".to_owned());
    let (at, of) = part.split_once('/').expect("a part, and of how many");
    let [at, of] = [at, of].map(|number| number.parse::<usize>().expect("a number"));
    let all = chosen(&plots, Scale::chosen().pick(Some(240), Some(6_000), None), seed);
    let cases: Vec<_> = all.into_iter().skip(at - 1).step_by(of).collect();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for core in 0..cores {
            let (plots, cases) = (&plots, &cases);
            scope.spawn(move || cases.iter().skip(core).step_by(cores).for_each(|case| plots.tell(case)));
        }
    });
    let mut counts: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
    for case in &cases {
        *counts.entry(plots.operation(case).to_owned()).or_default().entry(case.model.name()).or_default() += 1;
    }
    let missing: Vec<_> =
        MODELS.iter().filter(|model| !counts.values().any(|of| of.contains_key(model.name()))).collect();
    assert!(of > 1 || missing.is_empty(), "never tried: {missing:?}");
    note(
        "system-call crash points",
        &[
            ("points", json!(plots.points())),
            ("cases", json!(cases.len())),
            ("lost", json!(0)),
            ("refused", json!(0)),
            ("seed", json!(seed)),
            ("part", json!(part)),
            ("by operation and model", json!(counts)),
            ("seconds", json!(began.elapsed().as_secs())),
        ],
    );
}

/// So many of all cases, evenly, over points, models and seeds; or all of them.
fn chosen(plots: &Plots, most: Option<u64>, seed: u64) -> Vec<Case> {
    let points: Vec<_> = plots.all().collect();
    let Some(most) = most else {
        let all = points.iter().flat_map(|(plot, step)| {
            MODELS.iter().flat_map(move |model| {
                let seeds = if model.has_seeds() { SEEDS } else { 1 };
                (0..seeds).map(move |more| Case { plot: *plot, step: *step, model: *model, seed: seed + more })
            })
        });
        return all.filter(|case| plots.applies(case)).collect();
    };
    let mut cases = Vec::new();
    for number in 0.. {
        if cases.len() as u64 == most {
            return cases;
        }
        // A step that has no divisor with the number of points meets each of them before any comes again.
        let (plot, step) = points[usize::try_from(number * 7_919 % points.len() as u64).unwrap()];
        let model = MODELS[usize::try_from(number % MODELS.len() as u64).unwrap()];
        let case = Case { plot, step, model, seed: seed.wrapping_mul(0x9E37_79B9).wrapping_add(number) };
        if plots.applies(&case) {
            cases.push(case);
        }
    }
    cases
}

#[test]
fn a_case_is_told_and_read_again() {
    for model in MODELS {
        let case = Case { plot: 3, step: 17, model, seed: 99 };
        assert_eq!(Case::parse(&case.to_string()), case);
    }
    assert!(MODELS.contains(&Model::Rows));
}
