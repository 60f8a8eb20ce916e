//! History on its way from the journal into ledger segments.
//!
//! ```text
//! base B1         base B2         base B3
//!   └─ named ───────┴─ drafts ──────┴─ drafts, in the walk that is made for B4 ─►
//! ```
//! A segment gets its name when records leave the journal, one base after it could be made. It is written before that, in the
//! walk over the same records that the newer base needs; what was not is read from the journal again.
//!
//! **Invariants:** segments get their names in order, and each has the link of the one before. A draft counts for nothing: the
//! journal has all that is in it, and whoever cannot go on with drafts removes them.

use std::{collections::VecDeque, path::Path};

use super::{
    archive::{self, Draft, Header, Link, NO_LINK, Pile, Range, Segment},
    archiver::Work,
    past::{BaseGround, Counted},
};
use crate::durable::{
    id::Sequence,
    journal::{self, disk::Disk},
    ledger::Reader,
    record::Record,
    store::Error,
};

/// Segments without names, one after the other.
#[derive(Debug)]
pub(super) struct Drafts {
    waiting: VecDeque<Draft>,
    /// The last record whose events are named or here.
    end: Sequence,
    /// What the next of them has to know.
    link: Link,
}

impl Drafts {
    /// None yet, behind a segment that has its name.
    pub(super) fn behind(end: Sequence, link: Link) -> Self {
        Self { waiting: VecDeque::new(), end, link }
    }

    /// The last record whose events are named or here.
    pub(super) fn end(&self) -> Sequence {
        self.end
    }

    /// Whether a file is one of them.
    pub(super) fn hold(&self, path: &Path) -> bool {
        self.waiting.iter().any(|draft| draft.path() == path)
    }

    /// Give their names, in order, to those that go on from a record and its segment's link and hold nothing after another
    /// record. Returns the last record that has come into the ledger.
    pub(super) fn publish(
        &mut self,
        (disk, folder): (&dyn Disk, &Path),
        (mut named, mut link): (Sequence, Link),
        to: Sequence,
    ) -> Result<Sequence, Error> {
        let goes_on = |draft: &Draft, named: Sequence, link| draft.range.from == named.next() && draft.previous == link;
        while let Some(draft) = self.waiting.front().filter(|draft| goes_on(draft, named, link) && draft.range.to <= to)
        {
            draft.publish(disk, folder)?;
            (named, link) = (draft.range.to, draft.link);
            self.waiting.pop_front();
        }
        Ok(named)
    }

    /// They are of no use.
    pub(super) fn remove(self, disk: &dyn Disk) -> Result<(), Error> {
        self.waiting.iter().try_for_each(|draft| disk.remove(draft.path()).map_err(journal::io("remove", draft.path())))
    }
}

/// Writes the events of records, handed in one after the other, as drafts.
pub(super) struct Scribe<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
    store: u64,
    /// About so many bytes of events go into one segment.
    bytes: usize,
    ground: BaseGround,
    reader: Reader,
    pile: Pile,
    pub(super) drafts: Drafts,
}

impl<'a> Scribe<'a> {
    /// Go on behind drafts. At the last record of those there is a base.
    pub(super) fn behind(
        drafts: Drafts,
        (disk, folder): (&'a dyn Disk, &'a Path),
        store: u64,
        bytes: usize,
    ) -> Result<Self, Error> {
        let ground = BaseGround::at(disk, folder, drafts.end)?;
        let pile = Pile::new(drafts.end.next());
        Ok(Self { disk, folder, store, bytes, ground, reader: Reader::trusting(), pile, drafts })
    }

    /// The next record.
    pub(super) fn take(&mut self, sequence: Sequence, record: &Record) -> Result<(), Error> {
        let pile = &mut self.pile;
        self.reader.walk(&self.ground, sequence, record, &mut |before, after, event| {
            pile.push(before, after, &event);
            true
        })?;
        record.heads.iter().for_each(|(stream, head)| pile.arrives(*stream, *head));
        if pile.bytes >= self.bytes { self.end_at(sequence) } else { Ok(()) }
    }

    /// Write what was handed in since the last draft; that was the last record.
    pub(super) fn end_at(&mut self, to: Sequence) -> Result<(), Error> {
        let Drafts { waiting, end, link } = &mut self.drafts;
        if *end < to {
            let pile = std::mem::replace(&mut self.pile, Pile::new(to.next()));
            let header = Header { store: self.store, range: Range { from: pile.from, to }, previous: *link };
            let draft = archive::write(self.disk, &self.folder.join(archive::FOLDER), &header, pile)?;
            (*end, *link) = (to, draft.link);
            waiting.push_back(draft);
        }
        Ok(())
    }
}

