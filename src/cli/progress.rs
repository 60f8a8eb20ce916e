//! How far a run is: the fold of its events, for whoever shows it.
//!
//! ```text
//! ledger items ─► Progress::apply ─► state (drawn by `live`), happenings (written by `lines`)
//! ```
//! **Invariant:** pure. What is shown comes from durable events alone, so a watcher that comes late, or comes back,
//! sees the same as one that was there from the start.

mod row;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use headframe::{
    durable::{ActorId, CallId, Failure, Item, Note, What},
    phase::{self, Event as P},
    plan::Plan,
    run::{self, Event as R, Outcome},
    task::{self, Event as T},
};

pub(crate) use self::row::{Phase, Standing};

/// How far a run is.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// By position in the plan.
    pub(crate) phases: Vec<Phase>,
    /// What runs, by its actor.
    pub(crate) units: BTreeMap<ActorId, Unit>,
    /// Attempts so far.
    pub(crate) attempts: u64,
    /// Attempts that were not the first.
    pub(crate) retries: u64,
    /// Fallbacks that were called in the place of the tool before them.
    pub(crate) fallbacks: u64,
    /// How the run ended.
    pub(crate) outcome: Option<Outcome>,
    /// When it was submitted, in milliseconds since 1970.
    pub(crate) submitted_at: u64,
    /// When its last event was accepted.
    pub(crate) latest_at: u64,
    /// Events that this build cannot read.
    pub(crate) unreadable: u64,
    /// Whether it waits for an operator.
    pub(crate) is_held: bool,
    places: HashMap<ActorId, usize>,
    /// Fan-outs whose items are on their way.
    fetching: HashMap<CallId, u32>,
}

/// A task with its item, while it runs.
#[derive(Debug)]
pub(crate) struct Unit {
    /// Phase, task and item.
    pub(crate) path: String,
    pub(crate) phase: usize,
    pub(crate) attempt: u32,
    pub(crate) step: Step,
}

/// What a running task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Not begun, or its end is on the way to the phase.
    Between,
    Calling(CallId),
    /// Waits for the next attempt, until then.
    BackOff {
        until_ms: u64,
    },
    /// Waits for a decision.
    Doubt(CallId),
    /// Lets time pass, until then.
    Sleeping {
        until_ms: u64,
    },
}

/// Something a watcher wants to hear of.
#[derive(Debug)]
pub(crate) enum Happening {
    PhaseStarted {
        phase: usize,
    },
    PhaseEnded {
        phase: usize,
    },
    /// One more task of a phase ended.
    Advanced {
        phase: usize,
    },
    Retry {
        path: String,
        failure: Failure,
        wait_ms: u64,
    },
    FellBack {
        path: String,
        tool: String,
        failure: Failure,
    },
    TaskFailed {
        path: String,
        failure: Failure,
        optional: bool,
    },
    Doubted {
        path: String,
        call: CallId,
        failure: Failure,
    },
    Broken {
        place: String,
        failure: Failure,
    },
    Cancelled {
        reason: String,
    },
    /// The runtime mended or gave up something.
    Runtime {
        place: String,
        note: Note,
    },
}

/// Sums over all phases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    pub(crate) stopped: u64,
}

impl Progress {
    /// Nothing has happened yet. Without a plan, phases and tasks are known by their numbers.
    pub(crate) fn new(plan: Option<&Plan>) -> Self {
        let phases = plan.into_iter().flat_map(|plan| &plan.phases).map(|phase| Phase {
            name: phase.name.clone(),
            tasks: phase.tasks.iter().map(|task| task.name.clone()).collect(),
            items: phase.tasks.iter().map(|task| if task.for_each.is_some() { None } else { Some(1) }).collect(),
            ..Phase::default()
        });
        Self { phases: phases.collect(), ..Self::default() }
    }

    /// Fold one item of the run's stream.
    pub(crate) fn apply(&mut self, item: &Item) -> Option<Happening> {
        self.latest_at = self.latest_at.max(item.at_ms);
        match &item.what {
            What::Event(event) => match self.event(item, event) {
                Ok(happening) => happening,
                Err(_) => {
                    self.unreadable += 1;
                    None
                }
            },
            What::Runtime(note) => {
                let note = serde_json::from_value(note.clone()).ok()?;
                Some(Happening::Runtime { place: self.place(item.actor), note })
            }
            What::Unreadable { .. } => {
                self.unreadable += 1;
                None
            }
        }
    }

