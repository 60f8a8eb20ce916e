//! Bars on a terminal: a line per phase, and one that says what is waited for.
//!
//! **Invariant:** never wider than the terminal, so that a redraw overwrites what it drew.

use std::collections::HashMap;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{View, Wait, sentence};
use crate::cli::{
    out::{Out, Style},
    progress::{Happening, Phase, Progress, Standing},
};

/// Most waits that are named.
const NAMED_MAX: usize = 3;

pub(super) struct Live {
    out: Out,
    bars: MultiProgress,
    /// By run and phase; a phase has a bar once it started.
    phases: HashMap<(String, usize), ProgressBar>,
    waiting: ProgressBar,
}

impl Live {
    pub(super) fn new(out: Out) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let waiting = bars.add(ProgressBar::new_spinner());
        waiting.set_style(style(if out.talk_color {
            "{spinner:.cyan} {wide_msg:.dim}"
        } else {
            "{spinner} {wide_msg}"
        }));
        Self { out, bars, phases: HashMap::new(), waiting }
    }

    fn bar(&mut self, label: &str, at: usize, phase: &Phase) -> ProgressBar {
        let (bars, waiting, color) = (&self.bars, &self.waiting, self.out.talk_color);
        let bar = self.phases.entry((label.to_owned(), at)).or_insert_with(|| {
            let bar = bars.insert_before(waiting, ProgressBar::new(phase.total()));
            let shown =
                if color { "{prefix:20!} {bar:24.cyan/dim} {wide_msg}" } else { "{prefix:20!} {bar:24} {wide_msg}" };
            bar.set_style(style(shown));
            bar.set_prefix(if label.is_empty() { phase.name.clone() } else { format!("{label} {}", phase.name) });
            bar
        });
        bar.clone()
    }

    fn words(&self, phase: &Phase, now_ms: u64) -> String {
        let paint = |style: Style, text: String| self.out.accent(style, text);
        let open = if phase.is_open() { "+" } else { "" };
        let mut words = vec![format!("{}/{}{open}", phase.ended(), phase.total())];
        if phase.ended() > 1 {
            words.push(format!("{:.1}/s", phase.rate(now_ms)));
        }
        words.extend((phase.retries > 0).then(|| paint(Style::Warn, format!("{} retried", phase.retries))));
        words.extend((phase.failed > 0).then(|| paint(Style::Bad, format!("{} failed", phase.failed))));
        words.extend((phase.skipped > 0).then(|| format!("{} skipped", phase.skipped)));
        match phase.standing {
            Standing::Done => words.push(paint(Style::Good, "done".to_owned())),
            Standing::Skipped => return paint(Style::Dim, "skipped".to_owned()),
            Standing::Failed => words.push(paint(Style::Bad, "failed".to_owned())),
            Standing::Stopped => words.push(paint(Style::Warn, "stopped".to_owned())),
            Standing::Waiting | Standing::Running => {}
        }
        words.join("  ")
    }
}

impl View for Live {
    fn happened(&mut self, label: &str, _: &Progress, happening: &Happening) {
        if let Some(line) = sentence(self.out, happening) {
            self.say(&if label.is_empty() { line } else { format!("{label}  {line}") });
        }
    }

    fn draw(&mut self, runs: &[(&str, &Progress)], waits: &[Wait], now_ms: u64) {
        for (label, progress) in runs {
            let begun = progress.phases.iter().enumerate().filter(|(_, phase)| phase.standing != Standing::Waiting);
            for (at, phase) in begun {
                let bar = self.bar(label, at, phase);
                bar.set_length(phase.total());
                bar.set_position(phase.ended());
                bar.set_message(self.words(phase, now_ms));
            }
        }
        self.waiting.set_message(waited(waits));
        self.waiting.tick();
    }

    fn say(&mut self, text: &str) {
        // A terminal that is gone needs no words.
        let _ = self.bars.println(text);
    }

    fn close(&mut self) {
        self.waiting.finish_and_clear();
        self.phases.values().for_each(ProgressBar::abandon);
    }
}

fn waited(waits: &[Wait]) -> String {
    if waits.is_empty() {
        return String::new();
    }
    let named: Vec<_> = waits.iter().take(NAMED_MAX).map(Wait::words).collect();
    let more = waits.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("waiting for {}{more}", named.join(", "))
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━╸─")
}
