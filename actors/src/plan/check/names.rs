//! Sizes, names, and values in their ranges.

use std::collections::HashSet;

use super::{Plan, Problem, ProblemKind, input};
use crate::{
    durable::Effect,
    plan::{ForEach, Phase, Retry, Task},
};

/// Most phases in a plan.
pub(super) const PHASES_MAX: usize = 10_000;
/// Most tasks in a plan, items not counted.
pub(super) const TASKS_MAX: usize = 100_000;
/// Most inputs of a plan.
const INPUTS_MAX: usize = 1_000;
/// Most bytes of a plan's stored form.
const ENCODED_MAX: usize = 8 * 1024 * 1024;
/// Most tasks of one phase that run at once.
const PARALLEL_MAX: u32 = 512;
/// Most items that a `for_each` may ask for.
const ITEMS_MAX: u32 = 1_000_000;
/// Most attempts.
const ATTEMPTS_MAX: u32 = 1_000;
/// Most probes before a call is in doubt.
const PROBES_MAX: u32 = 100;
/// Most fallbacks of a task.
const FALLBACKS_MAX: usize = 8;
/// Most classes of failure that a policy names.
const CLASSES_MAX: usize = 64;
/// The longest wait or time limit: a year.
const WAIT_MAX_MS: u64 = 366 * 24 * 60 * 60 * 1_000;
/// Silence is noticed every few seconds; to promise less than this says nothing more.
const HEARTBEAT_MIN_MS: u64 = 1_000;
/// The largest factor between two waits.
const FACTOR_MAX_MILLI: u32 = 100_000;
/// Most letters of a name.
const NAME_MAX: usize = 64;
/// Most letters of a tool's name, which may hold the name of a server.
const TOOL_NAME_MAX: usize = 128;

/// What must be known before anything else is looked at.
pub(super) fn check_sizes(plan: &Plan, found: &mut Vec<Problem>) {
    let tasks: usize = plan.phases.iter().map(|phase| phase.tasks.len()).sum();
    let mut bound = |place: &str, what: &str, count: usize, max: usize| {
        if count > max {
            let message = format!("the workflow has {count} {what}, and at most {max} are allowed");
            found.push(
                Problem::new(ProblemKind::Limit, place, message).help("fan out with `for_each`, or split the workflow"),
            );
        }
    };
    bound("inputs", "inputs", plan.inputs.len(), INPUTS_MAX);
    bound("phases", "phases", plan.phases.len(), PHASES_MAX);
    bound("phases", "tasks", tasks, TASKS_MAX);
    bound("", "bytes when stored", plan.encode().len(), ENCODED_MAX);
}

/// Everything that can be judged without looking at another phase's tasks.
pub(super) fn check(plan: &Plan, found: &mut Vec<Problem>) {
    let mut judge = Judge { found };
    judge.workflow_name(&plan.name);
    judge.names(
        "an input",
        plan.inputs.iter().map(|input| input.name.as_str()).map(|name| (format!("input.{name}"), name)),
    );
    for input in &plan.inputs {
        let misfit = input.default.as_ref().and_then(|default| input::misfit(input.kind, &default.value()));
        if let Some(misfit) = misfit {
            let message = format!("the default of input `{}` does not fit: {misfit}", input.name);
            judge.found.push(Problem::new(ProblemKind::Value, format!("input.{}.default", input.name), message));
        }
    }
    if plan.phases.is_empty() {
        judge.value("phases", "the workflow has no phases, so there is nothing to do");
    }
    judge.deadline("deadline", plan.deadline_ms);
    let names = plan.phases.iter().enumerate().map(|(at, phase)| (format!("phases[{at}].name"), phase.name.as_str()));
    judge.names("a phase", names);
    for (at, phase) in plan.phases.iter().enumerate() {
        judge.phase(&format!("phases[{at}]"), phase);
    }
}

struct Judge<'a> {
    found: &'a mut Vec<Problem>,
}

