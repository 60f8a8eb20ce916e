//! Which artifacts some bytes name.
//!
//! **Invariant:** a digest that is written as 64 lower-case hexadecimal digits is found wherever it stands, also inside
//! longer runs of digits and across pieces. What is written otherwise names nothing.

use std::collections::HashSet;

use super::Digest;

/// Reads bytes, and finds what they name of the digests that are wanted.
pub(crate) struct Names<'a> {
    wanted: &'a HashSet<Digest>,
    found: HashSet<Digest>,
    /// The last 64 digits.
    window: [u128; 2],
    digits: u32,
}

impl<'a> Names<'a> {
    pub(crate) fn of(wanted: &'a HashSet<Digest>) -> Self {
        Self { wanted, found: HashSet::new(), window: [0; 2], digits: 0 }
    }

    /// Read one value, or the next piece of it.
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                _ => {
                    self.digits = 0;
                    continue;
                }
            };
            let [high, low] = self.window;
            self.window = [high << 4 | low >> 124, low << 4 | u128::from(digit)];
            self.digits = (self.digits + 1).min(64);
            if self.digits == 64 {
                let digest = Digest::from_halves(self.window);
                if self.wanted.contains(&digest) {
                    self.found.insert(digest);
                }
            }
        }
    }

    /// The value has ended.
    pub(crate) fn end(&mut self) {
        self.digits = 0;
    }

    pub(crate) fn found(self) -> HashSet<Digest> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_found_wherever_it_stands_and_across_pieces() {
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        let wanted = HashSet::from([one, two]);
        let found = |pieces: &[&str]| {
            let mut names = Names::of(&wanted);
            pieces.iter().for_each(|piece| names.read(piece.as_bytes()));
            names.found()
        };
        let (first, second) = (one.hex(), two.hex());
        assert_eq!(found(&[&format!("{{\"$artifact\": \"{one}\"}} {second}")]), wanted);
        assert_eq!(found(&[&format!("00ff{first}{second}00")]), wanted, "runs of digits");
        assert_eq!(found(&[&first[..10], &first[10..]]), HashSet::from([one]));
        assert_eq!(found(&[&first[..63], "-"]), HashSet::new());
        assert_eq!(found(&[&first.to_uppercase()]), HashSet::new(), "no reference is written so");
        let mut names = Names::of(&wanted);
        names.read(&first.as_bytes()[..10]);
        names.end();
        names.read(&first.as_bytes()[10..]);
        assert_eq!(names.found(), HashSet::new(), "two values");
    }
}
