//! A plan in code, with the defaults of the YAML form: both give the same value and so the same digest.
//!
//! ```
//! use std::time::Duration;
//! use headframe_actors::plan::{InputKind, Items, Plan};
//! use serde_json::json;
//!
//! let plan = Plan::builder("audit")
//!     .input_or("path", InputKind::String, json!("."))
//!     .phase("list", |phase| {
//!         phase.task("files", "process", |task| task.with(json!({"argv": ["find", "{{ input.path }}", "-print0"]})))
//!     })
//!     .phase("measure", |phase| {
//!         phase.max_parallel(4).task("hash", "process", |task| {
//!             task.for_each_in("{{ outputs.list.files }}", Items::Nul)
//!                 .with(json!({"argv": ["sha256sum", "{{ item }}"]}))
//!                 .retry(3)
//!                 .timeout(Duration::from_secs(30))
//!         })
//!     })
//!     .output(json!("{{ outputs.measure.hash }}"))
//!     .build();
//! assert_eq!(plan.phases[1].needs, [0]);
//! ```
//! **Invariant:** building never fails; what is wrong with a plan is found by checking it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    Checked, Evaluate, ForEach, ITEMS_MAX_DEFAULT, InDoubt, Input, InputKind, Items, Mode, PARALLEL_DEFAULT, Phase,
    Plan, Problem, Retry, TIMEOUT_DEFAULT_MS, Task, Template,
    check::{Dangling, check_named},
};
use crate::durable::Effect;

/// The position that stands for a phase that does not exist; checking refuses it.
const NOWHERE: u32 = u32::MAX;

/// Collects phases. Start one with [`Plan::builder`].
#[derive(Clone, Debug)]
pub struct PlanBuilder {
    plan: Plan,
    needs: Vec<Option<Vec<String>>>,
}

impl PlanBuilder {
    /// A workflow by name (`[a-z][a-z0-9_-]*`), without phases.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let plan = Plan {
            name: name.into(),
            description: String::new(),
            inputs: Vec::new(),
            phases: Vec::new(),
            output: Template::default(),
            deadline_ms: None,
        };
        Self { plan, needs: Vec::new() }
    }

    /// One line for people.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.plan.description = description.into();
        self
    }

    /// An input that every run must give.
    #[must_use]
    pub fn input(self, name: impl Into<String>, kind: InputKind) -> Self {
        self.add_input(Input { name: name.into(), description: String::new(), kind, default: None })
    }

    /// An input with a default.
    #[must_use]
    pub fn input_or(self, name: impl Into<String>, kind: InputKind, default: impl Into<Value>) -> Self {
        let default = Some(super::check::canonical(default.into()).into());
        self.add_input(Input { name: name.into(), description: String::new(), kind, default })
    }

    /// An input with all its parts.
    #[must_use]
    pub fn add_input(mut self, input: Input) -> Self {
        self.plan.inputs.push(input);
        self
    }

    /// A phase; it needs the phase written before it unless it says otherwise.
    #[must_use]
    pub fn phase(self, name: impl Into<String>, build: impl FnOnce(PhaseBuilder) -> PhaseBuilder) -> Self {
        self.add_phase(build(PhaseBuilder::new(name)))
    }

    /// A phase built elsewhere.
    #[must_use]
    pub fn add_phase(mut self, phase: PhaseBuilder) -> Self {
        self.plan.phases.push(phase.phase);
        self.needs.push(phase.needs);
        self
    }

    /// What a finished run answers: a tree whose strings may hold templates over `input` and `outputs`.
    #[must_use]
    pub fn output(mut self, output: impl Into<Value>) -> Self {
        self.plan.output = template(output.into());
        self
    }

    /// How long a run may take; without end unless set. Then what runs is stopped, and the run fails.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.plan.deadline_ms = Some(milliseconds(deadline));
        self
    }

    /// The plan, unchecked.
    #[must_use]
    pub fn build(self) -> Plan {
        self.resolve().0
    }

    /// The plan, checked; a dangling `needs` is reported with its name.
    ///
    /// # Errors
    /// Every problem found, each with its place.
    pub fn check(self, evaluate: &dyn Evaluate) -> Result<Arc<Checked>, Vec<Problem>> {
        let (plan, dangling) = self.resolve();
        check_named(plan, evaluate, &dangling)
    }

    /// Turn names into positions; the first phase of a name wins, checking refuses the second.
    fn resolve(self) -> (Plan, Dangling) {
        let Self { mut plan, needs } = self;
        let mut positions: HashMap<String, u32> = HashMap::new();
        for (at, phase) in plan.phases.iter().enumerate() {
            positions.entry(phase.name.clone()).or_insert(position(at));
        }
        let mut dangling = Dangling::new();
        for (at, (phase, names)) in plan.phases.iter_mut().zip(needs).enumerate() {
            let Some(names) = names else {
                phase.needs = at.checked_sub(1).map(position).into_iter().collect();
                continue;
            };
            phase.needs = names.iter().map(|name| positions.get(name).copied().unwrap_or(NOWHERE)).collect();
            let lost = names.into_iter().enumerate().filter(|(_, name)| !positions.contains_key(name));
            dangling.extend(lost.map(|(need, name)| ((at, need), name)));
        }
        (plan, dangling)
    }
}

