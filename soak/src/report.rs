//! The end of a soak: first, last and slope of each series, the bounds, and the verdict.
//!
//! **Invariant:** every bound is said beside what it was held against, and what was too short to be judged is not called
//! good.

mod page;
mod plot;
mod series;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, path::Path};

use comfy_table::{Table, presets::NOTHING};
use serde::Serialize;
use serde_json::json;

use self::series::{Figures, SERIES, Trend};
use crate::{
    args::{Args, Bounds},
    client::{Answered, Runs, Stalled, Stalls},
    rest::Found,
    sample::Sample,
    samples::Samples,
    slope::median,
    watch::Kill,
};

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
    /// The disk is all but full.
    NoRoom(String),
}

/// What was seen beside the samples.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) answered: Answered,
    pub(crate) runs: Runs,
    /// Actors and calls when all runs had ended, and letters that were given up; none if that was not waited for.
    pub(crate) rested: Option<(usize, Vec<String>)>,
    pub(crate) kills: Vec<Kill>,
    pub(crate) stalls: Stalls,
    /// What the folder says; none if it was not read.
    pub(crate) found: Option<Found>,
    /// Who waits in it, in sentences, if runs did not come to an end.
    pub(crate) waiting: Vec<String>,
    pub(crate) panics: Vec<String>,
}

/// What a soak found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    command: String,
    version: &'static str,
    end: End,
    seconds: f64,
    seconds_asked: f64,
    runs: u64,
    submissions: Runs,
    available: Available,
    kills: Vec<Kill>,
    recovery: Option<Recovery>,
    unsticker: Unsticker,
    series: Vec<Figures>,
    /// Growth per finished run, in bytes.
    disk_per_run: Option<f64>,
    /// Actors and calls, when all runs had ended; none if that was not waited for.
    left_over: Option<usize>,
    /// What the folder said at rest; none if it was not read.
    folder: Option<Found>,
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
    /// Without those that met a kill, or the start after it: this is held against the bound.
    sent_beside_kills: u64,
    percent_beside_kills: f64,
    percent_min: f64,
    within_ms: f64,
}

/// From a kill to the first run that ended, in seconds.
#[derive(Clone, Debug, Serialize)]
struct Recovery {
    /// Of all kills together.
    sum_s: f64,
    median_s: f64,
    max_s: f64,
    /// Until the engine had recovered.
    up_median_s: f64,
    up_max_s: f64,
}

/// What the unsticker did, and what it was to do.
#[derive(Clone, Debug, Serialize)]
struct Unsticker {
    acted: u64,
    /// About what was lost on purpose.
    expected: u64,
    /// By reason.
    unexpected: BTreeMap<String, u64>,
    stalls: BTreeMap<&'static str, Stalled>,
}

impl Report {
    pub(crate) fn new(samples: &Samples, seen: Seen, args: &Args, end: End) -> Self {
        let all = samples.all();
        let steady = series::steady(&all);
        let last = all.last();
        let (left_over, letters) = seen.rested.unzip();
        let mut report = Self {
            command: command(std::env::args()),
            version: env!("CARGO_PKG_VERSION"),
            end,
            seconds: last.map_or(0.0, |last| last.at.as_secs_f64()),
            seconds_asked: args.length.as_secs_f64(),
            runs: seen.runs.ended,
            submissions: seen.runs,
            available: Available::of(seen.answered, &args.bounds),
            recovery: Recovery::of(&seen.kills),
            kills: seen.kills,
            unsticker: Unsticker::of(&seen.stalls),
            series: SERIES.iter().map(|series| series.figures(&all, &steady, &args.bounds)).collect(),
            disk_per_run: disk_per_run(&all),
            left_over,
            folder: seen.found,
            judges_growth: series::is_long_enough(&steady),
            broken: Vec::new(),
            samples_seen: samples.seen(),
            samples: all.into_iter().cloned().collect(),
        };
        report.broken = report.what_broke();
        let given_up = letters.into_iter().flatten().map(|letter| format!("a message was given up: {letter}"));
        let panics = seen.panics.into_iter().map(|panic| format!("the engine's process panicked: {panic}"));
        report.broken.extend(seen.waiting.into_iter().chain(given_up).chain(panics));
        report
    }

    fn what_broke(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if let End::Failed(why) | End::NoRoom(why) = &self.end {
            broken.push(why.clone());
        }
        let Available { percent_beside_kills: percent, percent_min, within_ms, .. } = self.available;
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
        broken.extend(self.unsticker.what_broke());
        broken.extend(self.folder.iter().flat_map(|found| found.problems.clone()));
        broken
    }

