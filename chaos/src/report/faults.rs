//! Fault by fault: how often it struck, what it hit, and how long it took to get over it.

use std::{collections::BTreeMap, fmt};

use comfy_table::{Table, presets::NOTHING};
use serde::Serialize;

use crate::{
    args::Args,
    fault::Fault,
    oracle::{Findings, Invariant::Suite, Violation},
    parent::{Chronicle, Figures},
    recorder::{Answer, Entry},
};

/// In so many lives every fault that was chosen strikes.
const KILLS_ENOUGH: u32 = 100;

/// One kind of fault.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Struck {
    pub(crate) fault: Fault,
    pub(crate) what: &'static str,
    pub(crate) chosen: bool,
    pub(crate) strikes: u64,
    /// What was hit, or what came of it, and how often.
    pub(crate) hit: BTreeMap<String, u64>,
    pub(crate) recoveries: u64,
    /// None if there was no recovery to measure.
    pub(crate) recovery_p50_ms: Option<f64>,
    pub(crate) recovery_p99_ms: Option<f64>,
    /// From when to when a recovery is measured.
    pub(crate) recovery_is: &'static str,
    /// Why it could not strike here.
    pub(crate) skipped: Option<String>,
}

/// All kinds.
pub(super) fn of(args: &Args, chronicle: &Chronicle) -> Vec<Struck> {
    Fault::ALL.into_iter().map(|fault| Struck::of(fault, args, chronicle.figures(fault))).collect()
}

impl Struck {
    fn of(fault: Fault, args: &Args, figures: Figures) -> Self {
        let Figures { strikes, kinds, recoveries, skipped } = figures;
        let ms = |quantile: f64| {
            let micros = recoveries.value_at_quantile(quantile);
            (!recoveries.is_empty()).then_some(micros as f64 / 1_000.0)
        };
        Self {
            fault,
            what: fault.what(),
            chosen: args.faults().has(fault),
            strikes,
            hit: kinds.into_iter().map(|(kind, times)| (kind.to_string(), times)).collect(),
            recoveries: recoveries.len(),
            recovery_p50_ms: ms(0.5),
            recovery_p99_ms: ms(0.99),
            recovery_is: fault.recovery(),
            skipped,
        }
    }

    /// What was hit, in one line.
    pub(super) fn told(&self) -> String {
        match &self.skipped {
            Some(why) => format!("skipped: {why}"),
            None => self.hit.iter().map(|(kind, times)| format!("{times} {kind}")).collect::<Vec<_>>().join(", "),
        }
    }
}

/// Those that were chosen, could strike, and never did.
pub(super) fn idle(faults: &[Struck]) -> Vec<String> {
    let idle = faults.iter().filter(|struck| struck.chosen && struck.strikes == 0 && struck.skipped.is_none());
    idle.map(|struck| struck.fault.name().to_owned()).collect()
}

pub(super) fn table(faults: &[Struck]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["fault", "strikes", "recoveries", "p50", "p99", "what was hit"]);
    for struck in faults.iter().filter(|struck| struck.chosen) {
        let ms = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"));
        let [p50, p99] = [struck.recovery_p50_ms, struck.recovery_p99_ms].map(ms);
        let (strikes, recoveries) = (struck.strikes.to_string(), struck.recoveries.to_string());
        table.add_row([struck.fault.name().to_owned(), strikes, recoveries, p50, p99, struck.told()]);
    }
    table
}

/// A fault that was chosen and never struck proves nothing.
pub(crate) fn check(args: &Args, chronicle: &Chronicle, kills: u32, findings: &mut Findings) {
    let faults = of(args, chronicle);
    findings.tested(Suite, faults.iter().filter(|struck| struck.strikes > 0).count());
    if kills >= KILLS_ENOUGH {
        for fault in idle(&faults) {
            findings.found(Violation::wrong(Suite, format!("in {kills} lives `{fault}` never struck")));
        }
    }
}

/// What tools do without being told to: the workload's own troubles.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Misbehaved {
    pub(crate) refused: usize,
    pub(crate) answers_lost: usize,
    pub(crate) answers_late: usize,
    /// Callers that broke down, hung, or were killed before they had heard the answer.
    pub(crate) unheard: usize,
}

impl Misbehaved {
    pub(super) fn of(entries: &[Entry]) -> Self {
        let count = |is_it: fn(&Entry) -> bool| entries.iter().filter(|entry| is_it(entry)).count();
        Self {
            refused: count(|entry| entry.answer == Answer::Refused),
            answers_lost: count(|entry| entry.answer == Answer::Lost),
            answers_late: count(|entry| matches!(entry.answer, Answer::Late(_))),
            unheard: count(|entry| entry.call.deaf),
        }
    }
}

impl fmt::Display for Misbehaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { refused, answers_lost, answers_late, unheard } = self;
        write!(f, "{refused} refusals, {answers_lost} answers lost, {answers_late} late, {unheard} not heard")
    }
}
