//! What a base is made of: the base before it, and what records changed since. Where that is much, it is put aside in files.
//!
//! ```text
//! base B1 ─┬──────────────┬──────────────┬─► merged in the order of their keys, the newest word of each ─► base B2
//! records ─┴─► aside 1 ───┴─► aside 2 ───┴─► changes in memory
//! ```
//! A file put aside is a base whose values have a byte in front: 1 before a value, and 0, alone, for a row that is gone.
//! It is a draft, so that whoever makes the next base removes what a crash left of it.
//!
//! **Invariant:** reading through the layers gives what records gave up to the last of them, and nothing newer.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;

use super::{
    base::{self, Base},
    ground::Image,
};
use crate::{
    durable::{
        id::{ActorId, Sequence},
        journal::{self, disk::Disk},
        live::{self, stored},
        store::{Error, Rows},
    },
    mutant::Mutant,
};

const GONE: u8 = 0;
const THERE: u8 = 1;

/// What changed: rows, and those that are gone.
pub(super) type Changes = BTreeMap<Bytes, Option<Bytes>>;

/// The base before, and what was put aside.
pub(super) struct Layers<'a> {
    disk: &'a dyn Disk,
    folder: PathBuf,
    header: base::Header,
    image: Option<Image>,
    aside: Vec<Aside>,
    read_bytes: AtomicUsize,
}

/// What was put aside.
struct Aside {
    rows: Base,
    /// Nobody with a higher number is in it.
    highest_id: u64,
}

impl Aside {
    fn open(disk: &dyn Disk, path: &Path) -> Result<Self, Error> {
        let rows = Base::open(disk, path)?;
        Ok(Self { highest_id: live::highest_id(&rows.header().meta)?, rows })
    }

    /// What it says of a row, if anything.
    fn get(&self, key: &[u8], actor: Option<ActorId>) -> Result<Option<Option<Bytes>>, Error> {
        if actor.is_some_and(|actor| actor.0 >> 8 > self.highest_id) {
            return Ok(None);
        }
        Ok(self.rows.get(key)?.map(|told| read(Bytes::from(told))))
    }
}

impl<'a> Layers<'a> {
    /// A base, if there is one, in the folder of bases of a store.
    pub(super) fn over(disk: &'a dyn Disk, folder: &Path, store: u64, base: Option<Base>) -> Result<Self, Error> {
        let none = base::Header { store, sequence: Sequence(0), meta: Vec::new() };
        let header = base.as_ref().map_or(none, |base| base::Header { store, ..base.header().clone() });
        let image = base.map(Image::over).transpose()?;
        Ok(Self {
            disk,
            folder: folder.to_path_buf(),
            header,
            image,
            aside: Vec::new(),
            read_bytes: AtomicUsize::new(0),
        })
    }

    /// The last record that they hold.
    pub(super) fn sequence(&self) -> Sequence {
        self.header.sequence
    }

    /// What was noted beside the rows.
    pub(super) fn meta(&self) -> &[u8] {
        &self.header.meta
    }

    /// Bytes of rows that were read since something was put aside.
    pub(super) fn read_bytes(&self) -> usize {
        self.read_bytes.load(Ordering::Relaxed)
    }

    /// Put aside what records up to one changed; `false` when it is time to end before.
    pub(super) fn put_aside(
        &mut self,
        to: Sequence,
        changes: Changes,
        meta: &[u8],
        goes_on: &dyn Fn() -> bool,
    ) -> Result<bool, Error> {
        let path = base::aside(&self.folder, to);
        let header = base::Header { sequence: to, meta: meta.to_vec(), ..self.header };
        let put = self.put(&path, &header, changes, goes_on);
        let Ok(Some(aside)) = put else {
            // Half a file on a full disk is room that others need.
            let _ = self.disk.remove(&path);
            return put.map(|_| false);
        };
        self.aside.push(aside);
        self.header = header;
        *self.read_bytes.get_mut() = 0;
        Ok(true)
    }

