//! The command line.
//!
//! ```text
//! headframe run FILE                      starts a workflow and watches it
//! headframe serve                         answers over HTTP
//! headframe runs | ledger | store         looks at what was
//! headframe actors | stuck                 looks at what is
//! headframe doubt | dead                  decides
//! ```
//! **Invariant:** data goes to stdout, talk to stderr; what the exit code means is in [`exit::Exit`].

mod actors;
mod bench;
mod dead;
mod doctor;
mod doubt;
mod exit;
mod folder;
mod graph;
mod inputs;
mod ledger;
mod log;
mod look;
mod out;
mod progress;
mod remote;
mod run;
mod runs;
mod schema;
mod serve;
mod shown;
mod store;
mod stuck;
mod summary;
mod table;
mod tools;
mod view;
mod watch;
mod words;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use headframe::clock::{Clock as _, SystemClock};

use self::{
    exit::{Error, Exit},
    log::LogFormat,
    out::{Format, Out, Output},
};

const EXAMPLES: &str = "\
Examples:
  headframe run examples/repo-audit.yaml           audit a source tree
  headframe run examples/repo-audit.yaml --resume  finish it after Ctrl-C or kill -9
  headframe runs list
  headframe runs show last
  headframe ledger show last | head
  headframe store verify

Exit codes:
  0 ok   1 the run failed   2 usage, spec or input   3 not found   4 refused by the store
  5 timed out   6 conflict, or held for a decision   130 interrupted";

/// Durable workflows that survive any crash.
#[derive(Debug, Parser)]
#[command(name = "headframe", version, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Common {
    /// The data folder
    #[arg(long, env = "HEADFRAME_DATA", default_value = DATA, global = true, value_name = "DIR", hide_env_values = true)]
    pub(crate) data: PathBuf,
    /// What data looks like: table, json, or jsonl; for `graph` also mermaid, dot, or svg
    #[arg(
        short,
        long,
        default_value = "table",
        global = true,
        value_enum,
        value_name = "FORMAT",
        hide_possible_values = true
    )]
    pub(crate) output: Output,
    /// Write without colour, as with NO_COLOR
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// What the log on stderr looks like: human, json, or auto, which is json for `serve` without a terminal. How much is in
    /// it says HEADFRAME_LOG, for example `info` or `warn,headframe=debug`
    #[arg(
        long,
        env = "HEADFRAME_LOG_FORMAT",
        default_value = "auto",
        global = true,
        value_enum,
        value_name = "FORMAT",
        hide_env_values = true,
        hide_possible_values = true
    )]
    log_format: LogFormat,
}

const DATA: &str = "./.headframe";

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    /// Look at runs, and continue them
    #[command(subcommand)]
    Runs(runs::Command),
    /// Read what happened
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// Check the store, measure it, tidy it up, and build its rows again
    #[command(subcommand)]
    Store(store::Command),
    Serve(serve::Args),
    Doctor(doctor::Args),
    /// Decide about calls of which nobody knows whether they happened
    #[command(subcommand)]
    Doubt(doubt::Command),
    /// Look at messages that were given up, and retry or drop them
    #[command(subcommand)]
    Dead(dead::Command),
    /// Look at what waits for a person, or for what cannot come
    #[command(subcommand)]
    Stuck(stuck::Command),
    /// Look at actors
    #[command(subcommand)]
    Actors(actors::Command),
    /// Check a workflow without running it
    Validate {
        /// The workflow, a YAML file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    Graph(graph::Args),
    Schema(schema::Args),
    Bench(bench::Args),
    /// Be the process that `bench --workload w3` kills
    #[command(name = bench::CHILD, hide = true)]
    BenchChild(bench::ChildArgs),
}

impl Common {
    /// The flags a person must repeat to get to the same folder.
    pub(crate) fn flags(&self) -> String {
        let said = std::env::var_os("HEADFRAME_DATA").is_some_and(|value| value == self.data.as_os_str());
        if said || self.data.as_os_str() == DATA { String::new() } else { format!(" --data {}", self.data.display()) }
    }
}

