//! The tools of an engine, by name, and what they say of plans.
//!
//! **Invariant:** no tool is called through this; it is for their opinion of arguments.

use std::sync::Arc;

use headframe_actors::{
    durable::Effect,
    plan::{Plan, Problem, ProblemKind, Task},
    tool::AnyTool,
};
use serde_json::Value;

use crate::spec::{self, ToolCatalog};

/// Every registered tool under its name.
pub(super) struct Catalog(pub(super) Vec<(String, Arc<dyn AnyTool>)>);

impl Catalog {
    fn find(&self, name: &str) -> Option<&Arc<dyn AnyTool>> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, tool)| tool)
    }

    /// Tasks that promise what their tools cannot keep.
    pub(super) fn cannot_keep(&self, plan: &Plan) -> Vec<Problem> {
        let mut problems = self.blind(plan);
        problems.extend(self.mute(plan));
        problems
    }

    /// Tasks that promise heartbeats of tools that do not beat.
    fn mute(&self, plan: &Plan) -> impl Iterator<Item = Problem> {
        let is_mute = |task: &Task| task.heartbeat_ms.is_some() && !self.can_beat(&task.tool);
        means(plan).filter(move |(_, task)| is_mute(task)).map(|(place, task)| {
            let place = format!("{place}.heartbeat");
            let (message, help) = (spec::mute(&task.tool), Some(spec::MUTE_HELP.to_owned()));
            Problem { place, kind: ProblemKind::Value, subject: None, message, help }
        })
    }

    /// Tasks that are to be verified by tools that cannot.
    fn blind(&self, plan: &Plan) -> Vec<Problem> {
        let is_blind = |task: &Task| {
            let tool = self.find(&task.tool);
            let effect = task.effect.or(tool.map(|tool| tool.effect()));
            matches!(effect, Some(Effect::Verify { .. }))
                && !tool.is_some_and(|tool| tool.can_probe(&task.with.tree.value()))
        };
        let blind = means(plan).filter(|(_, task)| is_blind(task));
        let problem = |(place, task): (String, &Task)| {
            let place = format!("{place}.effect");
            let (kind, message, help) =
                (ProblemKind::Value, spec::blind(&task.tool), Some(spec::BLIND_HELP.to_owned()));
            Problem { place, kind, subject: None, message, help }
        };
        blind.map(problem).collect()
    }
}

/// How tools are called: the tasks of a plan and their fallbacks, each with its place.
fn means(plan: &Plan) -> impl Iterator<Item = (String, &Task)> {
    let phases = plan.phases.iter().enumerate();
    let tasks = phases.flat_map(|(phase, of)| {
        of.tasks.iter().enumerate().map(move |(at, task)| (format!("phases[{phase}].tasks[{at}]"), task))
    });
    tasks.flat_map(|(place, task)| {
        let fallbacks = task.fallbacks.iter().enumerate();
        let fallbacks: Vec<_> = fallbacks.map(|(at, task)| (format!("{place}.fallback[{at}]"), task)).collect();
        std::iter::once((place, task)).chain(fallbacks)
    })
}

impl ToolCatalog for Catalog {
    fn knows(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    fn check(&self, name: &str, with: &Value) -> Result<(), String> {
        self.find(name).map_or(Ok(()), |tool| tool.check(with))
    }

    fn can_probe(&self, name: &str, with: &Value) -> bool {
        self.find(name).is_some_and(|tool| tool.can_probe(with))
    }

    fn can_beat(&self, name: &str) -> bool {
        self.find(name).is_some_and(|tool| tool.can_beat())
    }
}
