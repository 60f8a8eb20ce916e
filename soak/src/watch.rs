//! The soak itself: feeds the victim, listens, kills it when it is time, and looks now and then.
//!
//! ```text
//! Working ─ time over, signal, no room ─► Ending: nothing new, until all that is open has ended ─► Resting ─► the folder is read
//! ```
//! **Invariant:** one task does all of it, so nothing here is shared; it waits in one place only.

use std::{
    io::{self, Write as _},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use headframe::clock::monotonic;
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    args::{Args, Format},
    client::{Answered, Client},
    disk::{Forecast, ROOM_LEFT},
    report::{End, Report, Seen},
    rest,
    sample::{self, Sample, Since},
    samples::Samples,
    stage::Stage,
    wire::{Looked, Order, Said},
};

/// Time between two probes.
const PROBE_EVERY: Duration = Duration::from_millis(250);
/// A start that takes longer has failed.
const START_MAX: Duration = Duration::from_secs(120);
/// Runs that are under way when it ends have so long; what was lost on purpose takes looks of the unsticker.
const GRACE: Duration = Duration::from_secs(90);
/// It wakes at least this often.
const WAKE: Duration = Duration::from_secs(1);

/// A kill, and what came after it; in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Kill {
    pub(crate) at_s: f64,
    /// Until the engine had recovered.
    pub(crate) up_s: Option<f64>,
    /// Until the first run ended.
    pub(crate) answered_s: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Working,
    Ending,
    Resting,
}

struct Soak<'a> {
    args: &'a Args,
    stage: &'a mut Stage,
    client: Client,
    samples: Samples,
    forecast: Forecast,
    began: Instant,
    stand: Stand,
    /// When it took that stand.
    since: Instant,
    end: End,
    /// When the victim was started that is not up yet.
    starting: Option<Instant>,
    life: u32,
    kills: Vec<(Instant, Kill)>,
    due: Due,
    /// A look was asked for.
    looks: bool,
    last: Last,
    rested: Option<(usize, Vec<String>)>,
}

/// When things are due.
struct Due {
    probe: Instant,
    sample: Instant,
    kill: Option<Instant>,
    stall: Option<Instant>,
}

/// What was known at the last look.
struct Last {
    at: Instant,
    cpu_us: u64,
    ended: u64,
    answered: Answered,
}

/// Soak; whatever ends it, what was seen is reported.
pub(crate) async fn watch(args: &Args, stage: &mut Stage) -> anyhow::Result<Report> {
    let mut signals = Signals::new()?;
    let mut soak = Soak::begin(args, stage)?;
    if args.output == Format::Table {
        writeln!(io::stdout(), "{}", sample::HEADER)?;
    }
    let done = soak.run(&mut signals).await;
    soak.report(done).await
}

impl<'a> Soak<'a> {
    fn begin(args: &'a Args, stage: &'a mut Stage) -> anyhow::Result<Self> {
        stage.start()?;
        let began = monotonic();
        let due = Due {
            probe: began + PROBE_EVERY,
            sample: began + args.sample,
            kill: args.kill_every.map(|every| began + every),
            stall: args.stall_every.map(|every| began + every),
        };
        Ok(Self {
            args,
            stage,
            client: Client::new(args.concurrency, args.rate, args.bounds.within, began),
            samples: Samples::new(),
            forecast: Forecast::default(),
            began,
            stand: Stand::Working,
            since: began,
            end: End::Over,
            starting: Some(began),
            life: 1,
            kills: Vec::new(),
            due,
            looks: false,
            last: Last { at: began, cpu_us: 0, ended: 0, answered: Answered::default() },
            rested: None,
        })
    }

    /// Until it is over.
    async fn run(&mut self, signals: &mut Signals) -> anyhow::Result<()> {
        while self.rested.is_none() {
            let wake = self.wake();
            tokio::select! {
                biased;
                signal = signals.next() => {
                    if matches!(self.end, End::Interrupted(_)) {
                        // Whoever interrupts twice does not wait.
                        return Ok(());
                    }
                    self.end(End::Interrupted(signal)).await?;
                }
                said = self.stage.hear() => match said? {
                    Some(said) => self.hear(said).await?,
                    None => bail!("the engine's process ended by itself: {}", self.stage.wait().await?),
                },
                () = tokio::time::sleep_until(wake.into()) => {}
            }
            self.act(monotonic()).await?;
        }
        Ok(())
    }

