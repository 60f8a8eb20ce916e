//! What rows have to be: those of a base, and what the records since made of them.
//!
//! Rows may stand at any record from `from` to `to`. So there is one version of every row as of `from`, and beside it every
//! version that a record between the two left behind.
//!
//! **Invariants:** time goes on and never back. In memory is what changed since the base, as it would be stored.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::durable::{
    id::Sequence,
    live::Live,
    record::Record,
    store::{Error, Opened, Rows},
};

/// Rows that changed: their bytes, or that they are gone.
type Changed = BTreeMap<Bytes, Option<Bytes>>;

/// What a changed row takes in memory besides what it says.
const ROW_BYTES: usize = 200;

pub(super) struct Truth {
    image: Opened,
    live: Live,
    /// Every row that changed, as of the record that the rows are known to hold.
    settled: Changed,
    /// Versions that came after that, oldest first.
    versions: BTreeMap<Bytes, Vec<Option<Bytes>>>,
    /// The rows hold every record up to here.
    from: Sequence,
    /// They may hold some up to here.
    to: Sequence,
    at: Sequence,
    changed_bytes: usize,
}

impl Truth {
    /// From the rows of a base on; or from nothing, before the first record.
    pub(super) fn over(image: Opened) -> Result<Self, Error> {
        let live = Live::over(image.rows.as_deref(), &image.meta)?;
        let (from, to, at) = (image.from, image.from, image.from);
        Ok(Self { image, live, settled: Changed::new(), versions: BTreeMap::new(), from, to, at, changed_bytes: 0 })
    }

    /// The record at which its base ends.
    pub(super) fn base(&self) -> Sequence {
        self.image.from
    }

    /// About how much memory is taken by what changed since; a row that changed again counts again.
    pub(super) fn changed_bytes(&self) -> usize {
        self.changed_bytes
    }

    /// The last record that was folded.
    pub(super) fn at(&self) -> Sequence {
        self.at
    }

    /// Whether it is known what rows were at a record.
    pub(super) fn reaches_back_to(&self, from: Sequence) -> bool {
        from >= self.from
    }

    /// The rows in question hold every record up to one, and perhaps some up to another.
    pub(super) fn aim(&mut self, from: Sequence, to: Sequence) {
        self.to = to;
        if from >= self.at {
            self.from = from;
            for (key, mut versions) in std::mem::take(&mut self.versions) {
                self.settled.extend(versions.pop().map(|last| (key, last)));
            }
        }
    }

    /// Fold the next record.
    pub(super) fn advance(&mut self, sequence: Sequence, record: &Record) -> Result<(), Error> {
        let rows = Latest { image: self.image.rows.as_deref(), settled: &self.settled, versions: &self.versions };
        self.live.advance(Some(&rows), sequence, record)?;
        self.at = sequence;
        if sequence > self.from {
            for (key, value) in self.take() {
                self.versions.entry(key).or_default().push(value);
            }
        } else if sequence == self.from {
            self.settle();
        }
        Ok(())
    }

    /// Put what was folded where it is looked up.
    pub(super) fn settle(&mut self) {
        if self.at <= self.from {
            let changes = self.take();
            self.settled.extend(changes);
        }
    }

    /// Take what changed out of memory.
    fn take(&mut self) -> Changed {
        let mut capture = self.live.begin_capture();
        while self.live.capture(&mut capture, usize::MAX / 2) {}
        let changes = std::mem::take(&mut capture.changes);
        let bytes =
            |(key, value): (&Bytes, &Option<Bytes>)| ROW_BYTES + key.len() + value.as_ref().map_or(0, Bytes::len);
        self.changed_bytes += changes.iter().map(bytes).sum::<usize>();
        for actor in self.live.written(capture.written()) {
            self.live.evict(actor, 0, &|_, _| false);
        }
        changes
    }

    /// What a row may be; at least one version, the oldest first. `None` is a row that is not there.
    pub(super) fn versions(&self, key: &Bytes) -> Result<Vec<Option<Bytes>>, Error> {
        let first = match (self.settled.get(key), &self.image.rows) {
            (Some(settled), _) => settled.clone(),
            (None, Some(image)) => image.get(key)?,
            (None, None) => None,
        };
        let later = self.versions.get(key).into_iter().flatten().cloned();
        Ok(std::iter::once(first).chain(later).collect())
    }

    /// Every key of a range that any version has.
    pub(super) fn keys(&self, from: &[u8], to: &[u8]) -> Result<BTreeSet<Bytes>, Error> {
        let range = (std::ops::Bound::Included(from), std::ops::Bound::Excluded(to));
        let mut keys: BTreeSet<Bytes> = self.settled.range::<[u8], _>(range).map(|(key, _)| key.clone()).collect();
        keys.extend(self.versions.range::<[u8], _>(range).map(|(key, _)| key.clone()));
        if let Some(image) = &self.image.rows {
            image.scan(from, to, &mut |key, _| {
                keys.insert(Bytes::copy_from_slice(key));
                true
            })?;
        }
        Ok(keys)
    }
}

/// Rows as of the last record that was folded.
struct Latest<'a> {
    image: Option<&'a dyn Rows>,
    settled: &'a Changed,
    versions: &'a BTreeMap<Bytes, Vec<Option<Bytes>>>,
}

impl Rows for Latest<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let later = self.versions.get(key).and_then(|versions| versions.last());
        match later.or_else(|| self.settled.get(key)) {
            Some(known) => Ok(known.clone()),
            None => self.image.map_or(Ok(None), |image| image.get(key)),
        }
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], Bytes) -> bool) -> Result<(), Error> {
        // A fold asks for single rows.
        self.image.map_or(Ok(()), |image| image.scan(from, to, visit))
    }
}
