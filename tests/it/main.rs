//! Promises through the public API and the program.

#![allow(clippy::unwrap_used, reason = "a test says what must hold by failing")]

mod cli;
mod reopen;
mod structure;
mod upgrade;
