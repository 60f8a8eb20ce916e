//! How a store of a single process works: what its owner chooses, and what only tests turn.

use std::time::Duration;

use crate::durable::id::Sequence;

/// What an acknowledged record survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A power cut: each record is synced before it is acknowledged.
    #[default]
    Power,
    /// The end of the process, however it ends. A power cut takes what came after the last note in `HEAD`, which is at
    /// most 100 ms while records keep coming.
    Process,
}

/// How a [`Local`](super::Local) works.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// What an acknowledged record survives.
    pub durability: Durability,
    /// How long a file of the journal is, in bytes; a larger record gets a larger file.
    pub segment_bytes: u64,
    /// Keep rows, so that a start need not read the whole journal. Without them everything live stays in memory.
    pub rows: bool,
    /// A new base is made when the journal has grown by so many bytes, or by half the last base, if that is more.
    pub base_bytes: u64,
    /// How often it is looked whether a base is due.
    pub base_every: Duration,
    /// Only look: take no lock, write nothing. Another process may be writing meanwhile.
    pub read_only: bool,
    /// Take nothing behind this record. For a start in the process in which an append failed: the failed store's
    /// [`Local::durable`](super::Local::durable), because what a failed sync leaves behind reads well and was promised to nobody.
    pub cut_after: Option<Sequence>,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Power,
            segment_bytes: 16 * 1024 * 1024,
            rows: true,
            base_bytes: 64 * 1024 * 1024,
            base_every: Duration::from_secs(1),
            read_only: false,
            cut_after: None,
        }
    }
}

/// What only tests turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuning {
    /// How far `HEAD` may be behind.
    pub(crate) head_every: Duration,
    /// Whether the next segment is made by a thread of its own.
    pub(crate) background: bool,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { head_every: Duration::from_millis(100), background: true }
    }
}
