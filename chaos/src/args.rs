//! The command line. The roles of the children are hidden: only the parent starts them.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand, ValueEnum, value_parser};

use crate::fault::{Fault, Faults};

const EXAMPLES: &str = "\
Examples:
  headframe-chaos                               fifty kills, every fault, and a seed of its own
  headframe-chaos --kills 300 --seed 7 --html chaos.html
  headframe-chaos --for 10m --dir /var/tmp      as many kills as fit
  headframe-chaos --kills 20 --only clock,stop  these two, and kills
  headframe-chaos --kills 10 -o json

What is checked: I1 to I8 and I12, each by its name; docs/CHAOS.md says how, and what each fault does.
Exit codes: 0 every promise that was put to the test held; 1 one was broken, or there was no verdict;
2 usage, or a place that cannot be used; 129, 130, 143 ended by a signal";

/// Kill a Headframe engine with SIGKILL again and again, and prove that nothing was lost and nothing happened twice
#[derive(Clone, Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// How often the victim is killed; one kill in five strikes during start-up [default: 50]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1_000_000))]
    kills: Option<u32>,
    /// Kill for so long (`90s`, `10m`, `8h`), then let everything end
    #[arg(long = "for", value_name = "TIME", conflicts_with = "kills", value_parser = length)]
    length: Option<Duration>,
    /// Draws the times of the kills, the workload and the decisions; random unless given, and always printed
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Runs that the client keeps in flight
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) runs_in_flight: u32,
    /// Faults that strike beside kills; all of them unless some are named (repeat it, or separate them by commas)
    #[arg(long, value_name = "FAULT", value_enum, value_delimiter = ',')]
    only: Vec<Fault>,
    /// Write a page with the verdict, the figures and a timeline, which needs nothing else to be read
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Where to make the working folder; the system's place for temporary files unless given
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
    /// Keep the working folder, whose path is printed, whatever came out
    #[arg(long)]
    pub(crate) keep: bool,
    /// Put a known bug in, to see that it is found
    #[arg(long, hide = true)]
    pub(crate) mutant: Option<Mutant>,
    /// A table for people, or one JSON object
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) output: Format,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// A bug on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mutant {
    /// Tools that say they are idempotent forget what they did.
    ForgetfulTools,
}

/// How the report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Table,
    Json,
}

/// When enough was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    Kills(u32),
    Over(Duration),
}

impl Args {
    pub(crate) fn faults(&self) -> Faults {
        Faults::named(&self.only)
    }

    /// Whether some faults were named.
    pub(crate) fn chooses(&self) -> bool {
        !self.only.is_empty()
    }

    pub(crate) fn until(&self) -> Until {
        self.length.map_or(Until::Kills(self.kills.unwrap_or(50)), Until::Over)
    }
}

fn length(text: &str) -> Result<Duration, String> {
    let length = humantime::parse_duration(text).map_err(|error| format!("{error}; write `90s`, `10m` or `8h`"))?;
    let is_sane = (Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 3_600)).contains(&length);
    if is_sane { Ok(length) } else { Err("from a second to a week".to_owned()) }
}

/// What a child of the parent is.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Role {
    #[command(name = "__recorder", hide = true)]
    Recorder(RecorderRole),
    #[command(name = "__victim", hide = true)]
    Victim(VictimRole),
    #[command(name = "__starter", hide = true)]
    Starter(StarterRole),
    /// A program that a task starts.
    #[command(name = "__program", hide = true)]
    Program(ProgramRole),
    /// A program that says whether another one did what it was to do.
    #[command(name = "__probe", hide = true)]
    Probe(ProbeRole),
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RecorderRole {
    #[arg(long)]
    pub(crate) parent: i32,
    #[arg(long)]
    pub(crate) socket: PathBuf,
    #[arg(long)]
    pub(crate) mutant: Option<Mutant>,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct VictimRole {
    #[arg(long)]
    pub(crate) parent: i32,
    #[arg(long)]
    pub(crate) socket: PathBuf,
    #[arg(long)]
    pub(crate) data: PathBuf,
    #[arg(long)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) birth: Birth,
}

/// What one life is born into.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub(crate) struct Birth {
    /// Its number.
    #[arg(long)]
    pub(crate) life: u32,
    /// The faults that strike from within.
    #[arg(long, value_enum)]
    pub(crate) faults: Vec<Fault>,
    /// How far its wall clock is ahead of the machine's.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) ahead_ms: i64,
    /// The latest time that a former life may have written down, in milliseconds since 1970.
    #[arg(long, default_value_t = 0)]
    pub(crate) latest_ms: u64,
    /// Its disk will be full for a while: what is refused is sent again.
    #[arg(long)]
    pub(crate) patient: bool,
    /// Its files are small, so that segments, bases and checkpoints are made within its life.
    #[arg(long)]
    pub(crate) small_files: bool,
}

/// A start on a folder that was damaged.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct StarterRole {
    #[arg(long)]
    pub(crate) parent: i32,
    #[arg(long)]
    pub(crate) data: PathBuf,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ProgramRole {
    #[arg(long)]
    pub(crate) socket: PathBuf,
    #[arg(long)]
    pub(crate) tool: String,
    #[arg(long)]
    pub(crate) label: String,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ProbeRole {
    #[arg(long)]
    pub(crate) socket: PathBuf,
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
        assert!(Args::try_parse_from(["chaos", "--kills", "0"]).is_err());
        assert!(Args::try_parse_from(["chaos", "--seed", "-3"]).is_err());
        assert!(Args::try_parse_from(["chaos", "everything"]).is_err());
        assert!(Args::try_parse_from(["chaos", "--for", "soon"]).is_err());
        assert!(Args::try_parse_from(["chaos", "--for", "10ms"]).is_err());
        assert!(Args::try_parse_from(["chaos", "--for", "10s", "--kills", "3"]).is_err());
        assert!(Args::try_parse_from(["chaos", "--only", "everything"]).is_err());
    }

    #[test]
    fn faults_are_named_one_by_one_or_in_a_list() {
        let list = |args: &[&str]| Args::try_parse_from([&["chaos"], args].concat()).unwrap().faults().list();
        assert_eq!(list(&["--only", "stop,clock"]), "kill,clock,stop");
        assert_eq!(list(&["--only", "stop", "--only", "clock"]), "kill,clock,stop");
        assert_eq!(list(&[]), Faults::named(&[]).list());
    }

    #[test]
    fn fifty_kills_are_enough_unless_somebody_says_otherwise() {
        let until = |args: &[&str]| Args::try_parse_from([&["chaos"], args].concat()).unwrap().until();
        assert_eq!(until(&[]), Until::Kills(50));
        assert_eq!(until(&["--kills", "7"]), Until::Kills(7));
        assert_eq!(until(&["--for", "2m"]), Until::Over(Duration::from_secs(120)));
    }
}
