//! W8: death. Actors that die in a turn, one message each, and how soon that message is taken again.
//!
//! In between lie the end of the host, the keeper that hears of it, a new host, and the state that is folded from the row.
//! Nothing is printed of these panics, because that would be measured.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use hdrhistogram::Histogram;
use headframe::{
    clock::monotonic,
    durable::{
        ActorId, Behavior, Rejection, System, Turn,
        store::{Local, LocalOptions},
    },
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{
    Args, Failed,
    lanes::{Times, Until, lanes},
    process::cpu_time,
};

/// How long somebody waits for an actor that died.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lives, dies once, and is done.
struct Mortal;

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Message {
    /// Be there.
    Live,
    /// Die of this; whoever takes it again says so, and finishes.
    Die,
}

impl Behavior for Mortal {
    const KIND: &'static str = "bench-mortal";
    const VERSION: u16 = 1;
    type State = u32;
    type Message = Message;
    type Event = ();
    type Reply = u32;

    fn decide(turn: &mut Turn<'_, Self>, message: Message) -> Result<(), Rejection> {
        turn.emit(&());
        match message {
            Message::Live => {}
            Message::Die => {
                if turn.extension::<Watch>().is_some_and(|watch| watch.is_first(turn.me())) {
                    std::panic::resume_unwind(Box::new("as it was told"));
                }
                let lived = *turn.state();
                turn.reply(&lived);
                turn.stop();
            }
        }
        Ok(())
    }

    fn apply(state: &mut u32, (): &()) {
        *state += 1;
    }
}

/// When actors died, and how long it took until they were there again.
struct Watch(Mutex<(std::collections::HashMap<ActorId, std::time::Instant>, Histogram<u64>)>);

impl Watch {
    /// Whether an actor takes this message for the first time; the second time it is measured.
    fn is_first(&self, actor: ActorId) -> bool {
        let (died, took) = &mut *self.0.lock();
        match died.remove(&actor) {
            Some(at) => took.saturating_record(u64::try_from(at.elapsed().as_micros()).unwrap_or(u64::MAX)),
            None => {
                died.insert(actor, monotonic());
                return true;
            }
        }
        false
    }
}

/// What was measured, each figure in this run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// Actors that die at once.
    concurrency: u32,
    /// For how long it was measured.
    seconds: f64,
    /// Actors that died, took the message again, and finished.
    deaths: u64,
    deaths_per_s: f64,
    /// From the panic to the next turn.
    #[serde(flatten)]
    times: Times,
    /// The longest of all.
    max_ms: f64,
    /// Processor time for each: its birth, two turns and its end included.
    cpu_us_per_death: f64,
}

pub(super) async fn measure(scratch: &Path, args: &Args) -> Result<Report, Failed> {
    let watch = Arc::new(Watch(Mutex::new((std::collections::HashMap::new(), Histogram::new(3)?))));
    let store = Arc::new(Local::open(&scratch.join("store"), LocalOptions::default())?);
    let system = System::builder().behavior::<Mortal>().extension(watch.clone()).start(store).await?;
    if let Some(length) = args.warmup() {
        deaths(&system, args.concurrency(), length).await?;
        watch.0.lock().1.reset();
    }
    let (cpu, began) = (cpu_time(), monotonic());
    deaths(&system, args.concurrency(), args.length()).await?;
    let (elapsed, cpu) = (began.elapsed().as_secs_f64(), cpu_time().saturating_sub(cpu));
    system.stop(Duration::from_secs(5)).await;
    let took = watch.0.lock().1.clone();
    Ok(Report {
        concurrency: args.concurrency(),
        seconds: elapsed,
        deaths: took.len(),
        deaths_per_s: took.len() as f64 / elapsed,
        times: Times::from(&took),
        max_ms: took.max() as f64 / 1_000.0,
        cpu_us_per_death: cpu.as_secs_f64() * 1e6 / took.len().max(1) as f64,
    })
}

/// Let actors live and die, for so long.
async fn deaths(system: &System, at_once: u32, length: Duration) -> Result<(), Failed> {
    let system = system.clone();
    let step = move |_| {
        let system = system.clone();
        async move {
            let born = system.spawn_root::<Mortal>(None, |_| Vec::new(), &Message::Live).await?;
            let mortal = born.map_err(|_| "an actor without a key was there already")?;
            match system.ask(mortal, Message::Die, PATIENCE).await? {
                2 => Ok(()),
                turns => Err(format!("{mortal:?} counts {turns} turns after its death, and there were two").into()),
            }
        }
    };
    lanes(at_once, Until::after(length), step).await.map(drop)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { concurrency, seconds, deaths, times: Times { p50_ms, p95_ms, p99_ms }, .. } = self;
        writeln!(f, "w8: {deaths} actors died and went on, {concurrency} at once, {seconds:.1} s")?;
        writeln!(f, "  deaths/s           {:>12.0}", self.deaths_per_s)?;
        writeln!(f, "  crash to next turn {p50_ms:>12.3} ms p50  {p95_ms:.3} ms p95  {p99_ms:.3} ms p99")?;
        writeln!(f, "  the longest        {:>12.3} ms", self.max_ms)?;
        write!(f, "  CPU per death      {:>12.1} us, with its birth and its end", self.cpu_us_per_death)
    }
}
