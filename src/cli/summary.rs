//! How a watched run ended: the summary for people, the result for whatever comes after the pipe.
//!
//! **Invariant:** stdout gets the result and nothing else; the exit code says the same as the status.

use headframe::{
    Engine,
    durable::{CallId, Row},
    plan::text,
    run::{self, Outcome},
};
use serde::Serialize;
use serde_json::Value;

use super::{
    exit::{Error, Exit},
    out::{Format, Out, Style},
    progress::Progress,
    shown, words,
};

/// The result of a run for machines.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    run: String,
    workflow: String,
    status: &'static str,
    output: Option<Value>,
    failure: Option<Failed>,
    duration_ms: u64,
    /// Calls that wait for a decision.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    in_doubt: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Failed {
    task: Option<String>,
    class: String,
    message: String,
    #[serde(skip_serializing_if = "Value::is_null")]
    details: Value,
}

impl Report {
    /// What is known of a run. `open` is the status of one that has not ended.
    pub(crate) fn new(row: &run::Row, open: &'static str, doubts: &[(CallId, Row)]) -> Self {
        let until = row.ended_at.unwrap_or_else(super::now_ms);
        let mut report = Self {
            run: row.run.to_string(),
            workflow: row.workflow.clone(),
            status: row.outcome.as_ref().map_or(open, words::status),
            output: None,
            failure: None,
            duration_ms: until.saturating_sub(row.submitted_at),
            in_doubt: doubts.iter().map(|(call, _)| call.to_string()).collect(),
        };
        match &row.outcome {
            Some(Outcome::Succeeded(output)) => report.output = Some(output.value()),
            Some(Outcome::Failed { task, failure }) => report.failure = Some(Failed::new(task, failure)),
            Some(Outcome::Cancelled { reason }) => {
                let (class, message) = ("cancelled".to_owned(), reason.clone());
                report.failure = Some(Failed { task: None, class, message, details: Value::Null });
            }
            None => {}
        }
        report
    }

    /// What a server says of a run.
    pub(crate) fn told(told: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let failure = &told["failure"];
        let failed = || Failed {
            task: failure["task"].as_str().map(str::to_owned),
            class: text(&failure["class"]),
            message: text(&failure["message"]),
            details: failure["details"].clone(),
        };
        let known = ["succeeded", "failed", "cancelled", "held"];
        Self {
            run: text(&told["run"]),
            workflow: text(&told["workflow"]),
            status: known.into_iter().find(|known| told["status"] == *known).unwrap_or("running"),
            output: (told["status"] == "succeeded").then(|| told["output"].clone()),
            failure: failure.is_object().then(failed),
            duration_ms: told["duration_ms"].as_u64().unwrap_or_default(),
            in_doubt: told["in_doubt"].as_array().into_iter().flatten().map(text).collect(),
        }
    }

    /// The code a single run ends in.
    pub(crate) fn exit(&self) -> Exit {
        match self.status {
            "succeeded" => Exit::Ok,
            "held" => Exit::Conflict,
            _ => Exit::Failed,
        }
    }

    /// The result on stdout: as text, if text is all it is.
    pub(crate) fn print(&self, out: Out) -> Result<(), Error> {
        match (out.format, &self.output) {
            (Format::Json | Format::Jsonl, _) => out.json(self)?,
            (Format::Table, Some(Value::String(written))) => print_text(out, written)?,
            (Format::Table, None | Some(Value::Null)) => {}
            (Format::Table, Some(output)) => out.json(output)?,
        }
        Ok(())
    }
}

/// File names in the text are written as the bytes they stand for.
fn print_text(out: Out, written: &str) -> Result<(), Error> {
    use std::io::Write as _;
    let mut bytes = text::to_bytes(written);
    if !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    let mut bulk = out.bulk();
    bulk.write_all(&bytes)?;
    Ok(bulk.flush()?)
}

impl Failed {
    fn new(task: &str, failure: &headframe::durable::Failure) -> Self {
        let (class, message) = (failure.class.clone(), failure.message.clone());
        Self { task: Some(task.to_owned()), class, message, details: failure.details.value() }
    }
}

/// The summary on stderr.
pub(crate) fn tell(out: Out, engine: Option<&Engine>, progress: &Progress, report: &Report) {
    let status = match report.status {
        "succeeded" => out.accent(Style::Good, report.status),
        "failed" => out.accent(Style::Bad, report.status),
        _ => out.accent(Style::Warn, report.status),
    };
    let ran = shown::length(report.duration_ms);
    out.note(format_args!("{status}  {}  {} in {ran}", out.accent(Style::Bold, &report.run), report.workflow));
    if let Some(failed) = &report.failure {
        let task = failed.task.as_deref().map_or_else(String::new, |task| format!("{task}: "));
        out.note(format_args!("  {task}{}: {}", failed.class, shown::cut(&failed.message, 500)));
    }
    let totals = progress.totals();
    out.note(format_args!(
        "  tasks    {} done, {} failed, {} skipped; {}, {}",
        totals.done,
        totals.failed,
        totals.skipped,
        shown::count(progress.attempts, "attempt"),
        retries(progress.retries),
    ));
    // A server's journal is not ours to tell of.
    let Some(engine) = engine else { return };
    let store = engine.system().figures().store;
    out.note(format_args!(
        "  journal  {}, {} in {}",
        shown::count(store.records, "record"),
        shown::size(store.written_bytes),
        shown::count(store.syncs, "sync"),
    ));
}

fn retries(number: u64) -> String {
    if number == 1 { "1 retry".to_owned() } else { format!("{number} retries") }
}

/// How to decide what a run is held for.
pub(crate) fn tell_doubts(out: Out, doubts: &[(CallId, Row)], flags: &str) {
    if doubts.is_empty() {
        out.note(format_args!("it waits for an operator: `headframe runs show{flags} RUN` says why"));
        return;
    }
    for (call, row) in doubts {
        out.note(format_args!(
            "  {} {} ({call}, tool {})",
            out.accent(Style::Warn, "in doubt"),
            row.request.path,
            row.request.tool
        ));
    }
    let call = doubts.first().map_or_else(|| "CALL".to_owned(), |(call, _)| call.to_string());
    out.note(format_args!(
        "nobody knows whether {} happened; look, then decide:",
        if doubts.len() == 1 { "it" } else { "they" }
    ));
    out.note(format_args!("  headframe doubt list{flags}"));
    out.note(format_args!("  headframe doubt resolve {call} --happened @out.json | --repeat | --failed REASON{flags}"));
    out.note(format_args!("  headframe runs resume{flags}"));
}
