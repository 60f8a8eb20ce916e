//! Children die with their parent, whatever it dies of.

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// Ask the kernel for SIGKILL when the parent ends; refuse to live if it has ended already.
///
/// # Errors
/// If the parent, whose number is given, has ended, or the kernel refuses.
pub fn bound_to(parent: i32) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot ask to die with the parent")?;
    // The parent may have died before the call above; then nobody would kill us.
    if getppid().map(Pid::as_raw_nonzero).map(std::num::NonZero::get) != Some(parent) {
        bail!("the parent, process {parent}, is gone");
    }
    Ok(())
}
