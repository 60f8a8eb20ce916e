//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand, ValueEnum, value_parser};

const EXAMPLES: &str = "\
Examples:
  headframe-soak --for 2m
  headframe-soak --for 1h --rate 100 --kill-every 5m --stall-every 45s --html soak.html
  headframe-soak --for 24h --rate 5 --sample 30s --kill-every 5m --dir /var/tmp
  headframe-soak --for 20s --available-min 0 -o json

What grows for longer than two minutes is judged; docs/CHAOS.md says how. Ctrl-C ends it with the report so far.
Exit codes: 0 within all bounds; 1 a bound was broken, a run went wrong, or something was left over;
2 usage, or a place that cannot be used; 129, 130, 143 ended by a signal";

/// Keep one engine under steady load, kill it now and then, and watch what grows and whether it answers
#[derive(Clone, Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// How long: `90s`, `2m`, `8h`, `24h`
    #[arg(long = "for", value_name = "TIME", default_value = "2m", value_parser = at_least_a_second)]
    pub(crate) length: Duration,
    /// Runs in flight
    #[arg(long, short, value_name = "N", default_value_t = 32, value_parser = value_parser!(u32).range(1..=100_000))]
    pub(crate) concurrency: u32,
    /// No more runs are begun in a second; as many as there is room for in flight unless given
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: Option<u32>,
    /// Kill the engine's process this often, with SIGKILL
    #[arg(long, value_name = "TIME", value_parser = at_least_a_second)]
    pub(crate) kill_every: Option<Duration>,
    /// Lose a bell, a call, the timers, a heartbeat or a host this often, in turn
    #[arg(long, value_name = "TIME", value_parser = at_least_a_second)]
    pub(crate) stall_every: Option<Duration>,
    /// Time between two samples
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = at_least_a_second)]
    pub(crate) sample: Duration,
    #[command(flatten)]
    pub(crate) bounds: Bounds,
    /// Where to make the working folder; the system's place for temporary files unless given
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
    /// Keep the working folder, whose path is printed, whatever came out; one in which a run went wrong is kept in any case
    #[arg(long)]
    pub(crate) keep: bool,
    /// Write the report with its plots into this file, one page that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// A table for people, with a line per sample, or one JSON object at the end
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) output: Format,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What must not be exceeded.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Bounds {
    /// What must stay level may grow by so many percent an hour
    #[arg(long, value_name = "PERCENT", default_value_t = 20.0, value_parser = percent)]
    pub(crate) growth_max: f64,
    /// So many percent of the probes must be answered in time, beside those that met a kill
    #[arg(long, value_name = "PERCENT", default_value_t = 99.0, value_parser = share)]
    pub(crate) available_min: f64,
    /// A probe, a run of one task from its submission to its end, is answered in time within this
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    pub(crate) within: Duration,
}

/// What the child is.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Role {
    #[command(name = "__victim", hide = true)]
    Victim(VictimRole),
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct VictimRole {
    #[arg(long)]
    pub(crate) parent: i32,
    #[arg(long)]
    pub(crate) data: PathBuf,
}

/// How the report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Table,
    Json,
}

fn time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write `500ms`, `90s` or `8h`"))
}

fn at_least_a_second(text: &str) -> Result<Duration, String> {
    let time = time(text)?;
    if time < Duration::from_secs(1) { Err("at least a second".to_owned()) } else { Ok(time) }
}

fn percent(text: &str) -> Result<f64, String> {
    let percent: f64 = text.trim_end_matches('%').parse().map_err(|_| "a number such as 20".to_owned())?;
    if percent.is_finite() && percent >= 0.0 { Ok(percent) } else { Err("not below 0".to_owned()) }
}

fn share(text: &str) -> Result<f64, String> {
    let share = percent(text)?;
    if share <= 100.0 { Ok(share) } else { Err("at most 100".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn usage_errors_are_told() {
        let wrong = [
            ["--for", "soon"],
            ["--sample", "1ms"],
            ["--available-min", "101"],
            ["--growth-max", "-1"],
            ["--kill-every", "1ms"],
            ["--rate", "0"],
        ];
        for wrong in wrong {
            assert!(Args::try_parse_from([&["soak"], &wrong[..]].concat()).is_err(), "{wrong:?}");
        }
        let args = Args::try_parse_from(["soak", "--growth-max", "30%"]).unwrap();
        assert_eq!(args.bounds.growth_max, 30.0);
    }
}