    pub(crate) fn is_good(&self) -> bool {
        self.broken.is_empty()
    }

    /// Whether the folder is evidence: a run went wrong, or what lies there is not what clients were told.
    pub(crate) fn went_wrong(&self) -> bool {
        let is_broken = |found: &Found| found.violations > 0;
        matches!(self.end, End::Failed(_)) || self.folder.as_ref().is_some_and(is_broken)
    }

    pub(crate) fn end(&self) -> &End {
        &self.end
    }

    /// One line for whoever gathers proofs.
    pub(crate) fn note(&self) {
        let median = |name: &str| self.series.iter().find(|figures| figures.name == name).map(|figures| figures.median);
        headframe::testing::note(
            "soak",
            &[
                ("command", json!(self.command)),
                ("seconds", json!(self.seconds.round())),
                ("runs", json!(self.runs)),
                ("kills", json!(self.kills.len())),
                ("recovery", json!(self.recovery)),
                ("available", json!(self.available)),
                ("unsticker", json!(self.unsticker)),
                ("folder", json!(self.folder)),
                ("rss_mib", json!(median("rss MiB"))),
                ("judges_growth", json!(self.judges_growth)),
                ("broken", json!(self.broken)),
            ],
        );
    }

    /// One page with plots that needs nothing else.
    pub(crate) fn page(&self) -> String {
        page::page(self)
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_header(page::COLUMNS);
        for figures in &self.series {
            table.add_row(self.row(figures));
        }
        table
    }

    /// What is said of a series, column by column.
    fn row(&self, figures: &Figures) -> [String; 9] {
        let Figures { name, first, last, median, slope_per_hour, growth_per_hour, bound, trend, .. } = figures;
        let percent = |number: f64| format!("{number:+.1} %");
        [
            (*name).to_owned(),
            format!("{first:.1}"),
            format!("{last:.1}"),
            format!("{median:.1}"),
            format!("{slope_per_hour:+.2}"),
            percent(*growth_per_hour),
            figures.growth_between_lives.map(percent).unwrap_or_default(),
            bound.map(|bound| format!("{bound} %")).unwrap_or_default(),
            if self.judges_growth { trend.word() } else { "" }.to_owned(),
        ]
    }

    /// What is said beside the table, a sentence each.
    fn sentences(&self) -> Vec<String> {
        let mut told = vec![self.length()];
        let Runs { submitted, cancelled, again, .. } = self.submissions;
        told.push(format!(
            "runs: {submitted} submitted, {} ended, {cancelled} of them cancelled; {again} submitted again after a kill",
            self.runs
        ));
        if let Some(disk) = self.disk_per_run {
            told.push(format!("per finished run: {disk:+.0} B on disk"));
        }
        let Available { sent, in_time, percent, sent_beside_kills, percent_beside_kills, percent_min, within_ms } =
            &self.available;
        told.push(format!(
            "available: {percent:.2} %, {in_time} of {sent} probes answered within {within_ms:.0} ms; {percent_beside_kills:.2} % of the {sent_beside_kills} that met no kill and no start (bound: {percent_min} %)"
        ));
        if let Some(Recovery { sum_s, median_s, max_s, up_median_s, up_max_s }) = &self.recovery {
            told.push(format!(
                "kills: {}; from a kill to the first run that ended {median_s:.2} s in the middle, {max_s:.2} s at most and {sum_s:.1} s in all; of that to recover {up_median_s:.2} s and {up_max_s:.2} s",
                self.kills.len()
            ));
        }
        told.extend(self.unsticker.sentences());
        told.push(match self.left_over {
            Some(left) => format!("left over at the end: {left} (bound: 0)"),
            None => "left over at the end: nobody waited for it".to_owned(),
        });
        told.push(match &self.folder {
            Some(Found { runs, tested, violations, .. }) => {
                let tested = tested.iter().map(|(invariant, times)| format!("{invariant} {times}"));
                let tested = tested.collect::<Vec<_>>().join(", ");
                format!("the folder at rest: {runs} runs, {violations} violations; put to the test: {tested}")
            }
            None => "the folder at rest: nobody read it".to_owned(),
        });
        told.push(format!("growth: {}", series::RULE));
        told.push(
            "by design, because a soak asks for no retention: history and the rows of finished runs are kept, so the disk grows with every\nfinished run, and memory with the rows, which sled caches; what grows beyond twice their bytes, and beyond the noise that is granted, is a leak".to_owned(),
        );
        if let End::Interrupted(_) = self.end {
            told.push(format!("interrupted after {:.0} s: this is the report so far", self.seconds));
        }
        if !self.judges_growth {
            told.push("growth was not judged: a soak this short says little about slopes".to_owned());
        }
        told
    }

