//! What templates and conditions mean, as a trait: the actors decide with it, the `headframe` crate implements it.
//!
//! **Invariant:** an implementation is a pure function. Decisions are replayed after a crash and must come out the same.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use serde_json::Value;

use super::{Checked, Digest, Template};
use crate::{durable::Effect, json::Json};

/// A name that an expression reads, as a path from the root of the scope: `["outputs", "list", "files"]`.
/// A path ends where the expression indexes by something that is not a constant.
pub type Reference = Vec<String>;

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvaluateError {
    /// What is wrong, in lower case, without the expression's place.
    pub message: String,
}

/// Gives templates and conditions their meaning. The scope is an object with `input`, `outputs`, `run` and, in a task
/// of a `for_each`, `item` and `index`.
pub trait Evaluate: Send + Sync + 'static {
    /// Render each string of the tree. A string that is one `{{ expression }}` keeps the expression's type.
    ///
    /// # Errors
    /// If a name is undefined, a filter fails, or the work exceeds its bound.
    fn render(&self, template: &Template, scope: &Value) -> Result<Json, EvaluateError>;

    /// Decide a condition.
    ///
    /// # Errors
    /// If it is not a boolean, reads an undefined name, or exceeds its bound.
    fn test(&self, condition: &str, scope: &Value) -> Result<bool, EvaluateError>;

    /// The names a template reads.
    ///
    /// # Errors
    /// If a string in it does not parse.
    fn template_references(&self, template: &Template) -> Result<Vec<Reference>, EvaluateError>;

    /// The names a condition reads.
    ///
    /// # Errors
    /// If it does not parse.
    fn condition_references(&self, condition: &str) -> Result<Vec<Reference>, EvaluateError>;
}

/// The evaluator that decisions use: an extension of the actor system.
pub struct Evaluator(pub Arc<dyn Evaluate>);

/// Plans by digest: an extension of the actor system. Content-addressed, so that looking one up is pure.
#[derive(Default)]
pub struct Plans(RwLock<FxHashMap<Digest, Arc<Checked>>>);

impl Plans {
    /// Make a plan known.
    pub fn add(&self, plan: Arc<Checked>) {
        self.0.write().entry(plan.digest()).or_insert(plan);
    }

    /// A plan that was made known.
    #[must_use]
    pub fn get(&self, digest: Digest) -> Option<Arc<Checked>> {
        self.0.read().get(&digest).cloned()
    }
}

/// What each registered tool promises about repeats: an extension of the actor system. The promise in force is frozen
/// into each call.
#[derive(Default)]
pub struct Effects(pub HashMap<String, Effect>);

impl Effects {
    /// What a tool promises, if it is registered.
    #[must_use]
    pub fn of(&self, tool: &str) -> Option<Effect> {
        self.0.get(tool).copied()
    }
}

/// Says until when a call with these arguments would do nothing but let time pass, given the time now.
pub type SleepsUntil = Arc<dyn Fn(&Json, u64) -> Option<u64> + Send + Sync>;

/// Tools that may do nothing but let time pass: an extension of the actor system. A task sleeps by itself instead of
/// calling them.
#[derive(Default)]
pub struct Sleeps(pub HashMap<String, SleepsUntil>);

impl Sleeps {
    /// Until when a task sleeps instead of calling this tool with these arguments, in milliseconds since 1970.
    #[must_use]
    pub fn until(&self, tool: &str, input: &Json, now_ms: u64) -> Option<u64> {
        self.0.get(tool).and_then(|sleeps_until| sleeps_until(input, now_ms))
    }
}
