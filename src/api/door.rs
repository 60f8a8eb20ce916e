//! The door: what every request must satisfy before anybody reads on.
//!
//! A page from elsewhere reaches a server on this machine in two ways: under a name of its own that it lets resolve to us
//! (DNS rebinding; the `Host` header gives it away), and by a form or a script that sends without being able to read
//! (CSRF; the `Origin` header and the content type give it away).
//!
//! **Invariant:** whatever changes something passed host, origin, content type, drain and rate, in this order.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{
    body::must_be_json,
    problem::{Problem, quoted},
    shared::Shared,
};

/// Let a request in, or say why not.
pub(super) async fn door(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if let Err(problem) = admit(&shared, &request) {
        return problem.into_response();
    }
    // A wait for a result comes on top of the time for an answer.
    let limit = shared.limits.answer_time + shared.limits.wait_max;
    tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(|_| {
        let detail = "no answer came in time; it may have happened all the same: repeat it with the same key";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "HF0312", detail).retry_after(5).into_response()
    })
}

fn admit(shared: &Shared, request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    host(headers, request.uri().host())?;
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    origin(headers)?;
    must_be_json(headers)?;
    if shared.is_draining() {
        return Err(Problem::draining());
    }
    shared.admit_change()
}

fn host(headers: &HeaderMap, of_uri: Option<&str>) -> Result<(), Problem> {
    let said = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let is_here = said.is_some_and(|said| is_loopback(without_port(said)));
    if is_here && of_uri.is_none_or(is_loopback) && headers.get_all(header::HOST).iter().count() == 1 {
        return Ok(());
    }
    let detail = format!(
        "the header `host: {}` does not name this machine: use localhost or 127.0.0.1",
        quoted(said.unwrap_or_default())
    );
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "HF0306", detail))
}

fn origin(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(said) = headers.get(header::ORIGIN) else { return Ok(()) };
    let said = said.to_str().unwrap_or_default();
    let authority = said.strip_prefix("http://").or_else(|| said.strip_prefix("https://")).unwrap_or_default();
    if is_loopback(without_port(authority)) {
        return Ok(());
    }
    let detail = format!("a page from `{}` may not change anything here", quoted(said));
    Err(Problem::new(StatusCode::FORBIDDEN, "HF0306", detail))
}

/// The name before the port; brackets of an IPv6 address stay.
fn without_port(authority: &str) -> &str {
    match authority.rfind(':') {
        Some(at) if !authority[at..].contains(']') => &authority[..at],
        _ => authority,
    }
}

fn is_loopback(name: &str) -> bool {
    matches!(name, "127.0.0.1" | "[::1]") || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_pass() {
        let passes = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            super::host(&headers, None).is_ok()
        };
        for host in ["localhost", "LocalHost:7440", "127.0.0.1:1", "[::1]:7440", "[::1]"] {
            assert!(passes(host), "{host}");
        }
        for host in ["", "evil.example:7440", "127.0.0.1.evil.example", "localhost.evil.example", "::1", "[::2]:7440"] {
            assert!(!passes(host), "{host}");
        }
        assert!(super::host(&HeaderMap::new(), None).is_err());
    }

    #[test]
    fn a_foreign_page_changes_nothing() {
        let passes = |origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, origin.parse().unwrap());
            super::origin(&headers).is_ok()
        };
        assert!(passes("http://localhost:3000") && passes("https://127.0.0.1"));
        assert!(!passes("null") && !passes("http://evil.example") && !passes("file://localhost"));
        assert!(super::origin(&HeaderMap::new()).is_ok());
    }
}
