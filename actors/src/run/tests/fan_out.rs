//! What a fan-out costs grows with its items, and not with their square.

use std::sync::Arc;

use serde_json::{Value, json};

use super::succeeded;
use crate::{
    durable::Effect,
    json::Json,
    plan::{Evaluate, EvaluateError, Plan, Reference, Scope, Template},
    testing::{Fake, World},
};

/// Every condition holds, and reads the input.
struct Holds;

impl Evaluate for Holds {
    fn render(&self, template: &Template, _: &Value) -> Result<Json, EvaluateError> {
        Ok(template.tree.clone())
    }

    fn test(&self, _: &str, scope: &Value) -> Result<bool, EvaluateError> {
        Ok(scope.get("input").is_some() && scope.get("item").is_some())
    }

    fn template_references(&self, _: &Template) -> Result<Vec<Reference>, EvaluateError> {
        Ok(Vec::new())
    }

    fn condition_references(&self, _: &str) -> Result<Vec<Reference>, EvaluateError> {
        Ok(vec![vec!["input".to_owned()]])
    }
}

/// It was made again for each task that ended: all items were read for each of them.
#[test]
fn the_names_in_scope_are_made_once_for_all_items() {
    let made_for = |items: u32| {
        let each = json!((0..items).collect::<Vec<_>>());
        let plan = Plan::builder("fan").phase("only", |phase| {
            phase.max_parallel(2).task("each", "books", |task| task.for_each(each).when("input"))
        });
        let story = World::with_templates(plan.build(), Arc::new(Holds)).tool("books", Fake::works(Effect::IDEMPOTENT));
        let before = Scope::made();
        let ending = story.undisturbed();
        assert!(succeeded(&ending.outcome), "{:?}", ending.outcome);
        assert_eq!(ending.effects("books"), items as usize);
        Scope::made() - before
    };
    let few = made_for(3);
    assert!(few > 0, "the condition reads them");
    assert_eq!(made_for(40), few);
}