impl Judge<'_> {
    fn value(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.found.push(Problem::new(ProblemKind::Value, place, message));
    }

    fn range(&mut self, place: String, what: &str, value: u32, from: u32, to: u32) {
        if value < from || value > to {
            self.value(place, format!("`{what}` must be between {from} and {to}, and is {value}"));
        }
    }

    fn thousandths(&mut self, place: String, what: &str, value: u32, from: u32, to: u32) {
        if value < from || value > to {
            let [value, from, to] = [value, from, to].map(|number| f64::from(number) / 1_000.0);
            self.value(place, format!("`{what}` must be between {from} and {to}, and is {value}"));
        }
    }

    fn wait(&mut self, place: String, what: &str, ms: u64, from: u64) {
        if ms < from || ms > WAIT_MAX_MS {
            self.value(place, format!("`{what}` must be between {from} ms and a year, and is {ms} ms"));
        }
    }

    fn phase(&mut self, place: &str, phase: &Phase) {
        self.range(format!("{place}.max_parallel"), "max_parallel", phase.max_parallel, 1, PARALLEL_MAX);
        self.deadline(&format!("{place}.deadline"), phase.deadline_ms);
        if phase.tasks.is_empty() {
            self.value(format!("{place}.tasks"), format!("phase `{}` has no tasks", phase.name));
        }
        let tasks = phase.tasks.iter().enumerate();
        self.names("a task", tasks.map(|(at, task)| (format!("{place}.tasks[{at}].name"), task.name.as_str())));
        for (at, task) in phase.tasks.iter().enumerate() {
            self.task(&format!("{place}.tasks[{at}]"), task);
        }
    }

    fn task(&mut self, place: &str, task: &Task) {
        self.means(place, task);
        self.deadline(&format!("{place}.deadline"), task.deadline_ms);
        if let Some(ForEach { max_items, .. }) = task.for_each {
            self.range(format!("{place}.for_each.max_items"), "max_items", max_items, 1, ITEMS_MAX);
        }
        if task.fallbacks.len() > FALLBACKS_MAX {
            let message =
                format!("the task has {} fallbacks, and at most {FALLBACKS_MAX} are allowed", task.fallbacks.len());
            return self.found.push(Problem::new(ProblemKind::Limit, format!("{place}.fallback"), message));
        }
        for (at, fallback) in task.fallbacks.iter().enumerate() {
            let place = format!("{place}.fallback[{at}]");
            self.means(&place, fallback);
            self.belongs_to_its_task(&place, fallback);
        }
    }

    /// How a tool is called.
    fn means(&mut self, place: &str, task: &Task) {
        self.tool_name(place, &task.tool);
        self.wait(format!("{place}.timeout"), "timeout", task.timeout_ms, 1);
        if let Some(within_ms) = task.heartbeat_ms {
            self.heartbeat(format!("{place}.heartbeat"), within_ms, task.timeout_ms);
        }
        self.retry(&format!("{place}.retry"), &task.retry);
        match task.effect {
            Some(Effect::Idempotent { remembers_ms }) => {
                self.wait(format!("{place}.effect.idempotent.remembers"), "remembers", remembers_ms, 1);
            }
            Some(Effect::Verify { probes, wait_ms }) => {
                self.range(format!("{place}.effect.verify.probes"), "probes", probes, 1, PROBES_MAX);
                self.wait(format!("{place}.effect.verify.wait"), "wait", wait_ms, 0);
            }
            Some(Effect::AtMostOnce) | None => {}
        }
    }

    /// A fallback only says how another tool is called.
    fn belongs_to_its_task(&mut self, place: &str, fallback: &Task) {
        let said = [
            ("for_each", fallback.for_each.is_some()),
            ("when", fallback.when.is_some()),
            ("deadline", fallback.deadline_ms.is_some()),
            ("optional", fallback.optional),
            ("fallback", !fallback.fallbacks.is_empty()),
        ];
        for (key, _) in said.into_iter().filter(|(_, is_said)| *is_said) {
            let message = format!("a fallback has no `{key}`: it only says how another tool is called");
            let problem = Problem::new(ProblemKind::Value, format!("{place}.{key}"), message);
            self.found.push(problem.help("say it of the task"));
        }
    }

    fn deadline(&mut self, place: &str, ms: Option<u64>) {
        if let Some(ms) = ms {
            self.wait(place.to_owned(), "deadline", ms, 1);
        }
    }

    fn heartbeat(&mut self, place: String, within_ms: u64, timeout_ms: u64) {
        self.wait(place.clone(), "heartbeat", within_ms, HEARTBEAT_MIN_MS);
        if within_ms >= HEARTBEAT_MIN_MS && within_ms >= timeout_ms {
            let message = format!(
                "`heartbeat` must be shorter than the time limit, which is {timeout_ms} ms, and is {within_ms} ms"
            );
            self.value(place, message);
        }
    }

    fn retry(&mut self, place: &str, retry: &Retry) {
        self.range(format!("{place}.max_attempts"), "max_attempts", retry.max_attempts, 1, ATTEMPTS_MAX);
        self.wait(format!("{place}.backoff"), "backoff", retry.backoff_ms, 0);
        self.thousandths(format!("{place}.factor"), "factor", retry.factor_milli, 1_000, FACTOR_MAX_MILLI);
        self.thousandths(format!("{place}.jitter"), "jitter", retry.jitter_milli, 0, 1_000);
        if retry.backoff_max_ms < retry.backoff_ms || retry.backoff_max_ms > WAIT_MAX_MS {
            let message =
                format!("`max_backoff` must lie between `backoff` and a year, and is {} ms", retry.backoff_max_ms);
            self.value(format!("{place}.max_backoff"), message);
        }
        for (list, classes) in [("on", &retry.on), ("never", &retry.never)] {
            if classes.len() > CLASSES_MAX {
                let message =
                    format!("`{list}` names {} classes, and at most {CLASSES_MAX} are allowed", classes.len());
                return self.found.push(Problem::new(ProblemKind::Limit, format!("{place}.{list}"), message));
            }
            for (at, class) in classes.iter().enumerate().filter(|(_, class)| !is_word(class, "_-")) {
                let message = format!("`{class}` is no class of failure: those are words such as `timeout` or `exit`");
                self.value(format!("{place}.{list}[{at}]"), message);
            }
        }
        for (at, class) in retry.never.iter().enumerate().filter(|(_, class)| retry.on.contains(class)) {
            self.value(format!("{place}.never[{at}]"), format!("`{class}` cannot be both retried and never retried"));
        }
    }

    fn workflow_name(&mut self, name: &str) {
        if !is_word(name, "_-") {
            let message = malformed("a workflow", name);
            let help = format!("use lower case letters, digits, `_` and `-`, a letter first, at most {NAME_MAX}");
            self.found.push(Problem::new(ProblemKind::Name, "name", message).help(help));
        }
    }

    fn tool_name(&mut self, place: &str, tool: &str) {
        let fits = tool.len() <= TOOL_NAME_MAX && tool.starts_with(|c: char| c.is_ascii_alphabetic());
        if !fits || !tool.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:".contains(c)) {
            self.found.push(Problem::new(ProblemKind::Name, format!("{place}.tool"), malformed("a tool", tool)));
        }
    }

    /// Names that templates spell as `outputs.phase.task`, so they must be words to both languages, and unique.
    fn names<'a>(&mut self, what: &str, names: impl Iterator<Item = (String, &'a str)>) {
        let mut seen = HashSet::new();
        for (place, name) in names {
            if !is_word(name, "_") {
                let help = format!("use lower case letters, digits and `_`, a letter first, at most {NAME_MAX}");
                self.found.push(Problem::new(ProblemKind::Name, place, malformed(what, name)).about(name).help(help));
            } else if RESERVED.contains(&name) {
                let message = format!("`{name}` is a word of the expression languages and cannot name {what}");
                self.found.push(Problem::new(ProblemKind::Name, place, message).about(name));
            } else if !seen.insert(name) {
                let message = format!("the name `{name}` is taken: {what} before it has it");
                self.found.push(Problem::new(ProblemKind::Name, place, message).help("rename one of the two"));
            }
        }
    }
}

/// Words that cannot follow a dot in CEL or in a template.
const RESERVED: [&str; 4] = ["true", "false", "null", "in"];

fn malformed(what: &str, name: &str) -> String {
    if name.is_empty() { format!("{what} needs a name") } else { format!("`{name}` is not a name for {what}") }
}

fn is_word(name: &str, marks: &str) -> bool {
    name.len() <= NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || marks.contains(c))
}
