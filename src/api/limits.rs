//! How much may come in, and for how long.

use std::time::Duration;

/// The bounds of a server. The defaults suit one machine.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Most bytes of a body; more is refused with 413.
    pub body_bytes: usize,
    /// How deep lists and maps may lie in each other in a body; more is refused with 400.
    pub json_depth: usize,
    /// Most bytes of a request line with its headers; more is refused with 431.
    pub head_bytes: usize,
    /// Most headers of a request; more is refused with 431.
    pub headers: usize,
    /// Most connections at once; further ones wait in the listener's queue.
    pub connections: usize,
    /// Most event streams at once; further ones are refused with 503.
    pub streams: usize,
    /// Requests that change something, per second; more are refused with 429. Twice as many may come at once.
    pub changes_per_second: u32,
    /// How long a request's head may take to arrive, and how long a connection may lie idle.
    pub head_time: Duration,
    /// How long a body may take to arrive.
    pub body_time: Duration,
    /// How long an answer may take, where the caller did not ask to wait.
    pub answer_time: Duration,
    /// How long a reader may leave an answer lying before its connection is closed.
    pub write_time: Duration,
    /// How long a caller may ask to wait for a result.
    pub wait_max: Duration,
    /// How long open requests may take to end when the server drains.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 1024 * 1024,
            json_depth: 64,
            head_bytes: 16 * 1024,
            headers: 64,
            connections: 512,
            streams: 128,
            changes_per_second: 1_000,
            head_time: Duration::from_secs(15),
            body_time: Duration::from_secs(15),
            answer_time: Duration::from_secs(30),
            write_time: Duration::from_secs(30),
            wait_max: Duration::from_secs(60),
            drain_time: Duration::from_secs(10),
        }
    }
}
