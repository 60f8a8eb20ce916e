//! The end of a soak: first, last and slope of each series, the bounds, and the verdict.
//!
//! **Invariant:** every bound is said beside what it was held against, and what was too short to be judged is not called
//! good.

mod series;
#[cfg(test)]
mod tests;

use std::fmt;

use comfy_table::{Table, presets::NOTHING};
use serde::Serialize;

use self::series::{Figures, SERIES, Trend};
use crate::{args::Bounds, probe::Answered, sample::Sample, samples::Samples};

/// This share of the samples is warming up.
const WARM_UP: usize = 5;

/// How it came to its end.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    /// The time was over.
    Over,
    /// A signal, by the exit code that a shell shows for it.
    Interrupted(u8),
    /// A run did not succeed, or nothing could be measured.
    Failed(String),
}

/// What a soak found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    end: End,
    seconds: f64,
    runs: u64,
    available: Available,
    series: Vec<Figures>,
    /// Growth per finished run, in bytes.
    memory_per_run: Option<f64>,
    disk_per_run: Option<f64>,
    /// Actors and calls, when all runs had ended; none if that was not waited for.
    left_over: Option<usize>,
    /// Whether it was long enough to judge what grows.
    judges_growth: bool,
    /// In sentences; none is good.
    broken: Vec<String>,
    samples_seen: u64,
    samples: Vec<Sample>,
}

/// Probes, and the bound.
#[derive(Clone, Debug, Serialize)]
struct Available {
    sent: u64,
    in_time: u64,
    percent: f64,
    percent_min: f64,
    within_ms: f64,
}

impl Report {
    pub(crate) fn new(
        samples: &Samples,
        answered: Answered,
        left_over: Option<usize>,
        bounds: &Bounds,
        end: End,
    ) -> Self {
        let all = samples.all();
        let steady = &all[all.len() / WARM_UP..];
        let judges_growth = series::is_long_enough(steady);
        let series: Vec<_> = SERIES.iter().map(|series| series.figures(&all, steady, bounds)).collect();
        let available = Available {
            sent: answered.sent,
            in_time: answered.in_time,
            percent: answered.share(),
            percent_min: bounds.available_min,
            within_ms: bounds.within.as_secs_f64() * 1_000.0,
        };
        let (memory_per_run, disk_per_run) = per_run(steady).unzip();
        let last = all.last();
        let mut report = Self {
            end,
            seconds: last.map_or(0.0, |last| last.at.as_secs_f64()),
            runs: last.map_or(0, |last| last.runs),
            available,
            series,
            memory_per_run,
            disk_per_run,
            left_over,
            judges_growth,
            broken: Vec::new(),
            samples_seen: samples.seen(),
            samples: all.into_iter().cloned().collect(),
        };
        report.broken = report.what_broke();
        report
    }

    fn what_broke(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if let End::Failed(why) = &self.end {
            broken.push(why.clone());
        }
        let Available { percent, percent_min, within_ms, .. } = self.available;
        if percent < percent_min {
            broken.push(format!(
                "{percent:.2} % of the probes were answered within {within_ms:.0} ms, and the bound is {percent_min} %"
            ));
        }
        let grow = self.series.iter().filter(|figures| figures.trend == Trend::Broken && self.judges_growth);
        broken.extend(grow.map(Figures::sentence));
        if let Some(left @ 1..) = self.left_over {
            broken.push(format!("{left} actors and calls are left over"));
        }
        broken
    }

    pub(crate) fn is_good(&self) -> bool {
        self.broken.is_empty()
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_header(["", "first", "last", "median", "slope per hour", "growth per hour", "bound", ""]);
        for figures in &self.series {
            let Figures { name, first, last, median, slope_per_hour, growth_per_hour, bound, trend, .. } = figures;
            let numbers = [first, last, median].map(|number| format!("{number:.1}"));
            let growth = format!("{:+.1} %", growth_per_hour);
            let bound = bound.map(|bound| format!("{bound} %")).unwrap_or_default();
            let trend = if self.judges_growth { trend.word() } else { "" };
            let [first, last, median] = numbers;
            let row = [(*name).to_owned(), first, last, median, format!("{slope_per_hour:+.2}"), growth, bound];
            table.add_row(row.into_iter().chain([trend.to_owned()]));
        }
        table
    }
}

/// Growth per finished run, in bytes, of memory and of disk.
fn per_run(steady: &[&Sample]) -> Option<(f64, f64)> {
    let (first, last) = (steady.first()?, steady.last()?);
    let runs = (last.runs - first.runs) as f64;
    let (rss, disk) =
        ((last.rss_kib as f64 - first.rss_kib as f64) * 1_024.0, last.disk.total() as f64 - first.disk.total() as f64);
    (runs > 0.0).then(|| (rss / runs, disk / runs))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.table().trim_fmt())?;
        if let (Some(memory), Some(disk)) = (self.memory_per_run, self.disk_per_run) {
            writeln!(f, "per finished run: {memory:+.0} B of memory, {disk:+.0} B on disk")?;
        }
        let Available { sent, in_time, percent, percent_min, within_ms } = self.available;
        writeln!(
            f,
            "available: {percent:.2} %, {in_time} of {sent} probes answered within {within_ms:.0} ms (bound: {percent_min} %)"
        )?;
        match self.left_over {
            Some(left) => writeln!(f, "left over at the end: {left} (bound: 0)")?,
            None => writeln!(f, "left over at the end: nobody waited for it")?,
        }
        writeln!(f, "growth: {}", series::RULE)?;
        writeln!(
            f,
            "by design, until there is retention: history and the rows of finished runs are kept, so the disk grows with every\nfinished run, and memory with the rows, which sled caches; what grows beyond twice their bytes, and beyond the noise that is granted, is a leak"
        )?;
        match self.end {
            End::Interrupted(_) => writeln!(f, "interrupted after {:.0} s: this is the report so far", self.seconds)?,
            End::Over | End::Failed(_) => {}
        }
        if !self.judges_growth {
            writeln!(f, "growth was not judged: a soak this short says little about slopes")?;
        }
        match self.broken.as_slice() {
            [] => write!(f, "verdict: within all bounds that were judged"),
            broken => write!(f, "verdict: BROKEN: {}", broken.join("; ")),
        }
    }
}
