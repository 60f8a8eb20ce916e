//! Starting tasks: fan-out, conditions, arguments; and what a phase hands on at its end.

use std::sync::Arc;

use serde_json::Value;

use super::{
    fetch,
    outputs::INLINE_MAX,
    state::{Begin, End, Event, Phase, Status, Unit},
};
use crate::{
    durable::{Failure, Rejection, Turn},
    json::Json,
    plan::{Checked, Evaluator, ForEach, Mode, Plans, Scope, TaskAt, Template, split},
    run::measures::TASK_ENDED,
    task::{self, Job, Task},
};

/// The most that a phase is given of others' outputs, and hands on of its own.
pub const OUTPUTS_MAX: usize = INLINE_MAX;
/// Room for what starting one task writes beside its arguments.
const UNIT_MAX: usize = 32 * 1024;
/// Tasks started by one turn at most.
const STARTS_MAX: usize = 256;

/// What is left to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// The turn is full; more can be started at once.
    More,
    /// Something waits for a running task to end.
    Waiting,
    /// Everything was started.
    Nothing,
}

pub(super) fn begin<'a>(turn: &'a Turn<'_, Phase>) -> Result<&'a Begin, Rejection> {
    turn.state().begin.as_ref().ok_or_else(|| Rejection::new("the phase has not begun"))
}

pub(super) fn plan(turn: &Turn<'_, Phase>) -> Result<Arc<Checked>, Rejection> {
    let digest = begin(turn)?.plan;
    let plan = turn.extension::<Plans>().and_then(|plans| plans.get(digest));
    plan.ok_or_else(|| Rejection::fatal(format!("plan {digest} is not known")))
}

/// How long the phase may take, if there is a limit.
pub(super) fn deadline_ms(turn: &Turn<'_, Phase>) -> Result<Option<u64>, Rejection> {
    Ok(plan(turn)?.phases[begin(turn)?.phase as usize].deadline_ms)
}

/// What one turn starts; written down in as few events as there are kinds.
#[derive(Default)]
struct Batch {
    started: Vec<(Unit, crate::durable::ActorId)>,
    skipped: Vec<Unit>,
}

/// Start tasks until the bound, the turn's size, or the end.
pub(super) fn more(turn: &mut Turn<'_, Phase>) -> Result<Left, Rejection> {
    let plan = plan(turn)?;
    let phase = begin(turn)?.phase;
    let ordered = &plan.phases[phase as usize];
    let mut scope = turn.state().items.take_scope();
    let mut batch = Batch::default();
    let mut next;
    let left = loop {
        let running = turn.state().running.len() + batch.started.len();
        next = next_task(turn, ordered.tasks.len(), &batch);
        let Some(task) = next else { break Left::Nothing };
        if turn.state().failure.is_some() {
            break Left::Nothing;
        }
        if running >= ordered.max_parallel as usize
            || is_fetching(turn, task)
            || (ordered.mode == Mode::Sequential && waits(turn, task, &batch))
        {
            break Left::Waiting;
        }
        if batch.started.len() + batch.skipped.len() >= STARTS_MAX || turn.bytes_left() < INLINE_MAX + UNIT_MAX {
            break Left::More;
        }
        if scope.as_ref().is_none_or(|(of, _)| *of != task) {
            // What started or was skipped so far must be known before a later task's scope is made.
            flush(turn, &mut batch);
            scope = Some((task, scope_of(turn, &plan, (phase, task))?));
        }
        let Some((_, scope)) = &mut scope else { break Left::Nothing };
        if let Err((unit, failure)) = start_one(turn, &plan, (phase, task), scope, &mut batch) {
            flush(turn, &mut batch);
            // Data that cannot be cut is nothing that an optional task failed at: nobody would see that all of it is missing.
            let is_uncut = unit.item.is_none() && ordered.tasks[task as usize].for_each.is_some();
            let optional = ordered.tasks[task as usize].optional && !is_uncut;
            turn.count(&TASK_ENDED, "failed", 1);
            turn.emit(&Event::Unstartable { unit, optional, failure });
        }
    };
    flush(turn, &mut batch);
    // Made anew for each item, it would cost the square of their number.
    turn.state().items.leave_scope(scope.filter(|(of, _)| left != Left::Nothing && next == Some(*of)));
    Ok(left)
}

fn flush(turn: &mut Turn<'_, Phase>, batch: &mut Batch) {
    let Batch { started, skipped } = std::mem::take(batch);
    if !started.is_empty() {
        turn.emit(&Event::Started(started));
    }
    if !skipped.is_empty() {
        turn.count(&TASK_ENDED, "skipped", skipped.len() as u64);
        turn.emit(&Event::Skipped(skipped));
    }
}

