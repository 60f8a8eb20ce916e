//! Dying at every step of what the store does beside its journal: bases, ledger segments, trimming, an accepted loss, what is
//! kept before an upgrade.
//!
//! The records are real ones (`crashes/tale.rs`), so that what is found is compared as state and as history.

mod archiver;
mod at_scale;
mod beside;
mod forgetting;
mod loss;
mod tale;
mod upgrade;

use std::{path::Path, sync::Arc, time::Duration};

use parking_lot::Mutex;

use self::tale::Tale;
use super::{Durability, Local, LocalOptions, Tuning, archiver::Work, base, gone::Gone, inspect};
use crate::durable::{
    audit,
    id::{Sequence, StreamId},
    journal::{
        head,
        sim::{Fate, SimDisk},
    },
    kind::Registry,
    ledger::{Item, Ledger},
    live::Live,
    store::{Error, Fence, Store as _},
};

const FATES: [Fate; 7] =
    [Fate::Kept, Fate::Lost, Fate::Pages(1), Fate::Pages(2), Fate::Pages(3), Fate::Sectors(4), Fate::Sectors(5)];

/// How a store is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Each record is synced, and `HEAD` says so at once.
    Close,
    /// Each record is synced, and `HEAD` says so when it is asked to.
    Lagging,
    /// No record is synced before `HEAD` is asked to say so.
    Unsynced,
}

const MANNERS: [Manner; 3] = [Manner::Close, Manner::Lagging, Manner::Unsynced];

impl Manner {
    /// What must be there of what was acknowledged: all of it where the power stayed, and wherever each record was synced;
    /// else what `HEAD` vouches for.
    fn owed(self, disk: &SimDisk, acknowledged: u64, power_stayed: bool) -> u64 {
        if self == Self::Unsynced && !power_stayed { vouched(disk).min(acknowledged) } else { acknowledged }
    }
}

/// What `HEAD` says for good, whatever the power does.
fn vouched(disk: &SimDisk) -> u64 {
    let found = head::read(&disk.after_crash(Fate::Lost), &Path::new("data").join(head::NAME)).unwrap();
    found.head().map_or(0, |head| head.durable.0)
}

/// A life of a store.
struct Life {
    local: Arc<Local>,
    /// What its archiver's thread works on; ledger segments are short, and there is little memory.
    work: Mutex<Work>,
    live: Live,
    fence: Fence,
    last: Sequence,
}

fn unread(disk: &SimDisk, manner: Manner) -> Result<Local, Error> {
    let durability = if manner == Manner::Unsynced { Durability::Process } else { Durability::Power };
    let options = LocalOptions { rows: false, segment_bytes: 12 * 1024, durability, ..LocalOptions::default() };
    let head_every = if manner == Manner::Close { Duration::ZERO } else { Duration::MAX };
    let tuning = Tuning { head_every, background: false };
    Local::open_on(Arc::new(disk.clone()), Path::new("data"), options, tuning)
}

fn open(disk: &SimDisk) -> Result<Life, Error> {
    open_as(disk, Manner::Close)
}

fn open_as(disk: &SimDisk, manner: Manner) -> Result<Life, Error> {
    let local = Arc::new(unread(disk, manner)?);
    let (live, recovered) = Live::fold(&*local)?;
    Ok(Life::new(local, live, recovered.fence, recovered.durable))
}

impl Life {
    fn new(local: Arc<Local>, live: Live, fence: Fence, last: Sequence) -> Self {
        let mut work = Work::new(&local.setup, &local.shared, 0);
        (work.ledger_bytes, work.memory_bytes) = (1_500, 4_000);
        Self { local, work: work.into(), live, fence, last }
    }

    /// Go on with the tale up to a record; counts what is acknowledged.
    fn tell(&mut self, tale: &Tale, to: u64, acknowledged: &mut u64) -> Result<(), Error> {
        for sequence in self.last.0 + 1..=to {
            self.local.append(self.fence, Sequence(sequence), tale.payload(sequence))?;
            self.last = Sequence(sequence);
            *acknowledged = sequence.max(*acknowledged);
        }
        Ok(())
    }

    /// What the archiver's thread does when a base is due.
    fn base(&self) -> Result<(), Error> {
        let work = self.work.lock();
        let bases = base::list(&*self.local.setup.disk, &self.local.setup.folder.join(base::FOLDER))?;
        let is_due = bases.last().map_or(Sequence(0), |(base, _)| *base) < work.vouched();
        if is_due { work.make(work.vouched(), &|| true) } else { work.look(&|| false) }
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
fn lives_on(disk: &SimDisk, tale: &Tale, acknowledged: u64, scene: &dyn Fn() -> String) {
    lives_on_as(disk, Manner::Close, tale, acknowledged, scene);
}

fn lives_on_as(disk: &SimDisk, manner: Manner, tale: &Tale, mut acknowledged: u64, scene: &dyn Fn() -> String) {
    let mut life = open_as(disk, manner).unwrap_or_else(|error| panic!("{error}: {}", scene()));
    life.examine(tale, acknowledged, scene);
    for _ in 0..2 {
        life.tell(tale, life.last.0 + 4, &mut acknowledged).unwrap_or_else(|error| panic!("{error}: {}", scene()));
        life.base().unwrap_or_else(|error| panic!("{error}: {}", scene()));
    }
    for fate in [Fate::Lost, Fate::Kept] {
        let (image, owed) = (disk.after_crash(fate), manner.owed(disk, acknowledged, fate == Fate::Kept));
        let scene = || format!("{fate:?} again, {}", scene());
        let life = open_as(&image, manner).unwrap_or_else(|error| panic!("{error}: {}", scene()));
        life.examine(tale, owed, &scene);
        let checked = inspect::check(&image, Path::new("data")).unwrap();
        assert_eq!(checked.problems, Vec::<String>::new(), "{}", scene());
        if manner == Manner::Close {
            // What is kept is no more than what was synced.
            break;
        }
    }
    drop(life);
}

fn scene(disk: &SimDisk, step: u64, fate: Fate) -> String {
    format!("{fate:?} after step {step}: {:?}", disk.log().last())
}
