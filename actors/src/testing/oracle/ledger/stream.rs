//! One run with its phases and tasks, while it lasts.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    super::{
        Findings, Violation,
        findings::Invariant::{I1, I2, I4},
    },
    Told, read,
    task::Task,
};
use crate::{
    durable::{ActorId, Item},
    phase::Event as P,
    run::Event as R,
    task::Event as T,
};

#[derive(Default)]
pub(super) struct Stream {
    /// Its name outside the store.
    pub(super) run: Option<String>,
    /// Phases and tasks.
    actors: BTreeMap<ActorId, Actor>,
    /// The phases by their position in the plan.
    phases: BTreeMap<u32, ActorId>,
}

/// A phase or a task, and what each side of its two messages wrote down.
#[derive(Default)]
struct Actor {
    kind: &'static str,
    started: u32,
    began: u32,
    ended: u32,
    /// Its parent wrote down that it ended.
    heard: u32,
    /// It has its fallbacks, and does what it is to do next.
    prepared: bool,
    task: Task,
}

/// Where something is found.
pub(super) struct Place<'a> {
    run: Option<String>,
    pub(super) item: &'a Item,
    pub(super) findings: &'a mut Findings,
}

impl Place<'_> {
    pub(super) fn found(&mut self, violation: Violation) {
        let what = format!("{} {}: {}", self.item.kind, self.item.actor, violation.what);
        let violation = Violation { what, ..violation };
        self.findings.found(violation.of_run(self.run.clone()).at_event(self.item.number));
    }
}

impl Stream {
    /// The next event; says whether the run ended with it.
    pub(super) fn take(
        &mut self,
        item: &Item,
        event: &Value,
        told: &mut Told,
        findings: &mut Findings,
    ) -> Result<bool, serde_json::Error> {
        let mut place = Place { run: self.run.clone(), item, findings };
        match item.kind {
            "run" => return Ok(self.run(read(event)?, told, &mut place)),
            "phase" => self.phase(read(event)?, &mut place),
            _ => self.task(read(event)?, told, &mut place),
        }
        Ok(false)
    }

    fn run(&mut self, event: R, told: &mut Told, place: &mut Place<'_>) -> bool {
        let is_first = matches!(event, R::Submitted { .. });
        if is_first != self.run.is_none() {
            let what =
                if is_first { "it was submitted twice" } else { "it goes on after its end, or without a beginning" };
            place.found(Violation::duplicated(I1, what.to_owned()));
        }
        match event {
            R::Submitted { begin, .. } => {
                let run = begin.run.to_string();
                told.streams.insert(run.clone(), place.item.stream);
                self.run = Some(run);
            }
            R::PhaseStarted { phase, actor } => {
                self.phases.insert(phase, actor);
                self.start(actor, "phase", place);
            }
            R::PhaseDone { phase, .. } | R::PhaseUndone { phase, .. } => {
                if let Some(actor) = self.phases.get(&phase).copied() {
                    self.hear(actor, place);
                }
            }
            R::Ended(_) => {
                place.findings.tested(I1, 1);
                return true;
            }
            _ => {}
        }
        false
    }

    fn phase(&mut self, event: P, place: &mut Place<'_>) {
        let is_first = matches!(event, P::Began(_));
        self.act(is_first, place);
        match event {
            P::Started(units) => units.into_iter().for_each(|(_, actor)| self.start(actor, "task", place)),
            P::Done { actor, .. } | P::Undone { actor, .. } => self.hear(actor, place),
            P::Ended => self.end(place),
            _ => {}
        }
    }

    fn task(&mut self, event: T, told: &mut Told, place: &mut Place<'_>) {
        let actor = self.actors.entry(place.item.actor).or_default();
        let is_first = match &event {
            T::Prepared { .. } => true,
            T::Began { .. } => !actor.prepared,
            T::FellAsleep { .. } | T::Failed { .. } | T::Stopped => actor.began == 0,
            _ => false,
        };
        actor.prepared = matches!(event, T::Prepared { .. });
        self.act(is_first, place);
        let actor = self.actors.entry(place.item.actor).or_default();
        actor.task.take(&event, told, place);
        if matches!(event, T::Succeeded | T::Failed { .. } | T::Stopped) {
            self.end(place);
        }
    }

    /// A parent wrote down that it told a child to begin.
    fn start(&mut self, child: ActorId, kind: &'static str, place: &mut Place<'_>) {
        let actor = self.actors.entry(child).or_default();
        (actor.kind, actor.started) = (kind, actor.started + 1);
        if actor.started > 1 {
            place.found(Violation::duplicated(I2, format!("{child} was started {} times", actor.started)));
        }
    }

    /// An actor does something: it began once, was told to before, and has not ended.
    fn act(&mut self, is_first: bool, place: &mut Place<'_>) {
        let actor = self.actors.entry(place.item.actor).or_default();
        actor.began += u32::from(is_first);
        place.findings.tested(I2, usize::from(is_first));
        if is_first && actor.began > 1 {
            place.found(Violation::duplicated(I2, format!("it began {} times", actor.began)));
        } else if actor.started == 0 || actor.began == 0 {
            place.found(Violation::wrong(I2, "it acts before anybody told it to begin".to_owned()));
        }
        if actor.ended > 0 {
            place.found(Violation::wrong(I2, "it goes on after its end: a late message was applied".to_owned()));
        }
    }

    fn end(&mut self, place: &mut Place<'_>) {
        let invariant = if place.item.kind == "task" { I4 } else { I1 };
        let actor = self.actors.entry(place.item.actor).or_default();
        actor.ended += 1;
        place.findings.tested(I4, usize::from(invariant == I4));
        if actor.ended > 1 {
            place.found(Violation::duplicated(invariant, format!("it ended {} times", actor.ended)));
        }
    }

    /// A parent wrote down that a child ended.
    fn hear(&mut self, child: ActorId, place: &mut Place<'_>) {
        let actor = self.actors.entry(child).or_default();
        actor.heard += 1;
        place.findings.tested(I2, 1);
        if actor.heard > 1 {
            place.found(Violation::duplicated(I2, format!("the end of {child} was heard {} times", actor.heard)));
        }
        if actor.ended == 0 {
            place.found(Violation::wrong(I2, format!("the end of {child} was heard before it ended")));
        }
    }

    /// Its run has ended, and so has everything below it.
    pub(super) fn close(self, findings: &mut Findings) {
        let Self { run, actors, .. } = self;
        for (id, actor) in actors.into_iter().filter(|(_, actor)| actor.started > 0) {
            let Actor { kind, began, ended, heard, .. } = actor;
            let lost =
                |invariant, what: &str| Violation::lost(invariant, format!("{kind} {id} {what}")).of_run(run.clone());
            if began == 0 {
                findings.found(lost(I2, "was started and never began"));
            } else if ended == 0 {
                findings.found(lost(if kind == "task" { I4 } else { I1 }, "has no end, and its run has"));
            } else if heard == 0 {
                findings.found(lost(I2, "ended, and its parent never heard of it"));
            }
        }
    }
}