    /// Phase, task and item of an actor, as far as it has any.
    pub(crate) fn place(&self, actor: ActorId) -> String {
        match (self.units.get(&actor), self.places.get(&actor)) {
            (Some(unit), _) => unit.path.clone(),
            (None, Some(phase)) => self.phase_name(*phase),
            (None, None) => "run".to_owned(),
        }
    }

    /// The name of a phase, or its number.
    pub(crate) fn phase_name(&self, phase: usize) -> String {
        self.phases
            .get(phase)
            .filter(|phase| !phase.name.is_empty())
            .map_or_else(|| format!("phase {phase}"), |phase| phase.name.clone())
    }

    /// Phase, task and item of a unit.
    fn unit_path(&self, phase: usize, task: u32, item: Option<u32>) -> String {
        let name = self.phases.get(phase).and_then(|phase| phase.tasks.get(task as usize));
        let task = name.cloned().unwrap_or_else(|| format!("task {task}"));
        let name = self.phase_name(phase);
        item.map_or_else(|| format!("{name}/{task}"), |item| format!("{name}/{task}[{item}]"))
    }

    /// Phase, task and item of a unit that a phase's actor speaks of.
    pub(crate) fn path_in(&self, phase: ActorId, task: u32, item: Option<u32>) -> String {
        self.places.get(&phase).map_or_else(|| format!("task {task}"), |phase| self.unit_path(*phase, task, item))
    }

    /// Sums over all phases.
    pub(crate) fn totals(&self) -> Totals {
        self.phases.iter().fold(Totals::default(), |sum, phase| Totals {
            done: sum.done + phase.done,
            failed: sum.failed + phase.failed,
            skipped: sum.skipped + phase.skipped,
            stopped: sum.stopped + phase.stopped,
        })
    }

    /// Whether everything that runs waits for a decision. What is accepted and not folded yet may know better.
    pub(crate) fn waits_for_decisions_only(&self) -> bool {
        let in_doubt = |unit: &Unit| matches!(unit.step, Step::Doubt(_));
        self.outcome.is_none() && !self.units.is_empty() && self.units.values().all(in_doubt)
    }

    fn event(&mut self, item: &Item, event: &serde_json::Value) -> Result<Option<Happening>, serde_json::Error> {
        let event = event.clone();
        Ok(match item.kind {
            "run" => self.run(item, serde_json::from_value(event)?),
            "phase" => self.phase(item, serde_json::from_value(event)?),
            "task" => self.task(item, serde_json::from_value(event)?),
            _ => None,
        })
    }

    fn run(&mut self, item: &Item, event: run::Event) -> Option<Happening> {
        match event {
            R::Submitted { at_ms, .. } => self.submitted_at = at_ms,
            R::PhaseStarted { phase, actor } => {
                let phase = phase as usize;
                self.places.insert(actor, phase);
                let row = self.row(phase);
                (row.standing, row.started_at) = (Standing::Running, item.at_ms);
                return Some(Happening::PhaseStarted { phase });
            }
            R::PhaseSkipped { phase } => return self.end(phase, Standing::Skipped, item.at_ms),
            R::PhaseDone { phase, .. } => return self.end(phase, Standing::Done, item.at_ms),
            R::PhaseUndone { phase, failure } => {
                let standing = if failure.is_some() { Standing::Failed } else { Standing::Stopped };
                return self.end(phase, standing, item.at_ms);
            }
            R::Broken { place, failure } => return Some(Happening::Broken { place, failure }),
            R::Cancelled { reason } => return Some(Happening::Cancelled { reason }),
            R::Held { reason } => {
                self.is_held = true;
                let failure = Failure::new("held", reason);
                return Some(Happening::Broken { place: "the run".to_owned(), failure });
            }
            R::Released => self.is_held = false,
            R::Stopping => {}
            R::Ended(outcome) => self.outcome = Some(outcome),
        }
        None
    }

    fn end(&mut self, phase: u32, standing: Standing, at_ms: u64) -> Option<Happening> {
        let phase = phase as usize;
        let row = self.row(phase);
        (row.standing, row.ended_at) = (standing, Some(at_ms));
        Some(Happening::PhaseEnded { phase })
    }

