//! `headframe-chaos`: kill -9 over and over, then count.
//!
//! ```text
//! parent ──stdin: submissions──► victim (an Engine, killed N times) ──┐ calls
//!   │ ◄──stdout: acknowledgements──┘                                   ▼
//!   └────────────── the books, at the end ──────────────────────── recorder (outlives every victim)
//! ```
//! The parent is the client: it knows what was acknowledged. The recorder is the outside world: it knows what happened.
//! The oracle compares the two with what the engine says after the last recovery, and with what lies in the folder.
//!
//! **Invariants:** the times of the kills are drawn before the load starts; no process and no folder is left behind.
//! **Absent on purpose:** any look inside the engine that an embedder does not have.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program whose output is its purpose")]

mod args;
mod damage;
mod fault;
mod finish;
mod look;
mod namespace;
mod oracle;
mod parent;
mod program;
mod random;
mod recorder;
mod report;
mod schedule;
mod victim;
mod workload;

use std::process::ExitCode;

use clap::Parser;

use self::args::{Args, Role};

/// That of the program `headframe`, for which victims stand.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|verb| verb == headframe::tools::LAUNCH) {
        headframe::tools::launcher_main(args);
    }
    let args = Args::parse();
    let done = match args.role.clone() {
        None => parent::main(&args),
        Some(Role::Recorder(role)) => headframe_stage::bound_to(role.parent).and_then(|()| recorder::main(&role)),
        Some(Role::Victim(role)) => headframe_stage::bound_to(role.parent).and_then(|()| victim::main(role)),
        Some(Role::Starter(role)) => headframe_stage::bound_to(role.parent).and_then(|()| damage::start(&role)),
        Some(Role::Program(role)) => program::main(role),
        Some(Role::Probe(role)) => program::probe(&role),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