    fn put(
        &self,
        path: &Path,
        header: &base::Header,
        changes: Changes,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Option<Aside>, Error> {
        let mut writer = base::Writer::create(self.disk, path, header)?;
        for (key, value) in changes {
            if !goes_on() {
                return Ok(None);
            }
            let told = value.map_or(vec![GONE], |value| [&[THERE], &value[..]].concat());
            writer.put(&key, &told)?;
        }
        writer.finish()?;
        Aside::open(self.disk, path).map(Some)
    }

    /// Write a base of all layers and of what changed since the last; `None` when it is time to end before.
    pub(super) fn write(
        &self,
        draft: &Path,
        header: &base::Header,
        mut changes: Changes,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Option<base::Summary>, Error> {
        let mut writer = base::Writer::create(self.disk, draft, header)?;
        if Mutant::BaseLosesRow.is_chosen() {
            changes.pop_first();
        }
        // All were read from front to back, or just written, and each block is checked again.
        let again = |path: &Path| Base::open(self.disk, path).map(Base::rows);
        let mut old = self.image.as_ref().map(|image| again(image.path())).transpose()?;
        let aside = self.aside.iter().map(|aside| again(aside.rows.path()).map(Source::Aside));
        let mut newer = Merged::new(aside.chain([Ok(Source::Changes(changes.into_iter()))]))?;
        let (mut row, mut change) = (None, newer.next()?);
        loop {
            if !goes_on() {
                return Ok(None);
            }
            if let (None, Some(old)) = (&row, &mut old) {
                // Most of a base is as it was.
                if let Some(block) = old.block_below(change.as_ref().map(|(key, _)| &key[..]))? {
                    writer.put_block(&block)?;
                    continue;
                }
                row = old.next()?;
            }
            let Some((changed, _)) = &change else {
                let Some((key, value)) = row.take() else { break };
                writer.put(&key, &value)?;
                continue;
            };
            if let Some((key, value)) = row.take_if(|(key, _)| key[..] <= changed[..])
                && key[..] != changed[..]
            {
                writer.put(&key, &value)?;
                continue;
            }
            if let Some((key, Some(value))) = std::mem::replace(&mut change, newer.next()?) {
                writer.put(&key, &value)?;
            }
        }
        writer.finish().map(Some)
    }

    /// Remove what was put aside.
    pub(super) fn clear(self) -> Result<(), Error> {
        self.aside.iter().try_for_each(|aside| {
            let path = aside.rows.path();
            self.disk.remove(path).map_err(journal::io("remove", path))
        })
    }

    fn told(&self, value: Option<Bytes>) -> Option<Bytes> {
        self.read_bytes.fetch_add(value.as_ref().map_or(0, Bytes::len), Ordering::Relaxed);
        value
    }
}

impl Rows for Layers<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let actor = stored::actor_of(key);
        for aside in self.aside.iter().rev() {
            if let Some(told) = aside.get(key, actor)? {
                return Ok(self.told(told));
            }
        }
        let value = self.image.as_ref().map_or(Ok(None), |image| image.get(key))?;
        Ok(self.told(value))
    }

    /// All rows of the range are held in memory: it is asked for calls, which their reader keeps anyway.
    fn scan(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], Bytes) -> bool) -> Result<(), Error> {
        let mut found = BTreeMap::new();
        if let Some(image) = &self.image {
            image.scan(from, to, &mut |key, value| {
                found.insert(key.to_vec(), value);
                true
            })?;
        }
        for aside in &self.aside {
            aside.rows.scan(from, Some(to), &mut |key, told| {
                match read(Bytes::copy_from_slice(told)) {
                    Some(value) => _ = found.insert(key.to_vec(), value),
                    None => _ = found.remove(key),
                }
                Ok(true)
            })?;
        }
        for (key, value) in found {
            if !visit(&key, value) {
                break;
            }
        }
        Ok(())
    }
}

/// What a value that was put aside says.
fn read(mut told: Bytes) -> Option<Bytes> {
    (told.first() == Some(&THERE)).then(|| told.split_off(1))
}

/// Rows in the order of their keys.
enum Source {
    Aside(base::Rows),
    Changes(std::collections::btree_map::IntoIter<Bytes, Option<Bytes>>),
}

type Told = (Bytes, Option<Bytes>);

impl Source {
    fn next(&mut self) -> Result<Option<Told>, Error> {
        Ok(match self {
            Self::Aside(rows) => rows.next()?.map(|(key, told)| (key.into(), read(told.into()))),
            Self::Changes(changes) => changes.next(),
        })
    }
}

/// Several sources as one: of a key that several have, the last of them counts.
struct Merged(Vec<(Source, Option<Told>)>);

impl Merged {
    fn new(sources: impl Iterator<Item = Result<Source, Error>>) -> Result<Self, Error> {
        let headed = sources.map(|source| {
            let mut source = source?;
            let head = source.next()?;
            Ok((source, head))
        });
        headed.collect::<Result<_, _>>().map(Self)
    }

    fn next(&mut self) -> Result<Option<Told>, Error> {
        let heads = self.0.iter().filter_map(|(_, head)| head.as_ref());
        let Some(key) = heads.map(|(key, _)| key).min().cloned() else { return Ok(None) };
        let mut newest = None;
        for (source, head) in &mut self.0 {
            if let Some((_, value)) = head.take_if(|(at, _)| *at == key) {
                newest = value;
                *head = source.next()?;
            }
        }
        Ok(Some((key, newest)))
    }
}