    fn phase(&mut self, item: &Item, event: phase::Event) -> Option<Happening> {
        if let P::Began(begin) = &event {
            self.places.insert(item.actor, begin.phase as usize);
        }
        let phase = *self.places.get(&item.actor)?;
        match event {
            P::FannedOut { task, items } => *self.row(phase).items(task) = Some(items),
            P::Sent { call, errand: phase::Errand::Fetch { task, .. } } => _ = self.fetching.insert(call, task),
            P::Fetched { call, window } => {
                if let Some(task) = self.fetching.remove(&call) {
                    *self.row(phase).items(task) = Some(window.total);
                }
            }
            P::Started(units) => units.into_iter().for_each(|(unit, actor)| {
                let path = self.unit_path(phase, unit.task, unit.item);
                self.units.insert(actor, Unit { path, phase, attempt: 0, step: Step::Between });
            }),
            P::Skipped(units) => {
                self.row(phase).skipped += units.len() as u64;
                return Some(Happening::Advanced { phase });
            }
            P::Unstartable { unit, optional, failure } | P::ErrandFailed { unit, optional, failure, .. } => {
                self.row(phase).failed += 1;
                return Some(Happening::TaskFailed {
                    path: self.unit_path(phase, unit.task, unit.item),
                    failure,
                    optional,
                });
            }
            P::Done { actor, .. } => {
                self.units.remove(&actor);
                self.row(phase).done += 1;
                return Some(Happening::Advanced { phase });
            }
            P::Undone { actor, optional, failure } => return self.undone(phase, actor, optional, failure),
            P::Began(_) | P::Stopping { .. } | P::Ended => {}
            P::Overdue { failure, .. } => {
                return Some(Happening::Broken { place: self.phase_name(phase), failure });
            }
            // Items and outputs on their way to and from the artifacts: nothing that is counted here.
            P::Sent { .. } | P::PutAside { .. } | P::Poisoned { .. } => {}
        }
        None
    }

    fn undone(&mut self, phase: usize, actor: ActorId, optional: bool, failure: Option<Failure>) -> Option<Happening> {
        let unit = self.units.remove(&actor)?;
        match failure {
            Some(failure) => {
                self.row(phase).failed += 1;
                Some(Happening::TaskFailed { path: unit.path, failure, optional })
            }
            None => {
                self.row(phase).stopped += 1;
                Some(Happening::Advanced { phase })
            }
        }
    }

    fn task(&mut self, item: &Item, event: task::Event) -> Option<Happening> {
        if matches!(event, T::Began { .. } | T::FellAsleep { .. } | T::Called { .. } | T::Repeated { .. }) {
            self.attempts += 1;
        }
        let unit = self.units.get_mut(&item.actor)?;
        let (phase, path) = (unit.phase, unit.path.clone());
        match event {
            T::Began { call, .. } => (unit.attempt, unit.step) = (1, Step::Calling(call)),
            T::FellAsleep { until_ms, .. } => {
                (unit.attempt, unit.step) = (unit.attempt + 1, Step::Sleeping { until_ms });
                if unit.attempt > 1 {
                    self.retries += 1;
                    self.row(phase).retries += 1;
                }
            }
            T::Called { call, .. } | T::Repeated { call } => {
                (unit.attempt, unit.step) = (unit.attempt + 1, Step::Calling(call));
                if unit.attempt > 1 {
                    self.retries += 1;
                    self.row(phase).retries += 1;
                }
            }
            // Its first attempt follows.
            T::FellBack { tool, failure, .. } => {
                (unit.attempt, unit.step) = (0, Step::Between);
                self.fallbacks += 1;
                return Some(Happening::FellBack { path, tool, failure });
            }
            T::MadeAgain { call, .. } => unit.step = Step::Calling(call),
            T::AttemptFailed { failure, wait_ms, .. } | T::AttemptUnknown { failure, wait_ms, .. } => {
                unit.step = Step::BackOff { until_ms: item.at_ms + wait_ms };
                return Some(Happening::Retry { path, failure, wait_ms });
            }
            T::Doubted { call, failure, .. } => {
                unit.step = Step::Doubt(call);
                return Some(Happening::Doubted { path, call, failure });
            }
            T::Stopping { .. } | T::Prepared { .. } | T::DeadlineOver => {}
            // The phase's own event counts it.
            T::Succeeded | T::Failed { .. } | T::Stopped => unit.step = Step::Between,
        }
        None
    }

    /// A phase by position. One that no plan announced is made as it appears.
    fn row(&mut self, phase: usize) -> &mut Phase {
        if phase >= self.phases.len() {
            self.phases.resize_with(phase + 1, Phase::default);
        }
        &mut self.phases[phase]
    }
}
