//! Whether the process lives, and whether it can take work.
//!
//! **Invariant:** nothing here waits for a worker, an actor or the disk, so that it is answered when they are the trouble.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{measure, shared::Shared};
use crate::engine::Condition;

/// A worker that did not show itself for so long is not about to.
const SILENT_MAX_MS: u64 = 5_000;

/// The process answers.
#[derive(Serialize, ToSchema)]
pub(super) struct Alive {
    alive: bool,
    /// Tells this server from every other one.
    instance: String,
    /// The number of the process.
    pid: u32,
    /// The version of the program.
    version: &'static str,
}

/// Whether work can be taken, and who says so.
#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
    ready: bool,
    components: BTreeMap<&'static str, Component>,
}

/// One part of the server.
#[derive(Serialize, ToSchema)]
pub(super) struct Component {
    ok: bool,
    /// One sentence.
    detail: String,
}

/// Whether the process answers at all.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = OK, body = Alive)))]
pub(super) async fn livez(State(shared): State<Arc<Shared>>) -> Json<Alive> {
    let (pid, version) = (std::process::id(), env!("CARGO_PKG_VERSION"));
    Json(Alive { alive: true, instance: shared.instance.clone(), pid, version })
}

/// Whether work can be taken, part by part.
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses((status = OK, body = Ready), (status = SERVICE_UNAVAILABLE, body = Ready))
)]
pub(super) async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let components = BTreeMap::from([
        ("calls", calls(&shared)),
        ("door", door(&shared)),
        ("store", store(&shared)),
        ("workers", workers(&shared)),
        ("workflows", workflows(&shared)),
    ]);
    let ready = components.values().all(|component| component.ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready, components })).into_response()
}

/// What is measured, in the text format of Prometheus; `docs/METRICS.md` lists all families.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses((status = OK, body = String, content_type = "text/plain"))
)]
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], measure::text(&shared)).into_response()
}

fn good(detail: impl Into<String>) -> Component {
    Component { ok: true, detail: detail.into() }
}

fn bad(detail: impl Into<String>) -> Component {
    Component { ok: false, detail: detail.into() }
}

/// What waits here will be done: new work can be taken.
fn calls(shared: &Shared) -> Component {
    match shared.engine.system().calls_first() {
        0 => good("begin"),
        first => good(format!("wait for {first} that the process may have died of, which begin first, one at a time")),
    }
}

fn door(shared: &Shared) -> Component {
    if shared.is_draining() {
        return bad("the server is stopping");
    }
    match shared.engine.system().admits() {
        Ok(()) => good("takes new runs"),
        Err(error) => bad(error.to_string()),
    }
}

fn store(shared: &Shared) -> Component {
    match &*shared.engine.condition().borrow() {
        Condition::Open { .. } => good("open"),
        Condition::Reopening { cause, tries } => {
            bad(format!("it failed and is being opened again, try {}: {cause}", tries + 1))
        }
        Condition::Closed { cause } => bad(format!("closed: {cause}")),
    }
}

fn workers(shared: &Shared) -> Component {
    match shared.silent_ms() {
        silent_ms if silent_ms <= SILENT_MAX_MS => good("answer"),
        silent_ms => bad(format!("none answered for {silent_ms} ms")),
    }
}

/// A file that is wrong is told, and takes nothing from the others.
fn workflows(shared: &Shared) -> Component {
    let broken: Vec<_> = shared.workflows.broken().map(|(name, _)| name).collect();
    let ready = shared.workflows.names().count();
    if broken.is_empty() {
        good(format!("{ready} can be submitted"))
    } else {
        good(format!("{ready} can be submitted; wrong: {}", broken.join(", ")))
    }
}
