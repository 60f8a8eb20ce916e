//! One series of a soak: what is looked at, and what may become of it.

use serde::Serialize;

use crate::{
    args::Bounds,
    sample::Sample,
    slope::{Block, has_trend, median, theil_sen},
};

/// This share of the samples of a life is warming up.
const WARM_UP: usize = 5;
/// Slopes of less time than this are guesses.
const SHORT_S: f64 = 90.0;
/// And so are those of fewer samples.
const FEW: usize = 12;
/// From so many lives on, their levels can have a trend that is more than chance.
const LIVES: usize = 6;
/// A rise of less than this share of the median, over all that was watched, is noise.
const NOISE: f64 = 0.10;

/// What is held against the bound, in words.
pub(super) const RULE: &str = "a series breaks its bound if its slope (Theil-Sen, the first fifth of each life left out as warm-up) exceeds the bound in an hour,\n\
is more than chance (Mann-Kendall, p < 0.01), and came to more than 10 % of the median, and the noise that is granted, while it was watched; what a kill\n\
resets is held against it within the lives, and its level from life to life (from six lives on)";

const MIB: f64 = 1_048_576.0;
/// Of the bytes of rows on disk, so many times are left out: sled's cache is larger than what it holds (a million rows of 200 B, which are
/// 200 MB, took 436 MB), and rows of finished runs stay, because a soak asks for no retention.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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

/// What a kill does to a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kill {
    /// It begins anew.
    Resets,
    /// It goes on.
    LeavesIt,
}

pub(super) struct Series {
    pub(super) name: &'static str,
    pub(super) of: fn(&Sample) -> f64,
    kill: Kill,
    must: Must,
}

const fn resets(name: &'static str, of: fn(&Sample) -> f64, must: Must) -> Series {
    Series { name, of, kill: Kill::Resets, must }
}

const fn told(name: &'static str, of: fn(&Sample) -> f64) -> Series {
    Series { name, of, kill: Kill::LeavesIt, must: Must::BeTold }
}

pub(super) const SERIES: &[Series] = &[
    resets("rss MiB", |sample| sample.rss_kib as f64 / 1_024.0, Must::BeTold),
    resets("  beyond rows", beyond_rows, Must::StayLevel(MEMORY_OF_A_BASE)),
    resets("fds", |sample| sample.fds as f64, Must::StayLevel(8.0)),
    resets("threads", |sample| sample.threads as f64, Must::StayLevel(8.0)),
    resets("tasks", |sample| sample.tasks as f64, Must::StayLevel(64.0)),
    resets("actors", |sample| sample.actors as f64, Must::StayLevel(64.0)),
    resets("hosted", |sample| sample.hosted as f64, Must::StayLevel(64.0)),
    resets("calls", |sample| sample.calls as f64, Must::StayLevel(64.0)),
    told("us CPU/run", |sample| sample.cpu_us_per_run),
    told("runs/s", |sample| sample.runs_per_s),
    told("p50 ms", |sample| sample.p50_ms),
    told("p99 ms", |sample| sample.p99_ms),
    told("disk MiB", |sample| sample.disk.total() as f64 / MIB),
    told("  journal", |sample| sample.disk.journal as f64 / MIB),
    told("  rows", |sample| sample.disk.rows as f64 / MIB),
    told("  bases", |sample| sample.disk.bases as f64 / MIB),
    told("  ledger", |sample| sample.disk.ledger as f64 / MIB),
    told("  artifacts", |sample| sample.disk.artifacts as f64 / MIB),
    told("  other", |sample| sample.disk.other as f64 / MIB),
    told("disk KiB/run", disk_per_run),
];

/// All that lies on disk, for each run that has ended.
pub(super) fn disk_per_run(sample: &Sample) -> f64 {
    sample.disk.total() as f64 / 1_024.0 / sample.runs.max(1) as f64
}

/// Memory, without what the rows on disk account for.
pub(super) fn beyond_rows(sample: &Sample) -> f64 {
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
    /// Within the lives, if a kill resets it.
    pub(super) slope_per_hour: f64,
    /// The slope as a share of the median, in percent.
    pub(super) growth_per_hour: f64,
    /// That of the level from life to life, in percent; none of fewer than six lives, and of what a kill leaves as it is.
    pub(super) growth_between_lives: Option<f64>,
    /// Of that growth, in percent; none for what may grow.
    pub(super) bound: Option<f64>,
    pub(super) trend: Trend,
}