impl Work {
    /// Put the events of every record up to one into ledger segments; `false` when it is time to end before.
    pub(super) fn archive(&self, to: Sequence, goes_on: &dyn Fn() -> bool) -> Result<bool, Error> {
        let folder = self.folder(archive::FOLDER);
        self.disk().create_folder(&folder).map_err(journal::io("create", &folder))?;
        // Whatever goes wrong from here on, what is in drafts is read from the journal again.
        let drafts = self.drafts.lock().take();
        for draft in archive::leftovers(self.disk(), &folder)? {
            if drafts.as_ref().is_none_or(|drafts| !drafts.hold(&draft)) {
                self.disk().remove(&draft).map_err(journal::io("remove", &draft))?;
            }
        }
        let Counted { files, end, .. } = Counted::list(self.disk(), &self.setup.folder)?;
        if end >= to {
            *self.drafts.lock() = drafts;
            // Whoever made the last segment may have been killed before its name was durable.
            self.disk().sync_folder(&folder).map_err(journal::io("sync", &folder))?;
            return Ok(true);
        }
        for (range, path) in archive::list(self.disk(), &folder)? {
            // What a crash left of an earlier attempt; the journal has its records.
            if range.from > end {
                self.disk().remove(&path).map_err(journal::io("remove", &path))?;
            }
        }
        let link = match files.last() {
            Some((_, path)) => Segment::open(self.disk(), path)?.link(),
            None => NO_LINK,
        };
        if let Some(mut drafts) = drafts {
            if drafts.publish((self.disk(), &folder), (end, link), to)? == to {
                *self.drafts.lock() = Some(drafts);
                return Ok(true);
            }
            self.give_up(drafts);
            // Some may have their names by now.
            return self.archive(to, goes_on);
        }
        let Some(mut drafts) = self.drafted(Drafts::behind(end, link), to, goes_on)? else { return Ok(false) };
        drafts.publish((self.disk(), &folder), (end, link), to)?;
        *self.drafts.lock() = Some(drafts);
        Ok(true)
    }

    /// Read the journal on behind drafts, and write more of them up to a record; `None` when it is time to end before.
    fn drafted(&self, drafts: Drafts, to: Sequence, goes_on: &dyn Fn() -> bool) -> Result<Option<Drafts>, Error> {
        let from = drafts.end().next();
        let mut scribe = self.scribe(drafts)?;
        let mut ended = false;
        let walked = self.walk(from, to, &mut |sequence, record| {
            ended = !goes_on();
            scribe.take(sequence, record)?;
            Ok(!ended)
        });
        let written = walked.and_then(|()| if ended { Ok(()) } else { scribe.end_at(to) });
        if ended || written.is_err() {
            self.give_up(scribe.drafts);
            return written.map(|()| None);
        }
        Ok(Some(scribe.drafts))
    }

    fn scribe(&self, drafts: Drafts) -> Result<Scribe<'_>, Error> {
        Scribe::behind(drafts, (self.disk(), &self.setup.folder), self.store(), self.ledger_bytes)
    }

    /// A store that is closed keeps no drafts.
    pub(super) fn end(&self) {
        self.drafts.lock().take().into_iter().for_each(|drafts| self.give_up(drafts));
    }

    /// Drafts are of no use, or their room is needed. One that cannot be removed now is what a crash could have left.
    pub(super) fn give_up(&self, drafts: Drafts) {
        if let Err(error) = drafts.remove(self.disk()) {
            tracing::debug!(%error, "a draft of history stays for now");
        }
    }

    /// Let history be written beside a base; a base does not fail with it.
    pub(super) fn tell<'a>(
        &self,
        history: &mut Option<Scribe<'a>>,
        what: impl FnOnce(&mut Scribe<'a>) -> Result<(), Error>,
    ) {
        if let Some(Err(error)) = history.as_mut().map(what) {
            not_drafted(&error);
            history.take().into_iter().for_each(|scribe| self.give_up(scribe.drafts));
        }
    }

    /// Whoever writes history beside the next base, if that goes on from a record behind which nothing is missing in drafts.
    pub(super) fn history_behind(&self, base: Sequence) -> Option<Scribe<'_>> {
        let drafts = self.drafts.lock().take()?;
        if drafts.end() == base {
            return self.scribe(drafts).inspect_err(not_drafted).ok();
        }
        self.give_up(drafts);
        None
    }

    /// Nothing is in drafts yet of what lies between the two bases: read it, so that the next base can write on. It is read again
    /// when its turn comes if that fails.
    pub(super) fn draft_on(&self, newest: Sequence, goes_on: &dyn Fn() -> bool) {
        let Some(drafts) = self.drafts.lock().take() else { return };
        let drafts = if drafts.end() < newest { self.drafted(drafts, newest, goes_on) } else { Ok(Some(drafts)) };
        *self.drafts.lock() = drafts.inspect_err(not_drafted).ok().flatten();
    }
}

/// It is read from the journal again when its turn comes, and what is wrong with it is told then.
fn not_drafted(error: &Error) {
    tracing::debug!(%error, "history was not written beside a base");
}
