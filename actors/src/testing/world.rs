//! A plan, its tools, and every way its process can die.

mod death;
mod ending;
mod templates;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};

use self::death::TAILS;
pub(crate) use self::templates::NoTemplates;
pub use self::{
    death::{Crash, Death},
    ending::Ending,
};
use super::{
    fake::{Acted, Fake},
    simulation::{Manner, Simulation},
};
use crate::{
    json::Json,
    plan::{Checked, Evaluate, Plan, SleepsUntil},
    replay::{self, IfItFails},
};

/// A plan, the tools it calls, and how time and disk behave.
///
/// ```
/// use headframe_actors::{durable::Effect, plan::Plan, testing::{Fake, World}};
///
/// let plan = Plan::builder("pay").phase("pay", |phase| phase.task("charge", "bank", |task| task.retry(3)));
/// let world = World::with_plan(plan.build()).tool("bank", Fake::loses_an_answer(Effect::IDEMPOTENT));
/// for ending in world.dying_around_every_commit() {
///     assert_eq!(ending.effects("bank"), 1, "{}", ending.death);
/// }
/// ```
#[derive(Clone)]
pub struct World {
    plan: Arc<Checked>,
    evaluate: Arc<dyn Evaluate>,
    tools: BTreeMap<String, Acted>,
    input: Option<Json>,
    manner: Manner,
}

impl World {
    /// A plan without templates.
    ///
    /// # Panics
    /// If the plan is not sound.
    #[must_use]
    pub fn with_plan(plan: Plan) -> Self {
        Self::with_templates(plan, Arc::new(NoTemplates))
    }

    /// A plan, and what its templates and conditions mean.
    ///
    /// # Panics
    /// If the plan is not sound.
    #[must_use]
    pub fn with_templates(plan: Plan, evaluate: Arc<dyn Evaluate>) -> Self {
        let plan = plan.check(&*evaluate).unwrap_or_else(|problems| panic!("the plan is not sound: {problems:?}"));
        Self::with_checked(plan, evaluate)
    }

    /// A plan that was found sound, and what its templates and conditions mean.
    #[must_use]
    pub fn with_checked(plan: Arc<Checked>, evaluate: Arc<dyn Evaluate>) -> Self {
        Self { plan, evaluate, tools: BTreeMap::new(), input: None, manner: Manner::default() }
    }

    /// With a tool.
    #[must_use]
    pub fn tool(mut self, name: &str, fake: Fake) -> Self {
        self.tools.insert(name.to_owned(), Acted::new(fake));
        self
    }

    /// Every tool that the plan names, and that nobody gave yet, is like this one.
    #[must_use]
    pub fn every_other_tool(mut self, fake: &Fake) -> Self {
        for name in self.tools_named() {
            self.tools.entry(name).or_insert_with(|| Acted::new(fake.clone()));
        }
        self
    }

    /// A tool that only lets time pass, as the engine's `sleep` does: until when, by its arguments and the time now.
    #[must_use]
    pub fn sleeping_tool(self, name: &str, until: SleepsUntil) -> Self {
        self.tool(name, Fake::sleeps_until(until))
    }

    /// What the run is given.
    ///
    /// # Panics
    /// If the plan does not take it.
    #[must_use]
    pub fn input(mut self, input: Value) -> Self {
        self.input = Some(self.takes(input));
        self
    }

    fn takes(&self, input: Value) -> Json {
        let taken = self.plan.take_input(&Json::from(input));
        taken.unwrap_or_else(|problems| panic!("the plan does not take this as its input: {problems:?}"))
    }

    /// Cancel the run once all lives together have come to this many commits.
    #[must_use]
    pub fn cancelled_after(mut self, commits: u64) -> Self {
        self.manner.cancel_after = Some(commits);
        self
    }

    /// Let the person who decides what is in doubt say so many times that it is to be called again, before he looks into the
    /// tool's books.
    #[must_use]
    pub fn repeated_by_decision(mut self, times: u32) -> Self {
        self.manner.repeats = times;
        self
    }

    /// Sync after every commit, so that every message lies in a mailbox on disk before it is taken. Otherwise a sync waits
    /// until nothing else can be done, and most messages never reach the disk.
    #[must_use]
    pub fn synced_eagerly(mut self) -> Self {
        self.manner.eager = true;
        self
    }

    /// Deliver a message only when the record that holds it is durable, as between partitions of different nodes.
    /// Otherwise a message is delivered when its commit is accepted.
    #[must_use]
    pub fn delivering_what_is_durable(mut self) -> Self {
        self.manner.deliver_durable = true;
        self
    }

