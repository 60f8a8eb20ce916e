//! One process per folder.
//!
//! The holder describes itself in the file, for the one who comes second.
//!
//! **Invariant:** the lock ends with the process, however that ends; the text in the file decides nothing.

use std::path::Path;

use super::disk::{Disk, Guard, Lock};
use crate::{
    clock::{Clock, SystemClock},
    durable::store::Error,
};

/// The file's name.
pub(crate) const NAME: &str = "LOCK";

/// Take the folder.
pub(crate) fn take(disk: &dyn Disk, folder: &Path) -> Result<Box<dyn Guard>, Error> {
    let path = folder.join(NAME);
    match disk.lock(&path, &describe_self()).map_err(super::io("lock", &path))? {
        Lock::Taken(guard) => Ok(guard),
        Lock::Held(holder) => Err(Error::Held { folder: folder.to_path_buf(), holder: legible(&holder) }),
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

    #[test]
    fn a_holder_without_a_name_is_still_named() {
        assert_eq!(super::legible("\0\n"), "a process that has not said its name yet");
    }
}
