//! Watching runs until there is nothing left to watch.
//!
//! ```text
//! ledger tails ─► fold (progress) ─► view
//!      signals, failed store, decisions that are due, the time given ─► the end of watching
//! ```
//! **Invariant:** watching changes nothing. A run goes on, or does not, whoever looks.

use std::{future::pending, time::Duration};

use headframe::{
    Engine, RunHandle,
    durable::{self, CallId, Item, Row, RowState, StreamId, What},
    plan::Plan,
    run::Outcome,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, interval, sleep_until, timeout},
};

use super::{
    exit::Error,
    out::{Format, Out},
    progress::Progress,
    view::{View, waits},
};

/// How often the view is drawn, and how soon it is noticed that only decisions are waited for.
const TICK: Duration = Duration::from_millis(100);
/// How long the last events may come after the result they led to.
const TRAILING: Duration = Duration::from_millis(500);

/// A run that is watched.
pub(crate) struct Watched {
    pub(crate) handle: RunHandle,
    pub(crate) progress: Progress,
    /// How to tell it from others; empty if it is alone.
    pub(crate) label: String,
    pub(crate) outcome: Option<Outcome>,
    /// What happened before this is not told, only counted.
    pub(crate) since_ms: u64,
}

impl Watched {
    /// Watch from now on.
    pub(crate) fn new(handle: RunHandle, plan: Option<&Plan>, label: String, since_ms: u64) -> Self {
        Self { handle, progress: Progress::new(plan), label, outcome: None, since_ms }
    }
}

/// Why watching ended.
pub(crate) enum Ending {
    /// Every run has.
    Ended,
    /// Every run has, or waits for the decision of one of these.
    Held(Vec<(CallId, Row)>),
    /// By Ctrl-C or SIGTERM.
    Interrupted,
    /// The time given is over.
    TimedOut,
}

/// What a follower tells.
enum News {
    Items(Vec<Item>),
    Ended(Outcome),
    Failed(Error),
}

/// Ctrl-C and SIGTERM.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From here on they no longer end the process by themselves.
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Watch until all runs have ended, or something else ends it.
pub(crate) async fn watch(
    engine: &Engine,
    runs: &mut [Watched],
    view: &mut dyn View,
    out: Out,
    (signals, limit): (&mut Signals, Option<Duration>),
) -> Result<Ending, Error> {
    let (sender, mut news) = mpsc::channel(64);
    let mut followers = JoinSet::new();
    for (at, run) in runs.iter().enumerate() {
        followers.spawn(follow(at, run.handle.clone(), sender.clone()));
    }
    let mut tick = interval(TICK);
    let deadline = limit.map(|limit| Instant::now() + limit);
    let given_up = engine.closed();
    tokio::pin!(given_up);
    while runs.iter().any(|run| run.outcome.is_none()) {
        tokio::select! {
            Some((at, told)) = news.recv() => take(&mut runs[at], told, view, out)?,
            _ = tick.tick() => {
                draw(engine, runs, view);
                match held(&engine.system(), runs).await {
                    Ok(Some(doubts)) => return Ok(Ending::Held(doubts)),
                    Ok(None) => {}
                    // While the store is being opened again nobody can say.
                    Err(_) if !engine.is_open() => {}
                    Err(error) => return Err(error),
                }
            }
            () = signals.next() => return Ok(Ending::Interrupted),
            cause = &mut given_up => return Err(closed(durable::Error::OutcomeUnknown { cause })),
            () = over(deadline) => return Ok(Ending::TimedOut),
        }
    }
    draw(engine, runs, view);
    Ok(Ending::Ended)
}