    /// Write rows to the store after every so many records, and let everything leave memory that may. A death then comes in
    /// the middle of writing rows, too.
    #[must_use]
    pub fn checkpointed_every(mut self, records: u64) -> Self {
        self.manner.checkpoints = Some(records);
        self
    }

    /// Let the message of this turn, counted from 1, be one that its actor died of again and again.
    #[must_use]
    pub fn poisoned_at(mut self, turn: u64) -> Self {
        self.manner.poison = Some(turn);
        self
    }

    /// The name of its plan.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// Tell it, and say how the run stands once nothing moves any more: ended, or held where everyone can see it.
    ///
    /// # Panics
    /// If it neither ended nor is held.
    pub fn comes_to_an_end_or_is_held(&self) {
        self.simulation(&Death::default()).live_to_an_end_or_hold();
    }

    /// Tell it without any death.
    ///
    /// # Panics
    /// If an invariant is broken.
    #[must_use]
    pub fn undisturbed(&self) -> Ending {
        self.dying(&Death::default())
    }

    /// Tell it with one death.
    ///
    /// # Panics
    /// If an invariant is broken.
    #[must_use]
    pub fn dying(&self, death: &Death) -> Ending {
        let told = if death.crashes.is_empty() { "undisturbed".to_owned() } else { format!("died at {death}") };
        let told = format!("{told}; again: {}", replay::line(self.name(), death));
        let _named = IfItFails(told.clone());
        let mut simulation = self.simulation(death);
        simulation.live_through(&death.crashes, &told);
        simulation.ending(told.clone())
    }

    /// Die after each commit, with each fate of the unacknowledged record, and finish.
    pub fn dying_around_every_commit(&self) -> Box<dyn Iterator<Item = Ending> + '_> {
        match self.to_replay() {
            Some(death) => Box::new(std::iter::once(self.dying(&death))),
            None => Box::new(self.deaths().into_iter().map(|death| self.dying(&death))),
        }
    }

    /// Die after each commit, die again after each commit of the recovery, and finish. The deaths of which only the first
    /// strikes are among them.
    pub fn dying_twice(&self) -> Box<dyn Iterator<Item = Ending> + '_> {
        if let Some(death) = self.to_replay() {
            return Box::new(std::iter::once(self.dying(&death)));
        }
        Box::new(self.deaths().into_iter().flat_map(move |first| {
            let once = self.dying(&first);
            let seconds = around(once.commits_of_last_life);
            let twice = seconds.map(move |(after, tail)| self.dying(&first.clone().and_after(after, tail)));
            std::iter::once(once).chain(twice)
        }))
    }

    /// Die where seeds from this one on draw it, up to three times, with steps in an order that they draw, too: turns,
    /// records, calls and timers overtake each other, and a record takes its time to the disk. Without end: take some.
    pub fn dying_by_chance(&self, seed: u64) -> Box<dyn Iterator<Item = Ending> + '_> {
        match self.to_replay() {
            Some(death) => Box::new(std::iter::once(self.dying(&death))),
            None => {
                let commits = self.undisturbed().commits;
                Box::new((seed..).map(move |seed| self.dying(&Death::drawn(seed, commits + 4))))
            }
        }
    }

    /// Every death that strikes once.
    fn deaths(&self) -> Vec<Death> {
        around(self.undisturbed().commits).map(|(after, tail)| Death::after(after, tail)).collect()
    }

    /// The death that `HEADFRAME_REPLAY` asks for, if it is one of this plan.
    ///
    /// # Panics
    /// If what it asks for is none.
    #[must_use]
    pub fn to_replay(&self) -> Option<Death> {
        let death = replay::asked(self.name())?;
        Some(death.parse().unwrap_or_else(|wrong| panic!("{}: {wrong}", replay::VARIABLE)))
    }

    fn simulation(&self, death: &Death) -> Simulation {
        let input = self.input.clone().unwrap_or_else(|| self.takes(Value::Object(Map::new())));
        let manner = Manner { seed: death.seed, input, ..self.manner.clone() };
        Simulation::new(self.plan.clone(), self.evaluate.clone(), self.tools.clone(), manner)
    }

    fn tools_named(&self) -> Vec<String> {
        let tasks = self.plan.phases.iter().flat_map(|phase| &phase.tasks);
        tasks.flat_map(|task| task.all_means()).map(|means| means.tool.clone()).collect()
    }
}

/// Every commit, with each fate of the unacknowledged record.
pub(super) fn around(commits: u64) -> impl Iterator<Item = (u64, crate::durable::store::Tail)> {
    (1..=commits).flat_map(|commit| TAILS.map(|tail| (commit, tail)))
}