/// Collects the tasks of a phase.
#[derive(Clone, Debug)]
pub struct PhaseBuilder {
    phase: Phase,
    needs: Option<Vec<String>>,
}

impl PhaseBuilder {
    /// A parallel phase without tasks.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let phase = Phase {
            name: name.into(),
            needs: Vec::new(),
            when: None,
            mode: Mode::Parallel,
            max_parallel: PARALLEL_DEFAULT,
            tasks: Vec::new(),
            deadline_ms: None,
        };
        Self { phase, needs: None }
    }

    /// The phases that must end first; without any (`needs([] as [&str; 0])`) it starts at once.
    #[must_use]
    pub fn needs<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.needs = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// A condition (CEL); the phase is skipped when it is false.
    #[must_use]
    pub fn when(mut self, condition: impl Into<String>) -> Self {
        self.phase.when = Some(condition.into());
        self
    }

    /// Tasks wait for the one before.
    #[must_use]
    pub fn sequential(self) -> Self {
        self.mode(Mode::Sequential)
    }

    /// How tasks follow each other.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.phase.mode = mode;
        self
    }

    /// Most tasks, counted with their items, that run at once.
    #[must_use]
    pub fn max_parallel(mut self, max: u32) -> Self {
        self.phase.max_parallel = max;
        self
    }

    /// How long it may take; without end unless set. Then its tasks are stopped, and it fails.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.phase.deadline_ms = Some(milliseconds(deadline));
        self
    }

    /// A task that calls a tool.
    #[must_use]
    pub fn task(
        self,
        name: impl Into<String>,
        tool: impl Into<String>,
        build: impl FnOnce(TaskBuilder) -> TaskBuilder,
    ) -> Self {
        self.add_task(build(TaskBuilder::new(name, tool)))
    }

    /// A task built elsewhere.
    #[must_use]
    pub fn add_task(mut self, task: TaskBuilder) -> Self {
        self.phase.tasks.push(task.finish());
        self
    }
}

/// Collects the parts of a task.
#[derive(Clone, Debug)]
pub struct TaskBuilder {
    task: Task,
    backoff_max_ms: Option<u64>,
}

impl TaskBuilder {
    /// A task that calls a tool once, without arguments, with five minutes for it.
    #[must_use]
    pub fn new(name: impl Into<String>, tool: impl Into<String>) -> Self {
        let task = Task {
            name: name.into(),
            tool: tool.into(),
            effect: None,
            in_doubt: InDoubt::Hold,
            with: Template::default(),
            for_each: None,
            when: None,
            retry: Retry::default(),
            timeout_ms: TIMEOUT_DEFAULT_MS,
            optional: false,
            exported: false,
            heartbeat_ms: None,
            deadline_ms: None,
            fallbacks: Vec::new(),
        };
        Self { task, backoff_max_ms: None }
    }

    /// The tool's arguments; strings in them may hold templates.
    #[must_use]
    pub fn with(mut self, with: impl Into<Value>) -> Self {
        self.task.with = template(with.into());
        self
    }