    fn length(&self) -> String {
        let time = |seconds: f64| humantime::format_duration(std::time::Duration::from_secs(seconds.round() as u64));
        format!("length: {} of {}, {} samples", time(self.seconds), time(self.seconds_asked), self.samples_seen)
    }

    fn verdict(&self) -> String {
        match self.broken.as_slice() {
            [] => "verdict: within all bounds that were judged".to_owned(),
            broken => format!("verdict: BROKEN: {}", broken.join(";\n")),
        }
    }
}

impl Available {
    fn of(answered: Answered, bounds: &Bounds) -> Self {
        Self {
            sent: answered.sent,
            in_time: answered.in_time,
            percent: answered.all().percent(),
            sent_beside_kills: answered.beside.sent,
            percent_beside_kills: answered.beside.percent(),
            percent_min: bounds.available_min,
            within_ms: bounds.within.as_secs_f64() * 1_000.0,
        }
    }
}

impl Recovery {
    /// None without a kill that was recovered from.
    fn of(kills: &[Kill]) -> Option<Self> {
        let answered: Vec<_> = kills.iter().filter_map(|kill| kill.answered_s).collect();
        let up: Vec<_> = kills.iter().filter_map(|kill| kill.up_s).collect();
        let max = |times: &[f64]| times.iter().copied().fold(0.0, f64::max);
        Some(Self {
            sum_s: answered.iter().sum(),
            max_s: max(&answered),
            up_max_s: max(&up),
            median_s: median(answered)?,
            up_median_s: median(up)?,
        })
    }
}

impl Unsticker {
    fn of(stalls: &Stalls) -> Self {
        let expected: u64 = stalls.kinds().values().map(|stalled| stalled.acts).sum();
        let unexpected: u64 = stalls.unexpected().values().sum();
        Self {
            acted: expected + unexpected,
            expected,
            unexpected: stalls.unexpected().clone(),
            stalls: stalls.kinds().clone(),
        }
    }

    fn what_broke(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for (reason, times) in &self.unexpected {
            broken.push(format!(
                "the unsticker acted {times} times on `{reason}` where recovery alone should have sufficed"
            ));
        }
        for (name, Stalled { looks, looks_max, .. }) in &self.stalls {
            if *looks_max > 0 && looks > looks_max {
                broken.push(format!("{name} took {looks} looks of the unsticker, and its deadline is {looks_max}"));
            }
        }
        broken
    }

    fn sentences(&self) -> Vec<String> {
        let Self { acted, expected, stalls, .. } = self;
        let mut told = vec![format!("the unsticker acted {acted} times; expected {expected}")];
        for (name, Stalled { tried, cured, cut_off, missed, looks, looks_max, acts }) in stalls {
            let deadline = match looks_max {
                0 => "by recovery alone".to_owned(),
                max => format!("in at most {looks} looks (deadline: {max}) with {acts} acts"),
            };
            told.push(format!(
                "{name}: {tried} times; cured {cured} {deadline}, {cut_off} by a kill; {missed} came too late"
            ));
        }
        told
    }
}

/// Growth per finished run, in bytes, from the first sample on.
fn disk_per_run(all: &[&Sample]) -> Option<f64> {
    let (first, last) = (all.first()?, all.last()?);
    let (runs, disk) = (last.runs - first.runs, last.disk.total() as f64 - first.disk.total() as f64);
    (runs > 0).then(|| disk / runs as f64)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.table().trim_fmt())?;
        self.sentences().into_iter().try_for_each(|told| writeln!(f, "{told}"))?;
        write!(f, "{}", self.verdict())
    }
}

/// What was typed, by the program's name alone: where it lies says nothing to others.
fn command(words: impl Iterator<Item = String>) -> String {
    let named =
        |word: String| Path::new(&word).file_name().map_or(word.clone(), |name| name.to_string_lossy().into_owned());
    words.enumerate().map(|(at, word)| if at == 0 { named(word) } else { word }).collect::<Vec<_>>().join(" ")
}
