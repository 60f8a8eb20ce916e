//! The simulated level: the real actors, on one thread, in time that stands still while anything can be done.
//!
//! A *telling* is told from a seed. Runs are submitted to a real [`System`](crate::durable::System), with its hosts, keeper,
//! supervisors, timers, unsticker, passivation and the actor before each tool; the tools are fakes that count their
//! effects; the store is in memory. At every seam there is a fault point (`durable/faults/site.rs`): others go first,
//! nothing happens for a while or for long, our own code panics, whoever is there is killed, a bell or a call is lost or
//! late, a start is refused, the whole process dies. After a while the faults cease, all must come to rest, and the oracle
//! looks (`oracle.rs`).
//!
//! What makes a telling repeat: a `current_thread` runtime with paused time, so that tokio's timers alone move the clock;
//! committer and checkpointer as tasks (`durable/system/drive.rs`), no `spawn_blocking`, no wall clock; and faults that
//! depend on the seed, the point, who passes it and how often, and not on who came before. The trace is a line per fault, per
//! durable record with the digest of its bytes, and per step of whoever watches.
//!
//! Told again is one seed with
//! `HEADFRAME_REPLAY='simulated 17' cargo test -p headframe-actors --lib simulated::replay -- --nocapture`.

#![expect(clippy::print_stdout, reason = "whoever tells a seed again wants to read it")]

mod oracle;
mod outside;
mod plans;
mod telling;

use std::{collections::BTreeMap, process::Command, time::Instant};

use serde_json::json;

use self::telling::{Telling, tell};
use crate::{
    durable::faults::{Action, Pair, Site},
    replay,
    testing::{
        Scale, note,
        oracle::{Findings, Invariant},
    },
};

/// What `HEADFRAME_REPLAY` calls a seed of this.
const SIMULATED: &str = "simulated";
/// Where the digests of several are asked for: `from..to`.
const SEEDS: &str = "HEADFRAME_SEEDS";

/// One seed, with its trace: what a failure asks you to run.
#[test]
fn replay() {
    let Some(seed) = replay::asked(SIMULATED) else { return };
    let seed = seed.parse().unwrap_or_else(|_| panic!("{}: {seed:?} is no seed: use a number", replay::VARIABLE));
    let telling = tell(seed);
    for line in &telling.trace {
        println!("{line}");
    }
    println!("{:016x}: {}", telling.digest(), telling.verdict());
    telling.is_sound();
}

/// Run by [`at_scale::equal_seeds_tell_equal_stories_in_two_processes`] as a process of its own.
#[test]
fn digests() {
    let Ok(seeds) = std::env::var(SEEDS) else { return };
    let (from, to) = seeds.split_once("..").expect("from..to");
    for seed in from.parse::<u64>().unwrap()..to.parse().unwrap() {
        println!("digest {seed} {:016x}", tell(seed).digest());
    }
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    let (first, second) = (tell(1), tell(1));
    for (at, (one, other)) in first.trace.iter().zip(&second.trace).enumerate() {
        assert_eq!(one, other, "line {at}");
    }
    assert_eq!(first.digest(), second.digest());
}

mod at_scale {
    use super::*;

    /// Every fault at every seam happens, and all comes to rest as if none had.
    #[test]
    fn whatever_fails_at_any_seam_every_run_ends_once() {
        let began = crate::clock::monotonic();
        // A number and no time, so that the same seeds are told on every machine.
        let seeds = Scale::chosen().pick(50, 2_000, 200_000);
        let mut told = Told::default();
        // A change anywhere makes every seed tell another story: a few more are told before a silent fault is a failure.
        while told.tellings < seeds || (told.tellings < seeds * 4 && !told.silent().is_empty()) {
            told.add(&tell(told.tellings + 1));
        }
        told.note(began);
        let silent = told.silent();
        assert!(silent.is_empty(), "these never happened in {} tellings: {silent:?}", told.tellings);
    }

