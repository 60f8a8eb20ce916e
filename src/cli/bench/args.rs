//! What `headframe bench` takes, and which of it a workload knows.

use std::{path::PathBuf, time::Duration};

use clap::ValueEnum;
use headframe::durable;

/// Measure how fast runs go on this machine, next to what its disk allows
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Workloads:
  w1  sequential: runs of 10 no-op tasks, so many in flight
  w2  fan-out: one task over so many items, again and again
  w3  restart: a process with so many runs is killed, and another takes over
  w4  asleep: so many runs that wait for a durable timer
  w5  latency: one run of one task, again and again
  w6  messages: durable tells and asks, and actors that tell each other
  w7  workers: a tool with 1, 10, 50 and 100 permits whose call takes 100 ms

Examples:
  headframe bench --workload w1 --concurrency 100 --seconds 5
  headframe bench -c 1 -s 3 -o json
  headframe bench -s 3 --effect idempotent,verify,at_most_once
  headframe bench -c 100 -s 5 --aged 100000
  headframe bench --workload w2 --items 1000 -s 3
  headframe bench --workload w3 --runs 10000 --state asleep --rebuild
  headframe bench --workload w3 --runs 200 --state working
  headframe bench --workload w4 --runs 10000
  headframe bench --workload w5 -s 3 --warmup 1
  headframe bench --workload w6 -c 1000 -s 3
  headframe bench --workload w7 --workers 1,10 -s 3
  headframe bench --quick -o json > before.json
  headframe bench --quick --compare before.json --at-least 0.7")]
pub(crate) struct Args {
    /// What to do
    #[arg(long, value_enum, default_value_t = Workload::W1)]
    pub(crate) workload: Workload,
    /// Runs in flight (w1), tasks in flight (w2), submissions at once (w3, w4), or senders and actors (w6) [default: 100; w3, w4: 1000]
    #[arg(long, short, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    concurrency: Option<u32>,
    /// Seconds to measure for (w1, w2, w5, each kind of message of w6, each number of workers of w7) [default: 5]
    #[arg(long, short, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: Option<u32>,
    /// Finish so many runs of one task after a measurement, and measure again (w1): what age costs
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    aged: Option<u32>,
    /// Seconds of the same work before measuring (w1, w2, w5, w6, w7) [default: 0]
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    warmup: Option<u32>,
    /// Bytes that each task is given and gives back (w1, w5), or of each message (w6) [default: 32]
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..=65_536))]
    payload: Option<u32>,
    /// What the tool promises about repeats (w1, w2, w5); several, with commas, are measured one after the other
    /// [default: idempotent]
    #[arg(long, value_enum, value_delimiter = ',')]
    effect: Vec<Effect>,
    /// Items to fan out over (w2) [default: 1000]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    items: Option<u32>,
    /// Runs in all (w3, w4) [default: 10000]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    runs: Option<u32>,
    /// What the runs do when their process is killed (w3) [default: begun]
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Remove the rows after the kill, so that they are built again from base and journal (w3)
    #[arg(long)]
    pub(crate) rebuild: bool,
    /// How many calls a tool does at once, one measurement each (w7) [default: 1,10,50,100]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=10_000))]
    workers: Vec<u32>,
    /// A few seconds of each workload that a change could slow down: w1 with 1, 100 and 1,000 runs in flight, w2, w5 and w6
    #[arg(long, conflicts_with_all = ["workload", "concurrency", "seconds", "aged", "warmup", "payload", "effect", "items", "runs", "state", "rebuild", "workers"])]
    quick: bool,
    /// Say what became of each figure since an earlier measurement: a file that `bench -o json` wrote
    #[arg(long, value_name = "FILE")]
    pub(crate) compare: Option<PathBuf>,
    /// Exit with 1 if a share of the disk's limit is less than so much of what it was
    #[arg(long, value_name = "RATIO", requires = "compare")]
    pub(crate) at_least: Option<f64>,
    /// Where to put the store that is measured: a folder inside this one, removed afterwards
    #[arg(long, default_value = ".")]
    pub(crate) dir: PathBuf,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// Runs of 10 sequential no-op tasks
    W1,
    /// One task over many items
    W2,
    /// A kill, and what follows
    W3,
    /// Runs that sleep
    W4,
    /// One run of one task, again and again
    W5,
    /// Durable messages
    W6,
    /// Workers whose task takes 100 ms
    W7,
}

/// What a tool promises about repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum Effect {
    /// Called again with the same key
    Idempotent,
    /// A probe is asked first
    Verify,
    /// Never called again
    AtMostOnce,
}

impl From<Effect> for durable::Effect {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Idempotent => Self::IDEMPOTENT,
            Effect::Verify => Self::VERIFY,
            Effect::AtMostOnce => Self::AtMostOnce,
        }
    }
}

