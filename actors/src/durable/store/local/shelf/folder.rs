//! The folder that sled lives in: what is looked at before sled may open it, how it comes into being, where it goes.
//!
//! **Invariants:** sled never opens a folder in which it would quietly start afresh. A folder is there whole or not at all:
//! it is filled under another name. Nothing that is put aside is read again.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::{
    clock,
    durable::{dying, store::rows::Error},
};

/// The file that holds the rows.
pub(super) const DB: &str = "db";
/// Where sled puts pages that are too large for it.
pub(super) const BLOBS: &str = "blobs";
/// What sled says of its settings, checksum and all: the same for everyone who leaves them alone.
const CONF: &[u8] = b"segment_size: 524288\nuse_compression: false\nversion: 0.34\n\x76\x19\x51\xc1";
/// How long a handle that was let go of may take to be gone.
const LINGERS: Duration = Duration::from_secs(5);

/// Make a folder fit to be opened: what was mended, in sentences.
pub(super) fn ready(folder: &Path) -> Result<Vec<String>, Error> {
    let names = names(folder)?;
    let conf = fs::read(folder.join("conf"));
    if !conf.is_ok_and(|conf| conf == CONF) {
        return Err(unusable(folder, "its file `conf` is not what sled writes"));
    }
    // sled takes an empty or a missing file for an empty database.
    if !fs::metadata(folder.join(DB)).is_ok_and(|db| db.is_file() && db.len() > 0) {
        return Err(unusable(folder, "its file `db` is missing or empty"));
    }
    wait_for_lock(folder)?;
    names.into_iter().filter(|name| is_half_made(name)).map(|name| put_by(folder, &name)).collect()
}

/// Make everything in a new folder durable, and give it its name.
pub(super) fn publish(new: &Path, folder: &Path) -> Result<(), Error> {
    dying::point();
    sync_all(new).map_err(io("sync", new))?;
    dying::point();
    fs::rename(new, folder).map_err(io("create", folder))?;
    dying::point();
    sync_parent(folder)
}

/// The name under which a folder is made.
pub(super) fn new_name(folder: &Path) -> PathBuf {
    suffixed(folder, ".new")
}

/// Take away what an earlier attempt left behind.
pub(super) fn clear(folder: &Path) -> Result<(), Error> {
    // Whatever it is: somebody may have put a file in its place.
    let removed = match fs::symlink_metadata(folder) {
        Ok(found) if !found.is_dir() => fs::remove_file(folder),
        _ => fs::remove_dir_all(folder),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io("remove", folder)(error)),
        _ => Ok(()),
    }
}

/// Rename a folder out of the way. Two such are kept; the newer one is `.bad-1`.
pub(super) fn aside(folder: &Path) -> Result<PathBuf, Error> {
    let [newer, older] = [suffixed(folder, ".bad-1"), suffixed(folder, ".bad-2")];
    dying::point();
    if newer.exists() {
        clear(&older)?;
        dying::point();
        fs::rename(&newer, &older).map_err(io("rename", &newer))?;
    }
    dying::point();
    fs::rename(folder, &newer).map_err(io("rename", folder))?;
    dying::point();
    sync_parent(folder)?;
    Ok(newer)
}

/// Bytes of all files.
pub(crate) fn bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let bytes_of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(entry_is) if entry_is.is_dir() => bytes(&entry.path()),
        entry_is => entry_is.map_or(0, |entry_is| entry_is.len()),
    };
    entries.flatten().map(bytes_of).sum()
}

/// An error of the system: its own if a rebuild would meet it again, else a reason to rebuild.
pub(super) fn io(action: &'static str, file: &Path) -> impl FnOnce(io::Error) -> Error {
    let file = file.to_path_buf();
    move |source| {
        if is_of_the_machine(&source) {
            return Error::Io { action, file, source };
        }
        Error::Unusable { why: format!("cannot {action} {}: {source}", file.display()) }
    }
}

/// What only a write can meet.
pub(super) fn is_of_a_write(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), QuotaExceeded | ReadOnlyFilesystem | StorageFull)
}

/// Not of these files: no space, no permission, no more of something.
fn is_of_the_machine(error: &io::Error) -> bool {
    use io::ErrorKind::{OutOfMemory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull, WouldBlock};
    let exhausted = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
    matches!(
        error.kind(),
        OutOfMemory | PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull | WouldBlock
    ) || exhausted.contains(&error.raw_os_error())
}

fn unusable(folder: &Path, why: &str) -> Error {
    Error::Unusable { why: format!("{}: {why}", folder.display()) }
}

fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let names = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect());
    names.map_err(io("read", folder))
}

/// sled was killed while it wrote this, and would now refuse to open.
fn is_half_made(name: &str) -> bool {
    name.starts_with("snap.") && name.ends_with(".generating")
}

fn put_by(folder: &Path, name: &str) -> Result<String, Error> {
    let path = folder.join(name);
    // sled looks at every name that begins with `snap.`.
    fs::rename(&path, folder.join("half-made")).map_err(io("rename", &path))?;
    Ok(format!("`{name}`, which a crash had left half made, was moved aside"))
}

/// sled's threads may hold its file for a moment after its handle is gone.
fn wait_for_lock(folder: &Path) -> Result<(), Error> {
    let path = folder.join(DB);
    let file = File::open(&path).map_err(io("open", &path))?;
    let began = clock::monotonic();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(io("lock", &path)(error)),
            Err(TryLockError::WouldBlock) if began.elapsed() < LINGERS => thread::sleep(Duration::from_millis(5)),
            Err(TryLockError::WouldBlock) => return Err(Error::Held { folder: folder.to_path_buf() }),
        }
    }
}

fn sync_all(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() { sync_all(&entry.path())? } else { File::open(entry.path())?.sync_all()? }
    }
    File::open(folder)?.sync_all()
}

fn sync_parent(folder: &Path) -> Result<(), Error> {
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(io("sync", parent))
}

fn suffixed(folder: &Path, suffix: &str) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
