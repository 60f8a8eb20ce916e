//! Dying at every step of what the store does beside its journal: bases, ledger segments, trimming, an accepted loss.
//!
//! The records are real ones (`crashes/tale.rs`), so that what is found is compared as state and as history.

mod archiver;
mod at_scale;
mod beside;
mod forgetting;
mod loss;
mod tale;

use std::{path::Path, sync::Arc, time::Duration};

use self::tale::Tale;
use super::{Local, LocalOptions, Tuning, archiver::Work, gone::Gone, inspect};
use crate::durable::{
    audit,
    id::{Sequence, StreamId},
    journal::sim::{Fate, SimDisk},
    kind::Registry,
    ledger::{Item, Ledger},
    live::Live,
    store::{Error, Fence, Store as _},
};

const FATES: [Fate; 7] =
    [Fate::Kept, Fate::Lost, Fate::Pages(1), Fate::Pages(2), Fate::Pages(3), Fate::Sectors(4), Fate::Sectors(5)];

/// A life of a store.
struct Life {
    local: Arc<Local>,
    live: Live,
    fence: Fence,
    last: Sequence,
}

fn unread(disk: &SimDisk) -> Result<Local, Error> {
    let options = LocalOptions { rows: false, segment_bytes: 12 * 1024, ..LocalOptions::default() };
    let tuning = Tuning { head_every: Duration::ZERO, background: false };
    Local::open_on(Arc::new(disk.clone()), Path::new("data"), options, tuning)
}

fn open(disk: &SimDisk) -> Result<Life, Error> {
    let local = Arc::new(unread(disk)?);
    let (live, recovered) = Live::fold(&*local)?;
    Ok(Life { local, live, fence: recovered.fence, last: recovered.durable })
}

impl Life {
    /// Go on with the tale up to a record; counts what is acknowledged.
    fn tell(&mut self, tale: &Tale, to: u64, acknowledged: &mut u64) -> Result<(), Error> {
        for sequence in self.last.0 + 1..=to {
            self.local.append(self.fence, Sequence(sequence), tale.payload(sequence))?;
            self.last = Sequence(sequence);
            *acknowledged = sequence.max(*acknowledged);
        }
        Ok(())
    }

    /// What the archiver's thread does when a base is due; ledger segments are short.
    fn base(&self) -> Result<(), Error> {
        let mut work = Work::new(&self.local.setup, &self.local.shared, 0);
        work.ledger_bytes = 1_500;
        work.make(self.last, &|| false)
    }

    /// What it does when nobody asks any more for the history of streams below this.
    fn forget(&self, below: StreamId) -> Result<(), Error> {
        Work::new(&self.local.setup, &self.local.shared, 0).forget(below)
    }

    /// What the archiver's thread does when no base is due.
    fn look(&self) -> Result<(), Error> {
        Work::new(&self.local.setup, &self.local.shared, u64::MAX).look(&|| false)
    }

    /// State and history are those of the tale, as far as it is told, which is at least as far as was acknowledged.
    fn examine(&self, tale: &Tale, acknowledged: u64, scene: &dyn Fn() -> String) {
        assert!(self.last.0 >= acknowledged, "{acknowledged} were acknowledged, {} are there: {}", self.last, scene());
        let wrong = audit::differences(&self.live, tale.state(self.last));
        assert_eq!(wrong, Vec::<String>::new(), "{}", scene());
        let gone = Gone::read(&*self.local.setup.disk, &self.local.setup.folder).unwrap();
        let mut history = tale.history(self.last);
        history.retain(|item| item.record > gone.to.0);
        assert_eq!(self.history(scene), history, "{}", scene());
    }

    fn history(&self, scene: &dyn Fn() -> String) -> Vec<Item> {
        let ledger = Ledger::new(self.local.clone(), Registry::new());
        let verified = ledger.verify().unwrap_or_else(|error| panic!("{error}: {}", scene()));
        assert_eq!(verified.problems, Vec::<String>::new(), "{}", scene());
        let mut items = Vec::new();
        let visit = &mut |item| {
            items.push(item);
            true
        };
        ledger.all(visit).unwrap_or_else(|error| panic!("{error}: {}", scene()));
        items.sort_by_key(|item: &Item| (item.stream, item.number));
        items
    }
}

/// The store opens, tells the truth, goes on with the tale, bases and all, and is whole after the power goes again.
fn lives_on(disk: &SimDisk, tale: &Tale, mut acknowledged: u64, scene: &dyn Fn() -> String) {
    let mut life = open(disk).unwrap_or_else(|error| panic!("{error}: {}", scene()));
    life.examine(tale, acknowledged, scene);
    for _ in 0..2 {
        life.tell(tale, life.last.0 + 4, &mut acknowledged).unwrap_or_else(|error| panic!("{error}: {}", scene()));
        life.base().unwrap_or_else(|error| panic!("{error}: {}", scene()));
    }
    let image = disk.after_crash(Fate::Lost);
    drop(life);
    let life = open(&image).unwrap_or_else(|error| panic!("{error}: again, {}", scene()));
    life.examine(tale, acknowledged, scene);
    let checked = inspect::check(&image, Path::new("data")).unwrap();
    assert_eq!(checked.problems, Vec::<String>::new(), "{}", scene());
}

fn scene(disk: &SimDisk, step: u64, fate: Fate) -> String {
    format!("{fate:?} after step {step}: {:?}", disk.log().last())
}
