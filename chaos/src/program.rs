//! The programs that tasks start, and the one that says what became of them.
//!
//! A program asks the recorder to do something, as a tool would, and prints the receipt; before and after lies time in which
//! it can be killed. It ends with 0 only when it knows that it happened, and by a signal when it cannot know.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use rustix::process::{Signal, getpid, kill_process};

use crate::{
    args::{ProbeRole, ProgramRole},
    random,
    recorder::{self, Request},
};

/// The environment variable in which a program finds what its engine knows of the call.
pub(crate) const CALL: &str = "HEADFRAME_CHAOS_CALL";
/// The one in which the tool `process` tells the call's key.
const KEY: &str = "HEADFRAME_KEY";

/// Do it.
pub(crate) fn main(role: ProgramRole) -> anyhow::Result<ExitCode> {
    let told = std::env::var(CALL).context("a program is started by a task")?;
    let Request::Call { mut call, at_ms } = serde_json::from_str(&told)? else { anyhow::bail!("no call: {told}") };
    (call.tool, call.label) = (role.tool, role.label);
    let drawn = random::number_of(&call.key);
    pause(drawn % 40);
    match recorder::receipt_at_once(&role.socket, Request::Call { call, at_ms }) {
        Ok(receipt) => {
            pause((drawn >> 16) % 40);
            print!("{}", serde_json::to_string(&receipt)?);
            Ok(ExitCode::SUCCESS)
        }
        Err(_) => {
            // Nobody knows whether it happened, and an exit code would say that it did not.
            kill_process(getpid(), Signal::KILL)?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Say whether it happened: 0 with the receipt, 1 if it did not, 2 if that cannot be told.
pub(crate) fn probe(role: &ProbeRole) -> anyhow::Result<ExitCode> {
    let key = std::env::var(KEY).context("a probe is started by a task")?;
    Ok(match recorder::ask_at_once(&role.socket, &key) {
        Ok(Some(receipt)) => {
            print!("{}", serde_json::to_string(&receipt)?);
            ExitCode::SUCCESS
        }
        Ok(None) => ExitCode::from(1),
        Err(_) => ExitCode::from(2),
    })
}

fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}
