//! `headframe doubt`: calls of which nobody knows whether they happened, and the decision about them.
//!
//! **Invariant:** a decision says who made it; it is in the ledger before this ends. No run goes on meanwhile. `list`
//! only looks; `resolve` goes through the server that works on the folder, or has the folder for itself.

use std::ffi::OsString;

use headframe::durable::{CallId, Decision, Row, RowState};
use serde_json::{Value, json};

use super::{
    Common,
    exit::{Error, Exit},
    folder, inputs,
    look::Look,
    out::{Format, Out},
    remote, shown,
    table::{plain, print},
};

/// Decide about calls of which nobody knows whether they happened
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// The calls that wait for a decision
    List,
    Resolve(Resolve),
}

/// Decide about one call
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  headframe doubt resolve call_2a --happened @receipt.json
  headframe doubt resolve call_2a --happened '{\"stdout\": \"paid\"}'
  headframe doubt resolve call_2a --repeat
  headframe doubt resolve call_2a --failed \"the bank says no\"")]
pub(crate) struct Resolve {
    /// The call, as `doubt list` names it
    call: CallId,
    #[command(flatten)]
    decision: Said,
    /// Who decides
    #[arg(long, env = "USER", default_value = "unknown", value_name = "NAME", hide_env = true)]
    by: String,
}

/// What is decided.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Said {
    /// It happened, and gave this
    #[arg(long, value_name = "@FILE|JSON")]
    happened: Option<OsString>,
    /// Call again with the same key
    #[arg(long)]
    repeat: bool,
    /// It did not happen, for this reason
    #[arg(long, value_name = "REASON")]
    failed: Option<String>,
}

pub(crate) async fn run(command: Command, common: &Common, out: Out) -> Result<Exit, Error> {
    match command {
        Command::List => list(common, out),
        Command::Resolve(resolve) => decide(resolve, common, out).await,
    }
}

fn list(common: &Common, out: Out) -> Result<Exit, Error> {
    let look = Look::at(&common.data)?;
    let doubts: Vec<_> = look.doubts().collect();
    match out.format {
        Format::Table if doubts.is_empty() => out.note("no call is in doubt"),
        Format::Table => {
            let mut table = plain(["CALL", "WHERE", "TOOL", "SINCE", "WHY", "KEY"]);
            for (call, row) in &doubts {
                table.add_row([
                    call.to_string(),
                    row.request.path.clone(),
                    row.request.tool.clone(),
                    shown::time(row.intended_at),
                    shown::cut(&why(row), 120),
                    row.request.key.to_string(),
                ]);
            }
            print(out, &mut table)?;
        }
        Format::Json | Format::Jsonl => {
            out.rows(&doubts.iter().map(|(call, row)| as_json(*call, row)).collect::<Vec<_>>())?;
        }
    }
    if look.unrepeatable() > 0 {
        let calls = shown::count(look.unrepeatable() as u64, "call");
        out.note(format_args!(
            "{calls} had begun; if the process that made it is gone, `headframe runs resume{}` finds out",
            common.flags()
        ));
    }
    Ok(Exit::Ok)
}

fn why(row: &Row) -> String {
    match &row.state {
        RowState::InDoubt(failure) => format!("{}: {}", failure.class, failure.message),
        RowState::Intended | RowState::Started | RowState::Probing(_) => String::new(),
    }
}

fn as_json(call: CallId, row: &Row) -> Value {
    json!({
        "call": call.to_string(), "path": row.request.path, "tool": row.request.tool, "since_ms": row.intended_at,
        "why": why(row), "key": row.request.key.to_string(), "attempt": row.request.attempt,
        "input": row.request.input.value(),
    })
}

async fn decide(resolve: Resolve, common: &Common, out: Out) -> Result<Exit, Error> {
    let decision = match resolve.decision {
        Said { happened: Some(written), .. } => Decision::Happened(inputs::document(&written)?.into()),
        Said { failed: Some(reason), .. } => Decision::Failed(reason),
        Said { .. } => Decision::Repeat,
    };
    if let Some(client) = remote::server(&common.data).await {
        return tell_server(&client, resolve.call, &decision, &resolve.by, out).await;
    }
    let engine = folder::start_held(&common.data, out).await?;
    let decided = engine.resolve(resolve.call, decision, &resolve.by).await;
    engine.stop().await;
    decided?;
    tell(resolve.call, out)?;
    out.note(format_args!("`headframe runs resume{}` continues the run", common.flags()));
    Ok(Exit::Ok)
}

fn tell(call: CallId, out: Out) -> Result<(), Error> {
    match out.format {
        Format::Table => out.line(format_args!("{call} is decided"))?,
        Format::Json | Format::Jsonl => out.json(&json!({"call": call.to_string(), "decided": true}))?,
    }
    Ok(())
}

/// The run goes on at once.
async fn tell_server(
    client: &remote::Client,
    call: CallId,
    decision: &Decision,
    by: &str,
    out: Out,
) -> Result<Exit, Error> {
    let body = match decision {
        Decision::Happened(output) => json!({"decision": "happened", "output": output.value(), "by": by}),
        Decision::Failed(reason) => json!({"decision": "failed", "reason": reason, "by": by}),
        Decision::Repeat => json!({"decision": "repeat", "by": by}),
    };
    client.post(&format!("/v1/doubts/{call}"), &body, None).await?;
    tell(call, out)?;
    Ok(Exit::Ok)
}
