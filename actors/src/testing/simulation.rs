//! The simulated world: the accepted view, driven step by step.
//!
//! Steps, in this order: a turn, a record to the disk, a call to a tool or its probe, a timer. A seed draws another order. A
//! crash strikes after a commit: memory is gone, the unacknowledged record is lost, kept or torn, and the next life recovers
//! from what is left.
//!
//! **Invariants:** what a step does depends on the steps before it and on the seed, and on nothing else. At every death, and
//! at rest, the [oracle](super::oracle) looks at what is stored.

mod books;
mod client;
mod disk;
mod life;
mod outside;
mod rest;
mod turns;

use std::{collections::BTreeMap, sync::Arc};

use self::{books::Client, life::Life};
use super::{
    dice::Dice,
    fake::Acted,
    oracle::{Entry, Findings},
    world::{Crash, Ending},
};
use crate::{
    durable::{Extensions, Registry, store::Memory},
    json::Json,
    phase::Phase,
    plan::{Checked, Effects, Evaluate, Evaluator, Plans, Sleeps},
    run::{Run, RunId},
    task::Task,
};

/// The time at which every story begins.
const DAWN_MS: u64 = 1_700_000_000_000;
/// No story takes more steps.
const STEPS_MAX: u64 = 200_000;
/// Steps between two looks at who is accused of being stuck, in a story by chance.
const GLANCE: u64 = 16;
/// The run of every story.
const RUN: RunId = RunId([0x42; 16]);

/// How a story is told.
#[derive(Clone, Debug, Default)]
pub(super) struct Manner {
    /// What the run is given.
    pub(super) input: Json,
    pub(super) cancel_after: Option<u64>,
    /// Turns until the message of one is given up.
    pub(super) poison: Option<u64>,
    /// Whether every commit is synced by itself.
    pub(super) eager: bool,
    /// Whether messages are delivered only when they are durable.
    pub(super) deliver_durable: bool,
    /// Records between two checkpoints, if there are any.
    pub(super) checkpoints: Option<u64>,
    /// How many decisions say that what is in doubt is called again.
    pub(super) repeats: u32,
    /// What draws the order of the steps.
    pub(super) seed: Option<u64>,
}

pub(super) struct Simulation {
    plan: Arc<Checked>,
    registry: Registry,
    extensions: Extensions,
    tools: BTreeMap<String, Acted>,
    store: Memory,
    clock_ms: u64,
    crashes: u32,
    decisions: u32,
    commits_before: u64,
    manner: Manner,
    dice: Option<Dice>,
    /// Rows that left memory, in all lives.
    evicted: u64,
    client: Client,
    /// The books of the outside world.
    entries: Vec<Entry>,
    /// What looks into the store found, and the one at rest.
    findings: Findings,
    life: Life,
}

impl Simulation {
    pub(super) fn new(
        plan: Arc<Checked>,
        evaluate: Arc<dyn Evaluate>,
        tools: BTreeMap<String, Acted>,
        manner: Manner,
    ) -> Self {
        let plans = Plans::default();
        plans.add(plan.clone());
        let extensions = Extensions::default()
            .with(Arc::new(Evaluator(evaluate)))
            .with(Arc::new(plans))
            .with(Arc::new(effects_of(&tools)))
            .with(Arc::new(sleeps_of(&tools)));
        let store = if manner.checkpoints.is_some() { Memory::with_rows() } else { Memory::new() };
        let life = Life::begin(&store);
        Self {
            plan,
            registry: Registry::new().with::<Run>().with::<Phase>().with::<Task>(),
            extensions,
            tools,
            store,
            clock_ms: DAWN_MS,
            crashes: 0,
            decisions: 0,
            commits_before: 0,
            dice: manner.seed.map(|seed| Dice::of(seed, 2)),
            manner,
            evicted: 0,
            client: Client::default(),
            entries: Vec::new(),
            findings: Findings::default(),
            life,
        }
    }

    /// Live, die as told, live again, and come to rest.
    pub(super) fn live_through(&mut self, crashes: &[Crash], death: &str) {
        for crash in crashes {
            if !self.live(Some(*crash)) {
                break;
            }
            self.die(crash.tail);
        }
        self.live(None);
        rest::at_rest(self, death);
    }

    pub(super) fn ending(self, death: String) -> Ending {
        let row = self.row().expect("the oracle saw that the run ended");
        Ending {
            death,
            deaths: self.crashes,
            outcome: row.outcome.expect("it ended"),
            commits: self.commits_before + self.life.commits,
            commits_of_last_life: self.life.commits,
            lasted_ms: self.clock_ms - DAWN_MS,
            took_ms: row.ended_at.expect("it ended") - row.submitted_at,
            evicted: self.evicted,
            decisions: self.decisions,
            findings: self.findings,
            tools: self.tools,
        }
    }

    pub(super) fn live_to_an_end_or_hold(mut self) {
        self.live(None);
        let live = self.life.accepted.live();
        let row = self.row();
        let is_told = row.as_ref().is_some_and(|row| row.has_ended() || row.held.is_some());
        let is_suspended = live.actors.values().any(|actor| actor.suspended.is_some());
        assert!(is_told || is_suspended, "the run hangs and nobody can see why: {row:?} {:#?}", live.actors);
    }

    /// Step until rest, or until it is time to die; says whether it is.
    fn live(&mut self, crash: Option<Crash>) -> bool {
        self.submit();
        let is_whole = self.manner.checkpoints.is_none() && self.manner.poison.is_none();
        // Where many stories are told by chance, a glance now and then is enough.
        let every = if self.dice.is_some() { GLANCE } else { 1 };
        let is_watched = is_whole && (self.dice.is_some() || (crash.is_none() && self.crashes == 0));
        for step in 0..STEPS_MAX {
            if is_watched && step % every == 0 {
                rest::nobody_is_stuck(self);
            }
            if crash.is_some_and(|crash| self.life.commits >= crash.after) {
                return true;
            }
            if self.manner.cancel_after.is_some_and(|after| self.commits_before + self.life.commits >= after) {
                self.manner.cancel_after = None;
                self.cancel();
            } else if !self.step() {
                return false;
            }
        }
        panic!("the story does not come to rest");
    }

    /// Do one thing; says whether there was one left to do.
    fn step(&mut self) -> bool {
        if self.dice.is_some() {
            return self.step_by_chance();
        }
        (self.manner.eager && self.sync()) || self.turn() || self.sync() || self.call() || self.fire() || self.resolve()
    }

    /// Any one of what could happen now. A timer may be due while there is much to do, as on a busy machine; a person only
    /// looks when nothing else moves.
    fn step_by_chance(&mut self) -> bool {
        type Step = fn(&mut Simulation) -> bool;
        let mut steps: [Step; 5] = [Self::turn, Self::turn, Self::seal, Self::acknowledge, Self::call];
        let Some(dice) = &mut self.dice else { return false };
        dice.shuffle(&mut steps);
        let is_busy = dice.one_in(8);
        (is_busy && self.fire()) || steps.into_iter().any(|step| step(self)) || self.fire() || self.resolve()
    }
}

fn effects_of(tools: &BTreeMap<String, Acted>) -> Effects {
    Effects(tools.iter().map(|(name, acted)| (name.clone(), acted.fake.effect)).collect())
}

fn sleeps_of(tools: &BTreeMap<String, Acted>) -> Sleeps {
    let named = |(name, acted): (&String, &Acted)| Some((name.clone(), acted.fake.sleeps.clone()?));
    Sleeps(tools.iter().filter_map(named).collect())
}
