//! Bytes as text, without loss.
//!
//! File names and program output are bytes; JSON and templates know only text. Valid UTF-8 stays as it is. A byte that
//! is not part of valid UTF-8 becomes one private-use character: `0x80..=0xff` map to U+10FF80..=U+10FFFF. Text that
//! already holds one of those characters has it escaped byte by byte, so that the mapping can always be turned back.
//!
//! **Invariant:** `to_bytes(&from_bytes(b)) == b` for every `b`.

const BASE: u32 = 0x10_FF00;

fn escaped(byte: u8) -> char {
    char::from_u32(BASE + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn unescaped(character: char) -> Option<u8> {
    let offset = u32::from(character).checked_sub(BASE)?;
    u8::try_from(offset).ok().filter(|byte| *byte >= 0x80)
}

/// Text for any bytes.
#[must_use]
pub fn from_bytes(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if unescaped(character).is_some() {
                let mut buffer = [0; 4];
                text.extend(character.encode_utf8(&mut buffer).bytes().map(escaped));
            } else {
                text.push(character);
            }
        }
        text.extend(chunk.invalid().iter().copied().map(escaped));
    }
    text
}

/// The bytes that a text stands for.
#[must_use]
pub fn to_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match unescaped(character) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// The text for people: escaped bytes as `\xFF`, other control characters as Rust writes them.
#[must_use]
pub fn for_people(text: &str) -> String {
    use std::fmt::Write as _;
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let written = match unescaped(character) {
            Some(byte) => write!(shown, "\\x{byte:02X}"),
            None if character.is_control() => write!(shown, "{}", character.escape_default()),
            None => {
                shown.push(character);
                Ok(())
            }
        };
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    crate::properties! {
        #[test]
        fn any_bytes_come_back(bytes: Vec<u8>) {
            prop_assert_eq!(to_bytes(&from_bytes(&bytes)), bytes);
        }

        #[test]
        fn any_text_comes_back(text: String) {
            prop_assert_eq!(to_bytes(&from_bytes(text.as_bytes())), text.as_bytes());
        }
    }

    #[test]
    fn the_escape_characters_themselves_come_back() {
        let tricky = "a\u{10FFFF}b\u{10FF80}".as_bytes();
        assert_eq!(to_bytes(&from_bytes(tricky)), tricky);
        assert_eq!(for_people(&from_bytes(b"caf\xe9\n")), "caf\\xE9\\n");
    }
}
