//! The command line. The roles of the children are hidden: only the parent starts them.

use std::path::PathBuf;

use clap::{Parser, Subcommand, value_parser};

/// Kill a Headframe engine with SIGKILL again and again, and prove that nothing was lost and nothing happened twice
#[derive(Clone, Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  headframe-chaos --kills 50 --seed 7\n  headframe-chaos --kills 10 --actors --json\n  headframe-chaos --seed 7 --dir /var/tmp --keep\n\nExit codes: 0 every promise held, 1 one was broken (or the run could not be made), 2 usage, 130 interrupted"
)]
pub(crate) struct Args {
    /// How often the victim is killed; one kill in five strikes during start-up
    #[arg(long, default_value_t = 50, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub(crate) kills: u32,
    /// Draws the times of the kills, the workload and the decisions; random unless given, and always printed
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Runs that the client keeps in flight
    #[arg(long, default_value_t = 32, value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) runs_in_flight: u32,
    /// Also kill actors inside the victim: hosts, and the actors before the tools
    #[arg(long)]
    pub(crate) actors: bool,
    /// Where to make the working folder; the system's place for temporary files unless given
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
    /// Keep the working folder, whose path is printed
    #[arg(long)]
    pub(crate) keep: bool,
    /// Print one JSON object instead of the table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What a child of the parent is.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Role {
    #[command(name = "__recorder", hide = true)]
    Recorder(RecorderRole),
    #[command(name = "__victim", hide = true)]
    Victim(VictimRole),
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RecorderRole {
    #[arg(long)]
    pub(crate) parent: i32,
    #[arg(long)]
    pub(crate) socket: PathBuf,
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
    #[arg(long)]
    pub(crate) life: u32,
    #[arg(long)]
    pub(crate) actors: bool,
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
    }
}