    #[test]
    fn equal_seeds_tell_equal_stories_in_two_processes() {
        let seeds = Scale::chosen().pick(20, 200, 1_000);
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "simulated::digests", "--nocapture"])
            .env(SEEDS, format!("1..{}", seeds + 1))
            .output()
            .unwrap();
        let said = String::from_utf8(child.stdout).unwrap();
        let digest = |line: &str| {
            let (_, rest) = line.split_once("digest ")?;
            let (seed, digest) = rest.split_once(' ')?;
            Some((seed.parse::<u64>().ok()?, digest.trim().to_owned()))
        };
        let theirs: BTreeMap<_, _> = said.lines().filter_map(digest).collect();
        assert_eq!(theirs.len() as u64, seeds, "{said}");
        // The other way round: what was told before must not matter.
        for seed in (1..=seeds).rev() {
            assert_eq!(
                format!("{:016x}", tell(seed).digest()),
                theirs[&seed],
                "seed {seed}: tell it twice to see where"
            );
        }
        note("actor faults: replay", &[("seeds", json!(seeds)), ("processes", json!(2)), ("differ", json!(0))]);
    }
}

/// What many tellings come to.
#[derive(Default)]
struct Told {
    tellings: u64,
    fired: BTreeMap<Pair, u64>,
    digests: std::collections::BTreeSet<u64>,
    lives: u64,
    unstuck: BTreeMap<&'static str, u64>,
    virtual_ms: u64,
    gentle: u64,
    findings: Findings,
}

impl Told {
    fn add(&mut self, telling: &Telling) {
        telling.is_sound();
        self.findings.add(telling.findings.clone());
        self.tellings += 1;
        self.lives += telling.lives;
        self.gentle += u64::from(telling.is_gentle);
        self.virtual_ms += telling.lasted_ms;
        self.digests.insert(telling.digest());
        for (pair, count) in &telling.fired {
            *self.fired.entry(*pair).or_default() += count;
        }
        for (reason, count) in &telling.unstuck {
            *self.unstuck.entry(reason).or_default() += count;
        }
    }

    /// What did not happen at all.
    fn silent(&self) -> Vec<Pair> {
        Site::pairs().filter(|pair| !self.fired.contains_key(pair)).collect()
    }

    fn of(&self, wanted: Action) -> u64 {
        self.fired.iter().filter(|((_, action), _)| *action == wanted).map(|(_, count)| count).sum()
    }

    fn note(&self, began: Instant) {
        let by_site: BTreeMap<_, _> =
            self.fired.iter().map(|((site, action), count)| (format!("{site:?}/{action:?}"), count)).collect();
        let actions = |action| json!(self.of(action));
        note(
            "actor faults",
            &[
                ("seeds", json!(format!("1..={}", self.tellings))),
                ("distinct_traces", json!(self.digests.len())),
                ("lives", json!(self.lives)),
                ("virtual_hours", json!(self.virtual_ms / 3_600_000)),
                ("pairs_declared", json!(Site::pairs().count())),
                ("pairs_fired", json!(self.fired.len())),
                ("faults", json!(self.fired.values().sum::<u64>())),
                ("kills", actions(Action::Kill)),
                ("panics", actions(Action::Panic)),
                ("hangs", actions(Action::Hang)),
                ("losses", actions(Action::Drop)),
                ("process_deaths", actions(Action::Die)),
                ("fired", json!(by_site)),
                ("unstuck", json!(self.unstuck)),
                (
                    "tested",
                    json!(
                        Invariant::ALL
                            .map(|it| (it.to_string(), self.findings.times(it)))
                            .into_iter()
                            .collect::<BTreeMap<_, _>>()
                    ),
                ),
                ("tellings_in_which_the_unsticker_must_not_act", json!(self.gentle)),
                ("seconds", json!(crate::clock::monotonic().duration_since(began).as_secs())),
            ],
        );
    }
}