    fn wake(&self) -> Instant {
        let now = monotonic();
        let Due { probe, sample, kill, stall } = self.due;
        let times = [Some(now + WAKE), Some(self.began + self.args.length)];
        let at_work = [Some(probe), Some(sample), kill, stall, self.client.next_load()];
        let at_work = at_work.into_iter().flatten().filter(|_| self.stand == Stand::Working);
        let times = times.into_iter().flatten().filter(|time| *time > now).chain(at_work);
        times.min().unwrap_or(now)
    }

    async fn hear(&mut self, said: Said) -> anyhow::Result<()> {
        let now = monotonic();
        match said {
            Said::Up => {
                self.starting = None;
                if let Some((at, kill)) = self.kills.last_mut() {
                    kill.up_s = Some(now.duration_since(*at).as_secs_f64());
                }
                let orders = self.client.again();
                self.stage.tell(&orders)
            }
            Said::Looked(looked) => self.sample(&looked, now).await,
            Said::Rested { left, letters } => {
                self.rested = Some((left, letters));
                Ok(())
            }
            said => {
                if self.client.hear(said, now)?
                    && let Some((at, kill)) = self.kills.last_mut()
                {
                    kill.answered_s = Some(now.duration_since(*at).as_secs_f64());
                }
                Ok(())
            }
        }
    }

    /// Whatever is due.
    async fn act(&mut self, now: Instant) -> anyhow::Result<()> {
        if self.starting.is_some_and(|since| now.duration_since(since) > START_MAX) {
            bail!("the engine did not start within {START_MAX:?}");
        }
        match self.stand {
            Stand::Working if now >= self.began + self.args.length => self.end(End::Over).await,
            Stand::Working => self.work(now).await,
            Stand::Ending if self.client.open() == 0 && !self.looks && self.starting.is_none() => {
                self.stand(Stand::Resting);
                self.stage.tell(&[Order::Rest])
            }
            Stand::Ending | Stand::Resting if now.duration_since(self.since) > GRACE => {
                let (open, examples) = (self.client.open(), self.client.examples());
                bail!("{open} runs did not end within {GRACE:?}: {examples}")
            }
            Stand::Ending | Stand::Resting => Ok(()),
        }
    }

    async fn work(&mut self, now: Instant) -> anyhow::Result<()> {
        if self.due.kill.is_some_and(|due| now >= due) {
            self.due.kill = self.args.kill_every.map(|every| now + every);
            return self.kill().await;
        }
        let mut orders = self.client.load(now);
        if now >= self.due.probe {
            self.due.probe = (self.due.probe + PROBE_EVERY).max(now);
            orders.extend(self.client.probe(now));
        }
        let is_up = self.starting.is_none();
        if self.due.stall.is_some_and(|due| now >= due) {
            self.due.stall = self.args.stall_every.map(|every| now + every);
            orders.extend(is_up.then(|| self.client.stall(now)).flatten());
        }
        if now >= self.due.sample {
            self.due.sample = now + self.args.sample;
            orders.extend(self.look());
        }
        // What is begun while nobody is there is submitted as soon as somebody is.
        if is_up { self.stage.tell(&orders) } else { Ok(()) }
    }

    fn look(&mut self) -> Option<Order> {
        let asks = self.starting.is_none() && !self.looks;
        self.looks |= asks;
        asks.then_some(Order::Look)
    }

    async fn kill(&mut self) -> anyhow::Result<()> {
        let at = monotonic();
        for said in self.stage.kill().await? {
            // A look that comes too late is none.
            if !matches!(said, Said::Looked(_) | Said::Up) {
                self.client.hear(said, at)?;
            }
        }
        self.looks = false;
        self.client.killed(at);
        self.kills.push((at, Kill { at_s: at.duration_since(self.began).as_secs_f64(), ..Kill::default() }));
        self.stage.start()?;
        self.starting = Some(at);
        self.life += 1;
        self.last.cpu_us = 0;
        Ok(())
    }

