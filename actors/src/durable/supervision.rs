//! Supervision by the rules of Erlang/OTP, for ractor actors.
//!
//! ```text
//! command, exit, alarm ─► State::step(event, now) ─► actions ─► Host: starts, stops, kills, reports
//!                              (pure)                            (a ractor actor)
//! ```
//! A [`Supervisor`] starts its children in order, starts again what ends and should not have, gives up when that
//! happens too often, and ends its children in reverse. It may be a child of another one. The rules are those of OTP's
//! `supervisor`, down to their edges; `tests/otp` holds both to the same scenarios and lists where we differ on purpose.
//!
//! **Invariants:** a child has one incarnation at a time: the next is started after the end of the former was heard. An
//! event of a former incarnation is ignored. A supervisor ends after its children. Absent on purpose: names, process
//! groups and any other thing that is global; clocks and random numbers in what decides; anything durable.

mod backoff;
mod carry;
mod child;
mod error;
mod event;
mod exit;
mod group;
mod handle;
mod host;
mod intensity;
mod policy;
mod report;
mod restart_log;
mod spec;
mod state;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use self::backoff::scrambled;
pub use self::{
    backoff::Backoff,
    child::{ChildId, Status},
    error::Error,
    exit::{Exit, FENCED, PASSIVATED, SHUTDOWN},
    handle::{ChildInfo, Count, Supervisor},
    intensity::Intensity,
    policy::{AutoShutdown, Kind, Policy, Restart, Shutdown, Strategy},
    report::{Happened, Observer, Report},
    restart_log::{RestartLog, RestartRecord},
    spec::{ChildSpec, Setup, StartFailure, Starting},
};
pub(crate) use self::{
    group::{Sibling, together},
    intensity::Window,
};
