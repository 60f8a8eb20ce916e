//! What a run is to do: pure data, validated, and known by the digest of its content.
//!
//! A plan comes from YAML (the `headframe` crate) or from the builder ([`Plan::builder`]); both give the same value and so the same digest.
//! Templates and conditions inside it stay text; [`Evaluate`] says what they mean.
//!
//! **Invariant:** nothing in a plan refers to anything outside it but tool names; a [`Checked`] plan has no cycle,
//! no dangling name and no limit of zero. **Absent on purpose:** clocks, files, YAML, HTTP.

mod builder;
mod check;
mod evaluate;
mod fan_out;
mod scope;
mod stored;
pub mod text;

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use self::{
    builder::{PhaseBuilder, PlanBuilder, TaskBuilder},
    check::{Checked, Problem, ProblemKind, TaskAt, nearest, place_key},
    evaluate::{Effects, Evaluate, EvaluateError, Evaluator, Plans, Reference, Sleeps, SleepsUntil},
    fan_out::split,
    scope::Scope,
};
use crate::{durable::Effect, json::Json};

/// Most items a `for_each` takes unless it says otherwise.
pub const ITEMS_MAX_DEFAULT: u32 = 10_000;
/// The time one attempt may take unless its task says otherwise: five minutes.
pub const TIMEOUT_DEFAULT_MS: u64 = 5 * 60 * 1_000;
/// Most tasks of one phase that run at once unless it says otherwise.
pub const PARALLEL_DEFAULT: u32 = 16;

/// A workflow: phases in a graph, tasks inside them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The workflow's name: a metric label, and what people call it.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// What a run is given.
    pub inputs: Vec<Input>,
    /// In the order written; edges are in [`Phase::needs`].
    pub phases: Vec<Phase>,
    /// What a finished run answers, as a template over `input` and `outputs`; `null` if it answers nothing.
    pub output: Template,
    /// How long a run may take, if there is a limit. Stored beside the plan, so that plans without it keep their digests.
    #[serde(skip)]
    pub deadline_ms: Option<u64>,
}

/// One named input of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Its name in templates: `input.NAME`.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Its JSON type; anything when undeclared.
    pub kind: InputKind,
    /// Taken when a run does not give it; without one the input is required.
    pub default: Option<Json>,
}

/// The JSON types an input may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputKind {
    /// Any JSON value.
    Any,
    /// Text.
    String,
    /// A number with a fraction or without.
    Number,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A list.
    Array,
    /// A map with text keys.
    Object,
}

/// Tasks that start together (or one after the other) once what they need has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Its name in templates: `outputs.NAME`.
    pub name: String,
    /// Positions in [`Plan::phases`] of the phases that must end first.
    pub needs: Vec<u32>,
    /// A condition (CEL); the phase is skipped when it is false.
    pub when: Option<String>,
    /// Whether tasks wait for the one before.
    pub mode: Mode,
    /// Most tasks, counted with their items, that run at once.
    pub max_parallel: u32,
    /// In the order written.
    pub tasks: Vec<Task>,
    /// How long it may take, if there is a limit. Stored beside the plan.
    #[serde(skip)]
    pub deadline_ms: Option<u64>,
}

/// How the tasks of a phase follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// All at once, within `max_parallel`.
    #[default]
    Parallel,
    /// One after the other; a later task sees the outputs of the earlier ones.
    Sequential,
}

/// One piece of work: a call of a tool, repeated over items where `for_each` says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its name in templates: `outputs.PHASE.NAME`.
    pub name: String,
    /// The tool's name in the engine's registry.
    pub tool: String,
    /// What is known when an outcome is not; the tool's own declaration when absent.
    pub effect: Option<Effect>,
    /// What to do with a call in doubt before a person is asked.
    pub in_doubt: InDoubt,
    /// The tool's arguments.
    pub with: Template,
    /// One task per item.
    pub for_each: Option<ForEach>,
    /// A condition (CEL); the task (or the item's task) is skipped when it is false.
    pub when: Option<String>,
    /// What happens after a failed attempt.
    pub retry: Retry,
    /// The time one attempt may take.
    pub timeout_ms: u64,
    /// Whether its failure leaves the phase standing.
    pub optional: bool,
    /// Whether a later phase, task or the plan's output reads its output. Set by [`Plan::check`]; outputs that nobody reads are not kept.
    pub exported: bool,
    /// The longest silence between two heartbeats of an attempt, where the task promises any. Stored beside the plan, so
    /// that plans without it keep their digests.
    #[serde(skip)]
    pub heartbeat_ms: Option<u64>,
    /// How long all its attempts may take together, with the waits between them and those of its fallbacks, if there is a
    /// limit. Stored beside the plan.
    #[serde(skip)]
    pub deadline_ms: Option<u64>,
    /// What is called in its place, one after the other, when it has certainly failed: tasks without a name, of which only
    /// what says how a tool is called may be set. Stored beside the plan.
    #[serde(skip)]
    pub fallbacks: Vec<Task>,
}

