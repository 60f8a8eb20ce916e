//! `GET /v1/runs`.
//!
//! **Invariant:** one request looks at a bounded number of rows, whatever it looks for. A page that ended for that reason
//! has a `next` like any other.

use std::sync::Arc;

use axum::{Json, extract::State};
use headframe_actors::run::{self, RunId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Doubts, RunView, Status};
use crate::api::{
    problem::Problem,
    query::{Asked, cursor},
    shared::Shared,
};

/// Most runs of a page.
const LIMIT_MAX: usize = 500;
/// Runs of a page whose length nobody chose.
const LIMIT: usize = 50;
/// Most rows that one request looks at.
const ROWS_MAX: usize = 10_000;
/// Rows that are read at once.
const ROWS: usize = 500;

/// Which runs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Filter {
    /// Most runs of the page: 1 to 500, and 50 if not given.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// Go on where a page ended: its `next`.
    cursor: Option<String>,
    /// Only runs of this workflow.
    workflow: Option<String>,
    /// Only runs that stand so.
    #[param(inline)]
    status: Option<Status>,
    /// Only runs with this label: `name=value`, or `name` with any value.
    label: Option<String>,
}

/// Runs, newest first.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Page {
    runs: Vec<RunView>,
    /// The cursor of the page after this one, if there may be one.
    next: Option<String>,
}

/// All runs, newest first, page by page.
#[utoipa::path(
    get, path = "/v1/runs", tag = "runs", params(Filter),
    responses((status = OK, body = Page), (status = BAD_REQUEST, body = Problem))
)]
pub(in crate::api) async fn list(
    State(shared): State<Arc<Shared>>,
    Asked(filter): Asked<Filter>,
) -> Result<Json<Page>, Problem> {
    let limit = filter.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Problem::asked_wrongly(format!("`limit` is 1 to {LIMIT_MAX}")));
    }
    let doubts = Doubts::of(&shared.engine).await?;
    let mut before = cursor(filter.cursor.as_deref())?;
    let (mut runs, mut looked) = (Vec::new(), 0);
    while looked < ROWS_MAX {
        let rows = shared.engine.runs_before(before, ROWS.min(limit.max(ROWS / 10))).await?;
        if rows.is_empty() {
            return Ok(Json(Page { runs, next: None }));
        }
        for row in rows {
            looked += 1;
            before = Some(row.run);
            let view = RunView::new(&row, &doubts);
            if filter.fits(&row, &view) {
                runs.push(view);
            }
            if runs.len() == limit {
                return Ok(Json(page(runs, before)));
            }
        }
    }
    Ok(Json(page(runs, before)))
}

fn page(runs: Vec<RunView>, last: Option<RunId>) -> Page {
    Page { runs, next: last.map(|run| run.to_string()) }
}

impl Filter {
    fn fits(&self, row: &run::Row, view: &RunView) -> bool {
        self.workflow.as_ref().is_none_or(|workflow| *workflow == row.workflow)
            && self.status.is_none_or(|status| status == view.status())
            && self.label.as_ref().is_none_or(|label| has_label(row, label))
    }
}

fn has_label(row: &run::Row, label: &str) -> bool {
    let (name, value) = match label.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (label, None),
    };
    row.labels.iter().any(|(known, is)| known == name && value.is_none_or(|value| value == is))
}
