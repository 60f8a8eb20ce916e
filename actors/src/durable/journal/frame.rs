//! How one record lies on disk.
//!
//! ```text
//! segment id 8 | length 4 | sequence 8 | previous 4 | payload ... | crc32c 4
//! ```
//!
//! **Invariant:** [`open`] returns only what [`seal`] made, whole. The checksum covers the header, and the segment id is a
//! random number that never leaves the folder, so a payload cannot hold something that passes for a record.

/// Bytes before the payload.
pub(crate) const HEADER: usize = 24;
/// Bytes of a record that are not payload.
pub(crate) const OVERHEAD: usize = HEADER + 4;
/// The longest payload.
pub(crate) const PAYLOAD_MAX: usize = 64 * 1024 * 1024;

/// Where a record belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The segment it was written to.
    pub(crate) segment: u64,
    /// Its number.
    pub(crate) sequence: u64,
    /// The checksum of the record before it.
    pub(crate) previous: u32,
}

/// A whole record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// Where it belongs.
    pub(crate) place: Place,
    /// What it says.
    pub(crate) payload: &'a [u8],
    /// Its checksum, which the next record repeats.
    pub(crate) crc: u32,
}

impl Frame<'_> {
    /// Its bytes on disk.
    pub(crate) fn size(&self) -> usize {
        self.payload.len() + OVERHEAD
    }
}

/// Append a record to a buffer; returns its checksum.
pub(crate) fn seal(into: &mut Vec<u8>, place: Place, payload: &[u8]) -> u32 {
    let length = u32::try_from(payload.len()).expect("payloads are bounded by PAYLOAD_MAX");
    let start = into.len();
    into.extend_from_slice(&place.segment.to_le_bytes());
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(&place.sequence.to_le_bytes());
    into.extend_from_slice(&place.previous.to_le_bytes());
    into.extend_from_slice(payload);
    let crc = crc32c::crc32c(&into[start..]);
    into.extend_from_slice(&crc.to_le_bytes());
    crc
}

/// How long the record claims to be that starts with this header.
pub(crate) fn size(header: &[u8; HEADER]) -> usize {
    u32_at(header, 8) as usize + OVERHEAD
}

/// The record at the start of some bytes, if it is whole.
pub(crate) fn open(bytes: &[u8]) -> Option<Frame<'_>> {
    let header: &[u8; HEADER] = bytes.first_chunk()?;
    let body = bytes.get(..size(header))?;
    let (sealed, _) = body.split_at(body.len() - 4);
    let crc = u32_at(body, sealed.len());
    if crc != crc32c::crc32c(sealed) {
        return None;
    }
    let place = Place { segment: u64_at(header, 0), sequence: u64_at(header, 12), previous: u32_at(header, 20) };
    Some(Frame { place, payload: &sealed[HEADER..], crc })
}

/// Four bytes as a number.
///
/// # Panics
/// If they are not there.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes were cut out"))
}

/// Eight bytes as a number.
///
/// # Panics
/// If they are not there.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes were cut out"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::golden::Golden;

    const PLACE: Place = Place { segment: 0x1122_3344_5566_7788, sequence: 5, previous: 9 };

    crate::properties! {
        #[test]
        fn a_record_opens_as_it_was_sealed(payload: Vec<u8>, rest: Vec<u8>) {
            let mut bytes = Vec::new();
            let crc = seal(&mut bytes, PLACE, &payload);
            bytes.extend_from_slice(&rest);
            prop_assert_eq!(open(&bytes), Some(Frame { place: PLACE, payload: &payload, crc }));
        }

        #[test]
        fn a_flipped_bit_is_not_a_record(payload: Vec<u8>, at: prop::sample::Index, bit in 0..8_u8) {
            let mut bytes = Vec::new();
            seal(&mut bytes, PLACE, &payload);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(open(&bytes), None);
        }
    }

    #[test]
    fn zeros_are_not_a_record() {
        assert_eq!(open(&[0; 64]), None);
    }

    #[test]
    fn a_record_keeps_its_bytes() {
        let mut bytes = Vec::new();
        seal(&mut bytes, PLACE, b"hi");
        assert_eq!(hex(&bytes), "8877665544332211020000000500000000000000090000006869".to_owned() + &hex(&bytes[26..]));
        assert_eq!(bytes.len(), 2 + OVERHEAD);
        let mut golden = Golden::of("frame");
        golden.bytes("record", &bytes);
        golden.end();
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
