//! The one place where bytes that stay are written and read.
//!
//! Every value is wrapped: `magic, flags, type id (4), version, length, payload, crc32c (4)`; version and length are
//! variable-length integers. The payload is bincode (`standard`), or, as flags say, such a payload compressed
//! (`codec/packed.rs`). bincode alone would allocate what a forged length claims, accept trailing bytes and decode a renamed
//! variant as another; the envelope names type and version, bounds what is decoded, and checks that all of it was used.
//!
//! **Invariant:** `open(f, seal(f, v)) == v`; any other bytes are an [`Error`], never a panic and never a large allocation.

mod packed;
mod repeats;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use std::{borrow::Cow, cell::Cell};

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};

use self::packed::{CUT, PACKED};
pub(crate) use self::packed::{PACKED_LEAST, Packer, pack_bytes, unpack_bytes};

const MAGIC: u8 = 0xF4;
/// No value larger than this is decoded.
pub const VALUE_MAX: usize = 64 * 1024 * 1024;

const CONFIG: Configuration<LittleEndian, Varint, Limit<VALUE_MAX>> =
    bincode::config::standard().with_limit::<VALUE_MAX>();

/// What a value is: a type's storage name, and the version of its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    /// Derived from the storage name.
    pub type_id: u32,
    /// The version of the shape.
    pub version: u16,
}

impl Format {
    /// A format by storage name and version.
    #[must_use]
    pub const fn new(name: &str, version: u16) -> Self {
        Self { type_id: fnv1a(name), version }
    }

    /// The format of a part of a named thing: `Format::part("task", "event", 1)`.
    #[must_use]
    pub const fn part(name: &str, part: &str, version: u16) -> Self {
        Self { type_id: fnv1a(name) ^ fnv1a(part).rotate_left(1), version }
    }
}

/// FNV-1a, 32 bits: <http://www.isthe.com/chongo/tech/comp/fnv/>.
#[must_use]
pub const fn fnv1a(name: &str) -> u32 {
    let bytes = name.as_bytes();
    let mut hash: u32 = 0x811c_9dc5;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    hash
}

/// Why bytes are not the value they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Too short, no magic, or a wrong checksum.
    #[error("the bytes are not a sealed value: {0}")]
    Torn(&'static str),
    /// Another type.
    #[error("the value is of type {found:#010x}, not {wanted:#010x}")]
    Type {
        /// What the bytes say.
        found: u32,
        /// What was asked for.
        wanted: u32,
    },
    /// A version that this build does not read.
    #[error("the value has version {found}, and this build reads version {known}")]
    Version {
        /// What the bytes say.
        found: u16,
        /// What this build knows.
        known: u16,
    },
    /// The payload is not what its type and version say.
    #[error("the payload does not decode: {0}")]
    Payload(String),
}

/// An opened envelope whose payload is still encoded: what a migration starts from.
#[derive(Clone, Debug)]
pub struct Stored<'a> {
    /// What the value says it is.
    pub format: Format,
    /// Its encoded payload.
    pub payload: Cow<'a, [u8]>,
}

impl Stored<'_> {
    /// Decode the payload as the (frozen) type that wrote it.
    ///
    /// # Errors
    /// If the payload has another shape, or bytes are left over.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        decode(&self.payload)
    }
}

/// Wrap and append a value; returns nothing: sealing cannot fail for types that bincode can write.
pub fn seal_into<T: Serialize>(format: Format, value: &T, into: &mut BytesMut) {
    wrap(format, 0, into, |into| encode(value, Writer(into)));
}

thread_local! {
    static IS_CODING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is encoding or decoding a value here: in bincode, and in no other format.
pub(crate) fn is_coding() -> bool {
    IS_CODING.get()
}

/// As long as it lives, a value is encoded or decoded here.
struct Coding {
    was: bool,
}

impl Coding {
    fn begin() -> Self {
        Self { was: IS_CODING.replace(true) }
    }
}

impl Drop for Coding {
    fn drop(&mut self) {
        IS_CODING.set(self.was);
    }
}

fn encode<T: Serialize>(value: &T, mut into: impl bincode::enc::write::Writer) {
    let _coding = Coding::begin();
    bincode::serde::encode_into_writer(value, &mut into, CONFIG).expect("plain data always encodes");
}

fn wrap(format: Format, flags: u8, into: &mut BytesMut, fill: impl FnOnce(&mut BytesMut)) {
    let start = into.len();
    into.put_u8(MAGIC);
    into.put_u8(flags);
    into.put_u32_le(format.type_id);
    put_varint(into, u64::from(format.version));
    let length_at = into.len();
    into.put_u8(0);
    let payload_at = into.len();
    fill(into);
    let length = into.len() - payload_at;
    if length < 0x80 {
        into[length_at] = u8::try_from(length).expect("below 128");
    } else {
        widen_length(into, length_at, payload_at, length);
    }
    let crc = crc32c::crc32c(&into[start..]);
    into.put_u32_le(crc);
}

/// Wrap a value.
#[must_use]
pub fn seal<T: Serialize>(format: Format, value: &T) -> Bytes {
    let mut buffer = BytesMut::with_capacity(128);
    seal_into(format, value, &mut buffer);
    buffer.freeze()
}

/// Check the envelope and hand out what is inside.
///
/// # Errors
/// If the envelope is torn or holds another type.
pub fn unwrap(type_id: u32, sealed: &[u8]) -> Result<Stored<'_>, Error> {
    let body_end = sealed.len().checked_sub(4).ok_or(Error::Torn("too short"))?;
    let (body, crc) = sealed.split_at(body_end);
    if crc != crc32c::crc32c(body).to_le_bytes() {
        return Err(Error::Torn("wrong checksum"));
    }
    let [MAGIC, flags @ (0 | PACKED | CUT), a, b, c, d, rest @ ..] = body else { return Err(Error::Torn("no magic")) };
    let found = u32::from_le_bytes([*a, *b, *c, *d]);
    if found != type_id {
        return Err(Error::Type { found, wanted: type_id });
    }
    let (version, rest) = take_varint(rest).ok_or(Error::Torn("no version"))?;
    let (length, payload) = take_varint(rest).ok_or(Error::Torn("no length"))?;
    if length != payload.len() as u64 {
        return Err(Error::Torn("wrong length"));
    }
    let version = u16::try_from(version).map_err(|_| Error::Torn("no version"))?;
    let payload = if *flags == 0 { Cow::Borrowed(payload) } else { Cow::Owned(packed::unpack(*flags, payload)?) };
    Ok(Stored { format: Format { type_id, version }, payload })
}