    /// What the task promises about repeats, instead of what its tool declares.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.task.effect = Some(effect);
        self
    }

    /// What to do with a call in doubt.
    #[must_use]
    pub fn in_doubt(mut self, rule: InDoubt) -> Self {
        self.task.in_doubt = rule;
        self
    }

    /// One task per item of a JSON list.
    #[must_use]
    pub fn for_each(self, over: impl Into<Value>) -> Self {
        self.for_each_in(over, Items::Json)
    }

    /// One task per item of data that is cut as `items` says.
    #[must_use]
    pub fn for_each_in(mut self, over: impl Into<Value>, items: Items) -> Self {
        let max_items = self.task.for_each.as_ref().map_or(ITEMS_MAX_DEFAULT, |each| each.max_items);
        self.task.for_each = Some(ForEach { over: template(over.into()), items, max_items });
        self
    }

    /// The most items taken; call it after `for_each`.
    #[must_use]
    pub fn max_items(mut self, max: u32) -> Self {
        if let Some(each) = &mut self.task.for_each {
            each.max_items = max;
        }
        self
    }

    /// A condition (CEL); the task, or the item's task, is skipped when it is false.
    #[must_use]
    pub fn when(mut self, condition: impl Into<String>) -> Self {
        self.task.when = Some(condition.into());
        self
    }

    /// Attempts in all, the first included.
    #[must_use]
    pub fn retry(mut self, max_attempts: u32) -> Self {
        self.task.retry.max_attempts = max_attempts;
        self
    }

    /// The wait before the second attempt; one second unless set.
    #[must_use]
    pub fn backoff(mut self, wait: Duration) -> Self {
        self.task.retry.backoff_ms = milliseconds(wait);
        self
    }

    /// What each further wait is multiplied by; 2 unless set.
    #[must_use]
    pub fn backoff_factor(mut self, factor: f64) -> Self {
        self.task.retry.factor_milli = thousandths(factor);
        self
    }

    /// No wait is longer; a minute (or the first wait, if that is longer) unless set.
    #[must_use]
    pub fn backoff_max(mut self, wait: Duration) -> Self {
        self.backoff_max_ms = Some(milliseconds(wait));
        self
    }

    /// How far a wait may stray from its length, 0 to 1; 0.2 unless set.
    #[must_use]
    pub fn jitter(mut self, jitter: f64) -> Self {
        self.task.retry.jitter_milli = thousandths(jitter);
        self
    }

    /// Only these classes of failure are retried.
    #[must_use]
    pub fn retry_on<C: Into<String>>(mut self, classes: impl IntoIterator<Item = C>) -> Self {
        self.task.retry.on = classes.into_iter().map(Into::into).collect();
        self
    }

    /// These classes of failure never are.
    #[must_use]
    pub fn retry_never<C: Into<String>>(mut self, classes: impl IntoIterator<Item = C>) -> Self {
        self.task.retry.never = classes.into_iter().map(Into::into).collect();
        self
    }

    /// The time one attempt may take; five minutes unless set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.task.timeout_ms = milliseconds(timeout);
        self
    }

    /// Promise a heartbeat at least this often while an attempt runs, whose outcome is unknown if none comes for so long.
    /// Without it only the time limit ends an attempt that hangs. The tool must beat: see
    /// [`Tool::can_beat`](crate::tool::Tool::can_beat).
    #[must_use]
    pub fn heartbeat(mut self, within: Duration) -> Self {
        self.task.heartbeat_ms = Some(milliseconds(within));
        self
    }

    /// How long all its attempts may take together, with the waits between them and those of its fallbacks; without end
    /// unless set.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.task.deadline_ms = Some(milliseconds(deadline));
        self
    }

    /// Another tool that is called in the place of the one before it, when that has certainly failed: its attempts are
    /// used up, or its failure is of a class that is not tried again. Never while nobody knows what the one before did.
    /// It inherits nothing: arguments, effect, retries and time limits are its own.
    #[must_use]
    pub fn fallback(self, tool: impl Into<String>, build: impl FnOnce(Self) -> Self) -> Self {
        self.add_fallback(build(Self::new(String::new(), tool)))
    }

    /// A fallback built elsewhere.
    #[must_use]
    pub fn add_fallback(mut self, fallback: Self) -> Self {
        self.task.fallbacks.push(fallback.finish());
        self
    }

    /// Its failure leaves the phase standing.
    #[must_use]
    pub fn optional(self) -> Self {
        self.set_optional(true)
    }

    /// Whether its failure leaves the phase standing.
    #[must_use]
    pub fn set_optional(mut self, optional: bool) -> Self {
        self.task.optional = optional;
        self
    }

    fn finish(self) -> Task {
        let Self { mut task, backoff_max_ms } = self;
        let default = Retry::default().backoff_max_ms.max(task.retry.backoff_ms);
        task.retry.backoff_max_ms = backoff_max_ms.unwrap_or(default);
        task
    }
}

fn template(tree: Value) -> Template {
    Template::new(super::check::canonical(tree))
}

fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NOWHERE)
}

/// Less than a millisecond is none, which checking refuses where it matters.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Saturating; what is not a number becomes 0.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn thousandths(number: f64) -> u32 {
    (number * 1_000.0).round() as u32
}
