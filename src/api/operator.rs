//! What waits for a person: calls in doubt, and messages that were given up.
//!
//! **Invariant:** a decision says who made it, and is durable before it is answered.

use std::sync::Arc;

use axum::{Json, extract::State};
use headframe_actors::durable::{CallId, DeadLetter, Decision, Row, RowState};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{body::Told, problem::Problem, query::Named, shared::Shared};

/// Most bytes of a name or a reason.
const TEXT_MAX: usize = 2_000;
/// Most of each that one answer lists.
const LISTED_MAX: usize = 1_000;

/// A call of which nobody knows whether it happened.
#[derive(Serialize, ToSchema)]
pub(super) struct Doubt {
    #[schema(example = "call_2a")]
    call: String,
    /// Its task, by run, phase, name and item.
    path: String,
    tool: String,
    /// Since when, in milliseconds since 1970.
    since_ms: u64,
    why: String,
    /// What the tool knows the call by.
    key: String,
    attempt: u32,
    /// What the tool was given.
    #[schema(value_type = Value)]
    input: Value,
}

/// What is decided about a call in doubt.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "decision")]
pub(super) enum Decided {
    /// It happened, and gave this.
    Happened {
        /// What it gave.
        #[schema(value_type = Value)]
        output: Value,
        /// Who decides.
        by: String,
    },
    /// It did not happen.
    Failed {
        /// Why.
        reason: String,
        /// Who decides.
        by: String,
    },
    /// Call again with the same key.
    Repeat {
        /// Who decides.
        by: String,
    },
}

/// A decision that is durable.
#[derive(Serialize, ToSchema)]
pub(super) struct Done {
    call: String,
    decided: bool,
}

/// A message that was given up.
#[derive(Serialize, ToSchema)]
pub(super) struct Letter {
    letter: u64,
    /// Whom it was for.
    actor: String,
    /// When it was given up, in milliseconds since 1970.
    at_ms: u64,
    why: String,
}

/// The calls that wait for a decision, oldest first; at most 1,000.
#[utoipa::path(get, path = "/v1/doubts", tag = "operator", responses((status = OK, body = Vec<Doubt>)))]
pub(super) async fn doubts(State(shared): State<Arc<Shared>>) -> Result<Json<Vec<Doubt>>, Problem> {
    let doubts = shared.engine.doubts().await?;
    Ok(Json(doubts.iter().take(LISTED_MAX).map(|(call, row)| Doubt::new(*call, row)).collect()))
}

/// Decide about one of them.
#[utoipa::path(
    post, path = "/v1/doubts/{call}", tag = "operator", request_body = Decided,
    params(("call" = String, Path, description = "its id")),
    responses(
        (status = OK, body = Done), (status = BAD_REQUEST, body = Problem), (status = NOT_FOUND, body = Problem),
        (status = UNSUPPORTED_MEDIA_TYPE, body = Problem), (status = TOO_MANY_REQUESTS, body = Problem),
        (status = SERVICE_UNAVAILABLE, body = Problem)
    )
)]
pub(super) async fn decide(
    State(shared): State<Arc<Shared>>,
    Named(call): Named<CallId>,
    Told(decided): Told<Decided>,
) -> Result<Json<Done>, Problem> {
    let (decision, by) = match decided {
        Decided::Happened { output, by } => (Decision::Happened(output.into()), by),
        Decided::Failed { reason, by } => (Decision::Failed(short("reason", reason)?), by),
        Decided::Repeat { by } => (Decision::Repeat, by),
    };
    shared.engine.resolve(call, decision, &short("by", by)?).await?;
    Ok(Json(Done { call: call.to_string(), decided: true }))
}

/// The messages that were given up, oldest first; at most 1,000.
#[utoipa::path(get, path = "/v1/dead", tag = "operator", responses((status = OK, body = Vec<Letter>)))]
pub(super) async fn dead(State(shared): State<Arc<Shared>>) -> Result<Json<Vec<Letter>>, Problem> {
    let letters = shared.engine.dead_letters().await?;
    Ok(Json(letters.iter().take(LISTED_MAX).map(|(number, letter)| Letter::new(*number, letter)).collect()))
}

/// One thing that waits for a person.
#[derive(Serialize, ToSchema)]
pub(super) struct Stuck {
    /// In one word: `in-doubt`, `no-tool`, `poison`, `suspended`.
    reason: &'static str,
    actor: String,
    call: Option<String>,
    /// Who waits for what.
    sentence: String,
    /// Since when, in milliseconds since 1970, where that is known.
    since_ms: Option<u64>,
    /// What to do.
    advice: &'static str,
}

/// What waits for a person; at most 1,000.
#[utoipa::path(get, path = "/v1/stuck", tag = "operator", responses((status = OK, body = Vec<Stuck>)))]
pub(super) async fn stuck(State(shared): State<Arc<Shared>>) -> Result<Json<Vec<Stuck>>, Problem> {
    let waiting = shared.engine.waiting().await?;
    let told = waiting.into_iter().take(LISTED_MAX).map(|waiting| Stuck {
        reason: waiting.reason.word(),
        actor: waiting.actor.to_string(),
        call: waiting.call.map(|call| call.to_string()),
        advice: waiting.reason.advice(),
        sentence: waiting.sentence,
        since_ms: waiting.since_ms,
    });
    Ok(Json(told.collect()))
}

fn short(name: &str, text: String) -> Result<String, Problem> {
    if (1..=TEXT_MAX).contains(&text.len()) {
        return Ok(text);
    }
    Err(Problem::asked_wrongly(format!("`{name}` has 1 to {TEXT_MAX} bytes")))
}

impl Doubt {
    fn new(call: CallId, row: &Row) -> Self {
        let why = match &row.state {
            RowState::InDoubt(failure) => format!("{}: {}", failure.class, failure.message),
            RowState::Intended | RowState::Started | RowState::Probing(_) => String::new(),
        };
        Self {
            call: call.to_string(),
            path: row.request.path.clone(),
            tool: row.request.tool.clone(),
            since_ms: row.intended_at,
            why,
            key: row.request.key.to_string(),
            attempt: row.request.attempt,
            input: row.request.input.value(),
        }
    }
}

impl Letter {
    fn new(number: u64, letter: &DeadLetter) -> Self {
        Self { letter: number, actor: letter.to.to_string(), at_ms: letter.at_ms, why: letter.reason.clone() }
    }
}
