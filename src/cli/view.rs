//! What a person sees while runs go on: bars on a terminal, lines elsewhere.
//!
//! **Invariant:** a view only shows. Nothing waits for it, and nothing depends on it.

mod lines;
mod live;
mod waits;

use headframe::durable::CallId;

pub(crate) use self::waits::{Wait, waits};
use self::{lines::Lines, live::Live};
use super::{
    out::{Out, Style},
    progress::{Happening, Progress},
    shown,
};

/// How a watched run is shown.
pub(crate) trait View {
    /// Something happened; `label` tells runs apart when there are several.
    fn happened(&mut self, label: &str, progress: &Progress, happening: &Happening);

    /// Time passed.
    fn draw(&mut self, runs: &[(&str, &Progress)], waits: &[Wait], now_ms: u64);

    /// Say something beside it.
    fn say(&mut self, text: &str);

    /// Nothing more comes.
    fn close(&mut self);
}

/// The view that fits where stderr goes.
pub(crate) fn view(out: Out) -> Box<dyn View> {
    if out.watched { Box::new(Live::new(out)) } else { Box::new(Lines::new(out)) }
}

/// A happening as a sentence, if it deserves one wherever it is shown.
fn sentence(out: Out, happening: &Happening) -> Option<String> {
    Some(match happening {
        Happening::PhaseStarted { .. } | Happening::PhaseEnded { .. } | Happening::Advanced { .. } => return None,
        Happening::Retry { path, failure, wait_ms } => format!(
            "{} {path} in {}: {}: {}",
            out.accent(Style::Warn, "retry"),
            shown::length(*wait_ms),
            failure.class,
            shown::cut(&failure.message, 300)
        ),
        Happening::FellBack { path, tool, failure } => format!(
            "{} {path} to `{tool}`: {}: {}",
            out.accent(Style::Warn, "falls back"),
            failure.class,
            shown::cut(&failure.message, 300)
        ),
        Happening::TaskFailed { path, failure, optional } => format!(
            "{} {path}{}: {}: {}",
            out.accent(Style::Bad, "failed"),
            if *optional { " (optional)" } else { "" },
            failure.class,
            shown::cut(&failure.message, 300)
        ),
        Happening::Doubted { path, call, failure } => doubted(out, path, *call, &failure.message),
        Happening::Broken { place, failure } => {
            format!("{} {place}: {}", out.accent(Style::Bad, "failed"), shown::cut(&failure.message, 300))
        }
        Happening::Cancelled { reason } => {
            format!("{}: {}", out.accent(Style::Warn, "cancelled"), shown::cut(reason, 300))
        }
        Happening::Runtime { place, note } => {
            format!("{} {place}: {}", out.accent(Style::Warn, "runtime"), super::words::note(note))
        }
    })
}

fn doubted(out: Out, path: &str, call: CallId, why: &str) -> String {
    format!("{} {path} ({call}): {}", out.accent(Style::Warn, "in doubt"), shown::cut(why, 300))
}
