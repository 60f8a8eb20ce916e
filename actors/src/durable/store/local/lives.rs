//! Whether the life before this one ended in order.
//!
//! ```text
//! FOLDER/open     there from before rows are touched until the store is let go of
//! ```
//! After an end in order the rows are as they were left, and their mark says how far they are. After any other end sled may
//! have lost some without a trace, so all of them are counted.
//!
//! **Invariant:** whenever rows may have been written by a life that did not end in order, the file is there.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::durable::{
    dying,
    journal::disk::{Access, Disk},
    store::Error,
};

/// Its name.
const NAME: &str = "open";

/// Whether a life began here and did not end in order.
pub(super) fn is_unended(disk: &dyn Disk, folder: &Path) -> bool {
    disk.open(&path(folder), Access::Read).is_ok()
}

/// A life begins.
pub(super) fn begin(disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
    let file = path(folder);
    dying::point();
    let made = disk.open(&file, Access::Create).and_then(|made| made.sync_all());
    made.map_err(|source| Error::Io { action: "create", file, source })?;
    disk.sync_folder(folder).map_err(|source| Error::Io { action: "sync", file: folder.to_path_buf(), source })
}

/// A life ends in order. If that cannot be noted, the next start counts rows that it need not have.
pub(super) fn end(disk: &dyn Disk, folder: &Path) {
    dying::point();
    match disk.remove(&path(folder)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "the end could not be noted; the next start takes longer");
        }
        _ => {
            // A name that comes back after a power cut costs a count, too.
            let _ = disk.sync_folder(folder);
        }
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}
