//! A plan, its tools, and every way its process can die.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::Value;

use super::{
    fake::{Acted, Fake},
    world::{Crash, Manner, World},
};
use crate::{
    durable::{Key, store::Tail},
    json::Json,
    plan::{Checked, Evaluate, EvaluateError, Plan, Reference, Template},
    run::Outcome,
};

/// A plan and the tools it calls.
pub struct Story {
    plan: Arc<Checked>,
    evaluate: Arc<dyn Evaluate>,
    tools: BTreeMap<String, Acted>,
    cancel_after: Option<u64>,
    poison: Option<u64>,
    eager: bool,
    checkpoints: Option<u64>,
    repeats: u32,
}

/// Where a process died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// After this many commits of the life.
    pub commit: u64,
    /// What became of the record that was not acknowledged.
    pub tail: Tail,
    /// Where the next life died, if it did.
    pub again: Option<(u64, Tail)>,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "died after commit {} with its tail {:?}", self.commit, self.tail)?;
        self.again
            .map_or(Ok(()), |(commit, tail)| write!(f, ", and again after commit {commit} with its tail {tail:?}"))
    }
}

/// How a story ended.
#[derive(Clone, Debug)]
pub struct Ending {
    /// Where its process had died.
    pub death: String,
    /// How the run ended.
    pub outcome: Outcome,
    /// Commits of all lives.
    pub commits: u64,
    /// How much time passed: the world's clock moves only to what is due next.
    pub lasted_ms: u64,
    /// How long the run took, by its own row.
    pub took_ms: u64,
    /// Rows that left memory because they were written.
    pub evicted: u64,
    pub(super) decisions: u32,
    pub(super) tools: BTreeMap<String, Acted>,
}

impl Ending {
    /// How many effects a tool had.
    #[must_use]
    pub fn effects(&self, tool: &str) -> usize {
        self.tools.get(tool).map_or(0, |acted| acted.effects.len())
    }

    /// The keys under which a tool had its effects: the same ones wherever the process died, where nothing fails.
    #[must_use]
    pub fn keys(&self, tool: &str) -> Vec<Key> {
        self.tools.get(tool).map(|acted| acted.effects.keys().copied().collect()).unwrap_or_default()
    }

    /// How often a tool acted, were it one that does not recognise keys.
    #[must_use]
    pub fn acts(&self, tool: &str) -> u32 {
        self.tools.get(tool).map_or(0, |acted| acted.acted.values().sum())
    }

    /// How often a tool's probe was asked.
    #[must_use]
    pub fn probes(&self, tool: &str) -> u32 {
        self.tools.get(tool).map_or(0, |acted| acted.probed)
    }

    /// How many calls were in doubt until a person decided.
    #[must_use]
    pub fn decisions(&self) -> u32 {
        self.decisions
    }

    /// How often a tool was called.
    #[must_use]
    pub fn invocations(&self, tool: &str) -> u32 {
        self.tools.get(tool).map_or(0, |acted| acted.invoked.values().sum())
    }
}

impl Story {
    /// A story of a plan without templates.
    ///
    /// # Panics
    /// If the plan is not sound.
    #[must_use]
    pub fn of(plan: Plan) -> Self {
        Self::with_templates(plan, Arc::new(NoTemplates))
    }

    /// A story of a plan, and what its templates and conditions mean.
    ///
    /// # Panics
    /// If the plan is not sound.
    #[must_use]
    pub fn with_templates(plan: Plan, evaluate: Arc<dyn Evaluate>) -> Self {
        let plan = plan.check(&*evaluate).unwrap_or_else(|problems| panic!("the plan is not sound: {problems:?}"));
        Self {
            plan,
            evaluate,
            tools: BTreeMap::new(),
            cancel_after: None,
            poison: None,
            eager: false,
            checkpoints: None,
            repeats: 0,
        }
    }

    /// With a tool.
    #[must_use]
    pub fn tool(mut self, name: &str, fake: Fake) -> Self {
        self.tools.insert(name.to_owned(), Acted::new(fake));
        self
    }

    /// Cancel the run once its first life has come to this many commits.
    #[must_use]
    pub fn cancelled_after(mut self, commits: u64) -> Self {
        self.cancel_after = Some(commits);
        self
    }

