//! W6: durable messages. Tells and asks from outside, each of which waits until it is durable, and balls that actors
//! throw to each other.
//!
//! Beside them, in the same run, what ractor does with messages that nobody keeps: that is what durability costs.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use hdrhistogram::Histogram;
use headframe::{
    clock::monotonic,
    durable::{
        Address, Behavior, Rejection, System, Turn,
        store::{Local, LocalOptions, Stats},
    },
};
use serde::{Deserialize, Serialize};

use super::{
    Args, Failed,
    lanes::{Times, Until, lanes},
    limit::{self, Limits},
    noise::noise,
    process::cpu_time,
    raw,
    w1::difference,
};

/// How long somebody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Counts what it is told, and throws balls on.
struct Player;

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Message {
    /// Be there.
    Join,
    /// Count this.
    Add(String),
    /// Throw balls to this one from now on.
    Meet(Address<Player>),
    /// Throw it on, until this time in milliseconds since 1970.
    Ball { until_ms: u64, load: String },
    /// How much was counted?
    Count,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Event {
    Met(Address<Player>),
    Took(String),
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    next: Option<Address<Player>>,
    taken: u64,
}

impl Behavior for Player {
    const KIND: &'static str = "bench-player";
    const VERSION: u16 = 1;
    type State = State;
    type Message = Message;
    type Event = Event;
    type Reply = u64;

    fn decide(turn: &mut Turn<'_, Self>, message: Message) -> Result<(), Rejection> {
        match message {
            Message::Join => {}
            Message::Add(load) => turn.emit(&Event::Took(load)),
            Message::Meet(next) => turn.emit(&Event::Met(next)),
            Message::Ball { until_ms, load } => {
                turn.emit(&Event::Took(load.clone()));
                if let Some(next) = turn.state().next.filter(|_| turn.now_ms() < until_ms) {
                    turn.send(next, &Message::Ball { until_ms, load });
                }
            }
            Message::Count => {
                let taken = turn.state().taken;
                turn.reply(&taken);
            }
        }
        Ok(())
    }

    fn apply(state: &mut State, event: &Event) {
        match event {
            Event::Met(next) => state.next = Some(*next),
            Event::Took(_) => state.taken += 1,
        }
    }
}

/// What was measured, each figure in this run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// Who tells and asks at once; as many actors there are, and as many balls.
    concurrency: u32,
    /// Bytes of each message, and of the event that comes of it.
    payload_bytes: u32,
    /// Messages that were told, each durable when its sender went on.
    tell: Part,
    /// Messages that were answered, each answer durable.
    ask: Part,
    /// Messages from actor to actor, each taken and kept.
    between: Part,
    /// Messages per second from actor to actor in ractor alone, on as many actors: nothing is kept of them.
    ractor_per_s: f64,
    /// Tells per second, of the limit.
    of_limit: f64,
    #[serde(flatten)]
    limits: Limits,
}

/// One kind of messages.
#[derive(Clone, Debug, Serialize)]
struct Part {
    messages: u64,
    per_s: f64,
    /// How long each took, for whoever waited.
    #[serde(flatten)]
    times: Option<Times>,
    syncs_per_message: f64,
    bytes_per_message: f64,
    cpu_us_per_message: f64,
}

pub(super) async fn measure(scratch: &Path, args: &Args) -> Result<Report, Failed> {
    let (at_once, payload) = (args.concurrency(), args.payload());
    let before = limit::measure(scratch, at_once, limit::GUESS_BYTES).await?;
    let ractor_per_s = raw::tells_per_s(at_once, Duration::from_secs(1)).await?;
    let store = Arc::new(Local::open(&scratch.join("store"), LocalOptions::default())?);
    let system = System::builder().behavior::<Player>().start(store).await?;
    let players = Arc::new(players(&system, at_once).await?);
    if let Some(length) = args.warmup() {
        tells(&system, &players, payload, length).await?;
    }
    let (tell, ask, between) = (
        measured(&system, tells(&system, &players, payload, args.length())).await?,
        measured(&system, asks(&system, &players, args.length())).await?,
        measured(&system, throws(&system, &players, payload, args.length())).await?,
    );
    system.stop(Duration::from_secs(5)).await;
    let after = limit::measure(scratch, at_once, tell.bytes_per_message).await?;
    let limits = Limits::new(before, after, at_once);
    Ok(Report {
        concurrency: at_once,
        payload_bytes: payload,
        of_limit: tell.per_s / limits.limit_per_s,
        tell,
        ask,
        between,
        ractor_per_s,
        limits,
    })
}

