//! Loses something on purpose, and says how many looks of the unsticker it took until the run had ended all the same.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context as _;
use headframe::durable::{ActorId, Stall, StreamId, System};

use super::{Works, say};
use crate::{
    wire::{Looks, Said},
    workload::Kind,
};

/// How often hosts are killed, and the wait between.
const KILLS: u32 = 10;
const AGAIN: Duration = Duration::from_millis(20);

impl Works {
    /// From the submission of a run that loses something to its end.
    pub(super) async fn stall(self: Arc<Self>, number: u64, kind: Kind) {
        let done = self.lose(number, kind).await;
        self.engine.system().end_stalls();
        self.or_fail(done);
    }

    async fn lose(&self, number: u64, kind: Kind) -> anyhow::Result<()> {
        let system = self.engine.system();
        match kind {
            Kind::Call => system.stall(Stall::Call("stalled".to_owned())),
            Kind::Timers => system.stall(Stall::Timers),
            Kind::Heartbeat => self.is_to_fall_silent.store(true, Ordering::SeqCst),
            _ => {}
        }
        let run = self.submit(number, kind).await?;
        let stream = StreamId(run.row().await?.actor.0);
        match kind {
            Kind::Bell => {
                if let Some(sleeper) = sleeper(&system, stream).await? {
                    system.stall(Stall::Bell(sleeper));
                }
            }
            Kind::Host => {
                sleeper(&system, stream).await?;
                for _ in 0..KILLS {
                    of_stream(&system, stream).await?.into_iter().for_each(|(actor, _)| _ = system.kill_host(actor));
                    system.kill_tool("slow");
                    tokio::time::sleep(AGAIN).await;
                }
            }
            _ => {}
        }
        let (all, late) = (system.looks(), system.late_looks());
        run.outcome().await?;
        let looks = Looks { all: system.looks() - all, late: system.late_looks() - late };
        // A run that was faster than we were lost nothing.
        let lost = kind == Kind::Timers || system.stalls_left() == 0;
        say(&Said::Stalled { number, looks, lost });
        self.end(number, run).await
    }
}

/// The actor that sleeps: the only one that waits for nothing but time. None does in a run that has ended meanwhile.
async fn sleeper(system: &System, stream: StreamId) -> anyhow::Result<Option<ActorId>> {
    let found = async {
        loop {
            let actors = of_stream(system, stream).await?;
            if actors.is_empty() {
                return Ok(None);
            }
            if let Some((actor, _)) = actors.into_iter().find(|(_, sleeps)| *sleeps) {
                return Ok(Some(actor));
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found).await.context("nobody sleeps in a run that sleeps")?
}

async fn of_stream(system: &System, stream: StreamId) -> anyhow::Result<Vec<(ActorId, bool)>> {
    let found = system.actors(move |actor, row| {
        let sleeps = row.version > 0 && row.children == 0 && row.calls == 0 && row.mailbox.is_empty();
        (row.stream == stream).then_some((actor, sleeps))
    });
    Ok(found.await?)
}
