//! Crash points of the protocol, as many as somebody has time for: every commit of every story, with each fate of the
//! unacknowledged record, and second crashes in recovery; beyond what is enumerated, deaths and orders of steps that seeds
//! draw.
//!
//! A failure prints a line that tells the same story again: `HEADFRAME_REPLAY='NAME DEATH'` before
//! `cargo test -p headframe-actors --lib at_scale`.
mod machines;
mod stories;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use self::stories::Story;
use super::{
    Death, Ending, Scale, note,
    oracle::{Findings, Invariant},
    world::around,
};
use crate::clock::monotonic;

/// From which the seeds of deaths by chance are counted.
const SEED: u64 = 1;
/// Of the runs that are told, so many are by chance.
const BY_CHANCE: u64 = 4;

/// What was told.
#[derive(Default)]
struct Told {
    runs: u64,
    deaths: u64,
    by_chance: u64,
    tails: BTreeMap<&'static str, u64>,
    findings: Findings,
}

impl Told {
    fn tell(&mut self, story: &Story, death: &Death) -> Ending {
        let ending = story.world.dying(death);
        (story.holds)(&ending);
        self.runs += 1;
        self.deaths += u64::from(ending.deaths);
        self.by_chance += u64::from(death.seed.is_some());
        for crash in death.crashes.iter().take(ending.deaths as usize) {
            let tail = match crash.tail {
                crate::durable::store::Tail::Lost => "lost",
                crate::durable::store::Tail::Kept => "kept",
                crate::durable::store::Tail::Partial(_) => "partial",
            };
            *self.tails.entry(tail).or_default() += 1;
        }
        self.findings.add(ending.findings.clone());
        ending
    }
}

#[test]
fn every_story_ends_as_it_should_wherever_its_process_dies_and_dies_again() {
    let (stories, began, mut told) = (stories::all(), monotonic(), Told::default());
    if let Some((story, death)) = stories.iter().find_map(|story| Some((story, story.world.to_replay()?))) {
        told.tell(story, &death);
        return;
    }
    let runs_wanted = Scale::chosen().pick(20_000, 100_000, 10_000_000);
    // Every crash point by itself, and how many commits its recovery has.
    let mut recoveries = Vec::new();
    for story in &stories {
        let commits = told.tell(story, &Death::default()).commits;
        for (after, tail) in around(commits) {
            let death = Death::after(after, tail);
            let commits = told.tell(story, &death).commits_of_last_life;
            recoveries.push((story, death, commits));
        }
    }
    let points = told.deaths;
    // Second crashes: all, or evenly so many as there is room for.
    let pairs = recoveries.iter().flat_map(|(story, death, commits)| {
        around(*commits).map(move |(after, tail)| (*story, death.clone().and_after(after, tail)))
    });
    let possible: u64 = recoveries.iter().map(|(_, _, commits)| around(*commits).count() as u64).sum();
    let room = (runs_wanted - runs_wanted / BY_CHANCE).saturating_sub(told.runs);
    let mut chosen = 0;
    for (at, (story, death)) in pairs.enumerate() {
        if (at as u64 + 1) * room.min(possible) / possible > chosen {
            chosen += 1;
            told.tell(story, &death);
        }
    }
    let seeds = SEED..SEED + runs_wanted.saturating_sub(told.runs);
    for (seed, story) in seeds.clone().zip(stories.iter().cycle()) {
        told.tell(story, &Death::drawn(seed, story.commits_max));
    }
    let names: BTreeSet<_> = stories.iter().map(|story| story.world.name()).collect();
    assert_eq!(names.len(), stories.len(), "a story is told again by its name");
    let never = told.findings.never_tested();
    assert_eq!(never, [Invariant::Suite], "an invariant that was never put to the test");
    assert!(told.tails.len() == 3 && told.runs >= runs_wanted, "{} runs, {:?}", told.runs, told.tails);
    let tested: BTreeMap<_, _> =
        Invariant::ALL.iter().map(|invariant| (invariant.to_string(), told.findings.times(*invariant))).collect();
    note(
        "crash points",
        &[
            ("stories", json!(stories.len())),
            ("runs", json!(told.runs)),
            ("crash points", json!(points)),
            ("pairs of crash points", json!(possible)),
            ("pairs told", json!(chosen)),
            ("runs by chance", json!(told.by_chance)),
            ("seeds", json!([seeds.start, seeds.end])),
            ("deaths", json!(told.deaths)),
            ("records", json!(told.tails)),
            ("tested", json!(tested)),
            ("violations", json!(0)),
            ("seconds", json!(began.elapsed().as_secs())),
        ],
    );
}