/// So many, in a ring.
async fn players(system: &System, count: u32) -> Result<Vec<Address<Player>>, Failed> {
    let mut players = Vec::new();
    for number in 0..count {
        players.push(system.spawn::<Player>(&format!("player {number}"), &Message::Join).await?);
    }
    for (at, player) in players.iter().enumerate() {
        system.tell(*player, Message::Meet(players[(at + 1) % players.len()])).await?;
    }
    Ok(players)
}

/// What work did: how many messages, and how long each took if somebody waited for it.
type Done = (u64, Option<Histogram<u64>>);

async fn measured(system: &System, work: impl Future<Output = Result<Done, Failed>>) -> Result<Part, Failed> {
    let (store, cpu, began) = (system.figures().store, cpu_time(), monotonic());
    let (messages, times) = work.await?;
    let (elapsed, cpu) = (began.elapsed(), cpu_time().saturating_sub(cpu));
    let Stats { syncs, written_bytes, .. } = difference(system.figures().store, store);
    let each = messages.max(1) as f64;
    Ok(Part {
        messages,
        per_s: messages as f64 / elapsed.as_secs_f64(),
        times: times.as_ref().map(Times::from),
        syncs_per_message: syncs as f64 / each,
        bytes_per_message: written_bytes as f64 / each,
        cpu_us_per_message: cpu.as_secs_f64() * 1e6 / each,
    })
}

async fn tells(
    system: &System,
    players: &Arc<Vec<Address<Player>>>,
    payload: u32,
    length: Duration,
) -> Result<Done, Failed> {
    let (system, lane) = (system.clone(), lane_of(players));
    let step = move |_| {
        let (system, player) = (system.clone(), lane());
        async move { Ok(system.tell(player, Message::Add(noise(payload))).await?) }
    };
    let times = lanes(players.len().try_into()?, Until::after(length), step).await?;
    Ok((times.len(), Some(times)))
}

async fn asks(system: &System, players: &Arc<Vec<Address<Player>>>, length: Duration) -> Result<Done, Failed> {
    let (system, lane) = (system.clone(), lane_of(players));
    let step = move |_| {
        let (system, player) = (system.clone(), lane());
        async move {
            system.ask(player, Message::Count, PATIENCE).await?;
            Ok(())
        }
    };
    let times = lanes(players.len().try_into()?, Until::after(length), step).await?;
    Ok((times.len(), Some(times)))
}

/// A ball for everyone, for so long.
async fn throws(
    system: &System,
    players: &Arc<Vec<Address<Player>>>,
    payload: u32,
    length: Duration,
) -> Result<Done, Failed> {
    let before = taken(system, players).await?;
    let until_ms = super::super::now_ms() + u64::try_from(length.as_millis())?;
    for player in players.iter() {
        system.tell(*player, Message::Ball { until_ms, load: noise(payload) }).await?;
    }
    tokio::time::sleep(length).await;
    // Whoever answers has taken what was thrown to it before.
    Ok((taken(system, players).await? - before, None))
}

async fn taken(system: &System, players: &[Address<Player>]) -> Result<u64, Failed> {
    let mut taken = 0;
    for player in players {
        taken += system.ask(*player, Message::Count, PATIENCE).await?;
    }
    Ok(taken)
}

/// Whom the next step tells: one after the other.
fn lane_of(players: &Arc<Vec<Address<Player>>>) -> impl Fn() -> Address<Player> + Clone + Send + 'static {
    let (players, next) = (players.clone(), Arc::new(std::sync::atomic::AtomicUsize::new(0)));
    move || players[next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % players.len()]
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { concurrency, payload_bytes, .. } = self;
        writeln!(f, "w6: {concurrency} actors, as many senders, {payload_bytes} B a message")?;
        writeln!(f, "                    messages/s         p50         p99   syncs    journal       CPU")?;
        for (name, part) in [("tell", &self.tell), ("ask", &self.ask), ("actor to actor", &self.between)] {
            write!(f, "  {name:<16} {:>12.0}", part.per_s)?;
            match &part.times {
                Some(Times { p50_ms, p99_ms, .. }) => write!(f, "  {p50_ms:>7.2} ms  {p99_ms:>7.2} ms")?,
                None => write!(f, "  {:>10}  {:>10}", "", "")?,
            }
            let Part { syncs_per_message, bytes_per_message, cpu_us_per_message, .. } = part;
            writeln!(f, "  {syncs_per_message:>6.3}  {bytes_per_message:>7.0} B  {cpu_us_per_message:>5.1} us")?;
        }
        writeln!(f, "  ractor alone     {:>12.0}  (nothing is kept)", self.ractor_per_s)?;
        writeln!(f, "  tells, of the limit{:>11.1} %", self.of_limit * 100.0)?;
        self.limits.fmt(f)
    }
}
