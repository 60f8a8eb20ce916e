//! The keys of messages that are told once.
//!
//! **Invariant:** a key of a former build, which does not say when it was used, is kept for the whole time from when it is
//! first looked at.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::janitor::{Expiring, RowFate};
use crate::durable::codec::{self, Format};

const PREFIX: &str = "once/";
const FORMAT: Format = Format::new("once", 1);
/// How long a key is kept when not said.
pub(super) const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// What is stored under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    at_ms: u64,
}

pub(super) fn key(key: &str) -> Bytes {
    Bytes::from(format!("{PREFIX}{key}"))
}

pub(super) fn row(now_ms: u64) -> Bytes {
    codec::seal(FORMAT, &Told { at_ms: now_ms })
}

/// Keys go so long after they were first used.
pub(super) struct Once {
    pub(super) kept: Duration,
}

impl Expiring for Once {
    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn fate(&self, sealed: &[u8], _: Option<&[u8]>, now_ms: u64) -> RowFate {
        match codec::open::<Told>(FORMAT, sealed) {
            Ok(told) if is_over(told.at_ms, self.kept, now_ms) => RowFate::Goes,
            Ok(_) => RowFate::Stays,
            Err(_) if sealed == b"1" => RowFate::Becomes(row(now_ms)),
            // A later build wrote it.
            Err(_) => RowFate::Stays,
        }
    }
}

/// Whether a time that began then is over.
pub(crate) fn is_over(since_ms: u64, kept: Duration, now_ms: u64) -> bool {
    u128::from(now_ms.saturating_sub(since_ms)) >= kept.as_millis().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_former_build_is_kept_from_when_it_is_first_looked_at() {
        let once = Once { kept: Duration::from_millis(10) };
        let RowFate::Becomes(row) = once.fate(b"1", None, 1_000) else { panic!("it says since when") };
        assert_eq!(once.fate(&row, None, 1_009), RowFate::Stays);
        assert_eq!(once.fate(&row, None, 1_010), RowFate::Goes);
        assert_eq!(once.fate(b"of a later build", None, u64::MAX), RowFate::Stays);
    }

    #[test]
    fn a_key_of_a_later_build_is_refused_by_name_and_kept() {
        let later = codec::of_a_later_build(&row(1));
        let refused = codec::open::<Told>(FORMAT, &later);
        assert_eq!(refused, Err(codec::Error::Version { found: codec::LATER, known: 1 }));
        assert_eq!(Once { kept: Duration::ZERO }.fate(&later, None, u64::MAX), RowFate::Stays);
    }
}
