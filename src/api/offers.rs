//! `GET /v1/workflows`.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use headframe_actors::{
    json::Json as Document,
    plan::{Checked, Input, InputKind},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{shared::Shared, workflows::Offer};

/// A workflow that the server offers.
#[derive(Serialize, ToSchema)]
pub(super) struct WorkflowView {
    name: String,
    /// Whether it can be submitted.
    ready: bool,
    /// The digest of its content.
    plan: Option<String>,
    inputs: BTreeMap<String, InputView>,
    /// What is wrong with its file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

/// What a workflow is given.
#[derive(Serialize, ToSchema)]
pub(super) struct InputView {
    /// Its JSON type, or `any`.
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    required: bool,
    /// Taken when a run does not give it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    default: Option<Value>,
}

/// The workflows that can be submitted, and those whose files are wrong.
#[utoipa::path(get, path = "/v1/workflows", tag = "workflows", responses((status = OK, body = Vec<WorkflowView>)))]
pub(super) async fn workflows(State(shared): State<Arc<Shared>>) -> Json<Vec<WorkflowView>> {
    Json(shared.workflows.iter().map(|(name, offer)| WorkflowView::new(name, offer)).collect())
}

impl WorkflowView {
    fn new(name: &str, offer: &Offer) -> Self {
        let name = name.to_owned();
        match offer {
            Offer::Ready(plan) => {
                let (plan, inputs) = (Some(plan.digest().to_string()), inputs(plan));
                Self { name, ready: true, plan, inputs, problems: Vec::new() }
            }
            Offer::Broken(problems) => {
                Self { name, ready: false, plan: None, inputs: BTreeMap::new(), problems: problems.clone() }
            }
        }
    }
}

fn inputs(plan: &Checked) -> BTreeMap<String, InputView> {
    let view = |input: &Input| InputView {
        kind: match input.kind {
            InputKind::Any => "any",
            InputKind::String => "string",
            InputKind::Number => "number",
            InputKind::Integer => "integer",
            InputKind::Boolean => "boolean",
            InputKind::Array => "array",
            InputKind::Object => "object",
        },
        description: input.description.clone(),
        required: input.default.is_none(),
        default: input.default.as_ref().map(Document::value),
    };
    plan.inputs.iter().map(|input| (input.name.clone(), view(input))).collect()
}
