//! What a shelf knows of itself: format, mark, tally.
//!
//! **Invariants:** mark and tally are written in the same batch as the rows they speak of. The tally counts rows exactly, so
//! rows that sled forgot are missed when they are counted.

use bytes::Bytes;

use super::layout::{FORMAT_KEY, MARK_KEY, TALLY_KEY, sealed, unsealed};
use crate::durable::{id::Sequence, store::rows::Mark};

/// The layout that this build writes, and the newest that it reads.
const FORMAT: u32 = 1;
const MAGIC: &[u8; 8] = b"hf-rows\n";

/// All rows together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// How many.
    pub(super) rows: u64,
    /// What their stamps add up to.
    pub(super) sum: u64,
}

impl Tally {
    /// A row takes the place of another, or of nothing, or goes.
    pub(super) fn turn(&mut self, before: Option<u64>, after: Option<u64>) {
        self.rows = self.rows.wrapping_sub(u64::from(before.is_some())).wrapping_add(u64::from(after.is_some()));
        self.sum = self.sum.wrapping_sub(before.unwrap_or(0)).wrapping_add(after.unwrap_or(0));
    }
}

/// The row that says which layout this is.
pub(super) fn write_format() -> Vec<u8> {
    sealed(FORMAT_KEY, [&[0; 4], &MAGIC[..], &FORMAT.to_le_bytes()].concat())
}

/// Whether this build can read the rows; if not, why.
pub(super) fn check_format(stored: &[u8]) -> Result<(), String> {
    let format = unsealed(FORMAT_KEY, stored).and_then(|rest| rest.strip_prefix(MAGIC)).and_then(<[u8]>::first_chunk);
    match format.map(|bytes| u32::from_le_bytes(*bytes)) {
        None => Err("the row that names the format is torn".to_owned()),
        Some(found) if found > FORMAT => Err(format!("format {found} is newer than {FORMAT}, which this build reads")),
        Some(_) => Ok(()),
    }
}

/// The row that says how far the others are.
pub(super) fn write_mark(mark: &Mark) -> Vec<u8> {
    let mut stored = vec![0; 4];
    for number in [mark.store, mark.from.0, mark.to.0] {
        stored.extend_from_slice(&number.to_le_bytes());
    }
    stored.push(u8::from(mark.reached));
    stored.extend_from_slice(&mark.meta);
    sealed(MARK_KEY, stored)
}

/// Read a mark; `None` if it is not what was written.
pub(super) fn read_mark(stored: &[u8]) -> Option<Mark> {
    let (store, rest) = number(unsealed(MARK_KEY, stored)?)?;
    let (from, rest) = number(rest)?;
    let (to, rest) = number(rest)?;
    let (reached, meta) = rest.split_first()?;
    let meta = Bytes::copy_from_slice(meta);
    Some(Mark { store, from: Sequence(from), to: Sequence(to), reached: *reached == 1, meta })
}

/// The row that counts the others.
pub(super) fn write_tally(tally: Tally) -> Vec<u8> {
    sealed(TALLY_KEY, [&[0; 4], &tally.rows.to_le_bytes()[..], &tally.sum.to_le_bytes()].concat())
}

/// Read a tally; `None` if it is not what was written.
pub(super) fn read_tally(stored: &[u8]) -> Option<Tally> {
    let (rows, rest) = number(unsealed(TALLY_KEY, stored)?)?;
    let (sum, _) = number(rest)?;
    Some(Tally { rows, sum })
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::Golden;

    /// Bytes that stay on disk: rows that are not read are built again, and that takes its time.
    #[test]
    fn format_mark_and_tally_keep_their_bytes() {
        let meta = Bytes::from_static(b"meta");
        let mark = Mark { store: 7, from: Sequence(300), to: Sequence(70_000), reached: true, meta };
        let tally = Tally { rows: 3, sum: 0x1122_3344_5566_7788 };
        let mut golden = Golden::of("shelf-marks");
        golden.bytes("format", &write_format());
        golden.bytes("mark", &write_mark(&mark));
        golden.bytes("mark of a checkpoint on its way", &write_mark(&mark.begun(Sequence(5))));
        golden.bytes("tally", &write_tally(tally));
        golden.end();
        assert_eq!(check_format(&write_format()), Ok(()));
        assert_eq!(read_mark(&write_mark(&mark)), Some(mark));
        assert_eq!(read_tally(&write_tally(tally)), Some(tally));
    }

    #[test]
    fn rows_of_a_later_build_are_refused_by_name() {
        let later = sealed(FORMAT_KEY, [&[0; 4], &MAGIC[..], &(FORMAT + 1).to_le_bytes()].concat());
        assert_eq!(check_format(&later), Err("format 2 is newer than 1, which this build reads".to_owned()));
    }
}
