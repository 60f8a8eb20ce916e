//! A disk so small that it can be filled at once: a tmpfs whose size is changed while it is used.
//!
//! For one life the victim's folder moves there, and back when it is dead.
//!
//! **Invariant:** what is mounted is unmounted when this goes; the folder is on the large disk or on the small one, never on
//! both.

use std::{
    ffi::CString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use crate::damage;

/// Room beside what is there: an engine with less closes its door.
const ROOM: u64 = 256 << 20;
/// What is granted to a victim that writes while its disk is being filled.
const SLACK: [u64; 4] = [0, 256 << 10, 2 << 20, 16 << 20];

/// The disk, while it is mounted.
pub(super) struct SmallDisk {
    place: PathBuf,
    size: u64,
}

impl SmallDisk {
    /// Mount it, and move a folder there.
    pub(super) fn with(place: &Path, folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(place)?;
        fs::create_dir_all(folder)?;
        let size = bytes_in(folder)? + ROOM;
        let options = options(size)?;
        mount("none", place, "tmpfs", MountFlags::empty(), Some(&*options)).context("cannot mount a small disk")?;
        let disk = Self { place: place.to_owned(), size };
        damage::copy(folder, &disk.folder()).context("cannot copy the folder to a small disk")?;
        fs::remove_dir_all(folder)?;
        Ok(disk)
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.place.join("data")
    }

    /// From now on nothing more fits.
    pub(super) fn fill(&self) -> anyhow::Result<()> {
        let mut last = None;
        for slack in SLACK {
            let found = rustix::fs::statvfs(&self.place)?;
            let used = (found.f_blocks - found.f_bfree) * found.f_frsize;
            match mount_remount(&self.place, MountFlags::empty(), options(used + slack)?) {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        last.map_or(Ok(()), |error| Err(error).context("cannot fill the small disk"))
    }

    /// There is room again.
    pub(super) fn free(&self) -> anyhow::Result<()> {
        mount_remount(&self.place, MountFlags::empty(), options(self.size)?).context("cannot free the small disk")
    }

    /// Move the folder back. Nobody may have it open any more.
    pub(super) fn give_back(self, folder: &Path) -> anyhow::Result<()> {
        damage::copy(&self.folder(), folder).context("cannot copy the folder from a small disk")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever still has a file open there keeps it alone; it is gone from our view.
        let _ = unmount(&self.place, UnmountFlags::DETACH);
    }
}

fn options(size: u64) -> anyhow::Result<CString> {
    Ok(CString::new(format!("size={size}"))?)
}

fn bytes_in(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { bytes_in(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}
