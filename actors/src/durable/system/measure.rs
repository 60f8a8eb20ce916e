//! What is measured: figures that can be had at once, and a survey that has to look for its own.
//!
//! **Invariants:** [`System::record_metrics`] waits for no actor, no worker and no disk. A survey changes nothing, and takes as
//! long as there are rows; whoever repeats it lets time pass in between.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use parking_lot::Mutex;

use super::{Error, Figures, Inner, System};
use crate::durable::{call::RowState, id::ActorId, live};

/// Dead letters that are read at once.
const PAGE: usize = 1_000;

/// What has to be looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Live actors, in memory or not, by kind.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Those of them that nobody spawned: what stands at the top of a tree.
    pub roots: BTreeMap<&'static str, u64>,
    /// Actors that are not run.
    pub suspended: u64,
    /// Messages that lie in mailboxes.
    pub mail: u64,
    /// Calls of which nobody knows whether they happened.
    pub in_doubt: u64,
    /// Messages that were given up and are kept.
    pub dead_letters: u64,
    /// What waits in vain or for a person, by reason; messages that were given up are counted among the dead letters only.
    pub stuck: BTreeMap<&'static str, u64>,
}

impl Survey {
    fn count(&mut self, kind: &'static str, row: &live::Actor) {
        *self.kinds.entry(kind).or_default() += 1;
        if row.parent == ActorId::ENGINE {
            *self.roots.entry(kind).or_default() += 1;
        }
        self.suspended += u64::from(row.suspended.is_some());
        self.mail += row.mailbox.len() as u64;
    }
}

impl System {
    /// Hand the figures that can be had at once to the recorder: to be called right before it is read.
    pub fn record_metrics(&self) {
        let tools = self.inner.tools.iter().map(|(id, slot)| {
            let (_, used, there_are) = slot.load();
            (*id, [slot.waiting(), used, there_are])
        });
        self.inner.meters.read(&self.inner.figures(), &tools.collect::<Vec<_>>());
    }

    /// Look for what has to be looked for, and hand it to the recorder. Rows that are not in memory are read.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before.
    pub async fn survey(&self) -> Result<Survey, Error> {
        let mut survey = self.inner.count_actors().await?;
        survey.dead_letters = self.inner.count_dead_letters().await?;
        let in_doubt = |live: &live::Live| {
            live.calls.values().filter(|row| matches!(row.state, RowState::InDoubt(_))).count() as u64
        };
        survey.in_doubt = self.read(in_doubt).await?;
        for reason in self.inner.stuck_reasons().await {
            *survey.stuck.entry(reason.word()).or_default() += 1;
        }
        if survey.suspended > 0 {
            survey.stuck.insert(crate::durable::Reason::Suspended.word(), survey.suspended);
        }
        self.inner.meters.survey(&survey);
        Ok(survey)
    }
}

impl Inner {
    /// Figures of this life.
    pub(super) fn figures(&self) -> Figures {
        let store = self.store.stats();
        let hosted = self.directory.len();
        let mut core = self.core.lock();
        let accepted = core.accepted.open().latest().0;
        let (turns, buried) = core.accepted.taken();
        let live = core.accepted.live();
        Figures {
            store,
            actors: live.actors.len(),
            hosted,
            calls: live.calls.len(),
            calls_first: self.flight.first(),
            late_answers: core.accepted.late_answers(),
            turns,
            buried,
            timers: live.timers.len(),
            durable: self.durable.load(Ordering::Acquire),
            accepted,
            unsaved_bytes: self.unsaved.waiting(),
            is_short: self.is_short.load(Ordering::Relaxed),
            is_closed: core.closed.is_some(),
        }
    }

    /// Counted one by one as they are read, because there may be millions.
    async fn count_actors(self: &Arc<Self>) -> Result<Survey, Error> {
        let counted = Arc::new(Mutex::new(Survey::default()));
        let (registry, counting) = (self.registry.clone(), counted.clone());
        let none: Vec<()> = self
            .actors(move |_, row| {
                counting.lock().count(registry.name(row.kind), row);
                None
            })
            .await?;
        debug_assert!(none.is_empty());
        Ok(std::mem::take(&mut *counted.lock()))
    }

    async fn count_dead_letters(self: &Arc<Self>) -> Result<u64, Error> {
        let (from, to) = live::dead_letters();
        let (mut next, mut count) = (Some(from), 0);
        while let Some(from) = next {
            let page = self.page(from, to.clone(), PAGE).await?;
            count += page.rows.len() as u64;
            next = page.next;
        }
        Ok(count)
    }
}
