//! Refusals as RFC 9457 writes them: `application/problem+json`, with the code that `docs/ERRORS.md` explains.
//!
//! **Invariant:** nothing here tells more than its cause says of itself; a text from a caller is cut.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use headframe_actors::durable;
use serde::Serialize;
use utoipa::ToSchema;

use crate::engine;

/// Most characters of what a caller wrote that come back in an answer.
const CUT: usize = 200;

/// Why a request was refused (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Problem {
    /// The code as a URI, for RFC 9457.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "urn:headframe:error:HF0304")]
    kind: Box<str>,
    /// The kind of refusal; the same for all with this status.
    title: &'static str,
    /// The status of the answer.
    #[serde(serialize_with = "number")]
    #[schema(value_type = u16)]
    pub(super) status: StatusCode,
    /// The code, with a page in `docs/ERRORS.md`.
    #[schema(value_type = String, example = "HF0304")]
    code: Box<str>,
    /// What happened, and what to do.
    detail: String,
    /// Each single thing that is wrong, where there may be several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<String>,
    /// After how many seconds to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

fn number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:headframe:error:{code}").into(),
            title: status.canonical_reason().unwrap_or("Refused"),
            status,
            code: code.into(),
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// A text that begins with its code.
    fn coded(status: StatusCode, text: &str) -> Self {
        match text.split_once(": ") {
            Some((code, detail)) if code.len() == 6 && code.starts_with("HF") => Self::new(status, code, detail),
            _ => Self::new(status, "HF0314", text),
        }
    }

    pub(super) fn errors(mut self, errors: Vec<String>) -> Self {
        self.errors = errors;
        self
    }

    pub(super) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds.max(1));
        self
    }

    /// A path, query or header that cannot be read.
    pub(super) fn asked_wrongly(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "HF0308", detail)
    }

    /// There is no such thing here.
    pub(super) fn missing(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "HF0313", detail)
    }

    pub(super) fn draining() -> Self {
        let detail = "the server is stopping and takes nothing new; repeat the request when it is back";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "HF0311", detail).retry_after(5)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, retry_after) = (self.status, self.retry_after);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<engine::Error> for Problem {
    fn from(error: engine::Error) -> Self {
        use engine::Error as E;
        let text = error.to_string();
        match error {
            E::Input(errors) => Self::coded(StatusCode::UNPROCESSABLE_ENTITY, &text).errors(errors),
            E::KeyConflict { .. } | E::NotHeld { .. } => Self::coded(StatusCode::CONFLICT, &text),
            E::NoRun(_) => Self::new(StatusCode::NOT_FOUND, "HF0205", "there is no such run in this data folder"),
            E::System(error) => error.into(),
            _ => Self::coded(StatusCode::INTERNAL_SERVER_ERROR, &text),
        }
    }
}

impl From<durable::Error> for Problem {
    fn from(error: durable::Error) -> Self {
        use durable::Error as E;
        let text = error.to_string();
        match error {
            E::Busy { .. } | E::OutcomeUnknown { .. } => {
                Self::coded(StatusCode::SERVICE_UNAVAILABLE, &text).retry_after(5)
            }
            E::TooLarge { .. } => Self::coded(StatusCode::PAYLOAD_TOO_LARGE, &text),
            E::LetterStays { .. } | E::OpenCalls { .. } => Self::coded(StatusCode::CONFLICT, &text),
            E::Missing(_) => Self::missing(text),
            _ => Self::coded(StatusCode::INTERNAL_SERVER_ERROR, &text),
        }
    }
}

/// What a caller wrote, on one line and not longer than a line.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String =
        text.chars().take(CUT).map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if text.chars().nth(CUT).is_some() {
        shown.push('…');
    }
    shown
}
