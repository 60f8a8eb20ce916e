//! A task: one piece of work, from its start to one recorded end.
//!
//! ```text
//! new ─► calling ─► ended        new ─► sleeping ─► ended
//!          ▲  │ ╲
//!          │  ▼   ▼
//!       backoff  doubt
//! ```
//! A task whose tool only lets time pass makes no call: it sleeps, with a durable timer.
//!
//! **Invariants:** one call at a time; it ends only when its call has an outcome; the generation grows only after a
//! definite failure, so that a repeat after an unknown outcome carries the same key.

mod key;
mod state;

pub use self::state::{End, Event, Job, Message, State, Status, Task};
