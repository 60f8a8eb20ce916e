//! Lines for logs and pipes: few, whole, and without escape codes.
//!
//! **Invariant:** a phase writes a line at most once per tenth of the tasks known of by then, however many there are.

use std::collections::HashMap;

use super::{View, Wait, sentence};
use crate::cli::{
    out::Out,
    progress::{Happening, Phase, Progress, Standing},
    shown,
};

/// Phases with fewer tasks write no lines on the way.
const STEPS_FROM: u64 = 100;

pub(super) struct Lines {
    out: Out,
    /// How many tasks had ended at the last line, by run and phase.
    told: HashMap<(String, usize), u64>,
}

impl Lines {
    pub(super) fn new(out: Out) -> Self {
        Self { out, told: HashMap::new() }
    }

    fn write(&self, label: &str, text: &str) {
        if label.is_empty() { self.out.note(text) } else { self.out.note(format_args!("{label}  {text}")) }
    }

    /// How far a phase is, if it has come a tenth further.
    fn step(&mut self, label: &str, at: usize, phase: &Phase, now_ms: u64) -> Option<String> {
        let total = phase.total();
        if total < STEPS_FROM || phase.ended() == total {
            return None;
        }
        // Counted from the last line: a total that grows with every fan-out would take tenths back.
        let last = self.told.entry((label.to_owned(), at)).or_default();
        if phase.ended() < *last + total.div_ceil(10) {
            return None;
        }
        *last = phase.ended();
        let open = if phase.is_open() { "+" } else { "" };
        Some(format!("{}: {}/{total}{open} tasks, {:.1}/s", phase.name, phase.ended(), phase.rate(now_ms)))
    }
}

impl View for Lines {
    fn happened(&mut self, label: &str, progress: &Progress, happening: &Happening) {
        let line = match happening {
            Happening::PhaseStarted { phase } => Some(format!("{}: started", progress.phase_name(*phase))),
            Happening::PhaseEnded { phase } => {
                Some(format!("{}: {}", progress.phase_name(*phase), ended(&progress.phases[*phase])))
            }
            Happening::Advanced { phase } => self.step(label, *phase, &progress.phases[*phase], progress.latest_at),
            other => sentence(self.out, other),
        };
        if let Some(line) = line {
            self.write(label, &line);
        }
    }

    fn draw(&mut self, _: &[(&str, &Progress)], _: &[Wait], _: u64) {}

    fn say(&mut self, text: &str) {
        self.out.note(text);
    }

    fn close(&mut self) {}
}

/// How a phase ended, in one line.
fn ended(phase: &Phase) -> String {
    let word = match phase.standing {
        Standing::Skipped => return "skipped, its condition is false".to_owned(),
        Standing::Done => "done",
        Standing::Failed => "failed",
        Standing::Stopped => "stopped",
        Standing::Waiting | Standing::Running => "going on",
    };
    let mut line =
        format!("{word}, {} in {}", shown::count(phase.ended(), "task"), shown::length(phase.ran_ms(phase.started_at)));
    for (number, what) in
        [(phase.retries, "retried"), (phase.failed, "failed"), (phase.skipped, "skipped"), (phase.stopped, "stopped")]
    {
        if number > 0 {
            line.push_str(&format!(", {number} {what}"));
        }
    }
    line
}
