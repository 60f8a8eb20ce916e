//! `GET /v1/runs/{run}/events`: server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! ```text
//! ledger ─► tail ─► one batch in memory ─► socket
//! ```
//! **Invariants:** the number of an event is its id, so a reader goes on where it was cut off, in this life of the server or
//! in another. Nothing is read ahead of a slow reader. The stream ends after the run's last event, with one called `end`.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use headframe_actors::{
    durable::{Item, What},
    run::RunId,
};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;

use crate::{
    api::{
        problem::Problem,
        query::{self, Asked, Named},
        shared::Shared,
    },
    engine::{Events, RunHandle},
};

/// How often a stream without news shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where to go on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct From {
    /// Only events with a higher number.
    after: Option<u64>,
}

/// What happens in a run, from its first event on, until it has ended.
#[utoipa::path(
    get, path = "/v1/runs/{run}/events", tag = "runs",
    params(
        ("run" = String, Path, description = "its id"), From,
        ("Last-Event-ID" = Option<u64>, Header, description = "as `after`, which it replaces")
    ),
    responses(
        (status = OK, body = String, content_type = "text/event-stream"), (status = BAD_REQUEST, body = Problem),
        (status = NOT_FOUND, body = Problem), (status = SERVICE_UNAVAILABLE, body = Problem)
    )
)]
pub(in crate::api) async fn events(
    State(shared): State<Arc<Shared>>,
    Named(run): Named<RunId>,
    Asked(from): Asked<From>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = query::after(&headers, from.after)?;
    if shared.is_draining() {
        return Err(Problem::draining());
    }
    let handle = shared.engine.run(run).await?;
    let permit = shared.streams.clone().try_acquire_owned().map_err(|_| {
        let detail = format!("{} event streams are open already; try again later", shared.limits.streams);
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "HF0310", detail).retry_after(5)
    })?;
    let events = handle.events().await?;
    let reader = Reader { shared, handle, events, after, ready: VecDeque::new(), at: At::Events, _permit: permit };
    let told = stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    Ok(Sse::new(told).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

/// One reader of one run.
struct Reader {
    shared: Arc<Shared>,
    handle: RunHandle,
    events: Events,
    after: u64,
    ready: VecDeque<Item>,
    at: At,
    _permit: OwnedSemaphorePermit,
}

#[derive(PartialEq)]
enum At {
    /// Events come.
    Events,
    /// The run's last event is in the batch.
    LastBatch,
    /// All was told.
    End,
}

impl Reader {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(told(&item));
            }
            match self.at {
                At::End => return None,
                At::LastBatch => {
                    self.at = At::End;
                    return self.end().await;
                }
                At::Events => self.read().await?,
            }
        }
    }

    /// Take the next batch; nothing if the stream ends without the run's end: a reader comes back then.
    async fn read(&mut self) -> Option<()> {
        let items = tokio::select! {
            items = self.events.next() => items,
            () = self.shared.drained() => return None,
        };
        let items = match items {
            Ok(items) => items?,
            Err(error) => {
                tracing::warn!(run = %self.handle.id(), %error, "an event stream was cut off");
                return None;
            }
        };
        if items.iter().any(is_end) {
            self.at = At::LastBatch;
        }
        self.ready.extend(items.into_iter().filter(|item| item.number > self.after));
        Some(())
    }

    async fn end(&self) -> Option<Event> {
        let row = self.handle.row().await.ok()?;
        let status = super::status(&row, false);
        let data = serde_json::json!({"run": row.run.to_string(), "status": status});
        Some(Event::default().event("end").data(data.to_string()))
    }
}

fn told(item: &Item) -> Event {
    let data = serde_json::to_string(item).expect("an item is text, numbers and JSON");
    Event::default().id(item.number.to_string()).data(data)
}

fn is_end(item: &Item) -> bool {
    matches!(&item.what, What::Event(event) if item.kind == "run" && event.get("Ended").is_some())
}
