//! Watching a run that a server carries out.
//!
//! **Invariant:** as with a run of our own, what is shown is the fold of its ledger, and leaving changes nothing. A stream
//! that is cut off is taken up again where it was.

use std::time::Duration;

use headframe::plan::Plan;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::time::{Instant, interval, sleep, sleep_until};

use super::{
    client::{Client, Open, refused},
    parse::{Blocks, item},
};
use crate::cli::{
    exit::Error,
    now_ms,
    out::{Format, Out},
    progress::Progress,
    view::{View, view, waits},
    watch::Signals,
};

/// How often the view is drawn.
const TICK: Duration = Duration::from_millis(100);
/// How long to wait before a stream is taken up again.
const AGAIN: Duration = Duration::from_millis(500);
/// How often that is tried without a single event.
const TRIES: u32 = 60;

/// Why watching ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Ended,
    /// It waits for a person.
    Held,
    Interrupted,
    TimedOut,
}

/// Watch a run until it has ended, or something else ends it; with the fold of what was seen.
pub(crate) async fn follow(
    client: &Client,
    run: &str,
    plan: Option<&Plan>,
    out: Out,
    (signals, limit): (&mut Signals, Option<Duration>),
) -> Result<(Ending, Progress), Error> {
    let mut watcher =
        Watcher { out, run, progress: Progress::new(plan), view: view(out), after: 0, since_ms: now_ms() };
    let deadline = limit.map(|limit| Instant::now() + limit);
    let watched = tokio::select! {
        watched = watcher.watch(client) => watched?,
        () = signals.next() => Ending::Interrupted,
        () = over(deadline) => Ending::TimedOut,
    };
    watcher.view.close();
    Ok((watched, watcher.progress))
}

async fn over(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

struct Watcher<'a> {
    out: Out,
    run: &'a str,
    progress: Progress,
    view: Box<dyn View>,
    /// The last event that was seen.
    after: u64,
    since_ms: u64,
}

impl Watcher<'_> {
    async fn watch(&mut self, client: &Client) -> Result<Ending, Error> {
        let mut tries = 0;
        loop {
            let before = self.after;
            let path = format!("/v1/runs/{}/events?after={}", self.run, self.after);
            match client.open("GET", &path, None, None).await {
                Ok(open) if open.response.status().is_success() => {
                    if let Some(ending) = self.read(client, open).await? {
                        return Ok(ending);
                    }
                }
                Ok(open) if open.response.status().as_u16() != 503 => {
                    return Err(refused(open.response.status().as_u16(), &Value::Null));
                }
                Err(error) if tries == TRIES => return Err(error),
                Ok(_) | Err(_) => {}
            }
            tries = if self.after > before { 0 } else { tries + 1 };
            if tries > TRIES {
                return Err(Error::Unreachable("the server does not come back".to_owned()));
            }
            sleep(AGAIN).await;
        }
    }

    /// Take what comes; nothing if the stream was cut off.
    async fn read(&mut self, client: &Client, mut open: Open) -> Result<Option<Ending>, Error> {
        let (mut blocks, mut tick) = (Blocks::default(), interval(TICK));
        let body = open.response.body_mut();
        loop {
            tokio::select! {
                frame = body.frame() => {
                    let Some(Ok(frame)) = frame else { return Ok(None) };
                    for block in blocks.take(frame.data_ref().map_or(&[][..], |data| data)) {
                        if block.name.as_deref() == Some("end") {
                            self.draw();
                            return Ok(Some(Ending::Ended));
                        }
                        self.event(&block.data)?;
                    }
                }
                _ = tick.tick() => {
                    self.draw();
                    if self.may_be_held() && self.is_held(client).await {
                        return Ok(Some(Ending::Held));
                    }
                }
            }
        }
    }

    fn event(&mut self, told: &Value) -> Result<(), Error> {
        self.after = told["number"].as_u64().unwrap_or(self.after);
        if self.out.format == Format::Jsonl {
            let mut line = told.clone();
            line["run"] = self.run.into();
            self.out.json(&line)?;
        }
        let Some(item) = item(told) else { return Ok(()) };
        let happening = self.progress.apply(&item);
        if let Some(happening) = happening.filter(|_| item.at_ms >= self.since_ms) {
            self.view.happened("", &self.progress, &happening);
        }
        Ok(())
    }

    fn draw(&mut self) {
        let waits = waits(&self.progress, &[], now_ms());
        self.view.draw(&[("", &self.progress)], &waits, now_ms());
    }

    fn may_be_held(&self) -> bool {
        self.progress.is_held || self.progress.waits_for_decisions_only()
    }

    /// What is folded may be older than a decision.
    async fn is_held(&self, client: &Client) -> bool {
        client.get(&format!("/v1/runs/{}", self.run)).await.is_ok_and(|run| run["status"] == "held")
    }
}
