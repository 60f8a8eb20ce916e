//! The same through the server that works on the folder.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{painted, plain, print};
use crate::cli::{
    Common,
    exit::{Error, Exit},
    out::{Format, Out},
    remote::{self, Client},
    run::served::watched,
    shown,
    watch::Signals,
};

pub(super) async fn list(client: &Client, out: Out) -> Result<Exit, Error> {
    let rows = remote::list(client).await?;
    match out.format {
        Format::Table if rows.is_empty() => out.note("there are no runs yet"),
        Format::Table => {
            let mut table = plain(["RUN", "WORKFLOW", "STATUS", "SUBMITTED", "TOOK", "LABELS"]);
            for row in &rows {
                let status = row["status"].as_str().unwrap_or_default();
                table.add_row([
                    row["run"].as_str().unwrap_or_default().to_owned(),
                    row["workflow"].as_str().unwrap_or_default().to_owned(),
                    painted(status).paint(out.color, status),
                    shown::time(row["submitted_at_ms"].as_u64().unwrap_or_default()),
                    if row["ended_at_ms"].is_null() { "-".to_owned() } else { took(row) },
                    labels(row),
                ]);
            }
            print(out, &mut table)?;
        }
        Format::Json | Format::Jsonl => out.rows(&rows.iter().map(as_json).collect::<Vec<_>>())?,
    }
    Ok(Exit::Ok)
}

fn took(row: &Value) -> String {
    shown::length(row["duration_ms"].as_u64().unwrap_or_default())
}

fn labels(row: &Value) -> String {
    let labels: BTreeMap<String, String> = serde_json::from_value(row["labels"].clone()).unwrap_or_default();
    let shown = labels.iter().map(|(key, value)| shown::cut(&format!("{key}={value}"), 60));
    shown.collect::<Vec<_>>().join(" ")
}

/// The same keys as without a server.
fn as_json(row: &Value) -> Value {
    json!({
        "run": row["run"], "workflow": row["workflow"], "status": row["status"], "plan": row["plan"],
        "submitted_at_ms": row["submitted_at_ms"], "ended_at_ms": row["ended_at_ms"], "labels": row["labels"],
    })
}

pub(super) async fn watch(client: &Client, wanted: &str, place: (&Common, Out)) -> Result<Exit, Error> {
    let run = remote::find(client, wanted).await?;
    watched(client, &run, None, place, (&mut Signals::new()?, None)).await
}

pub(super) async fn cancel(client: &Client, wanted: &str, reason: &str, out: Out) -> Result<Exit, Error> {
    let run = remote::find(client, wanted).await?;
    let (is_news, told) = client.order(&format!("/v1/runs/{run}/cancel"), &json!({"reason": reason})).await?;
    match out.format {
        Format::Table if is_news => out.line(format_args!("{run} is asked to end"))?,
        Format::Table if told["ended_at_ms"].is_null() => {
            let first = told["cancelled_for"].as_str().unwrap_or_default();
            out.line(format_args!("{run} was asked to end before: {}", shown::cut(first, 300)))?;
        }
        Format::Table => {
            let status = told["status"].as_str().unwrap_or_default();
            out.line(format_args!("{run} has ended: {status}"))?;
        }
        Format::Json | Format::Jsonl => out.json(&told)?,
    }
    Ok(Exit::Ok)
}
