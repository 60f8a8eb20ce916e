//! What can go wrong on purpose, beside the process kill that ends every life.
//!
//! **Invariant:** a fault that was not chosen never strikes; one that was chosen and never struck is told as such.

use std::collections::BTreeSet;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    /// The process is killed with SIGKILL: ends every life, also when only others are chosen
    Kill,
    /// Actors inside the process are killed by id: hosts of runs, phases and tasks, and the actors before tools
    Actors,
    /// Programs that tasks started are killed with SIGKILL, from outside
    Programs,
    /// Tools never answer: past their time limit, without a heartbeat, or deaf to being asked to stop
    Hangs,
    /// The wall clock is set, between lives and within one: from a day back to 400 days ahead
    Clock,
    /// The whole process is stopped with SIGSTOP for a while
    Stop,
    /// The disk is full for a while (a small tmpfs; needs user namespaces)
    FullDisk,
    /// A file of the dead process is damaged, and what a start says of that is looked at
    Corrupt,
}

impl Fault {
    pub(crate) const ALL: [Self; 8] =
        [Self::Kill, Self::Actors, Self::Programs, Self::Hangs, Self::Clock, Self::Stop, Self::FullDisk, Self::Corrupt];

    /// As it is written on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Actors => "actors",
            Self::Programs => "programs",
            Self::Hangs => "hangs",
            Self::Clock => "clock",
            Self::Stop => "stop",
            Self::FullDisk => "full-disk",
            Self::Corrupt => "corrupt",
        }
    }

    /// What strikes.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Kill => "processes killed",
            Self::Actors => "actors killed by id",
            Self::Programs => "programs of tasks killed",
            Self::Hangs => "tools that hang",
            Self::Clock => "wall clock set",
            Self::Stop => "process stopped (SIGSTOP)",
            Self::FullDisk => "disk full",
            Self::Corrupt => "files damaged",
        }
    }

    /// From when to when a recovery is measured.
    pub(crate) fn recovery(self) -> &'static str {
        match self {
            Self::Kill => "spawn to the first answer to a client",
            Self::Actors => "kill to being hosted again, or called through",
            Self::Programs => "kill to the end of its run",
            Self::Hangs => "begin of the call to its next attempt",
            Self::Clock => "setting it to the next answer",
            Self::Stop => "SIGCONT to the next answer",
            Self::FullDisk => "room again to the next answer",
            Self::Corrupt => "one start on the damaged folder, read to the end",
        }
    }
}

/// Which faults strike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Faults(BTreeSet<Fault>);

impl Faults {
    /// All, if none is named; those that are named and the kill otherwise.
    pub(crate) fn named(only: &[Fault]) -> Self {
        if only.is_empty() {
            return Self(Fault::ALL.into());
        }
        Self(only.iter().copied().chain([Fault::Kill]).collect())
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }

    pub(crate) fn without(mut self, fault: Fault) -> Self {
        self.0.remove(&fault);
        self
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Fault> {
        self.0.iter().copied()
    }

    /// As `--only` takes them.
    pub(crate) fn list(&self) -> String {
        self.iter().map(Fault::name).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_strikes_unless_some_are_named_and_the_kill_always_does() {
        assert!(Fault::ALL.into_iter().all(|fault| Faults::named(&[]).has(fault)));
        assert_eq!(Faults::named(&[Fault::Clock]).list(), "kill,clock");
    }

    #[test]
    fn a_fault_is_written_as_it_is_told() {
        for fault in Fault::ALL {
            assert_eq!(Fault::from_str(fault.name(), false), Ok(fault));
            assert_eq!(serde_json::to_value(fault).unwrap(), fault.name());
        }
    }
}