fn begun(turn: &Turn<'_, Phase>, task: u32, batch: &Batch) -> u32 {
    let now = batch.started.iter().map(|(unit, _)| unit).chain(&batch.skipped).filter(|unit| unit.task == task).count();
    turn.state().tallies.get(&task).map_or(0, |tally| tally.begun) + u32::try_from(now).unwrap_or(u32::MAX)
}

/// The first task with something left to begin.
fn next_task(turn: &Turn<'_, Phase>, tasks: usize, batch: &Batch) -> Option<u32> {
    let is_open = |task: &u32| {
        let items = turn.state().tallies.get(task).and_then(|tally| tally.items);
        items.is_none_or(|items| begun(turn, *task, batch) < items)
    };
    (turn.state().first_open..u32::try_from(tasks).unwrap_or(u32::MAX)).find(is_open)
}

/// Whether items of a task are on their way.
fn is_fetching(turn: &Turn<'_, Phase>, task: u32) -> bool {
    let mut errands = turn.state().errands.values();
    errands.any(|(errand, _)| matches!(errand, fetch::Errand::Fetch { task: of, .. } if *of == task))
}

/// Whether an earlier task of a sequential phase still runs, or what it gave is on its way aside.
fn waits(turn: &Turn<'_, Phase>, task: u32, batch: &Batch) -> bool {
    let earlier = |unit: &Unit| unit.task < task;
    turn.state().running.values().any(earlier)
        || batch.started.iter().any(|(unit, _)| earlier(unit))
        || turn.state().is_putting_aside()
}

/// The names that a task's templates and conditions may read.
fn scope_of(turn: &Turn<'_, Phase>, plan: &Checked, at: TaskAt) -> Result<Scope, Rejection> {
    let begin = begin(turn)?;
    let task = &plan.phases[at.0 as usize].tasks[at.1 as usize];
    let is_fixed = task.for_each.as_ref().is_none_or(|for_each| !for_each.over.dynamic);
    if is_fixed && !task.all_means().any(|means| means.with.dynamic) && task.when.is_none() {
        return Ok(Scope::empty());
    }
    let tasks = &plan.phases[at.0 as usize].tasks;
    let own = |task: u32| turn.state().document(task, tasks[task as usize].for_each.is_some());
    let given = |read: &TaskAt| {
        if read.0 == at.0 {
            own(read.1)
        } else {
            begin.outputs.iter().find(|(known, _)| known == read).map(|(_, output)| output.clone())
        }
    };
    Ok(Scope::new(plan, &begin.run.to_string(), &begin.input, plan.task_reads(at), given))
}

fn failure(class: &str, message: impl Into<String>) -> Failure {
    Failure::new(class, message)
}

/// Begin the next unit of a task: fan it out if that was not done, decide its condition, render its arguments, spawn.
fn start_one(
    turn: &mut Turn<'_, Phase>,
    plan: &Checked,
    at: TaskAt,
    scope: &mut Scope,
    batch: &mut Batch,
) -> Result<(), (Unit, Failure)> {
    let task = &plan.phases[at.0 as usize].tasks[at.1 as usize];
    let whole = Unit { task: at.1, item: None };
    let index = begun(turn, at.1, batch);
    let items = match &task.for_each {
        None => None,
        Some(for_each) => match items(turn, at.1, for_each, scope, index).map_err(|failure| (whole, failure))? {
            Some(items) => Some(items),
            // They come from an artifact, window by window.
            None => return Ok(()),
        },
    };
    if turn.state().tallies.get(&at.1).is_none_or(|tally| tally.items.is_none()) {
        let count = items.as_ref().map_or(1, Found::total);
        turn.emit(&Event::FannedOut { task: at.1, items: count });
        if count == 0 {
            return Ok(());
        }
    }
    let item = items.as_ref().and_then(|items| items.get(index));
    let unit = Unit { task: at.1, item: item.as_ref().map(|_| index) };
    scope.set_item(item.as_ref(), index);
    start_unit(turn, plan, at, unit, scope, batch).map_err(|failure| (unit, failure))
}

fn start_unit(
    turn: &mut Turn<'_, Phase>,
    plan: &Checked,
    at: TaskAt,
    unit: Unit,
    scope: &Scope,
    batch: &mut Batch,
) -> Result<(), Failure> {
    let task = &plan.phases[at.0 as usize].tasks[at.1 as usize];
    if let Some(condition) = &task.when {
        let Evaluator(evaluate) = evaluator(turn)?;
        if !evaluate.test(condition, scope.value()).map_err(|error| failure("condition", error.message))? {
            batch.skipped.push(unit);
            return Ok(());
        }
    }
    let input = render(turn, &task.with, scope)?;
    let fallbacks = task.fallbacks.iter().map(|fallback| render(turn, &fallback.with, scope));
    let fallbacks = fallbacks.collect::<Result<Vec<_>, _>>()?;
    let bytes = input.len() + fallbacks.iter().map(Json::len).sum::<usize>();
    if bytes > INLINE_MAX {
        let message = format!("its arguments are {bytes} bytes, and {INLINE_MAX} are allowed: pass an artifact");
        return Err(failure("input", message));
    }
    let begin = turn.state().begin.as_ref().ok_or_else(|| failure("internal", "the phase has not begun"))?;
    let job = Job { run: begin.run, plan: begin.plan, phase: at.0, task: at.1, item: unit.item, input };
    let first =
        if fallbacks.is_empty() { task::Message::Start(job) } else { task::Message::StartWith { job, fallbacks } };
    let child = turn.spawn::<Task>(&first);
    batch.started.push((unit, child.id));
    Ok(())
}