impl Task {
    /// How its tool is called (at 0), or that of a fallback (from 1).
    #[must_use]
    pub fn means(&self, at: u32) -> Option<&Self> {
        at.checked_sub(1).map_or(Some(self), |fallback| self.fallbacks.get(fallback as usize))
    }

    /// Itself and its fallbacks, in the order in which they are called.
    pub fn all_means(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.fallbacks)
    }
}

/// The rule for a call whose outcome cannot be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum InDoubt {
    /// A person decides (`headframe doubt resolve`).
    #[default]
    Hold,
    /// Count it as failed.
    Fail,
    /// Call again with the same key.
    Repeat,
}

/// Fan-out over data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForEach {
    /// A template that gives the data.
    pub over: Template,
    /// How text becomes items.
    pub items: Items,
    /// More items than this fail the task before any of them starts.
    pub max_items: u32,
}

/// How data is cut into items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Items {
    /// The data is a JSON list, or text that holds one.
    #[default]
    Json,
    /// Text, one item a line; empty lines are dropped.
    Lines,
    /// Text, items end with a NUL byte.
    Nul,
}

/// What happens after a failed attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all, the first included.
    pub max_attempts: u32,
    /// The wait before the second attempt.
    pub backoff_ms: u64,
    /// What each further wait is multiplied by, in thousandths.
    pub factor_milli: u32,
    /// No wait is longer.
    pub backoff_max_ms: u64,
    /// How far a wait may stray from its length, in thousandths: 200 means between 0.8 and 1.2 of it.
    pub jitter_milli: u32,
    /// Only these classes of failure are retried; empty means all.
    pub on: Vec<String>,
    /// These classes never are.
    pub never: Vec<String>,
}

impl Default for Retry {
    /// One attempt.
    fn default() -> Self {
        Self {
            max_attempts: 1,
            backoff_ms: 1_000,
            factor_milli: 2_000,
            backoff_max_ms: 60_000,
            jitter_milli: 200,
            on: Vec::new(),
            never: Vec::new(),
        }
    }
}

impl Retry {
    /// Whether a failure of this class may be tried again.
    #[must_use]
    pub fn covers(&self, class: &str) -> bool {
        (self.on.is_empty() || self.on.iter().any(|on| on == class)) && !self.never.iter().any(|never| never == class)
    }

    /// The wait before attempt number `attempt + 1`, given a random number.
    #[must_use]
    pub fn wait_ms(&self, attempt: u32, random: u64) -> u64 {
        let mut wait = self.backoff_ms.min(self.backoff_max_ms);
        for _ in 1..attempt.min(64) {
            wait = wait.saturating_mul(u64::from(self.factor_milli)) / 1_000;
            if wait >= self.backoff_max_ms {
                wait = self.backoff_max_ms;
                break;
            }
        }
        let reach = wait.saturating_mul(u64::from(self.jitter_milli.min(1_000))) / 1_000;
        (wait - reach).saturating_add(random % reach.saturating_mul(2).saturating_add(1))
    }
}

/// A tree of JSON whose strings may hold templates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Template {
    /// The tree as written.
    pub tree: Json,
    /// Whether any string in it holds `{{` or `{%`; without, the tree is its own rendering.
    pub dynamic: bool,
}

impl Template {
    /// A tree as written; finds out by itself whether it holds templates.
    #[must_use]
    pub fn new(tree: impl Into<Json>) -> Self {
        let tree = tree.into();
        let dynamic = tree.as_str().contains("{{") || tree.as_str().contains("{%");
        Self { tree, dynamic }
    }
}

impl Default for Template {
    fn default() -> Self {
        Self { tree: Json::NULL, dynamic: false }
    }
}

/// What a plan is known by: SHA-256 of its encoding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Digest(#[serde(with = "crate::hex")] pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::hex::write(&self.0, f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Plan {
    /// Start a plan in code.
    #[must_use]
    pub fn builder(name: impl Into<String>) -> PlanBuilder {
        PlanBuilder::new(name)
    }

    /// The digest of the stored form.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(Sha256::digest(self.encode()).into())
    }

    /// The position of a phase by name.
    #[must_use]
    pub fn phase(&self, name: &str) -> Option<usize> {
        self.phases.iter().position(|phase| phase.name == name)
    }

    /// Fill in defaults and refuse what is missing, unknown or of the wrong type.
    ///
    /// # Errors
    /// One sentence per input that does not fit.
    pub fn take_input(&self, given: &Json) -> Result<Json, Vec<String>> {
        check::take_input(self, given)
    }

    /// Validate, and mark which outputs are read.
    ///
    /// # Errors
    /// Every problem found, each with its place.
    pub fn check(self, evaluate: &dyn Evaluate) -> Result<Arc<Checked>, Vec<Problem>> {
        check::check(self, evaluate)
    }
}
