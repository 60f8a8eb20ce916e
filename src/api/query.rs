//! What stands in paths, queries and headers.

use std::{str::FromStr, time::Duration};

use axum::{
    extract::{FromRequestParts, Path, Query},
    http::{HeaderMap, request::Parts},
};
use headframe_actors::run::RunId;
use serde::de::DeserializeOwned;

use super::problem::{Problem, quoted};

/// The longest idempotency key, in bytes.
const KEY_MAX: usize = 256;

/// A query of this shape; a name that it does not know is refused.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(error) => {
                Err(Problem::asked_wrongly(format!("the query does not fit: {}", quoted(&error.body_text()))))
            }
        }
    }
}

/// The one name in a path, as an id. What is no id names nothing.
pub(super) struct Named<T>(pub(super) T);

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(name) = Path::<String>::from_request_parts(parts, state).await.map_err(|error| {
            Problem::asked_wrongly(format!("the path cannot be read: {}", quoted(&error.body_text())))
        })?;
        name.parse().map(Self).map_err(|_| Problem::missing(format!("`{}` names nothing here", quoted(&name))))
    }
}

/// The idempotency key of a submission, if it has one.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let (Some(key), others) = (keys.next(), keys.next()) else { return Ok(None) };
    if others.is_some() {
        return Err(Problem::asked_wrongly("there is more than one header `idempotency-key`"));
    }
    match key.to_str() {
        Ok(key) if (1..=KEY_MAX).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Problem::asked_wrongly(format!("`idempotency-key` has 1 to {KEY_MAX} visible letters of ASCII"))),
    }
}

/// How long to wait: `30s`, `1m 30s`, at most so long.
pub(super) fn wait(asked: Option<&str>, most: Duration) -> Result<Duration, Problem> {
    let Some(asked) = asked else { return Ok(Duration::ZERO) };
    let wrong = || Problem::asked_wrongly(format!("`wait={}` is no time such as `30s`", quoted(asked)));
    Ok(humantime::parse_duration(asked).map_err(|_| wrong())?.min(most))
}

/// The number of an event to go on after.
pub(super) fn after(headers: &HeaderMap, asked: Option<u64>) -> Result<u64, Problem> {
    // A reader that comes back says so in the header, and still has the query of its first request.
    match headers.get("last-event-id") {
        None => Ok(asked.unwrap_or(0)),
        Some(id) => {
            let number = id.to_str().ok().and_then(|id| id.trim().parse().ok());
            number.ok_or_else(|| Problem::asked_wrongly("`last-event-id` is the number of an event"))
        }
    }
}

/// Where a list goes on.
pub(super) fn cursor(asked: Option<&str>) -> Result<Option<RunId>, Problem> {
    let read = |text: &str| {
        text.parse().map_err(|_| Problem::asked_wrongly("`cursor` is what `next` said, an id of a run".to_owned()))
    };
    asked.map(read).transpose()
}
