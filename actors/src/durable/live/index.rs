//! Index rows: what is in memory of them, over what is in the store.
//!
//! **Invariant:** an entry in memory is the truth; without one the store is asked. Dead letters are index rows under a
//! prefix of their own, numbered in the order in which they were given up.

use std::{collections::BTreeMap, ops::RangeBounds};

use bytes::Bytes;

use super::{
    DeadLetter,
    dirty::{Change, Dirty, Save},
    stored,
};
use crate::durable::codec;

/// Dead letters lie under this prefix.
const DEAD: &[u8] = b"dead/";
const DEAD_FORMAT: codec::Format = codec::Format::new("dead letter", 1);

/// Index rows in memory.
#[derive(Clone, Debug, Default)]
pub struct Index {
    rows: BTreeMap<Bytes, Slot>,
    /// Grows whenever an entry leaves memory: who looked into the store before that looks again.
    evictions: u64,
}

#[derive(Clone, Debug)]
struct Slot {
    /// `None`: it was removed, and the store may still have it.
    value: Option<Bytes>,
    save: Save,
}

/// What memory knows of an index row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Here(Bytes),
    Gone,
    /// Ask the store; the number is that of [`Index::evictions`].
    Unknown(u64),
}

/// Two indexes are equal when they hold the same rows, however those are kept.
impl PartialEq for Index {
    fn eq(&self, other: &Self) -> bool {
        self.range::<Bytes, _>(..).eq(other.range::<Bytes, _>(..))
    }
}

impl Index {
    /// A row, if it is in memory.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&Bytes> {
        self.rows.get(key).and_then(|slot| slot.value.as_ref())
    }

    /// The rows of a range that are in memory.
    pub fn range<T, R>(&self, range: R) -> impl DoubleEndedIterator<Item = (&Bytes, &Bytes)>
    where
        T: Ord + ?Sized,
        Bytes: std::borrow::Borrow<T>,
        R: RangeBounds<T>,
    {
        self.rows.range(range).filter_map(|(key, slot)| Some((key, slot.value.as_ref()?)))
    }

    /// How many rows are in memory.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.values().filter(|slot| slot.value.is_some()).count()
    }

    /// Whether no row is in memory.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn known(&self, key: &[u8]) -> Known {
        match self.rows.get(key) {
            None => Known::Unknown(self.evictions),
            Some(Slot { value: Some(value), .. }) => Known::Here(value.clone()),
            Some(Slot { value: None, .. }) => Known::Gone,
        }
    }

    /// The keys of a range that are in memory, with their rows; `None` for a row that was removed.
    pub(crate) fn overlay(&self, from: &Bytes, to: &Bytes) -> BTreeMap<Bytes, Option<Bytes>> {
        self.overlay_page(from, to, usize::MAX)
    }

    /// The first so many of them.
    pub(crate) fn overlay_page(&self, from: &Bytes, to: &Bytes, most: usize) -> BTreeMap<Bytes, Option<Bytes>> {
        let rows = self.rows.range(from.clone()..to.clone()).take(most);
        rows.map(|(key, slot)| (key.clone(), slot.value.clone())).collect()
    }

    /// Grows whenever a row leaves memory.
    pub(crate) fn evictions(&self) -> u64 {
        self.evictions
    }

    pub(super) fn put(&mut self, key: &Bytes, value: &Bytes, dirty: &mut Dirty) {
        self.set(key, Some(value.clone()), dirty);
    }

    pub(super) fn remove(&mut self, key: &Bytes, dirty: &mut Dirty) {
        if dirty.noted {
            // The store may have it.
            self.set(key, None, dirty);
        } else {
            self.rows.remove(key);
        }
    }

    /// A row as the store has it.
    pub(super) fn admit(&mut self, key: Bytes, value: Bytes) {
        self.rows.entry(key).or_insert(Slot { value: Some(value), save: Save::Clean });
    }

    fn set(&mut self, key: &Bytes, value: Option<Bytes>, dirty: &mut Dirty) {
        let save = match self.rows.get_mut(key) {
            None => Save::Clean,
            Some(slot) => slot.save,
        };
        let save = match save {
            Save::Clean => {
                if dirty.noted {
                    dirty.index.push(key.clone());
                }
                Save::Dirty
            }
            Save::Dirty => Save::Dirty,
            Save::Flying => {
                dirty.index.push(key.clone());
                Save::Again
            }
            Save::Again => Save::Again,
        };
        self.rows.insert(key.clone(), Slot { value, save });
    }

    /// The row of a key that changed, on its way to the store.
    pub(super) fn capture(&mut self, key: &Bytes) -> Option<Change> {
        let slot = self.rows.get_mut(key)?;
        slot.save = Save::Flying;
        Some((stored::index_key(key), slot.value.clone()))
    }

    /// The store has it: it need not stay here.
    pub(super) fn written(&mut self, key: &[u8]) {
        match self.rows.get_mut(key) {
            Some(slot) if slot.save == Save::Again => slot.save = Save::Dirty,
            Some(slot) if slot.save == Save::Flying => {
                self.rows.remove(key);
                self.evictions += 1;
            }
            _ => {}
        }
    }

    /// The store does not have it after all.
    pub(super) fn unwritten(&mut self, key: &Bytes, dirty: &mut Dirty) {
        if let Some(slot) = self.rows.get_mut(key) {
            if slot.save == Save::Flying {
                dirty.index.push(key.clone());
            }
            slot.save = Save::Dirty;
        }
    }
}

impl DeadLetter {
    pub(crate) fn seal(&self) -> Bytes {
        codec::seal(DEAD_FORMAT, self)
    }

    pub(crate) fn open(sealed: &[u8]) -> Result<Self, codec::Error> {
        codec::open(DEAD_FORMAT, sealed)
    }
}

/// The range of keys of all dead letters.
pub(crate) fn dead_letters() -> (Bytes, Bytes) {
    (Bytes::from_static(DEAD), Bytes::from_static(b"dead0"))
}

/// The index key of a dead letter.
pub(crate) fn dead_letter_key(number: u64) -> Bytes {
    Bytes::from(format!("dead/{number:016x}"))
}

/// The number of a dead letter, if the key is one's.
pub(crate) fn dead_letter_number(key: &[u8]) -> Option<u64> {
    let digits = key.strip_prefix(DEAD).filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
