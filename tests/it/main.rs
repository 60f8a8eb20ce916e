//! Promises through the public API and the program.

#![allow(clippy::unwrap_used, reason = "a test says what must hold by failing")]

mod api;
mod cli;
mod dying;
mod kill;
mod limits;
mod logs;
mod measured;
mod missing;
mod reopen;
mod scrape;
mod structure;
mod tidy;
mod upgrade;
