//! Base images: every live row as it was after one record.
//!
//! ```text
//! FOLDER/base/00000000000000004711.base        as of record 4711
//! FOLDER/base/00000000000000004800.base.new    being written, or left behind
//! ```
//!
//! A file of parts (`parts.rs`). The header's body is `store 8 | record 8 | meta`; each part is a block of rows, `length
//! of the key 4 | length of the value 4 | key | value`, keys ascending; the index has an entry for each block, `length
//! of its first key 4 | offset of the block 8 | first key`; the count is that of the rows. Keys, values and meta are
//! opaque here.
//!
//! **Invariant:** keys ascend through the whole file, so a key is looked for in one block. Deliberately absent: changing
//! a base; a new one is made from the old one and the journal since.

mod reader;
mod rows;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};

pub(crate) use self::{
    reader::{Base, Rows},
    writer::Writer,
};
use super::parts::{Fields, Kind, names};
use crate::durable::{id::Sequence, journal::disk::Disk, store::Error};

/// The folder of bases, inside the data folder.
pub(crate) const FOLDER: &str = "base";
/// The longest key.
pub(crate) const KEY_MAX: usize = 64 * 1024;
/// The longest value: a row's, with a byte in front where it is put aside.
pub(crate) const VALUE_MAX: usize = 64 * 1024 * 1024 + 1;
/// The longest meta.
pub(crate) const META_MAX: usize = 64 * 1024;

const KIND: Kind = Kind { magic: *b"hf-base\n", format: 1, name: "base image", packs: false };
const SUFFIX: &str = ".base";

/// What a base says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The store it belongs to.
    pub(crate) store: u64,
    /// The last record that it contains.
    pub(crate) sequence: Sequence,
    /// What its maker wants to know again.
    pub(crate) meta: Vec<u8>,
}

/// How much a base holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Rows.
    pub(crate) rows: u64,
    /// The length of the file.
    pub(crate) bytes: u64,
}

/// Where a base is written before it has its name.
pub(crate) fn draft(folder: &Path, sequence: Sequence) -> PathBuf {
    names::draft(folder, &name(sequence))
}

/// Where what changed up to a record is put aside while a base is made: a draft, which gets no other name.
pub(crate) fn aside(folder: &Path, sequence: Sequence) -> PathBuf {
    names::draft(folder, &(names::digits(sequence) + ".aside"))
}

/// Give a finished base its name, durably.
pub(crate) fn publish(disk: &dyn Disk, folder: &Path, draft: &Path, sequence: Sequence) -> Result<PathBuf, Error> {
    names::publish(disk, folder, draft, &name(sequence))
}

/// The bases in a folder, oldest first.
pub(crate) fn list(disk: &dyn Disk, folder: &Path) -> Result<Vec<(Sequence, PathBuf)>, Error> {
    names::list(disk, folder, parse)
}

/// Give a damaged base a name under which it is only looked at by people, durably.
pub(crate) fn put_aside(disk: &dyn Disk, folder: &Path, path: &Path) -> Result<(), Error> {
    names::put_aside(disk, folder, path)
}

/// What was left unfinished in a folder, and can go when nobody is writing there.
pub(crate) fn leftovers(disk: &dyn Disk, folder: &Path) -> Result<Vec<PathBuf>, Error> {
    names::drafts(disk, folder)
}

fn name(sequence: Sequence) -> String {
    names::digits(sequence) + SUFFIX
}

fn parse(name: &str) -> Option<Sequence> {
    names::sequence(name.strip_suffix(SUFFIX)?)
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        [&self.store.to_le_bytes()[..], &self.sequence.0.to_le_bytes(), &self.meta].concat()
    }

    fn decode(body: &[u8]) -> Option<Self> {
        let mut fields = Fields(body);
        Some(Self { store: fields.u64()?, sequence: Sequence(fields.u64()?), meta: fields.0.to_vec() })
    }
}
