//! What the device under a folder wrote, whoever asked it to.
//!
//! The device's own counter, because `/proc/PID/io` counts a page once for each write to it, which is many times too much
//! for a journal of small records.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

/// Sectors are of this size in the kernel's counters, whatever the device has.
const SECTOR: u64 = 512;

/// Bytes that the device of a folder has written so far; nothing where no device of its own is under it, or no Linux.
pub(super) fn written_bytes(folder: &Path) -> Option<u64> {
    let device = fs::metadata(folder).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    sectors_written(&fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?).map(|many| many * SECTOR)
}

fn sectors_written(stat: &str) -> Option<u64> {
    stat.split_whitespace().nth(6)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seventh_figure_is_what_was_written() {
        assert_eq!(
            sectors_written("  7398858   130528 222082418 24613751 29690835   848469 3229927408 1586"),
            Some(3_229_927_408)
        );
        assert_eq!(sectors_written("7 1 2"), None);
    }
}
