//! `headframe serve`: an engine behind an HTTP API, until somebody says stop.
//!
//! **Invariants:** nothing is started when an address is taken or the folder of workflows cannot be read. The first signal
//! drains and ends in order, the second ends at once. A store that closed ends the program: its next start recovers.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use headframe::{
    api::{Limits, Options, Server, Workflows},
    engine::Retention,
    metrics::Prometheus,
};

use super::{
    Common,
    exit::{Error, Exit},
    folder,
    out::{Out, Style},
    watch::Signals,
};

/// Run workflows for whoever asks over HTTP, until SIGTERM
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  headframe serve --workflows examples
  curl -s localhost:7440/v1/runs -H 'content-type: application/json' -d '{\"workflow\": \"repo-audit\"}'
  curl -s 'localhost:7440/v1/runs/RUN/result?wait=30s'")]
pub(crate) struct Args {
    /// The folder of the workflows that may be submitted, one file each; none if it is not given
    #[arg(long, env = "HEADFRAME_WORKFLOWS", value_name = "DIR", hide_env_values = true)]
    workflows: Option<PathBuf>,
    /// Where the API answers; an address of this machine alone
    #[arg(long, default_value = "127.0.0.1:7440", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where health and metrics answer, on a thread of their own
    #[arg(long, default_value = "127.0.0.1:7441", value_name = "ADDRESS")]
    admin: SocketAddr,
    /// Requests that change something, per second; more are told to come back
    #[arg(long, default_value_t = Limits::default().changes_per_second, value_name = "NUMBER")]
    rate: u32,
    /// Remove runs that ended longer ago than this, such as 30d, with their history; all runs are kept if it is not given
    #[arg(long, env = "HEADFRAME_KEEP_RUNS_FOR", value_name = "TIME", value_parser = humantime::parse_duration, hide_env_values = true)]
    keep_runs_for: Option<Duration>,
    /// Of runs that ended more than a day ago keep at most so many, and remove the oldest with their history
    #[arg(long, env = "HEADFRAME_KEEP_RUNS", value_name = "NUMBER", hide_env_values = true)]
    keep_runs: Option<u64>,
}

pub(crate) async fn run(args: Args, common: &Common, out: Out) -> Result<Exit, Error> {
    let mut signals = Signals::new()?;
    let files = args.workflows.as_deref().map_or_else(|| Ok(Vec::new()), Workflows::files)?;
    let prometheus = Prometheus::new();
    let rendered = prometheus.clone();
    let options = Options {
        listen: args.listen,
        admin: args.admin,
        limits: Limits { changes_per_second: args.rate, ..Limits::default() },
        metrics: Arc::new(move || rendered.render()),
        folder: common.data.clone(),
    };
    let sockets = options.bind()?;
    let retention = Retention { age: args.keep_runs_for, runs: args.keep_runs };
    let builder = folder::builder(&common.data).retention(retention).instruments(prometheus.instruments());
    let engine = folder::start(builder, out).await?;
    let workflows = Workflows::read(&files, &engine);
    tell_workflows(out, &workflows);
    let (server, drain) = Server::new(sockets, engine.clone(), workflows, options)?;
    let marker = server.marker();
    out.note(format_args!("listening on http://{} (health and metrics on http://{})", marker.address, marker.admin));
    let served = server.serve();
    tokio::pin!(served);
    let mut closed = None;
    tokio::select! {
        ended = &mut served => {
            engine.stop().await;
            return Ok(ended.map(|()| Exit::Ok)?);
        }
        cause = engine.closed() => closed = Some(cause),
        () = prometheus.keep_up() => {}
        () = signals.next() => {}
    }
    drain.begin();
    let ending = async {
        served.await?;
        engine.stop().await;
        Ok::<_, Error>(())
    };
    if let Some(cause) = closed {
        out.error(format_args!("the store closed: {cause}; start again to recover from disk"));
        ending.await?;
        return Ok(Exit::Refused);
    }
    out.note("stopping: nothing new is taken in; once more ends it at once");
    tokio::select! {
        ended = ending => ended?,
        () = signals.next() => return Ok(Exit::Interrupted),
    }
    out.note("stopped");
    Ok(Exit::Ok)
}

fn tell_workflows(out: Out, workflows: &Workflows) {
    for (name, problems) in workflows.broken() {
        out.note(format_args!("{} workflow {name} cannot be submitted:", out.accent(Style::Bad, "wrong:")));
        problems.iter().for_each(|problem| out.note(format_args!("  {problem}")));
    }
    let names: Vec<_> = workflows.names().collect();
    let named = if names.is_empty() { "none; give their folder with --workflows".to_owned() } else { names.join(", ") };
    out.note(format_args!("workflows: {named}"));
}
