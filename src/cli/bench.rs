//! `headframe bench`: how fast, next to what the disk allows, measured in the same run.
//!
//! Every workload goes the way of `headframe run`: the same plan, tools, ledger and store. What the disk allows is
//! measured before and after, by as many appenders as there are runs in flight; when the two differ by more than half,
//! the machine was not quiet and the report says so.
//!
//! **Invariants:** every figure is measured in this run; nothing is carried over. Nothing is left behind, however it ends.

mod args;
mod beside;
mod child;
mod commits;
mod compare;
mod device;
mod lanes;
mod limit;
mod noise;
mod process;
mod raw;
mod scratch;
mod sleepers;
mod tenths;
mod tools;
mod w1;
mod w2;
mod w3;
mod w4;
mod w5;
mod w6;
mod w7;
mod w8;

use std::{fmt, path::Path};

use serde::Serialize;
use serde_json::Value;

pub(crate) use self::{
    args::Args,
    child::{Args as ChildArgs, CHILD, run as run_child},
};
use self::{args::Workload, scratch::Scratch};
use super::{
    exit::{Error, Exit},
    out::{Format, Out},
    table,
    watch::Signals,
};

/// What can go wrong while measuring.
type Failed = Box<dyn std::error::Error + Send + Sync>;

/// What was measured: a table for people, JSON for machines.
#[derive(Debug, Serialize)]
#[serde(tag = "workload", rename_all = "lowercase")]
enum Report {
    W1(w1::Report),
    W2(w2::Report),
    W3(w3::Report),
    W4(w4::Report),
    W5(w5::Report),
    W6(Box<w6::Report>),
    W7(w7::Report),
    W8(w8::Report),
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::W1(report) => report.fmt(f),
            Self::W2(report) => report.fmt(f),
            Self::W3(report) => report.fmt(f),
            Self::W4(report) => report.fmt(f),
            Self::W5(report) => report.fmt(f),
            Self::W6(report) => report.fmt(f),
            Self::W7(report) => report.fmt(f),
            Self::W8(report) => report.fmt(f),
        }
    }
}

/// Measure, and say what was measured.
pub(crate) async fn run(args: Args, out: Out) -> Result<Exit, Error> {
    args.must_fit().map_err(Error::Usage)?;
    let earlier = args.compare.as_deref().map(compare::read).transpose()?;
    let mut signals = Signals::new()?;
    let scratch = Scratch::new(&args.dir)?;
    let measured = tokio::select! {
        measured = measure_each(&args, scratch.path(), out) => Some(measured),
        () = signals.next() => None,
    };
    // What was measured is dropped by now, and with it whatever it started.
    if let Err(error) = scratch.remove() {
        out.note(error);
    }
    let Some(measured) = measured else {
        out.note("interrupted; nothing was measured");
        return Ok(Exit::Interrupted);
    };
    let reports = measured.map_err(|error| Error::Bench(error.to_string()))?;
    match earlier {
        None => tell(&args, &reports, out)?,
        Some(earlier) => return tell_compared(&args, &earlier, &reports, out),
    }
    Ok(Exit::Ok)
}

fn tell(args: &Args, reports: &[Report], out: Out) -> Result<(), Error> {
    match (reports, out.format) {
        ([report], Format::Table) => out.line(report)?,
        ([report], Format::Json | Format::Jsonl) => out.json(report)?,
        (reports, Format::Table) if args.differ_by_effect() => {
            let mut table = beside::table(reports).map_err(|error| Error::Bench(error.to_string()))?;
            table::print(out, &mut table)?;
        }
        (reports, Format::Table) => reports.iter().try_for_each(|report| out.line(report))?,
        (reports, Format::Json) => out.json(&reports)?,
        (reports, Format::Jsonl) => reports.iter().try_for_each(|report| out.json(report))?,
    }
    Ok(())
}

/// What became of each figure; the exit code says whether the shares of the limit are what they were.
fn tell_compared(args: &Args, earlier: &[Value], reports: &[Report], out: Out) -> Result<Exit, Error> {
    let now: Result<Vec<_>, _> = reports.iter().map(serde_json::to_value).collect();
    let compared = compare::compare(earlier, &now.map_err(|error| Error::Bench(error.to_string()))?);
    if compared.is_empty() {
        return Err(Error::Usage(
            "the file of --compare holds no measurement of this workload with these arguments".to_owned(),
        ));
    }
    match out.format {
        Format::Table => compared.iter().try_for_each(|compared| out.line(compared))?,
        Format::Json => out.json(&compared)?,
        Format::Jsonl => compared.iter().try_for_each(|compared| out.json(compared))?,
    }
    let least = args.at_least.unwrap_or(0.0);
    let slower = compared.iter().filter_map(|compared| Some((&compared.of, compared.judged()?)));
    let slower: Vec<_> = slower.filter(|(_, ratio)| *ratio < least).collect();
    for (of, ratio) in &slower {
        out.note(format_args!(
            "{of}: {ratio:.2} of the share of the disk's limit that it had, and {least} were wanted"
        ));
    }
    Ok(if slower.is_empty() { Exit::Ok } else { Exit::Failed })
}

/// One report for each promise that was named, each of a store of its own.
async fn measure_each(args: &Args, scratch: &Path, out: Out) -> Result<Vec<Report>, Failed> {
    let mut reports = Vec::new();
    for (at, args) in args.each().iter().enumerate() {
        let scratch = scratch.join(at.to_string());
        std::fs::create_dir(&scratch)?;
        reports.push(measure(args, &scratch, out).await?);
        std::fs::remove_dir_all(&scratch)?;
    }
    Ok(reports)
}

async fn measure(args: &Args, scratch: &Path, out: Out) -> Result<Report, Failed> {
    Ok(match args.workload {
        Workload::W1 => Report::W1(w1::measure(scratch, args).await?),
        Workload::W2 => Report::W2(w2::measure(scratch, args).await?),
        Workload::W3 => Report::W3(w3::measure(scratch, args, out).await?),
        Workload::W4 => Report::W4(w4::measure(scratch, args).await?),
        Workload::W5 => Report::W5(w5::measure(scratch, args).await?),
        Workload::W6 => Report::W6(Box::new(w6::measure(scratch, args).await?)),
        Workload::W7 => Report::W7(w7::measure(scratch, args).await?),
        Workload::W8 => Report::W8(w8::measure(scratch, args).await?),
    })
}
