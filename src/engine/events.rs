//! The events of one run, across stores that fail and are opened again.
//!
//! **Invariant:** each event is told once, in order. The numbers of a stream are dense and durable, so whoever follows the
//! next incarnation passes over what was told of the former one.

use std::sync::Arc;

use headframe_actors::durable::{Item, StreamId, System, Tail, store};

use super::Inner;

/// Follows one run.
pub struct Events {
    engine: Arc<Inner>,
    stream: StreamId,
    /// The incarnation that is followed.
    system: System,
    tail: Tail,
    /// The number of the last event that was told.
    told: u64,
}

impl Events {
    pub(super) fn new(engine: Arc<Inner>, stream: StreamId) -> Self {
        let system = engine.system();
        let tail = system.tail(stream);
        Self { engine, stream, system, tail, told: 0 }
    }

    /// The next events, at least one; `None` once the engine has stopped, or its store is closed for good. Whoever gives up
    /// waiting loses nothing.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<Item>>, store::Error> {
        loop {
            let heard = self.tail.next().await;
            if let Ok(Some(mut items)) = heard {
                items.retain(|item| item.number > self.told);
                let Some(last) = items.last() else { continue };
                self.told = last.number;
                return Ok(Some(items));
            }
            if !self.engine.until_reopened(&self.system).await {
                return heard;
            }
            self.system = self.engine.system();
            self.tail = self.system.tail(self.stream);
        }
    }
}
