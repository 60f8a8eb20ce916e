//! The end of a soak: first, last and slope of each series, and what to make of them.

use std::fmt;

use comfy_table::{Table, presets::NOTHING};

use crate::{
    sample::Sample,
    slope::{median, theil_sen},
};

/// A series that grows by more than this share of its median in an hour is flagged.
const GROWTH_PER_HOUR_MAX: f64 = 0.2;
/// This share of the samples is warming up.
const WARM_UP: usize = 10;
/// Slopes of less time than this are guesses.
const SHORT_S: f64 = 120.0;

/// One series of a soak.
struct Series {
    name: &'static str,
    of: fn(&Sample) -> f64,
    /// Whether it must stay level; others only show.
    level: bool,
}

const SERIES: &[Series] = &[
    Series { name: "rss MiB", of: |sample| sample.rss_kib as f64 / 1_024.0, level: true },
    Series { name: "fds", of: |sample| sample.fds as f64, level: true },
    Series { name: "threads", of: |sample| sample.threads as f64, level: true },
    Series { name: "actors", of: |sample| sample.actors as f64, level: true },
    Series { name: "hosted", of: |sample| sample.hosted as f64, level: true },
    Series { name: "calls", of: |sample| sample.calls as f64, level: true },
    Series { name: "disk MiB", of: |sample| sample.disk_bytes as f64 / 1_048_576.0, level: false },
    Series { name: "runs/s", of: |sample| sample.runs_per_s, level: false },
    Series { name: "us CPU/run", of: |sample| sample.cpu_us_per_run, level: true },
    Series { name: "p50 ms", of: |sample| sample.p50_ms, level: false },
    Series { name: "p99 ms", of: |sample| sample.p99_ms, level: false },
];

/// What a soak found.
pub(crate) struct Report<'a> {
    samples: &'a [Sample],
    left_over: usize,
}

impl<'a> Report<'a> {
    pub(crate) fn new(samples: &'a [Sample], left_over: usize) -> Self {
        Self { samples, left_over }
    }

    /// Samples after the warm-up.
    fn steady(&self) -> &[Sample] {
        &self.samples[self.samples.len() / WARM_UP..]
    }

    fn slope_per_hour(&self, of: fn(&Sample) -> f64) -> f64 {
        let points: Vec<_> =
            self.steady().iter().map(|sample| (sample.at.as_secs_f64() / 3_600.0, of(sample))).collect();
        theil_sen(&points).unwrap_or(0.0)
    }

    fn growth_per_hour(&self, of: fn(&Sample) -> f64) -> f64 {
        let median = median(self.steady().iter().map(of).collect()).unwrap_or(0.0);
        if median == 0.0 { 0.0 } else { self.slope_per_hour(of) / median }
    }

    fn flagged(&self) -> Vec<&'static str> {
        let grows = |series: &&Series| series.level && self.growth_per_hour(series.of) > GROWTH_PER_HOUR_MAX;
        SERIES.iter().filter(grows).map(|series| series.name).collect()
    }

    /// Growth per finished run, in bytes, of memory and of disk.
    fn per_run(&self) -> Option<(f64, f64)> {
        let (first, last) = (self.steady().first()?, self.steady().last()?);
        let runs = (last.runs - first.runs) as f64;
        let (rss, disk) =
            ((last.rss_kib as f64 - first.rss_kib as f64) * 1_024.0, last.disk_bytes as f64 - first.disk_bytes as f64);
        (runs > 0.0).then(|| (rss / runs, disk / runs))
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(NOTHING).set_header(["", "first", "last", "slope per hour", "growth per hour"]);
        let (Some(first), Some(last)) = (self.samples.first(), self.samples.last()) else { return table };
        for Series { name, of, .. } in SERIES {
            let growth = format!("{:+.1} %", self.growth_per_hour(*of) * 100.0);
            let numbers = [of(first), of(last)].map(|number| format!("{number:.1}"));
            let [first, last] = numbers;
            table.add_row([(*name).to_owned(), first, last, format!("{:+.2}", self.slope_per_hour(*of)), growth]);
        }
        table
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.table().trim_fmt())?;
        if let Some((rss, disk)) = self.per_run() {
            writeln!(f, "per finished run: {rss:+.0} B of memory, {disk:+.0} B on disk")?;
        }
        let is_short = self.samples.last().is_none_or(|last| last.at.as_secs_f64() < SHORT_S);
        match self.flagged().as_slice() {
            _ if is_short => writeln!(f, "verdict: none, for a soak this short says little about slopes")?,
            [] => writeln!(f, "verdict: nothing that must stay level grows by more than 20 % an hour")?,
            flagged => writeln!(f, "verdict: more than 20 % an hour: {}", flagged.join(", "))?,
        }
        writeln!(
            f,
            "by design, until there is retention: history and the rows of finished runs are kept, so the disk grows with"
        )?;
        writeln!(f, "every finished run; memory that grows is a leak")?;
        match self.left_over {
            0 => write!(f, "left over at the end: nothing"),
            left => write!(f, "left over at the end: {left} actors and calls, which is a mistake"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn growth_is_flagged_and_level_is_not() {
        let level: Vec<_> = (0..100).map(|at| sample(at, 100_000)).collect();
        assert_eq!(Report::new(&level, 0).flagged(), [""; 0]);
        let growing: Vec<_> = (0..100).map(|at| sample(at, 100_000 + at * 1_000)).collect();
        assert_eq!(Report::new(&growing, 0).flagged(), ["rss MiB"]);
    }

    #[test]
    fn what_is_left_over_is_said() {
        let samples = [sample(1, 1)];
        assert!(Report::new(&samples, 3).to_string().contains("3 actors and calls"));
        assert!(Report::new(&[], 0).to_string().contains("says little"));
    }

    fn sample(at: u64, rss_kib: u64) -> Sample {
        let (at, zero) = (Duration::from_secs(at * 60), 0.0);
        Sample {
            at,
            rss_kib,
            fds: 20,
            threads: 8,
            actors: 40,
            hosted: 40,
            calls: 7,
            disk_bytes: 0,
            runs: 0,
            runs_per_s: zero,
            cpu_us_per_run: 500.0,
            p50_ms: zero,
            p99_ms: zero,
        }
    }
}
