//! What templates (minijinja) and conditions (CEL) mean.
//!
//! Compiled forms are kept in bounded caches, and only what an expression reads is converted from the scope: a fan-out
//! over ten thousand items renders the same template ten thousand times beside the same large outputs.
//!
//! **Invariant:** pure. Nothing here reads a clock, a file, the environment or a random number, and every evaluation is
//! bounded in steps and in size. An undefined name is an error, never an empty string or `false`.

mod cache;
mod condition;
mod tags;
mod template;
mod wanted;

use std::sync::Arc;

use headframe_actors::{
    json::Json,
    plan::{Evaluate, EvaluateError, Reference, Template},
};
use serde_json::Value;

use self::{cache::Cache, condition::Condition, template::Tree};
use super::with_room;

/// Most compiled templates, and most compiled conditions, that are kept: two generations of half as many.
const COMPILED_MAX: usize = 1_024;

/// The evaluator of specs: minijinja for templates, CEL for conditions.
pub struct Expressions {
    templates: Cache<Json, Tree>,
    conditions: Cache<String, Condition>,
}

impl Expressions {
    /// An evaluator with empty caches.
    #[must_use]
    pub fn new() -> Self {
        Self { templates: Cache::new(COMPILED_MAX), conditions: Cache::new(COMPILED_MAX) }
    }

    fn template(&self, template: &Template) -> Result<Arc<Tree>, EvaluateError> {
        self.templates.get_or(&template.tree, || with_room(|| Tree::compile(&template.tree)))
    }

    fn condition(&self, condition: &str) -> Result<Arc<Condition>, EvaluateError> {
        self.conditions.get_or(condition, || with_room(|| Condition::compile(condition)))
    }
}

impl Default for Expressions {
    fn default() -> Self {
        Self::new()
    }
}

impl Evaluate for Expressions {
    fn render(&self, template: &Template, scope: &Value) -> Result<Json, EvaluateError> {
        if !template.dynamic {
            return Ok(template.tree.clone());
        }
        self.template(template)?.render(scope).map(Json::from)
    }

    fn test(&self, condition: &str, scope: &Value) -> Result<bool, EvaluateError> {
        self.condition(condition)?.test(scope)
    }

    /// Compiled without the cache: validation looks at each string once, and would only push out what runs use.
    fn template_references(&self, template: &Template) -> Result<Vec<Reference>, EvaluateError> {
        if !template.dynamic {
            return Ok(Vec::new());
        }
        with_room(|| Tree::compile(&template.tree).map(Tree::into_references))
    }

    fn condition_references(&self, condition: &str) -> Result<Vec<Reference>, EvaluateError> {
        with_room(|| Condition::compile(condition).map(Condition::into_references))
    }
}

fn wrong(message: impl Into<String>) -> EvaluateError {
    EvaluateError { message: message.into() }
}

#[cfg(test)]
mod tests;
