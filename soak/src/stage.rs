//! The folder that everything happens in, and that goes at the end.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

/// A start takes a segment of the journal and a reserve for a full disk; history comes on top, with every run.
const ROOM_MIN: u64 = 256 << 20;
/// How often a folder is tried to be removed into which something may still write its last file.
const REMOVALS: u32 = 100;
const REMOVE_AGAIN: Duration = Duration::from_millis(20);

/// A new folder in `dir`, or in the system's place for temporary files.
pub(crate) fn folder(dir: Option<&Path>) -> anyhow::Result<TempDir> {
    let dir = dir.map_or_else(std::env::temp_dir, Path::to_path_buf);
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot use --dir {}", dir.display()))?;
    let found =
        rustix::fs::statvfs(&dir).with_context(|| format!("cannot tell how much room {} has", dir.display()))?;
    let room = found.f_bavail.saturating_mul(found.f_frsize);
    ensure!(
        room >= ROOM_MIN,
        "{} has {} MiB free, and this needs {} MiB and more for every run; choose another --dir",
        dir.display(),
        room >> 20,
        ROOM_MIN >> 20
    );
    let folder = tempfile::Builder::new().prefix("headframe-soak-").tempdir_in(&dir);
    folder.with_context(|| format!("cannot make a folder in {}", dir.display()))
}

/// Remove it, whatever still writes its last file.
pub(crate) fn leave(folder: TempDir) {
    let path = folder.keep();
    let gone = (0..REMOVALS).any(|tried| {
        if tried > 0 {
            std::thread::sleep(REMOVE_AGAIN);
        }
        std::fs::remove_dir_all(&path).is_ok() || !path.exists()
    });
    if !gone {
        eprintln!("warning: {} is left behind; remove it", path.display());
    }
}
