//! Files of checked parts: what base images and ledger segments are made of. They are written once, from front to back.
//!
//! ```text
//! header   magic 8 | format 4 | length of the body 4 | crc32c 4 | body
//! parts    crc32c 4 | flags 1 | length of the payload 8 | payload         end to end, as many as there are
//! index    a part
//! footer   a part: offset of the index 8 | count 8 | length of the file 8
//! ```
//!
//! All numbers are little-endian. The header's checksum covers the rest of it, and lies in the same place in every
//! format, so that a build tells what is newer from what is damaged. A part's checksum covers the header's checksum and
//! the part's offset too. Flag 1 says that the payload is compressed: its length (a variable-length integer), and an LZ4 block;
//! parts of ledger segments are, from 512 bytes on, where that makes them shorter.
//!
//! **Invariants:** a part opens only at the offset, and in the file, that it was written for. Between header and footer
//! lies nothing but parts, so no byte goes unchecked. Nothing is larger in memory than the file is, whatever a length in
//! it claims. A file has its final name only once it is whole and synced.

pub(crate) mod fields;
pub(crate) mod names;
pub(crate) mod reader;
pub(crate) mod seal;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod writer;

pub(crate) use self::{fields::Fields, reader::Reader, writer::Writer};

/// About how much goes into one part; something larger gets a part of its own.
pub(crate) const PART: usize = 32 * 1024;

/// A kind of file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// Its first bytes.
    pub(crate) magic: [u8; 8],
    /// The format that this build writes, and the newest that it reads.
    pub(crate) format: u32,
    /// What people call it.
    pub(crate) name: &'static str,
    /// Whether parts are compressed.
    pub(crate) packs: bool,
}
