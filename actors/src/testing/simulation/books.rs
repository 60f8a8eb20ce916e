//! What the client heard and what the tools did, and the history of it all for the oracle.

use std::{collections::BTreeMap, sync::Arc};

use super::{RUN, Simulation};
use crate::{
    durable::{CallId, Effect, Live, Outcome, Request, Sequence},
    plan::{InDoubt, Phase, Task},
    run,
    testing::{
        fake::Acted,
        oracle::{Answer, Call, Entry, Expected, History, Known, Look, Rule, Submission, Told},
    },
};

/// What the client of the run knows.
#[derive(Default)]
pub(super) struct Client {
    /// The record that holds its submission.
    pub(super) submitted_in: Option<Sequence>,
    /// Whether it ever cancelled.
    pub(super) has_cancelled: bool,
    acknowledged: bool,
    outcome: Option<run::Outcome>,
}

impl Client {
    /// A record is durable, at whose sealing the run stood so.
    pub(super) fn hears(&mut self, sequence: Sequence, run: Option<run::Row>) {
        self.acknowledged |= self.submitted_in.is_some_and(|submitted| submitted <= sequence);
        if self.acknowledged && self.outcome.is_none() {
            self.outcome = run.and_then(|run| run.outcome);
        }
    }

    /// What it was sent is gone with the life, unless it was told otherwise.
    pub(super) fn submits_again(&mut self) {
        self.submitted_in = None;
    }

    pub(super) fn known(&self) -> Vec<Known> {
        let known = Known { number: 1, run: RUN.to_string(), outcome: self.outcome.clone() };
        if self.acknowledged { vec![known] } else { Vec::new() }
    }
}

impl Simulation {
    pub(super) fn tool(&mut self, name: &str) -> &mut Acted {
        self.tools.get_mut(name).unwrap_or_else(|| panic!("the world has no tool {name}: give it one with `tool`"))
    }

    /// Call a tool, and write down what it did.
    pub(super) fn ask(&mut self, call: CallId, request: &Request) -> Outcome {
        let tool = self.tool(&request.tool);
        let had = (tool.acted.get(&request.key).copied(), tool.effects.contains_key(&request.key));
        let outcome = tool.call(request);
        let has_acted = tool.acted.get(&request.key).copied() != had.0;
        // A tool that honours keys does nothing the second time; all others do it again.
        let is_honoured = matches!(request.effect, Effect::Idempotent { .. }) && had.1;
        let answer = match &outcome {
            Outcome::Done(_) => Answer::Done,
            Outcome::Failed(_) => Answer::Refused,
            Outcome::Unknown(_) => Answer::Lost,
        };
        let effect = (has_acted && !is_honoured).then_some(self.entries.len() as u64 + 1);
        let call = Call {
            tool: request.tool.clone(),
            key: request.key.to_string(),
            call: call.to_string(),
            label: label(&request.path),
            attempt: request.attempt,
            life: self.crashes + 1,
            epoch: self.life.fence.epoch.0,
            may_be_unheard: false,
            inherited: self.life.inherited.contains(&call),
            only_once: request.effect == Effect::AtMostOnce && !self.repeats_doubts(),
        };
        self.entries.push(Entry { call, answer, effect, at_ms: self.clock_ms });
        outcome
    }

    /// Everything that is known of this story.
    pub(super) fn history(&self, told: Told) -> History {
        let run = Some(RUN.to_string());
        let acknowledged = self.client.acknowledged.then(|| RUN.to_string());
        let found = self.root().and(run);
        let (again, outcome) = (found.clone(), self.outcome());
        let submission = Submission { number: 1, acknowledged, found, again, outcome, expected: self.expected() };
        History {
            deaths: self.crashes,
            submissions: vec![submission],
            entries: self.entries.clone(),
            told,
            findings: self.findings.clone(),
        }
    }

    /// What the run was to do, by its plan.
    fn expected(&self) -> Expected {
        let prefix = RUN.to_string();
        let tasks = self.plan.phases.iter().flat_map(|phase| phase.tasks.iter().map(move |task| (phase, task)));
        let rules: BTreeMap<_, _> = tasks
            .map(|(phase, task)| (format!("{prefix}/{}/{}", phase.name, task.name), (self.rule(phase, task), task)))
            .collect();
        // What happened for each item of a task follows the rule of the task.
        let happened = self.entries.iter().map(|entry| {
            let label = &entry.call.label;
            let task = rules.get(label).or_else(|| rules.get(label.rsplit_once('/')?.0));
            (label.clone(), task.map_or(Rule::Any, |(rule, _)| *rule))
        });
        let sure = rules.iter().filter(|(_, (_, task))| task.for_each.is_none());
        let labels = sure.map(|(label, (rule, _))| (label.clone(), *rule)).chain(happened).collect();
        let failures_are_certain = self.tools.values().all(|tool| tool.lost.is_empty());
        Expected { prefix, labels, failures: None, failures_are_certain, may_be_cancelled: self.client.has_cancelled }
    }

    fn rule(&self, phase: &Phase, task: &Task) -> Rule {
        let sleeps =
            task.all_means().any(|means| self.tools.get(&means.tool).is_some_and(|tool| tool.fake.sleeps.is_some()));
        let may_be_left_out = task.optional || task.when.is_some() || phase.when.is_some() || sleeps;
        match task.in_doubt {
            InDoubt::Fail | InDoubt::Repeat => Rule::Any,
            InDoubt::Hold if self.manner.repeats > 0 => Rule::Any,
            InDoubt::Hold if may_be_left_out => Rule::Maybe,
            InDoubt::Hold => Rule::Once,
        }
    }

    /// Whether a rule of the plan, or a person, repeats calls in doubt.
    pub(super) fn repeats_doubts(&self) -> bool {
        let mut tasks = self.plan.phases.iter().flat_map(|phase| &phase.tasks);
        self.manner.repeats > 0 || tasks.any(|task| task.in_doubt == InDoubt::Repeat)
    }

    /// A look at what is stored now.
    pub(super) fn look(&self) -> Look {
        let store = self.store.fork();
        let (live, _) = Live::fold(&store).expect("what is durable can be folded");
        Look::at(live, Arc::new(store))
    }
}

/// What makes a label of a call's path: `RUN/PHASE/TASK[ITEM]`.
fn label(path: &str) -> String {
    path.replace('[', "/").replace(']', "")
}
