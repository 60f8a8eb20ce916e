//! One series of a soak: what is looked at, and what may become of it.

use serde::Serialize;

use crate::{
    args::Bounds,
    sample::Sample,
    slope::{has_trend, median, theil_sen},
};

/// Slopes of less time than this are guesses.
const SHORT_S: f64 = 90.0;
/// And so are those of fewer samples.
const FEW: usize = 12;
/// A rise of less than this share of the median, over all that was watched, is noise.
const NOISE: f64 = 0.10;

/// What is held against the bound, in words.
pub(super) const RULE: &str = "a series breaks its bound if its slope (Theil-Sen, the first fifth left out as warm-up) exceeds the bound in an hour, is\n\
more than chance (Mann-Kendall, p < 0.01), and came to more than 10 % of the median, and the noise that is granted, while it was watched";

const MIB: f64 = 1_048_576.0;
/// Of the bytes of rows on disk, so many times are left out: sled's cache is larger than what it holds (a million rows of 200 B, which are
/// 200 MB, took 436 MB), and rows of finished runs stay, until there is retention.
const MEMORY_OF_ROWS: f64 = 2.0;
/// The thread that makes a base and a ledger segment holds what it gathers, and gives it back; in two minutes memory rose by up to 250 MiB
/// for a time.
const MEMORY_OF_A_BASE: f64 = 256.0;

/// What is asked of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Must {
    /// It must stay level; a rise of so much, in its unit, is granted as noise.
    StayLevel(f64),
    /// Its growth is told and is no failure: a machine that is busy, or a design that keeps, moves it.
    BeTold,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Trend {
    Level,
    /// It grows, and may.
    Grows,
    /// It grows, and must not.
    Broken,
}

impl Trend {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Level => "level",
            Self::Grows => "grows",
            Self::Broken => "BROKEN",
        }
    }
}

pub(super) struct Series {
    name: &'static str,
    of: fn(&Sample) -> f64,
    must: Must,
}

pub(super) const SERIES: &[Series] = &[
    Series { name: "rss MiB", of: |sample| sample.rss_kib as f64 / 1_024.0, must: Must::BeTold },
    Series { name: "  beyond rows", of: beyond_rows, must: Must::StayLevel(MEMORY_OF_A_BASE) },
    Series { name: "fds", of: |sample| sample.fds as f64, must: Must::StayLevel(8.0) },
    Series { name: "threads", of: |sample| sample.threads as f64, must: Must::StayLevel(8.0) },
    Series { name: "tasks", of: |sample| sample.tasks as f64, must: Must::StayLevel(64.0) },
    Series { name: "actors", of: |sample| sample.actors as f64, must: Must::StayLevel(64.0) },
    Series { name: "hosted", of: |sample| sample.hosted as f64, must: Must::StayLevel(64.0) },
    Series { name: "calls", of: |sample| sample.calls as f64, must: Must::StayLevel(64.0) },
    Series { name: "us CPU/run", of: |sample| sample.cpu_us_per_run, must: Must::BeTold },
    Series { name: "runs/s", of: |sample| sample.runs_per_s, must: Must::BeTold },
    Series { name: "p50 ms", of: |sample| sample.p50_ms, must: Must::BeTold },
    Series { name: "p99 ms", of: |sample| sample.p99_ms, must: Must::BeTold },
    Series { name: "disk MiB", of: |sample| sample.disk.total() as f64 / MIB, must: Must::BeTold },
    Series { name: "  journal", of: |sample| sample.disk.journal as f64 / MIB, must: Must::BeTold },
    Series { name: "  rows", of: |sample| sample.disk.rows as f64 / MIB, must: Must::BeTold },
    Series { name: "  bases", of: |sample| sample.disk.bases as f64 / MIB, must: Must::BeTold },
    Series { name: "  ledger", of: |sample| sample.disk.ledger as f64 / MIB, must: Must::BeTold },
    Series { name: "  artifacts", of: |sample| sample.disk.artifacts as f64 / MIB, must: Must::BeTold },
    Series { name: "  other", of: |sample| sample.disk.other as f64 / MIB, must: Must::BeTold },
];

/// Memory, without what the rows on disk account for.
fn beyond_rows(sample: &Sample) -> f64 {
    (sample.rss_kib as f64 / 1_024.0 - MEMORY_OF_ROWS * sample.disk.rows as f64 / MIB).max(0.0)
}

/// What is said of a series.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    #[serde(serialize_with = "trimmed")]
    pub(super) name: &'static str,
    pub(super) first: f64,
    pub(super) last: f64,
    pub(super) median: f64,
    pub(super) slope_per_hour: f64,
    /// The slope as a share of the median, in percent.
    pub(super) growth_per_hour: f64,
    /// Of that growth, in percent; none for what may grow.
    pub(super) bound: Option<f64>,
    pub(super) trend: Trend,
}

fn trimmed<S: serde::Serializer>(name: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.trim())
}

impl Figures {
    pub(super) fn sentence(&self) -> String {
        let Self { name, growth_per_hour, bound, first, last, .. } = self;
        let (name, bound) = (name.trim(), bound.unwrap_or_default());
        format!(
            "{name} grows by {growth_per_hour:.1} % an hour ({first:.1}, then {last:.1}), and the bound is {bound} %"
        )
    }
}

impl Series {
    /// Ends of all samples, slopes of those after the warm-up.
    pub(super) fn figures(&self, all: &[&Sample], steady: &[&Sample], bounds: &Bounds) -> Figures {
        let points: Vec<_> =
            steady.iter().map(|sample| (sample.at.as_secs_f64() / 3_600.0, (self.of)(sample))).collect();
        let median = median(points.iter().map(|(_, value)| *value).collect()).unwrap_or(0.0);
        let slope_per_hour = theil_sen(&points).unwrap_or(0.0);
        let growth_per_hour = if median == 0.0 { 0.0 } else { slope_per_hour * 100.0 / median };
        let watched_h = points.last().zip(points.first()).map_or(0.0, |(last, first)| last.0 - first.0);
        let rise = slope_per_hour * watched_h;
        let grows = rise > NOISE * median && has_trend(&points);
        let trend = match self.must {
            Must::StayLevel(granted) if grows && rise > granted && growth_per_hour > bounds.growth_max => Trend::Broken,
            Must::BeTold | Must::StayLevel(_) if grows => Trend::Grows,
            Must::BeTold | Must::StayLevel(_) => Trend::Level,
        };
        let bound = matches!(self.must, Must::StayLevel(_)).then_some(bounds.growth_max);
        let end = |sample: Option<&&Sample>| sample.map_or(0.0, |sample| (self.of)(sample));
        let (first, last) = (end(all.first()), end(all.last()));
        Figures { name: self.name, first, last, median, slope_per_hour, growth_per_hour, bound, trend }
    }
}

/// Whether slopes can be told from guesses.
pub(super) fn is_long_enough(steady: &[&Sample]) -> bool {
    let watched = steady.last().zip(steady.first()).map_or(0.0, |(last, first)| (last.at - first.at).as_secs_f64());
    watched >= SHORT_S && steady.len() >= FEW
}
