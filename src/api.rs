//! The HTTP API: an engine behind a door that only lets in what it can answer for.
//!
//! ```text
//! socket ─► listen (connections, head, timeouts) ─► door (host, origin, type, rate, drain) ─► handlers ─► Engine
//! own thread: admin (livez, readyz, metrics)
//! ```
//! A program binds a [`Server`], says that it listens, and calls [`Server::serve`] until it is told to drain.
//!
//! **Invariants:** an answer to a submission is sent after the run is durable. Everything that comes in is bounded before it is
//! read, and refused before anything is written. Whoever watches reads the ledger; no actor is asked. Every refusal is a
//! problem (RFC 9457) with a code. Absent on purpose: keys and roles, so it listens on this machine alone.

mod admin;
mod body;
mod bucket;
mod door;
mod health;
mod limits;
mod listen;
mod marker;
mod measure;
mod offers;
mod operator;
mod patience;
mod problem;
mod query;
mod router;
mod runs;
mod server;
mod shared;
mod workflows;

pub(crate) use self::measure::FAMILIES;
pub use self::{
    limits::Limits,
    marker::Marker,
    router::openapi,
    server::{Drain, Error, Options, Server, Sockets},
    workflows::Workflows,
};
