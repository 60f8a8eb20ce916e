//! The same through the server that works on the folder.
//!
//! **Invariant:** a run carries out what stands in the file that was named, or it is not started: the server must offer a
//! workflow with this very content.

use std::{collections::BTreeMap, time::Duration};

use headframe::{Submission, plan::Checked};
use serde_json::{Value, json};

use super::Args;
use crate::cli::{
    Common,
    exit::{Error, Exit},
    out::Out,
    remote::{self, Client},
    summary::{self, Report},
    watch::Signals,
};

pub(super) async fn run(
    args: &Args,
    plan: &Checked,
    submission: Submission,
    client: &Client,
    (common, out): (&Common, Out),
) -> Result<Exit, Error> {
    let mut signals = Signals::new()?;
    remote::note(client, out);
    let (run, verb) = match resumed(args, plan, client).await? {
        Some(run) => (run, "continues"),
        None => (submit(args, plan, submission, client).await?, "started"),
    };
    out.note(format_args!("{run} {verb}"));
    watched(client, &run, Some(plan), (common, out), (&mut signals, args.timeout)).await
}

/// With `--resume` the newest unfinished run of this very workflow, if there is one.
async fn resumed(args: &Args, plan: &Checked, client: &Client) -> Result<Option<String>, Error> {
    if !args.resume {
        return Ok(None);
    }
    let digest = plan.digest().to_string();
    let rows = remote::list(client).await?;
    let ours = rows.iter().find(|row| row["ended_at_ms"].is_null() && row["plan"] == digest.as_str());
    Ok(ours.and_then(|row| row["run"].as_str()).map(str::to_owned))
}

async fn submit(args: &Args, plan: &Checked, submission: Submission, client: &Client) -> Result<String, Error> {
    super::must_fit(plan, &submission)?;
    let digest = plan.digest().to_string();
    let offers = client.get("/v1/workflows").await?;
    let is_offered = |offer: &Value| offer["name"] == plan.name.as_str() && offer["plan"] == digest.as_str();
    if !offers.as_array().is_some_and(|offers| offers.iter().any(is_offered)) {
        return Err(Error::Usage(format!(
            "the server on this folder offers no workflow `{}` with the content of {}: put the file into the folder of its workflows and start it again",
            plan.name,
            args.file.display()
        )));
    }
    let labels: BTreeMap<_, _> = submission.labels.into_iter().collect();
    let body = json!({"workflow": plan.name, "input": submission.input, "labels": labels});
    let told = client.post("/v1/runs", &body, submission.key.as_deref()).await?;
    Ok(told["run"].as_str().unwrap_or_default().to_owned())
}

/// Watch a run at the server, and tell how it ended.
pub(crate) async fn watched(
    client: &Client,
    run: &str,
    plan: Option<&Checked>,
    (common, out): (&Common, Out),
    (signals, limit): (&mut Signals, Option<Duration>),
) -> Result<Exit, Error> {
    let (ending, progress) = remote::follow(client, run, plan.map(|plan| &**plan), out, (signals, limit)).await?;
    let again = format!("headframe runs watch{} {run}", common.flags());
    match ending {
        remote::Ending::Interrupted => {
            out.note(format_args!("the run goes on at the server; watch it with: {again}"));
            return Ok(Exit::Interrupted);
        }
        remote::Ending::TimedOut => out.note(format_args!("the time is over; the run goes on; watch it with: {again}")),
        remote::Ending::Ended | remote::Ending::Held => {}
    }
    let report = Report::told(&client.get(&format!("/v1/runs/{run}/result")).await?);
    summary::tell(out, None, &progress, &report);
    if ending == remote::Ending::Held {
        out.note("it waits for a person:");
        out.note(format_args!("  headframe doubt list{}", common.flags()));
    }
    report.print(out)?;
    Ok(match ending {
        remote::Ending::TimedOut => Exit::TimedOut,
        _ => report.exit(),
    })
}
