//! Which path leads where, and the description of all of them.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::DefaultBodyLimit,
    http::{Method, Response, StatusCode, Uri},
    middleware::from_fn_with_state,
    response::IntoResponse as _,
    routing::get,
};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    door::door,
    health,
    measure::measure,
    offers, operator,
    problem::{Problem, quoted},
    runs,
    shared::Shared,
};

/// The whole API.
pub(super) fn router(shared: &Arc<Shared>) -> Router {
    let (routes, openapi) = described().split_for_parts();
    let openapi = Arc::new(openapi);
    let routes = routes.route("/openapi.json", get(move || async move { Json(openapi.as_ref().clone()) }));
    guarded(routes, shared).with_state(shared.clone())
}

/// What is answered on a thread of its own.
pub(super) fn admin(shared: &Arc<Shared>) -> Router {
    guarded(health_routes().into(), shared).with_state(shared.clone())
}

/// The description of the API, as `/openapi.json` gives it.
#[must_use]
pub fn openapi() -> OpenApi {
    described().into_openapi()
}

fn described() -> OpenApiRouter<Arc<Shared>> {
    let info = InfoBuilder::new()
        .title("Headframe")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Durable workflows that survive any crash."))
        .build();
    OpenApiRouter::with_openapi(OpenApiBuilder::new().info(info).build())
        .routes(routes!(runs::submit, runs::list))
        .routes(routes!(runs::show))
        .routes(routes!(runs::events))
        .routes(routes!(runs::result))
        .routes(routes!(runs::cancel))
        .routes(routes!(offers::workflows))
        .routes(routes!(operator::doubts))
        .routes(routes!(operator::decide))
        .routes(routes!(operator::dead))
        .routes(routes!(operator::stuck))
        .merge(health_routes())
}

fn health_routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(health::livez)).routes(routes!(health::readyz)).routes(routes!(health::metrics))
}

fn guarded(routes: Router<Arc<Shared>>, shared: &Arc<Shared>) -> Router<Arc<Shared>> {
    routes
        .fallback(nothing)
        .method_not_allowed_fallback(not_so)
        // Bodies have a limit of their own, with an answer of its own.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(shared.clone(), door))
        .layer(CatchPanicLayer::custom(panicked))
        // Outermost, so that refusals and panics are counted, too.
        .layer(from_fn_with_state(shared.clone(), measure))
}

async fn nothing(uri: Uri) -> Problem {
    Problem::missing(format!("there is no `{}` here; /openapi.json says what there is", quoted(uri.path())))
}

async fn not_so(method: Method, uri: Uri) -> Problem {
    let detail = format!("`{}` does not take {}", quoted(uri.path()), quoted(method.as_str()));
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "HF0313", detail)
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response<Body> {
    let detail = "a handler failed; what was acknowledged is safe. Please report it, with the server's log";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "HF0314", detail).into_response()
}