    async fn end(&mut self, end: End) -> anyhow::Result<()> {
        self.end = end;
        if self.stand == Stand::Working {
            self.stand(Stand::Ending);
            let order = self.look();
            self.stage.tell(order.as_slice())?;
        }
        Ok(())
    }

    fn stand(&mut self, stand: Stand) {
        (self.stand, self.since) = (stand, monotonic());
    }

    async fn sample(&mut self, looked: &Looked, now: Instant) -> anyhow::Result<()> {
        self.looks = false;
        let Some(pid) = self.stage.pid() else { return Ok(()) };
        let (runs, answered) = (self.client.runs.ended, self.client.probes.so_far());
        let since = Since {
            runs,
            ended: runs - self.last.ended,
            seconds: now.duration_since(self.last.at).as_secs_f64(),
            cpu_us: looked.cpu_us.saturating_sub(self.last.cpu_us),
            times: self.client.take_times(),
            in_time: answered.since(self.last.answered).percent(),
        };
        self.last = Last { at: now, cpu_us: looked.cpu_us, ended: runs, answered };
        let at = now.duration_since(self.began);
        let sample = Sample::take(pid, &self.stage.data(), at, self.life, looked, &since)?;
        if self.args.output == Format::Table {
            writeln!(io::stdout(), "{sample}")?;
        }
        let room = self.stage.room()?;
        if let Some(told) = self.forecast.look(&sample, self.args.length, room) {
            eprintln!("{told}");
        }
        self.samples.push(sample);
        if room < ROOM_LEFT && self.stand == Stand::Working {
            self.end(End::NoRoom(format!("only {} MiB are free after {at:.0?}", room >> 20))).await?;
        }
        Ok(())
    }

    async fn report(mut self, done: anyhow::Result<()>) -> anyhow::Result<Report> {
        match done {
            Ok(()) => {}
            // Whoever read our output has gone; there is nobody to report to.
            Err(error) if is_broken_pipe(&error) => return Err(error),
            Err(error) => self.end = End::Failed(format!("{error:#}")),
        }
        let is_whole = self.rested.is_some();
        if is_whole {
            self.stage.wait().await?;
        }
        let found = match (&self.end, is_whole) {
            (End::Over | End::NoRoom(_), true) => {
                let (data, runs) = (self.stage.data(), self.client.runs);
                let read = tokio::task::spawn_blocking(move || rest::read(&data, runs)).await?;
                Some(read.context("the folder cannot be read")?)
            }
            _ => None,
        };
        let waiting = if matches!(self.end, End::Failed(_)) { self.who_waits().await } else { Vec::new() };
        let panics = self.stage.panics();
        let seen = Seen {
            answered: self.client.probes.so_far(),
            runs: self.client.runs,
            rested: self.rested,
            kills: self.kills.into_iter().map(|(_, kill)| kill).collect(),
            stalls: self.client.stalls,
            found,
            waiting,
            panics,
        };
        Ok(Report::new(&self.samples, seen, self.args, self.end))
    }

    /// A run went wrong: what waits in the folder, once nobody works there.
    async fn who_waits(&mut self) -> Vec<String> {
        self.stage.clear().await;
        let data = self.stage.data();
        let read = tokio::task::spawn_blocking(move || rest::waiting(&data)).await;
        let read = read.map_err(anyhow::Error::from).and_then(|read| read);
        read.unwrap_or_else(|error| vec![format!("who waits cannot be told: {error:#}")])
    }
}

pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The signals that end it.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self([listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?]))
    }

    /// The exit code that a shell shows for the one that comes.
    async fn next(&mut self) -> u8 {
        let Self([interrupt, terminate, hangup]) = self;
        tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
            _ = hangup.recv() => 129,
        }
    }
}
