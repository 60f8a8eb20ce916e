//! What the tools of an engine say of plans.

use headframe_actors::{
    durable::Effect,
    plan::{Plan, Problem, ProblemKind, Task},
};

use crate::spec::{self, Registered, ToolCatalog as _, find};

/// Tasks that promise what their tools cannot keep.
pub(super) fn cannot_keep(tools: &Registered, plan: &Plan) -> Vec<Problem> {
    let mut problems = blind(tools, plan);
    problems.extend(mute(tools, plan));
    problems
}

/// Tasks that promise heartbeats of tools that do not beat.
fn mute(tools: &Registered, plan: &Plan) -> impl Iterator<Item = Problem> {
    let is_mute = |task: &Task| task.heartbeat_ms.is_some() && !tools.can_beat(&task.tool);
    means(plan).filter(move |(_, task)| is_mute(task)).map(|(place, task)| {
        let place = format!("{place}.heartbeat");
        let (message, help) = (spec::mute(&task.tool), Some(spec::MUTE_HELP.to_owned()));
        Problem { place, kind: ProblemKind::Value, subject: None, message, help }
    })
}

/// Tasks that are to be verified by tools that cannot.
fn blind(tools: &Registered, plan: &Plan) -> Vec<Problem> {
    let is_blind = |task: &Task| {
        let tool = find(tools, &task.tool);
        let effect = task.effect.or(tool.map(|tool| tool.effect()));
        matches!(effect, Some(Effect::Verify { .. }))
            && !tool.is_some_and(|tool| tool.can_probe(&task.with.tree.value()))
    };
    let blind = means(plan).filter(|(_, task)| is_blind(task));
    let problem = |(place, task): (String, &Task)| {
        let place = format!("{place}.effect");
        let (kind, message, help) = (ProblemKind::Value, spec::blind(&task.tool), Some(spec::BLIND_HELP.to_owned()));
        Problem { place, kind, subject: None, message, help }
    };
    blind.map(problem).collect()
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
