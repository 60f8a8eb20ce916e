//! How a row lies in sled: its key, its parts, and what they are checked by.
//!
//! ```text
//! 0x00, 0x01, 0x02                           format, mark, tally
//! 0x10 key                                   crc | generation | chunks | crc of the value | first part
//! 0x20 length key generation index           crc | a later part
//! ```
//! A page of sled above 128 KiB becomes a file of its own, which it neither syncs nor misses. A page holds 16 values, and for
//! a while the few of a neighbour that it takes in, or those that come while a cleaning thread holds up its split. So a value
//! is cut: 24 of ours under keys of 1 KiB fit. Parts of 6 KiB, as earlier builds wrote them, are read as well.
//! Numbers in keys are big-endian, others little-endian; every `crc` is crc32c over the row's key and what follows the crc.
//!
//! **Invariants:** a scan of the rows meets no chunk, because the first byte differs. The chunks of one key are no other's,
//! because the key's length stands before it. Chunks belong to a generation, and a new value has a new one: until its row
//! says so, the old value is whole.

/// Which layout this is.
pub(super) const FORMAT_KEY: &[u8] = &[0];
/// How far the rows are.
pub(super) const MARK_KEY: &[u8] = &[1];
/// How many rows there are, and what they add up to.
pub(super) const TALLY_KEY: &[u8] = &[2];
/// The most of a value that one part holds.
pub(super) const PART: usize = 4 * 1024 - HEADER;

const ROW: u8 = 0x10;
const CHUNK: u8 = 0x20;
const HEADER: usize = 16;

/// A row as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row<'a> {
    /// Which chunks are its own.
    pub(super) generation: u32,
    /// How many there are, besides the first part.
    pub(super) chunks: u32,
    /// What the row adds to the tally.
    pub(super) stamp: u64,
    /// The beginning of the value.
    pub(super) part: &'a [u8],
    value_crc: u32,
}

impl Row<'_> {
    /// Whether this is the value that was written, all parts together.
    pub(super) fn vouches_for(&self, value: &[u8]) -> bool {
        crc32c::crc32c(value) == self.value_crc
    }
}

/// Where a row lies.
pub(super) fn row_key(key: &[u8]) -> Vec<u8> {
    [&[ROW], key].concat()
}

/// Whose row it is.
pub(super) fn key_of(row_key: &[u8]) -> &[u8] {
    row_key.get(1..).unwrap_or_default()
}

/// Where all chunks of a key lie, whatever their generation.
pub(super) fn chunk_prefix(key: &[u8]) -> Vec<u8> {
    // A key is at most 1 KiB long, so that its length fits.
    let [.., high, low] = key.len().to_be_bytes();
    [&[CHUNK, high, low], key].concat()
}

/// Where one chunk lies; the first part is no chunk, so indexes begin with 1.
pub(super) fn chunk_key(key: &[u8], generation: u32, index: u32) -> Vec<u8> {
    [&*chunk_prefix(key), &generation.to_be_bytes(), &index.to_be_bytes()].concat()
}

/// How many chunks a value needs besides its first part.
pub(super) fn chunks(value: &[u8]) -> u32 {
    u32::try_from(value.len().saturating_sub(1) / PART).expect("a value is at most 64 MiB long")
}

/// The row of a value: its header and first part.
pub(super) fn write_row(key: &[u8], generation: u32, value: &[u8]) -> Vec<u8> {
    let part = &value[..value.len().min(PART)];
    let mut stored = Vec::with_capacity(HEADER + part.len());
    for number in [0, generation, chunks(value), crc32c::crc32c(value)] {
        stored.extend_from_slice(&number.to_le_bytes());
    }
    stored.extend_from_slice(part);
    sealed(&row_key(key), stored)
}

/// One chunk of a value.
pub(super) fn write_chunk(chunk_key: &[u8], value: &[u8], index: u32) -> Vec<u8> {
    let begin = index as usize * PART;
    let mut stored = vec![0; 4];
    stored.extend_from_slice(&value[begin..value.len().min(begin + PART)]);
    sealed(chunk_key, stored)
}

/// Read a row; `None` if it is not what was written.
pub(super) fn read_row<'a>(row_key: &[u8], stored: &'a [u8]) -> Option<Row<'a>> {
    unsealed(row_key, stored)?;
    let (header, part) = stored.split_at_checked(HEADER)?;
    let stamp = stamp(row_key, stored);
    Some(Row { generation: number(header, 4), chunks: number(header, 8), value_crc: number(header, 12), stamp, part })
}

/// What a sound row adds to the tally.
pub(super) fn stamp(row_key: &[u8], stored: &[u8]) -> u64 {
    mixed(u64::from(crc32c::crc32c(row_key)) << 32 | u64::from(number(stored, 0)))
}

/// Read anything else that carries its checksum in front; `None` if it is not what was written.
pub(super) fn unsealed<'a>(key: &[u8], stored: &'a [u8]) -> Option<&'a [u8]> {
    let (_, rest) = stored.split_at_checked(4)?;
    (number(stored, 0) == checksum(key, rest)).then_some(rest)
}

/// Fill in the checksum, for which the first four bytes are free.
pub(super) fn sealed(key: &[u8], mut stored: Vec<u8>) -> Vec<u8> {
    let crc = checksum(key, &stored[4..]);
    stored[..4].copy_from_slice(&crc.to_le_bytes());
    stored
}

fn checksum(key: &[u8], rest: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), rest)
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// Spread a number over all 64 bits, so that sums of many tell one row from another: the finalizer of SplitMix64.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::Golden;

    /// Bytes that stay on disk: rows that are not read are built again, and that takes its time.
    #[test]
    fn rows_and_chunks_keep_their_bytes() {
        let mut golden = Golden::of("shelf");
        golden.bytes("key of a row", &row_key(b"key"));
        golden.bytes("row", &write_row(b"key", 7, b"value"));
        golden.bytes("row without a value", &write_row(b"", 1, b""));
        let long = vec![1; 2 * PART + 1];
        let row = write_row(b"key", 7, &long);
        golden.bytes("header of a row of three parts of 4 KiB", &row[..HEADER]);
        let chunk = chunk_key(b"key", 7, 2);
        golden.bytes("key of a chunk", &chunk);
        golden.bytes("chunk", &write_chunk(&chunk, &long, 2));
        let header_of_6_kib = |header: &[u8]| {
            let (stored, long) = ([header, &[1; 6128]].concat(), vec![1; 2 * 6128 + 1]);
            Ok(read_row(&row_key(b"key"), &stored).map(|row| (row.generation, row.chunks, row.vouches_for(&long))))
        };
        golden.read("header of a row of three parts", header_of_6_kib, &Some((7, 2, true)));
        golden.end();
        let read = read_row(&row_key(b"key"), &row).unwrap();
        assert_eq!((read.generation, read.chunks, read.part.len()), (7, 2, PART));
        assert!(read.vouches_for(&long));
    }
}
