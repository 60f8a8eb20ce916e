//! Bodies: JSON, bounded in bytes, depth and time before it is read, and no field that nobody reads.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;

use super::{
    limits::Limits,
    problem::{Problem, quoted},
    shared::Shared,
};

/// How many times its limit a body may have and still be read to its end.
const OVERLONG: usize = 8;

/// A JSON body of this shape.
pub(super) struct Told<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Shared>> for Told<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Problem> {
        let bytes = read(request.into_body(), &shared.limits).await?;
        parse(&bytes, shared.limits.json_depth).map(Self)
    }
}

/// Whether the body is said to be JSON. A page of somebody else's cannot send this type without asking first.
pub(super) fn must_be_json(headers: &HeaderMap) -> Result<(), Problem> {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = said.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = "a request that changes something has the header `content-type: application/json`";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "HF0307", detail))
}

async fn read(body: Body, limits: &Limits) -> Result<Vec<u8>, Problem> {
    match tokio::time::timeout(limits.body_time, collect(body, limits.body_bytes)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => {
            let detail = format!("the body is longer than {} bytes: pass large data as an artifact", limits.body_bytes);
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "HF0309", detail))
        }
        Ok(Err(error)) => Err(Problem::asked_wrongly(format!("the body did not arrive whole: {error}"))),
        Err(_) => {
            let detail = format!("the body did not arrive within {:?}", limits.body_time);
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "HF0312", detail))
        }
    }
}

/// All of a body, or nothing if it is longer. What is a little too long is read to its end and thrown away: a connection
/// that is closed on somebody who still writes takes the answer with it.
async fn collect(mut body: Body, most: usize) -> Result<Option<Vec<u8>>, axum::Error> {
    let (mut kept, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        length += data.len();
        if length <= most {
            kept.extend_from_slice(&data);
        } else if length > most.saturating_mul(OVERLONG) {
            break;
        }
    }
    Ok((length <= most).then_some(kept))
}

fn parse<T: DeserializeOwned>(bytes: &[u8], depth_max: usize) -> Result<T, Problem> {
    if bytes.is_empty() {
        return Err(Problem::asked_wrongly("the body is empty; `{}` is the shortest one"));
    }
    if is_deeper(bytes, depth_max) {
        return Err(Problem::asked_wrongly(format!("lists and maps lie deeper in each other than {depth_max} times")));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| Problem::asked_wrongly(format!("the body does not fit: {}", quoted(&error.to_string()))))
}

/// Whether more lists and maps lie in each other; brackets inside text do not count.
fn is_deeper(bytes: &[u8], most: usize) -> bool {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > most {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn depth_counts_brackets_that_are_no_text() {
        assert!(!is_deeper(br#"{"a": ["[[[[", "\"[[", {"b": 1}], "c": [[1]]}"#, 3));
        assert!(is_deeper(br#"{"a": [{"b": 1}]}"#, 2));
        assert!(!is_deeper(b"]]]][[", 2));
    }

    #[test]
    fn a_bomb_of_brackets_is_refused_without_being_read() {
        let bomb = [vec![b'['; 500_000], vec![b']'; 500_000]].concat();
        let refused = parse::<Value>(&bomb, 64).unwrap_err();
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(parse::<Value>(&[vec![b'['; 64], vec![b']'; 64]].concat(), 64).is_ok());
    }
}
