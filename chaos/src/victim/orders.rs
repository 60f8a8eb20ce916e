//! What a victim is told on stdin, one line each.

use serde::{Deserialize, Serialize};

/// One order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Submit this number, now or again.
    Submit(u64),
    /// The wall clock is so far ahead of the machine's now, in milliseconds.
    SetClock(i64),
}
