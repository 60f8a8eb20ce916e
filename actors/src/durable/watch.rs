//! The watcher of long turns: a plain thread outside tokio, because a turn that never ends may hold every worker.
//!
//! ```text
//! running ─ 1 s ─► named in a warning ─ 30 s ─► reported, or the process aborts and the next one suspects it
//! ```
//! It looks four times a second while anything runs, and sleeps otherwise.
//!
//! **Invariant:** ages are counted in the watcher's own ticks, and a tick that came late counts as two at most: a
//! process that stood still for an hour names nobody.

#[cfg(test)]
mod tests;

use std::{io, sync::Arc, time::Duration};

use super::flight::{Named, Recorder, Running};

/// What becomes of a turn that does not end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LongTurn {
    /// Say so, and leave it running.
    #[default]
    Report,
    /// Abort the process. The next start takes the message alone, and gives it up after three deaths.
    Abort,
}

/// When the watcher speaks and acts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) named_after: Duration,
    pub(crate) acts_after: Duration,
    pub(crate) looks_every: Duration,
    /// How long a life that follows a death notes what it is at.
    pub(crate) notes_for: Duration,
    /// Whether every life notes, also one that follows a clean end.
    pub(crate) notes_always: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            named_after: Duration::from_secs(1),
            acts_after: Duration::from_secs(30),
            looks_every: Duration::from_millis(250),
            notes_for: Duration::from_secs(600),
            notes_always: false,
        }
    }
}

/// What was said of a turn so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Told {
    #[default]
    Nothing,
    Named,
    Acted,
}

/// How old a turn is, one tick later.
fn aged(age: Option<Duration>, tick: Duration, limits: Limits) -> Duration {
    age.map_or(Duration::ZERO, |age| age + tick.min(limits.looks_every * 2))
}

/// What should be said of a turn of this age.
fn due(age: Duration, limits: Limits) -> Told {
    if age >= limits.acts_after {
        Told::Acted
    } else if age >= limits.named_after {
        Told::Named
    } else {
        Told::Nothing
    }
}

/// One more look at a turn; what is to be said of it now, if anything.
fn look(running: &mut Running, tick: Duration, limits: Limits) -> Option<Told> {
    let age = aged(running.age, tick, limits);
    running.age = Some(age);
    let due = due(age, limits);
    let is_news = due > running.told;
    running.told = running.told.max(due);
    is_news.then_some(due)
}

/// Start the watcher. It ends with the recorder's life and holds nothing else, so nobody need wait for it.
pub(crate) fn spawn(recorder: Arc<Recorder>, policy: LongTurn, limits: Limits) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "the watcher must run when no worker does")]
    std::thread::Builder::new()
        .name("headframe-watch".to_owned())
        .spawn(move || watch(&recorder, policy, limits))
        .map(drop)
}

fn watch(recorder: &Recorder, policy: LongTurn, limits: Limits) {
    let mut last = crate::clock::monotonic();
    let mut is_busy = true;
    while recorder.rest(is_busy.then_some(limits.looks_every)) {
        let now = crate::clock::monotonic();
        let tick = now - std::mem::replace(&mut last, now);
        let mut news = Vec::new();
        is_busy = recorder.survey(|running| {
            if let Some(told) = look(running, tick, limits) {
                news.push((told, running.named, running.of.clone(), running.age.unwrap_or_default()));
            }
        });
        for (told, named, of, age) in news {
            tell(told, named, of.as_str(), age, policy);
        }
    }
}

fn tell(told: Told, named: Named, of: &str, age: Duration, policy: LongTurn) {
    let (what, actor, number) = match named {
        Named::Turn { actor, entry } => ("turn", actor, entry),
        Named::Call { caller, call } => ("call", caller, call.0),
    };
    match (told, policy) {
        (Told::Nothing, _) => {}
        (Told::Named, _) => tracing::warn!(%actor, kind = of, number, ?age, "a {what} takes long"),
        (Told::Acted, LongTurn::Report) => {
            tracing::error!(%actor, kind = of, number, ?age, "a {what} does not end, and holds a thread");
        }
        (Told::Acted, LongTurn::Abort) => {
            tracing::error!(%actor, kind = of, number, ?age, "a {what} does not end: the process aborts");
            std::process::abort();
        }
    }
}
