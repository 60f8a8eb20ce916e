//! How a header, a part and a footer lie on disk.
//!
//! **Invariant:** [`open`] returns only what [`seal`] made, whole, for the same file and the same offset.

use bytes::Bytes;

use super::{Fields, Kind};
use crate::durable::codec;

/// Bytes of a header before its body.
pub(crate) const HEADER: usize = 20;
/// The longest body of a header.
pub(crate) const BODY_MAX: usize = 1024 * 1024;
/// Bytes of a part that are not payload.
pub(crate) const OVERHEAD: usize = 13;
/// The flag of a payload that is compressed.
const PACKED: u8 = 1;
/// Bytes of a footer.
pub(crate) const FOOTER: usize = OVERHEAD + 24;

/// The checksum of a file's header, by which its parts know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pin(u32);

/// Why a header does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is not what was written.
    Damaged,
    /// It is of another kind.
    Other,
    /// It is of a format that this build does not know.
    Newer(u32),
}

/// What stands at the end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    /// Where the index lies.
    pub(crate) index_at: u64,
    /// How many there are of what the file holds.
    pub(crate) count: u64,
    /// How long the file is.
    pub(crate) len: u64,
}

/// The bytes of a header.
pub(crate) fn header(kind: &Kind, body: &[u8]) -> (Vec<u8>, Pin) {
    assert!(body.len() <= BODY_MAX, "the body of a header is bounded by whoever makes it");
    let length = u32::try_from(body.len()).expect("it is below BODY_MAX");
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend_from_slice(&kind.magic);
    bytes.extend_from_slice(&kind.format.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    let crc = header_crc(&bytes, body);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(body);
    (bytes, Pin(crc))
}

/// How long the body claims to be that follows this.
pub(crate) fn body_len(header: &[u8; HEADER]) -> usize {
    let length = Fields(&header[12..]).u32().expect("a header has a length");
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// What pins the parts of the file that begins with this header.
pub(crate) fn open_header(kind: &Kind, header: &[u8; HEADER], body: &[u8]) -> Result<Pin, Refused> {
    let mut fields = Fields(header);
    let (magic, format) = (fields.array(), fields.u32().ok_or(Refused::Damaged)?);
    let (_, crc) = (fields.u32(), fields.u32().ok_or(Refused::Damaged)?);
    if magic != Some(kind.magic) {
        Err(Refused::Other)
    } else if crc != header_crc(&header[..16], body) || format == 0 {
        Err(Refused::Damaged)
    } else if format > kind.format {
        Err(Refused::Newer(format))
    } else {
        Ok(Pin(crc))
    }
}

/// Append a part that will lie at an offset of a file.
pub(crate) fn seal(into: &mut Vec<u8>, pin: Pin, offset: u64, payload: &[u8]) {
    put(into, pin, offset, 0, payload);
}

/// The same, of a payload that was compressed ([`codec::pack_bytes`]).
pub(crate) fn seal_packed(into: &mut Vec<u8>, pin: Pin, offset: u64, packed: &[u8]) {
    put(into, pin, offset, PACKED, packed);
}

fn put(into: &mut Vec<u8>, pin: Pin, offset: u64, flags: u8, payload: &[u8]) {
    let start = into.len();
    into.extend_from_slice(&[0, 0, 0, 0, flags]);
    into.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    into.extend_from_slice(payload);
    let crc = part_crc(pin, offset, &into[start + 4..]);
    into[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// How long the part claims to be that starts with this.
pub(crate) fn size(head: &[u8; OVERHEAD]) -> u64 {
    let payload = Fields(&head[5..]).u64().expect("a part has a length");
    payload.saturating_add(OVERHEAD as u64)
}

/// The payload of a part that fills all of these bytes.
pub(crate) fn open(pin: Pin, offset: u64, bytes: &Bytes) -> Option<Bytes> {
    let head = bytes.first_chunk()?;
    let mut fields = Fields(bytes);
    let crc = fields.u32()?;
    if size(head) != bytes.len() as u64 || crc != part_crc(pin, offset, fields.0) {
        return None;
    }
    match fields.u8()? {
        0 => Some(bytes.slice(OVERHEAD..)),
        PACKED => codec::unpack_bytes(&bytes[OVERHEAD..]).ok().map(Bytes::from),
        _ => None,
    }
}

impl Footer {
    /// Its payload.
    pub(crate) fn encode(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.index_at.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.count.to_le_bytes());
        bytes[16..].copy_from_slice(&self.len.to_le_bytes());
        bytes
    }

    /// What a payload says.
    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let mut fields = Fields(payload);
        let footer = Self { index_at: fields.u64()?, count: fields.u64()?, len: fields.u64()? };
        fields.is_empty().then_some(footer)
    }
}

fn header_crc(before: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(before), body)
}

/// The file and the offset enter first: the same bytes are no part of another file, nor elsewhere in this one.
fn part_crc(pin: Pin, offset: u64, rest: &[u8]) -> u32 {
    let mut place = [0; 12];
    place[..4].copy_from_slice(&pin.0.to_le_bytes());
    place[4..].copy_from_slice(&offset.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&place), rest)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;

    crate::properties! {
        #[test]
        fn a_part_opens_only_where_it_was_written(
            payload: Vec<u8>, (pin, other) in any::<(u32, u32)>(), (at, elsewhere) in any::<(u64, u64)>(),
        ) {
            prop_assume!(pin != other && at != elsewhere);
            let mut bytes = Vec::new();
            seal(&mut bytes, Pin(pin), at, &payload);
            let bytes = Bytes::from(bytes);
            prop_assert_eq!(open(Pin(pin), at, &bytes), Some(Bytes::from(payload)));
            prop_assert_eq!(open(Pin(other), at, &bytes), None);
            prop_assert_eq!(open(Pin(pin), at.wrapping_add(1), &bytes), None);
            prop_assert_eq!(open(Pin(pin), elsewhere, &bytes), None);
        }
    }

    #[test]
    fn a_compressed_part_opens_as_what_it_was_and_one_that_does_not_decompress_is_refused() {
        let (payload, mut packed) = (b"again and ".repeat(100), BytesMut::new());
        codec::pack_bytes(&payload, &mut packed);
        let open = |packed: &[u8]| {
            let mut bytes = Vec::new();
            seal_packed(&mut bytes, Pin(1), 0, packed);
            open(Pin(1), 0, &bytes.into())
        };
        assert_eq!(open(&packed), Some(Bytes::from(payload)));
        assert_eq!(open(&packed[..packed.len() - 1]), None);
    }

    #[test]
    fn a_flag_that_nobody_knows_is_refused() {
        let mut bytes = Vec::new();
        seal(&mut bytes, Pin(1), 0, b"payload");
        bytes[4] = 2;
        let crc = part_crc(Pin(1), 0, &bytes[4..]);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(open(Pin(1), 0, &bytes.into()), None);
    }
}