fn trimmed<S: serde::Serializer>(name: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.trim())
}

impl Figures {
    pub(super) fn sentence(&self) -> String {
        let Self { name, growth_per_hour, growth_between_lives, bound, first, last, .. } = self;
        let (name, bound) = (name.trim(), bound.unwrap_or_default());
        let between = growth_between_lives.map(|between| format!(", and by {between:.1} % from life to life"));
        let between = between.unwrap_or_default();
        format!(
            "{name} grows by {growth_per_hour:.1} % an hour{between} ({first:.1}, then {last:.1}), and the bound is {bound} %"
        )
    }
}

/// A slope, and what it came to.
#[derive(Clone, Copy, Debug)]
struct Rise {
    per_hour: f64,
    percent: f64,
    trend: Trend,
}

impl Series {
    /// Ends of all samples, slopes of those after the warm-up of each life.
    pub(super) fn figures(&self, all: &[&Sample], steady: &[Vec<&Sample>], bounds: &Bounds) -> Figures {
        let blocks: Vec<Block> =
            steady.iter().map(|life| life.iter().map(|sample| self.point(sample)).collect()).collect();
        let median = median(blocks.iter().flatten().map(|(_, value)| *value).collect()).unwrap_or(0.0);
        let (rise, between) = match self.kill {
            Kill::Resets => (self.rise(&blocks, median, bounds), self.between(&blocks, median, bounds)),
            Kill::LeavesIt => (self.rise(&[blocks.concat()], median, bounds), None),
        };
        let end = |sample: Option<&&Sample>| sample.map_or(0.0, |sample| (self.of)(sample));
        Figures {
            name: self.name,
            first: end(all.first()),
            last: end(all.last()),
            median,
            slope_per_hour: rise.per_hour,
            growth_per_hour: rise.percent,
            growth_between_lives: between.map(|between| between.percent),
            bound: matches!(self.must, Must::StayLevel(_)).then_some(bounds.growth_max),
            trend: between.map_or(rise.trend, |between| between.trend.max(rise.trend)),
        }
    }

    fn point(&self, sample: &Sample) -> (f64, f64) {
        (sample.at.as_secs_f64() / 3_600.0, (self.of)(sample))
    }

    /// From life to life: the middle of each.
    fn between(&self, blocks: &[Block], overall: f64, bounds: &Bounds) -> Option<Rise> {
        let level = |life: &Block| {
            let (first, last) = (life.first()?, life.last()?);
            Some(((first.0 + last.0) / 2.0, median(life.iter().map(|(_, value)| *value).collect())?))
        };
        let levels: Block = blocks.iter().filter_map(level).collect();
        (levels.len() >= LIVES).then(|| self.rise(&[levels], overall, bounds))
    }

    fn rise(&self, blocks: &[Block], median: f64, bounds: &Bounds) -> Rise {
        let per_hour = theil_sen(blocks).unwrap_or(0.0);
        let percent = if median == 0.0 { 0.0 } else { per_hour * 100.0 / median };
        // What it came to is reset with the life; the longest saw most of it.
        let watched = |life: &Block| life.last().zip(life.first()).map_or(0.0, |(last, first)| last.0 - first.0);
        let rise = per_hour * blocks.iter().map(watched).fold(0.0, f64::max);
        let grows = rise > NOISE * median && has_trend(blocks);
        let trend = match self.must {
            Must::StayLevel(granted) if grows && rise > granted && percent > bounds.growth_max => Trend::Broken,
            Must::BeTold | Must::StayLevel(_) if grows => Trend::Grows,
            Must::BeTold | Must::StayLevel(_) => Trend::Level,
        };
        Rise { per_hour, percent, trend }
    }
}

/// The samples of each life, without the first fifth of it.
pub(super) fn steady<'a>(all: &[&'a Sample]) -> Vec<Vec<&'a Sample>> {
    let lives = all.chunk_by(|one, other| one.life == other.life);
    lives.map(|life| life[life.len() / WARM_UP..].to_vec()).collect()
}

/// Whether slopes can be told from guesses.
pub(super) fn is_long_enough(steady: &[Vec<&Sample>]) -> bool {
    let is_long = |life: &Vec<&Sample>| {
        let watched = life.last().zip(life.first()).map_or(0.0, |(last, first)| (last.at - first.at).as_secs_f64());
        watched >= SHORT_S && life.len() >= FEW
    };
    steady.iter().any(is_long)
}
