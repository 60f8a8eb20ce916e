//! What the server measures: requests, by where they led and what came of them.
//!
//! **Invariant:** labels are bounded, whatever is asked for: a route is a template of the router, and what leads nowhere is
//! `other`, as is a method that nobody knows.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::Response,
};
use headframe_actors::metrics::{CALL_SECONDS, Family, Instruments, OTHER};
use metrics::Gauge;

use super::shared::Shared;
use crate::clock::monotonic;

const REQUESTS: Family = Family::counter(
    "headframe_http_requests_total",
    &["route", "method", "status"],
    "Requests that were answered, by template of their path and class of their status.",
);
const SECONDS: Family = Family::histogram(
    "headframe_http_request_duration_seconds",
    CALL_SECONDS,
    &["route"],
    "How long requests took, until the head of their answer; some wait for a result because they asked to.",
);
const IN_FLIGHT: Family = Family::gauge(
    "headframe_http_requests_in_flight",
    &[],
    "Requests that were read and are not answered, the one that asks for this among them; a drain waits for them.",
);
const STREAMS: Family = Family::gauge("headframe_http_event_streams", &[], "Event streams that are open.");

/// All of them.
pub(crate) const FAMILIES: &[Family] = &[REQUESTS, SECONDS, IN_FLIGHT, STREAMS];

/// What the server counts and sets.
pub(super) struct Meters {
    instruments: Instruments,
    in_flight: Gauge,
    streams: Gauge,
}

/// A request that is not answered; whoever asked may leave before.
struct InFlight(Gauge);

impl InFlight {
    fn begin(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl Meters {
    pub(super) fn new(instruments: Instruments) -> Self {
        instruments.describe(FAMILIES);
        let [in_flight, streams] = [&IN_FLIGHT, &STREAMS].map(|family| instruments.gauge(family, &[]));
        Self { instruments, in_flight, streams }
    }
}

/// Count a request and the time that it takes.
pub(super) async fn measure(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (began, _in_flight) = (monotonic(), InFlight::begin(&shared.meters.in_flight));
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = method(request.method());
    let response = next.run(request).await;
    let route = route.as_ref().map_or(OTHER, MatchedPath::as_str);
    let to = &shared.meters.instruments;
    to.counter(&REQUESTS, &[route, method, class(response.status())]).increment(1);
    to.histogram(&SECONDS, &[route]).record(began.elapsed().as_secs_f64());
    response
}

/// Everything that is measured, as text.
pub(super) fn text(shared: &Shared) -> String {
    let open = shared.limits.streams.saturating_sub(shared.streams.available_permits());
    shared.meters.streams.set(open as f64);
    shared.engine.record_metrics();
    (shared.metrics)()
}

fn method(method: &Method) -> &'static str {
    let known = [Method::GET, Method::POST, Method::HEAD, Method::OPTIONS, Method::PUT, Method::PATCH, Method::DELETE];
    let names = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"];
    known.iter().position(|known| known == method).map_or(OTHER, |at| names[at])
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_nobody_knows_makes_no_series_of_its_own() {
        assert_eq!(method(&Method::DELETE), "DELETE");
        assert_eq!(method(&Method::from_bytes(b"BREW").unwrap()), OTHER);
    }

    #[test]
    fn a_status_is_told_by_its_class() {
        assert_eq!([200, 404, 503].map(|status| class(StatusCode::from_u16(status).unwrap())), ["2xx", "4xx", "5xx"]);
        assert_eq!(class(StatusCode::from_u16(999).unwrap()), OTHER);
    }
}
