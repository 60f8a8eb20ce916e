//! How rows lie in a block, and blocks in the index.
//!
//! **Invariant:** what [`check`] passed is rows and nothing else, in order, within the bounds that the index gives.

use super::super::parts::Fields;

/// Bytes of a row that are neither key nor value.
const OVERHEAD: usize = 8;

/// A block, as the index knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The first key in it.
    pub(super) first: Box<[u8]>,
    /// Where it lies.
    pub(super) offset: u64,
}

/// The bytes that a row takes.
pub(super) fn size(key: &[u8], value: &[u8]) -> usize {
    OVERHEAD + key.len() + value.len()
}

/// Append a row to a block.
pub(super) fn push(block: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    block.extend_from_slice(&length(key).to_le_bytes());
    block.extend_from_slice(&length(value).to_le_bytes());
    block.extend_from_slice(key);
    block.extend_from_slice(value);
}

/// The first row of what is left of a block.
pub(super) fn first(block: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = Fields(block);
    let (key, value) = (fields.u32()?, fields.u32()?);
    Some((fields.bytes(usize::try_from(key).ok()?)?, fields.bytes(usize::try_from(value).ok()?)?))
}

/// The rows of a block.
pub(super) fn iter(mut block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (key, value) = first(block)?;
        block = &block[size(key, value)..];
        Some((key, value))
    })
}

/// Whether a block is rows throughout, begins where the index says, ascends, and ends below the next one.
pub(super) fn check(block: &[u8], begin: &[u8], below: Option<&[u8]>) -> bool {
    let (mut last, mut used): (Option<&[u8]>, usize) = (None, 0);
    for (key, value) in iter(block) {
        if last.map_or(key != begin, |last| last >= key) {
            return false;
        }
        (last, used) = (Some(key), used + size(key, value));
    }
    used == block.len() && last.is_some_and(|last| below.is_none_or(|below| last < below))
}

/// Append a block to the index.
pub(super) fn push_entry(index: &mut Vec<u8>, first: &[u8], offset: u64) {
    index.extend_from_slice(&length(first).to_le_bytes());
    index.extend_from_slice(&offset.to_le_bytes());
    index.extend_from_slice(first);
}

/// The blocks in an index, if they lie one behind the other between two offsets, in the order of their keys.
pub(super) fn entries(index: &[u8], start: u64, end: u64) -> Option<Vec<Entry>> {
    let (mut fields, mut entries) = (Fields(index), Vec::<Entry>::new());
    while !fields.is_empty() {
        let (length, offset) = (fields.u32()?, fields.u64()?);
        let first = Box::from(fields.bytes(usize::try_from(length).ok()?)?);
        let follows = entries.last().map_or(offset == start, |last| last.offset < offset && last.first < first);
        if !follows || offset >= end {
            return None;
        }
        entries.push(Entry { first, offset });
    }
    (!entries.is_empty() || start == end).then_some(entries)
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("keys and values are bounded by KEY_MAX and VALUE_MAX")
}