    /// Let the person who decides what is in doubt say so many times that it is to be called again, before he looks into the
    /// tool's books.
    #[must_use]
    pub fn repeated_by_decision(mut self, times: u32) -> Self {
        self.repeats = times;
        self
    }

    /// Sync after every commit, so that every message lies in a mailbox on disk before it is taken. Otherwise a sync waits
    /// until nothing else can be done, and most messages never reach the disk.
    #[must_use]
    pub fn synced_eagerly(mut self) -> Self {
        self.eager = true;
        self
    }

    /// Write rows to the store after every so many records, and let everything leave memory that may. A death then comes in
    /// the middle of writing rows, too.
    #[must_use]
    pub fn checkpointed_every(mut self, records: u64) -> Self {
        self.checkpoints = Some(records);
        self
    }

    /// Let the message of this turn, counted from 1, be one that its actor died of again and again.
    #[must_use]
    pub fn poisoned_at(mut self, turn: u64) -> Self {
        self.poison = Some(turn);
        self
    }

    /// Tell it, and say how the run stands once nothing moves any more: ended, or held where everyone can see it.
    ///
    /// # Panics
    /// If it neither ended nor is held.
    pub fn comes_to_an_end_or_is_held(&self) {
        self.world().live_to_an_end_or_hold();
    }

    fn world(&self) -> World {
        let (plan, tools) = (self.plan.clone(), self.tools.clone());
        let manner = Manner {
            cancel_after: self.cancel_after,
            poison: self.poison,
            eager: self.eager,
            checkpoints: self.checkpoints,
            repeats: self.repeats,
        };
        World::new(plan, self.evaluate.clone(), tools, manner)
    }

    /// Tell it without any death.
    ///
    /// # Panics
    /// If an invariant is broken.
    #[must_use]
    pub fn undisturbed(&self) -> Ending {
        self.tell(&[], "undisturbed".to_owned())
    }

    /// Die after each commit, with each fate of the unacknowledged record, and finish.
    pub fn dying_around_every_commit(&self) -> impl Iterator<Item = Ending> {
        let commits = self.undisturbed().commits;
        let deaths = (1..=commits).flat_map(|commit| TAILS.map(|tail| Death { commit, tail, again: None }));
        deaths.map(|death| self.tell(&[crash(death.commit, death.tail)], death.to_string()))
    }

    /// Die after each commit, die again after each commit of the recovery, and finish.
    pub fn dying_twice(&self) -> impl Iterator<Item = Ending> {
        let commits = self.undisturbed().commits;
        let firsts = (1..=commits).flat_map(|commit| TAILS.map(|tail| (commit, tail)));
        firsts.flat_map(move |(commit, tail)| {
            // The second life has at most as many commits as a whole story and its recovery.
            let seconds = (1..=commits + 4).flat_map(|commit| TAILS.map(|tail| (commit, tail)));
            seconds.map(move |again| {
                let death = Death { commit, tail, again: Some(again) };
                self.tell(&[crash(commit, tail), crash(again.0, again.1)], death.to_string())
            })
        })
    }

    fn tell(&self, crashes: &[Crash], death: String) -> Ending {
        let mut world = self.world();
        world.live_through(crashes, &death);
        world.ending(death)
    }
}

const TAILS: [Tail; 3] = [Tail::Lost, Tail::Kept, Tail::Partial(9)];

fn crash(after: u64, tail: Tail) -> Crash {
    Crash { after, tail }
}

/// For plans without templates and conditions.
pub(crate) struct NoTemplates;

impl NoTemplates {
    fn none<T>() -> Result<T, EvaluateError> {
        Err(EvaluateError { message: "this story has no evaluator: use `Story::with_templates`".to_owned() })
    }
}

impl Evaluate for NoTemplates {
    fn render(&self, template: &Template, _: &Value) -> Result<Json, EvaluateError> {
        if template.dynamic { Self::none() } else { Ok(template.tree.clone()) }
    }

    fn test(&self, _: &str, _: &Value) -> Result<bool, EvaluateError> {
        Self::none()
    }

    fn template_references(&self, template: &Template) -> Result<Vec<Reference>, EvaluateError> {
        if template.dynamic { Self::none() } else { Ok(Vec::new()) }
    }

    fn condition_references(&self, _: &str) -> Result<Vec<Reference>, EvaluateError> {
        Self::none()
    }
}
