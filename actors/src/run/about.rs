//! Where a run, a phase or a task belongs, for logs.

use super::RunId;
use crate::{
    durable::{About, Extensions},
    plan::{Digest, Plans},
};

/// A phase of a run, or a task of it, by their positions; by name where the plan is known.
pub(crate) fn about(
    extensions: &Extensions,
    (run, plan): (RunId, Digest),
    (phase, task): (u32, Option<(u32, Option<u32>)>),
) -> About {
    let plan = extensions.get::<Plans>().and_then(|plans| plans.get(plan));
    let known = plan.as_ref().and_then(|plan| plan.phases.get(phase as usize));
    let mut path = format!("{run}/{}", known.map_or_else(|| phase.to_string(), |phase| phase.name.clone()));
    if let Some((task, item)) = task {
        let known = known.and_then(|phase| phase.tasks.get(task as usize));
        path.push('/');
        path.push_str(&known.map_or_else(|| task.to_string(), |task| task.name.clone()));
        path.extend(item.map(|item| format!("[{item}]")));
    }
    About { path, attempt: None }
}