/// Read a value of exactly this format.
///
/// # Errors
/// If the bytes are torn, of another type or version, or do not decode.
pub fn open<T: DeserializeOwned>(format: Format, sealed: &[u8]) -> Result<T, Error> {
    let stored = unwrap(format.type_id, sealed)?;
    if stored.format.version != format.version {
        return Err(Error::Version { found: stored.format.version, known: format.version });
    }
    stored.decode()
}

fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Error> {
    let _coding = Coding::begin();
    let (value, used) =
        bincode::serde::decode_from_slice(payload, CONFIG).map_err(|error| Error::Payload(error.to_string()))?;
    if used == payload.len() {
        Ok(value)
    } else {
        Err(Error::Payload(format!("{} bytes are left over", payload.len() - used)))
    }
}

/// The version that nothing has yet.
#[cfg(feature = "testing")]
#[doc(hidden)]
pub const LATER: u16 = 999;

/// A value as a later build might have written it: the same payload, of a version that nobody knows.
///
/// # Panics
/// If these bytes are no sealed value.
#[cfg(feature = "testing")]
#[doc(hidden)]
#[must_use]
pub fn of_a_later_build(sealed: &[u8]) -> Bytes {
    let type_id = u32::from_le_bytes(sealed[2..6].try_into().expect("four bytes"));
    let payload = unwrap(type_id, sealed).expect("a sealed value").payload;
    let mut later = BytesMut::new();
    later.put_slice(&[MAGIC, 0]);
    later.put_slice(&sealed[2..6]);
    put_varint(&mut later, u64::from(LATER));
    put_varint(&mut later, payload.len() as u64);
    later.put_slice(&payload);
    later.put_u32_le(crc32c::crc32c(&later));
    later.freeze()
}

struct Writer<'a>(&'a mut BytesMut);

impl bincode::enc::write::Writer for Writer<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        // Unlike `put_slice`, this is compiled into the encoder: most writes are of a byte or two.
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// The length was given one byte; move the payload to make room for the others.
fn widen_length(into: &mut BytesMut, length_at: usize, payload_at: usize, length: usize) {
    let mut varint = BytesMut::with_capacity(10);
    put_varint(&mut varint, length as u64);
    let more = varint.len() - 1;
    into.put_bytes(0, more);
    into.copy_within(payload_at..payload_at + length, payload_at + more);
    into[length_at..=length_at + more].copy_from_slice(&varint);
}

fn put_varint(into: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        into.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    into.put_u8((value & 0x7f) as u8);
}

fn take_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::golden::Golden;

    const FORMAT: Format = Format::new("test", 3);

    crate::properties! {
        #[test]
        fn a_sealed_value_opens(text: String, number: u64, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let value = (text, number, bytes);
            prop_assert_eq!(open::<(String, u64, Vec<u8>)>(FORMAT, &seal(FORMAT, &value)).unwrap(), value);
        }

        #[test]
        fn a_flipped_bit_is_an_error(number: u64, at: prop::sample::Index, bit in 0..8_u8) {
            let mut sealed = seal(FORMAT, &number).to_vec();
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert!(open::<u64>(FORMAT, &sealed).is_err());
        }

        #[test]
        fn any_bytes_are_an_error_not_a_panic(bytes: Vec<u8>) {
            prop_assert!(open::<Vec<String>>(FORMAT, &bytes).is_err());
        }
    }

    #[test]
    fn the_envelope_keeps_its_bytes() {
        let sealed = seal(Format::new("golden", 1), &("héad", 7_u32));
        assert_eq!(
            hex(&sealed),
            "f40044ad0517010705 68c3a96164 07".replace(' ', "") + &hex(&sealed[sealed.len() - 4..])
        );
        let mut golden = Golden::of("codec");
        golden.bytes("envelope", &sealed);
        let mut packed = BytesMut::new();
        Packer::default().seal_into(FORMAT, &"again and ".repeat(100), &mut packed);
        golden.bytes("packed", &packed);
        golden.read("cut", |sealed| open::<String>(FORMAT, sealed), &"abcabc".to_owned());
        golden.end();
    }

    #[test]
    fn a_newer_version_is_refused_by_name() {
        let newer = seal(Format { version: 4, ..FORMAT }, &1_u8);
        assert_eq!(open::<u8>(FORMAT, &newer), Err(Error::Version { found: 4, known: 3 }));
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