/// What runs do when their process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// They sleep for a month
    Asleep,
    /// Each waits for the answer to its first and only call
    Begun,
    /// They do 10 tasks of 50 ms each, and half of all tasks are done
    Working,
}

impl Args {
    pub(crate) fn concurrency(&self) -> u32 {
        let many = matches!(self.workload, Workload::W3 | Workload::W4);
        self.concurrency.unwrap_or(if many { 1_000 } else { 100 })
    }

    pub(crate) fn length(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(5).into())
    }

    pub(crate) fn warmup(&self) -> Option<Duration> {
        self.warmup.filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(seconds.into()))
    }

    pub(crate) fn aged(&self) -> Option<u32> {
        self.aged
    }

    pub(crate) fn payload(&self) -> u32 {
        self.payload.unwrap_or(32)
    }

    pub(crate) fn effect(&self) -> Effect {
        self.effect.first().copied().unwrap_or(Effect::Idempotent)
    }

    /// One measurement for each promise that was named, or the few short ones.
    pub(crate) fn each(&self) -> Vec<Self> {
        if self.quick {
            let short = Self { seconds: Some(2), warmup: Some(1), quick: false, ..self.clone() };
            let w1 = [1, 100, 1_000].map(|runs| Self { concurrency: Some(runs), ..short.clone() });
            let others = [Workload::W2, Workload::W5, Workload::W6].map(|workload| Self { workload, ..short.clone() });
            return w1.into_iter().chain(others).collect();
        }
        match self.effect.len() {
            0 => vec![self.clone()],
            _ => self.effect.iter().map(|effect| Self { effect: vec![*effect], ..self.clone() }).collect(),
        }
    }

    /// Whether the reports are of one workload and differ by what the tool promises.
    pub(crate) fn differ_by_effect(&self) -> bool {
        !self.quick
    }

    pub(crate) fn items(&self) -> u32 {
        self.items.unwrap_or(1_000)
    }

    pub(crate) fn runs(&self) -> u32 {
        self.runs.unwrap_or(10_000)
    }

    pub(crate) fn state(&self) -> State {
        self.state.unwrap_or(State::Begun)
    }

    pub(crate) fn workers(&self) -> Vec<u32> {
        if self.workers.is_empty() { vec![1, 10, 50, 100] } else { self.workers.clone() }
    }

    /// Refuse what the workload would not look at, because whoever gave it expects that it matters.
    pub(crate) fn must_fit(&self) -> Result<(), String> {
        use Workload::{W1, W2, W3, W4, W5, W6, W7};
        let given: [(&str, bool, &[Workload]); 10] = [
            ("--concurrency", self.concurrency.is_some(), &[W1, W2, W3, W4, W6]),
            ("--seconds", self.seconds.is_some(), &[W1, W2, W5, W6, W7]),
            ("--aged", self.aged.is_some(), &[W1]),
            ("--warmup", self.warmup.is_some(), &[W1, W2, W5, W6, W7]),
            ("--payload", self.payload.is_some(), &[W1, W5, W6]),
            ("--effect", !self.effect.is_empty(), &[W1, W2, W5]),
            ("--items", self.items.is_some(), &[W2]),
            ("--runs", self.runs.is_some(), &[W3, W4]),
            ("--state", self.state.is_some(), &[W3]),
            ("--rebuild", self.rebuild, &[W3]),
        ];
        let workers = ("--workers", !self.workers.is_empty(), &[W7][..]);
        let stray =
            given.into_iter().chain([workers]).find(|(_, given, known)| *given && !known.contains(&self.workload));
        stray.map_or(Ok(()), |(flag, _, known)| {
            let known: Vec<_> = known.iter().map(|workload| workload.name()).collect();
            Err(format!("{flag} means nothing to workload {}; it is for {}", self.workload.name(), known.join(", ")))
        })
    }
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Asleep => "asleep",
            Self::Begun => "begun",
            Self::Working => "working",
        }
    }
}

impl Workload {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn fits(line: &str) -> Result<(), String> {
        Line::try_parse_from(line.split(' ')).unwrap().args.must_fit()
    }

    #[test]
    fn a_flag_that_a_workload_would_not_look_at_is_refused() {
        assert_eq!(fits("bench -c 4 -s 1"), Ok(()));
        assert_eq!(fits("bench --workload w3 --runs 4 --state asleep --rebuild"), Ok(()));
        for line in ["bench --runs 4", "bench --workload w4 -s 1", "bench --workload w5 -c 2", "bench --rebuild"] {
            let refused = fits(line).unwrap_err();
            assert!(refused.contains("means nothing to workload w"), "{line}: {refused}");
        }
    }
}
