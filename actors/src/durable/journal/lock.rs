//! One process per folder.
//!
//! The holder describes itself in the file, for the one who comes second.
//!
//! **Invariant:** the lock ends with the process, however that ends; the text in the file decides nothing but how long is
//! waited. A process that was killed may have left a child behind that was not another program yet: such a child holds what
//! its parent held, for some milliseconds.

use std::{path::Path, time::Duration};

use rustix::process::{Pid, test_kill_process};

use super::disk::{Disk, Guard, Lock};
use crate::{
    clock::{Clock, SystemClock, monotonic},
    durable::store::Error,
};

/// The file's name.
pub(crate) const NAME: &str = "LOCK";

/// How long is waited for children of a process that is gone, or of our own.
const PASSING: [Duration; 2] = [Duration::from_secs(2), Duration::from_millis(500)];
/// How often it is tried meanwhile.
const AGAIN: Duration = Duration::from_millis(5);

/// Take the folder.
pub(crate) fn take(disk: &dyn Disk, folder: &Path) -> Result<Box<dyn Guard>, Error> {
    let path = folder.join(NAME);
    let taken = patiently(|| match disk.lock(&path, &describe_self()).map_err(super::io("lock", &path))? {
        Lock::Taken(guard) => Ok(Ok(guard)),
        Lock::Held(holder) => Ok(Err(holder)),
    });
    taken?.map_err(|holder| Error::Held { folder: folder.to_path_buf(), holder: legible(&holder) })
}

/// Try to have a lock, and again while nobody but a child in passing can have it. The inner error is what its holder says of
/// itself.
///
/// # Errors
/// As the attempt.
pub(crate) fn patiently<T>(
    mut attempt: impl FnMut() -> Result<Result<T, String>, Error>,
) -> Result<Result<T, String>, Error> {
    let began = monotonic();
    loop {
        match attempt()? {
            Err(holder) if began.elapsed() < patience(&holder) => std::thread::sleep(AGAIN),
            outcome => return Ok(outcome),
        }
    }
}

fn patience(holder: &str) -> Duration {
    let number = holder.strip_prefix("process ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    match number.and_then(Pid::from_raw) {
        Some(pid) if pid == rustix::process::getpid() => PASSING[1],
        Some(pid) if test_kill_process(pid).is_err() => PASSING[0],
        Some(_) | None => Duration::ZERO,
    }
}

fn describe_self() -> String {
    let command = std::env::args_os().map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
    format!("process {} (`{}`, since {})", std::process::id(), shortened(&command), utc(SystemClock.now_ms()))
}

/// What the file says of its holder, for people. It may be empty, when its writer is between lock and text, or hold anything at all.
pub(crate) fn legible(holder: &str) -> String {
    let text: String = holder.chars().filter(|letter| !letter.is_control()).collect();
    if text.is_empty() { "a process that has not said its name yet".to_owned() } else { shortened(&text) }
}

fn shortened(text: &str) -> String {
    text.chars().take(300).collect()
}

/// A civil date: <https://howardhinnant.github.io/date_algorithms.html>.
fn utc(now_ms: u64) -> String {
    let (days, of_day) = (now_ms / 86_400_000 + 719_468, now_ms / 1000 % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_date_is_legible() {
        assert_eq!(super::utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(super::utc(1_709_210_096_000), "2024-02-29 12:34:56 UTC");
    }

    /// A start right after a kill was refused, because a child of the dead process was not another program yet.
    #[test]
    fn what_only_a_child_in_passing_can_hold_is_waited_for() {
        let dead = std::process::Command::new("true").spawn().and_then(|mut child| child.wait().map(|_| child.id()));
        let gone = format!("process {} (`headframe`)", dead.unwrap());
        let mut tries = 0;
        let taken = super::patiently(|| {
            tries += 1;
            Ok(if tries < 3 { Err(gone.clone()) } else { Ok(()) })
        });
        assert!(matches!(taken, Ok(Ok(()))) && tries == 3);
        // Whoever lives is not waited for; process 1 always does.
        for holder in ["process 1 (`init`)", "somebody", ""] {
            assert_eq!(super::patience(holder), std::time::Duration::ZERO, "{holder}");
        }
    }

    #[test]
    fn a_holder_without_a_name_is_still_named() {
        assert_eq!(super::legible("\0\n"), "a process that has not said its name yet");
    }
}
