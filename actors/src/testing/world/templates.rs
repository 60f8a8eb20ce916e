//! For plans without templates and conditions.

use serde_json::Value;

use crate::{
    json::Json,
    plan::{Evaluate, EvaluateError, Reference, Template},
};

/// Refuses everything that has a meaning to find out.
pub(crate) struct NoTemplates;

impl NoTemplates {
    fn none<T>() -> Result<T, EvaluateError> {
        Err(EvaluateError { message: "this world has no evaluator: use `World::with_templates`".to_owned() })
    }
}

impl Evaluate for NoTemplates {
    fn render(&self, template: &Template, _: &Value) -> Result<Json, EvaluateError> {
        if template.dynamic { Self::none() } else { Ok(template.tree.clone()) }
    }

    fn test(&self, _: &str, _: &Value) -> Result<bool, EvaluateError> {
        Self::none()
    }

    fn template_references(&self, template: &Template) -> Result<Vec<Reference>, EvaluateError> {
        if template.dynamic { Self::none() } else { Ok(Vec::new()) }
    }

    fn condition_references(&self, _: &str) -> Result<Vec<Reference>, EvaluateError> {
        Self::none()
    }
}