impl Cli {
    /// Begin the log.
    pub(crate) fn log(&self) {
        let otherwise = match &self.command {
            Command::Serve(_) => "warn,headframe=info,headframe_actors=info",
            // Whoever has thousands of actors killed needs not hear of each.
            Command::Bench(args) if args.kills_actors() => "error",
            _ => "warn",
        };
        log::install(self.logs_json(), otherwise, self.wants_color());
    }

    fn is_server(&self) -> bool {
        matches!(self.command, Command::Serve(_))
    }

    fn logs_json(&self) -> bool {
        self.common.log_format.is_json(self.is_server())
    }

    /// Whether colour is wanted, should it go to a terminal: <https://no-color.org>.
    pub(crate) fn wants_color(&self) -> bool {
        !self.common.no_color && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }
}

/// Read the command line; help and mistakes are written here.
pub(crate) fn parse() -> Result<Cli, Exit> {
    Cli::try_parse().map_err(|told| {
        // A reader that went away has read enough.
        let _ = told.print();
        if told.use_stderr() { Exit::Usage } else { Exit::Ok }
    })
}

/// The runtime did not start.
pub(crate) fn cannot_start(error: &std::io::Error) -> Exit {
    Out::new(Format::Table, false).error(format_args!("cannot start: {error}"));
    Exit::Refused
}

/// Do what was asked.
pub(crate) async fn execute(cli: Cli) -> Exit {
    let format = cli.common.output.format();
    let out = Out::new(format.unwrap_or_default(), cli.wants_color()).talking_json(cli.logs_json());
    if format.is_none() && !matches!(cli.command, Command::Graph(_)) {
        out.error("`-o mermaid`, `-o dot` and `-o svg` are for `headframe graph`; data is `table`, `json` or `jsonl`");
        return Exit::Usage;
    }
    match dispatch(cli.command, &cli.common, out).await {
        Ok(exit) => exit,
        Err(error) => {
            if !error.is_broken_pipe() {
                out.error(&error);
            }
            if error.is_held() {
                remote::explain(&cli.common, out).await;
            }
            error.exit()
        }
    }
}

async fn dispatch(command: Command, common: &Common, out: Out) -> Result<Exit, Error> {
    match command {
        Command::Run(args) => run::run(args, common, out).await,
        Command::Runs(command) => runs::run(command, common, out).await,
        Command::Ledger(command) => ledger::run(command, common, out),
        Command::Store(command) => store::run(command, common, out).await,
        Command::Serve(args) => serve::run(args, common, out).await,
        Command::Doctor(args) => doctor::run(args, common, out),
        Command::Doubt(command) => doubt::run(command, common, out).await,
        Command::Stuck(command) => stuck::run(command, common, out),
        Command::Actors(command) => actors::run(command, common, out),
        Command::Dead(command) => dead::run(command, common, out).await,
        Command::Bench(args) => bench::run(args, out).await,
        Command::BenchChild(args) => bench::run_child(args).await,
        Command::Validate { file } => validate(&file, out),
        Command::Graph(args) => graph::run(&args, common.output, out),
        Command::Schema(args) => schema::run(&args, out),
    }
}

fn validate(file: &std::path::Path, out: Out) -> Result<Exit, Error> {
    let plan = match (tools::load(file), out.format) {
        (Err(Error::Engine(headframe::Error::Spec(error))), Format::Json | Format::Jsonl) => {
            out.json(&serde_json::json!({"ok": false, "problems": error.problems()}))?;
            return Ok(Exit::Usage);
        }
        (plan, _) => plan?,
    };
    let tasks: usize = plan.phases.iter().map(|phase| phase.tasks.len()).sum();
    match out.format {
        Format::Table => out.line(format_args!(
            "ok: {} has {} and {}",
            plan.name,
            shown::count(plan.phases.len() as u64, "phase"),
            shown::count(tasks as u64, "task")
        ))?,
        Format::Json | Format::Jsonl => out.json(&serde_json::json!({
            "ok": true, "workflow": plan.name, "plan": plan.digest().to_string(), "phases": plan.phases.len(), "tasks": tasks,
        }))?,
    }
    Ok(Exit::Ok)
}

fn now_ms() -> u64 {
    SystemClock.now_ms()
}
