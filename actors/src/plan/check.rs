//! From a [`Plan`] that may say anything to a [`Checked`] one that can be run.
//!
//! ```text
//! sizes ─► names and values ─► graph ─► references ─► Checked
//! ```
//! Only sizes stop at once, so that a hostile plan costs little; everything else is collected, and a person sees all
//! of it in one go.
//!
//! **Invariant:** a [`Checked`] plan has no cycle, no dangling name, no limit of zero, and reads no output before it
//! can exist. Checking is pure and idempotent: a checked plan checks again to the same digest.

mod graph;
mod input;
mod names;
mod references;

use std::{collections::HashMap, fmt, ops::Deref, sync::Arc};

use serde_json::Value;

pub(super) use self::input::take_input;
use self::{graph::Graph, references::Reads};
use super::{Digest, Evaluate, Plan};

/// Where a task stands: the position of its phase, and its own position in it.
pub type TaskAt = (u32, u32);

/// Names in `needs` that no phase has, by position of phase and of the entry in its list.
pub(super) type Dangling = HashMap<(usize, usize), String>;

/// The number of problems at which the search for more ends.
const PROBLEMS_MAX: usize = 200;

/// One thing that is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, as a path into the YAML form: `phases[1].tasks[0].retry.max_attempts`.
    pub place: String,
    /// What sort of thing.
    pub kind: ProblemKind,
    /// The name or piece of an expression it is about, as written, where it is smaller than the place.
    pub subject: Option<String>,
    /// What is wrong and why, in lower case.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// What sort of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// A name that is empty, malformed or taken.
    Name,
    /// A value outside its range.
    Value,
    /// A name that nothing answers to, or not yet.
    Reference,
    /// Phases that wait for each other.
    Cycle,
    /// A template or condition that does not parse.
    Expression,
    /// More of something than is allowed.
    Limit,
}

impl Problem {
    fn new(kind: ProblemKind, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), kind, subject: None, message: message.into(), help: None }
    }

    fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Help that names the nearest of the names that exist, if one is near.
    fn nearest<'a>(mut self, name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        self.help = nearest(name, candidates).map(|near| format!("did you mean `{near}`?")).or(self.help);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        self.help.iter().try_for_each(|help| write!(f, " ({help})"))
    }
}

/// A plan that was found sound, with what the actors of a run would otherwise compute again and again.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    plan: Plan,
    digest: Digest,
    graph: Graph,
    reads: Reads,
}

impl Checked {
    /// Take back a plan that was checked before it was stored. It is not judged again: a later build may be stricter,
    /// and a run that was accepted must still end.
    #[must_use]
    pub fn stored(plan: Plan, evaluate: &dyn Evaluate) -> Arc<Self> {
        let graph = Graph::of(&plan);
        let reads = references::check(&plan, &graph, evaluate, &mut Vec::new());
        Arc::new(Self { digest: plan.digest(), plan, graph, reads })
    }

    /// The plan itself.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What the plan is known by.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Phases in an order in which each comes after all it needs.
    #[must_use]
    pub fn order(&self) -> &[u32] {
        &self.graph.order
    }

    /// The phases that directly need this one, in the order written.
    #[must_use]
    pub fn dependents(&self, phase: u32) -> &[u32] {
        self.graph.dependents.get(phase as usize).map_or(&[], Vec::as_slice)
    }

    /// The outputs of other phases that this phase's condition or any of its tasks reads, in order.
    #[must_use]
    pub fn phase_reads(&self, phase: u32) -> &[TaskAt] {
        self.reads.phases.get(phase as usize).map_or(&[], Vec::as_slice)
    }

    /// The outputs that a task reads, those of earlier tasks of its own phase included, in order.
    #[must_use]
    pub fn task_reads(&self, (phase, task): TaskAt) -> &[TaskAt] {
        self.reads.tasks.get(phase as usize).and_then(|tasks| tasks.get(task as usize)).map_or(&[], Vec::as_slice)
    }

    /// The outputs that the plan's own output reads, in order.
    #[must_use]
    pub fn output_reads(&self) -> &[TaskAt] {
        &self.reads.output
    }
}

impl Deref for Checked {
    type Target = Plan;

    fn deref(&self) -> &Plan {
        &self.plan
    }
}

pub(super) fn check(plan: Plan, evaluate: &dyn Evaluate) -> Result<Arc<Checked>, Vec<Problem>> {
    check_named(plan, evaluate, &Dangling::new())
}

/// Like [`check`], with the names that dangling positions once had.
pub(super) fn check_named(
    mut plan: Plan,
    evaluate: &dyn Evaluate,
    dangling: &Dangling,
) -> Result<Arc<Checked>, Vec<Problem>> {
    let mut found = Vec::new();
    names::check_sizes(&plan, &mut found);
    if !found.is_empty() {
        return Err(found);
    }
    names::check(&plan, &mut found);
    let graph = Graph::of(&plan);
    graph::check(&plan, &graph, dangling, &mut found);
    let reads = references::check(&plan, &graph, evaluate, &mut found);
    if is_full(&found) {
        found.push(Problem::new(
            ProblemKind::Limit,
            "",
            format!("more than {PROBLEMS_MAX} problems: the rest was not looked for"),
        ));
    }
    if !found.is_empty() {
        return Err(found);
    }
    reads.mark_exported(&mut plan);
    Ok(Arc::new(Checked { digest: plan.digest(), plan, graph, reads }))
}

/// Each problem costs a search for the nearest name, so a hostile plan must not have any number of them.
fn is_full(found: &[Problem]) -> bool {
    found.len() >= PROBLEMS_MAX
}

/// The value with the keys of every map sorted, so that a digest does not depend on the order in which they were
/// written, nor on whether some crate of the build turned on `serde_json/preserve_order`.
pub(super) fn canonical(mut value: Value) -> Value {
    value.sort_all_objects();
    value
}

/// The candidate a person most likely meant, if any is near: at most a third of the letters differ.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let length = name.chars().count();
    let reach = (length / 3).max(1);
    // Comparing costs the product of the lengths; what is this long is no misspelling of a name.
    if length > 128 {
        return None;
    }
    let near = candidates.into_iter().filter_map(|candidate| {
        if candidate.chars().count().abs_diff(length) > reach {
            return None;
        }
        let distance = strsim::osa_distance(&name, &candidate.to_lowercase());
        (distance <= reach && distance < length).then_some((distance, candidate))
    });
    near.min().map(|(_, candidate)| candidate)
}

/// A place one key further: `place.key`, or `place["odd key"]`.
#[must_use]
pub fn place_key(place: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    match (place.is_empty(), plain) {
        (true, true) => key.to_owned(),
        (false, true) => format!("{place}.{key}"),
        (_, false) => format!("{place}[{key:?}]"),
    }
}

#[cfg(test)]
mod tests;