fn render(turn: &Turn<'_, Phase>, template: &Template, scope: &Scope) -> Result<Json, Failure> {
    if !template.dynamic {
        return Ok(template.tree.clone());
    }
    let Evaluator(evaluate) = evaluator(turn)?;
    evaluate.render(template, scope.value()).map_err(|error| failure("template", error.message))
}

fn evaluator<'a>(turn: &'a Turn<'_, Phase>) -> Result<&'a Evaluator, Failure> {
    turn.extension::<Evaluator>().ok_or_else(|| failure("internal", "no evaluator is installed"))
}

/// Items of a fan-out: all of them, or the window at hand.
enum Found {
    All(Arc<Vec<Value>>),
    Window { total: u32, item: Option<Json> },
}

impl Found {
    fn total(&self) -> u32 {
        match self {
            Self::All(items) => u32::try_from(items.len()).unwrap_or(u32::MAX),
            Self::Window { total, .. } => *total,
        }
    }

    fn get(&self, index: u32) -> Option<Value> {
        match self {
            Self::All(items) => items.get(index as usize).cloned(),
            Self::Window { item, .. } => item.as_ref().map(Json::value),
        }
    }
}

/// The items at hand; `None` while the one wanted is being fetched.
fn items(
    turn: &mut Turn<'_, Phase>,
    task: u32,
    for_each: &ForEach,
    scope: &Scope,
    index: u32,
) -> Result<Option<Found>, Failure> {
    if let Some(items) = turn.state().items.get(task) {
        return Ok(Some(Found::All(items)));
    }
    if let Some(window) = turn.state().windows.get(&task)
        && (window.get(index).is_some() || index >= window.total)
    {
        return Ok(Some(Found::Window { total: window.total, item: window.get(index).cloned() }));
    }
    let data = render(turn, &for_each.over, scope)?.value();
    if let Some(reference) = fetch::reference(&data) {
        fetch::fetch(turn, task, for_each, reference, index)?;
        return Ok(None);
    }
    let items = split(for_each.items, &data, for_each.max_items).map_err(|error| failure("for_each", error))?;
    let items = Arc::new(items);
    turn.state().items.set(task, items.clone());
    Ok(Some(Found::All(items)))
}

/// How the phase ended, with the outputs that somebody reads.
pub(super) fn end(turn: &Turn<'_, Phase>) -> Result<End, Rejection> {
    let state = turn.state();
    if let Some((unit, failure)) = &state.failure {
        return Ok(End::Failed { task: name(turn, *unit)?, failure: failure.clone() });
    }
    if state.status != Status::Running {
        return Ok(End::Stopped);
    }
    let phase = begin(turn)?.phase;
    let plan = plan(turn)?;
    let tasks = plan.phases[phase as usize].tasks.iter().zip(0_u32..);
    let given = tasks
        .filter(|(task, _)| task.exported)
        .filter_map(|(task, at)| state.document(at, task.for_each.is_some()).map(|document| ((phase, at), document)));
    let outputs: Vec<_> = given.collect();
    let bytes: usize = outputs.iter().map(|(_, document)| document.len()).sum();
    if bytes > OUTPUTS_MAX {
        let largest = outputs.iter().max_by_key(|(_, document)| document.len()).map_or(0, |((_, task), _)| *task);
        let message = format!("the outputs of the phase are {bytes} bytes, and {OUTPUTS_MAX} can be passed on");
        return Ok(End::Failed {
            task: name(turn, Unit { task: largest, item: None })?,
            failure: failure("output", message),
        });
    }
    Ok(End::Done { outputs })
}

fn name(turn: &Turn<'_, Phase>, unit: Unit) -> Result<String, Rejection> {
    let plan = plan(turn)?;
    let phase = &plan.phases[begin(turn)?.phase as usize];
    let task = &phase.tasks[unit.task as usize].name;
    Ok(unit.item.map_or_else(|| format!("{}/{task}", phase.name), |item| format!("{}/{task}[{item}]", phase.name)))
}