async fn over(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

fn closed(error: durable::Error) -> Error {
    headframe::Error::from(error).into()
}

/// Tell of a run until it has ended. Its result is told after its events.
async fn follow(at: usize, run: RunHandle, news: mpsc::Sender<(usize, News)>) {
    let told = match following(at, &run, &news).await {
        Ok(outcome) => News::Ended(outcome),
        Err(error) => News::Failed(error),
    };
    // Whoever watched has seen enough.
    let _ = news.send((at, told)).await;
}

async fn following(at: usize, run: &RunHandle, news: &mpsc::Sender<(usize, News)>) -> Result<Outcome, Error> {
    let mut tail = run.events().await?;
    let outcome = run.outcome();
    tokio::pin!(outcome);
    loop {
        let items = tokio::select! {
            biased;
            items = tail.next() => items?.unwrap_or_default(),
            outcome = &mut outcome => {
                let outcome = outcome?;
                while let Ok(Ok(Some(items))) = timeout(TRAILING, tail.next()).await {
                    let last = items.iter().any(is_end);
                    let _ = news.send((at, News::Items(items))).await;
                    if last { break }
                }
                return Ok(outcome);
            }
        };
        let last = items.iter().any(is_end);
        let gone = items.is_empty() || news.send((at, News::Items(items))).await.is_err();
        if last || gone {
            // The ledger says no more; the index row says how it ended, or why nobody knows.
            return Ok(outcome.await?);
        }
    }
}

fn is_end(item: &Item) -> bool {
    matches!(&item.what, What::Event(event) if item.kind == "run" && event.get("Ended").is_some())
}

fn take(run: &mut Watched, told: News, view: &mut dyn View, out: Out) -> Result<(), Error> {
    match told {
        News::Items(items) => {
            for item in items {
                if out.format == Format::Jsonl {
                    line(out, run, &item)?;
                }
                let happening = run.progress.apply(&item);
                // What happened in an earlier life is counted, and was told then.
                if let Some(happening) = happening.filter(|_| item.at_ms >= run.since_ms) {
                    view.happened(&run.label, &run.progress, &happening);
                }
            }
            Ok(())
        }
        News::Ended(outcome) => {
            run.outcome = Some(outcome);
            Ok(())
        }
        News::Failed(error) => Err(error),
    }
}

/// An event as a line. A reader that went away does not stop the run.
fn line(out: Out, run: &Watched, item: &Item) -> Result<(), Error> {
    let mut line = serde_json::to_value(item).map_err(std::io::Error::from)?;
    line["run"] = run.handle.id().to_string().into();
    match out.json(&line) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

fn draw(engine: &Engine, runs: &[Watched], view: &mut dyn View) {
    let now_ms = super::now_ms();
    let running = engine.system().progress();
    let waits: Vec<_> = runs.iter().flat_map(|run| waits(&run.progress, &running, now_ms)).collect();
    let shown: Vec<_> = runs.iter().map(|run| (run.label.as_str(), &run.progress)).collect();
    view.draw(&shown, &waits, now_ms);
}

/// The calls to decide, if nothing else is waited for in any run that has not ended.
async fn held(system: &durable::System, runs: &[Watched]) -> Result<Option<Vec<(CallId, Row)>>, Error> {
    let open: Vec<_> = runs.iter().filter(|run| run.outcome.is_none()).collect();
    let is_stuck = |run: &&&Watched| run.progress.is_held || run.progress.waits_for_decisions_only();
    if open.is_empty() || !open.iter().all(|run| is_stuck(&run)) {
        return Ok(None);
    }
    let mut doubts = Vec::new();
    for run in open {
        let row = run.handle.row().await?;
        if row.held.is_some() {
            continue;
        }
        let stream = StreamId(row.actor.0);
        match doubts_only(system, stream).await? {
            Some(calls) => doubts.extend(calls),
            None => return Ok(None),
        }
    }
    Ok(Some(doubts))
}

/// The calls in doubt of a run, if nothing else of it can move: no mail, and no other call.
pub(crate) async fn doubts_only(
    system: &durable::System,
    stream: StreamId,
) -> Result<Option<Vec<(CallId, Row)>>, Error> {
    let (calls, has_mail) = system.calls_of(stream).await.map_err(closed)?;
    let doubted = calls.iter().all(|(_, row)| matches!(row.state, RowState::InDoubt(_)));
    Ok((!has_mail && doubted && !calls.is_empty()).then_some(calls))
}
