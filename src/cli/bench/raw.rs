//! What ractor does when nothing is kept: messages that actors throw to each other in memory.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use headframe::clock::monotonic;
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::Failed;

/// Throws on whatever it is told, until there has been enough.
struct Thrower;

enum Told {
    Meet(ActorRef<Told>),
    Ball,
}

struct Seen {
    next: Option<ActorRef<Told>>,
    taken: Arc<AtomicU64>,
    enough: Arc<AtomicBool>,
}

impl Actor for Thrower {
    type Msg = Told;
    type State = Seen;
    type Arguments = (Arc<AtomicU64>, Arc<AtomicBool>);

    async fn pre_start(&self, _: ActorRef<Told>, (taken, enough): Self::Arguments) -> Result<Seen, ActorProcessingErr> {
        Ok(Seen { next: None, taken, enough })
    }

    async fn handle(&self, _: ActorRef<Told>, told: Told, seen: &mut Seen) -> Result<(), ActorProcessingErr> {
        match told {
            Told::Meet(next) => seen.next = Some(next),
            Told::Ball => {
                seen.taken.fetch_add(1, Ordering::Relaxed);
                if let Some(next) = seen.next.as_ref().filter(|_| !seen.enough.load(Ordering::Relaxed)) {
                    next.send_message(Told::Ball)?;
                }
            }
        }
        Ok(())
    }
}

/// Messages per second among so many actors in a ring, each of which has a ball.
pub(super) async fn tells_per_s(actors: u32, length: Duration) -> Result<f64, Failed> {
    let (taken, enough) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (mut throwers, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..actors {
        let (thrower, end) = Actor::spawn(None, Thrower, (taken.clone(), enough.clone())).await?;
        throwers.push(thrower);
        ends.push(end);
    }
    for (at, thrower) in throwers.iter().enumerate() {
        thrower.send_message(Told::Meet(throwers[(at + 1) % throwers.len()].clone()))?;
    }
    let began = monotonic();
    throwers.iter().try_for_each(|thrower| thrower.send_message(Told::Ball))?;
    tokio::time::sleep(length).await;
    let per_s = taken.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
    enough.store(true, Ordering::Relaxed);
    throwers.iter().for_each(|thrower| thrower.stop(None));
    for end in ends {
        end.await?;
    }
    Ok(per_s)
}
