//! What the journal asks of a file system.
//!
//! Everything goes through these two traits, so that a test can put a disk behind the journal that loses whatever was
//! not synced.
//!
//! **Invariant:** nothing here retries, and nothing syncs unless its name says so.

use std::{
    fs, io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

const COPIED_AT_ONCE: usize = 1024 * 1024;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It is there, and is only read.
    Read,
    /// It is there, and is written too.
    Write,
    /// It is made, or emptied if it is there.
    Create,
}

/// Whatever keeps a lock until it is dropped.
pub(crate) trait Guard: Send + Sync {}

/// What came of the wish for a lock.
pub(crate) enum Lock {
    /// It is ours.
    Taken(Box<dyn Guard>),
    /// Another has it; this is what the file says.
    Held(String),
}

/// A file system.
pub(crate) trait Disk: Send + Sync + 'static {
    /// Open a file.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn File>>;
    /// Make a folder and its parents, durably.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// Rename a file, over what is there; or a folder, where nothing is. Of two folders the one that it comes into is
    /// synced first.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Give a file another name as well.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Unlink a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Remove a folder and all that is in it, in any order; nothing is done where there is none.
    fn remove_all(&self, folder: &Path) -> io::Result<()>;
    /// Make the names in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Take a lock on a file, and write into it who did.
    fn lock(&self, path: &Path, holder: &str) -> io::Result<Lock>;
    /// A number that nobody can guess.
    fn random(&self) -> u64;
}

/// An open file.
pub(crate) trait File: Send + Sync {
    /// Read up to a buffer's length; less only at the end.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Write all of it.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cut or extend it.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Make its bytes durable, and its length if that is needed to read them.
    fn sync_data(&self) -> io::Result<()>;
    /// Make its bytes and all that describes it durable.
    fn sync_all(&self) -> io::Result<()>;
    /// How long it is.
    fn len(&self) -> io::Result<u64>;
}

/// Whether there is such a file.
pub(crate) fn exists(disk: &dyn Disk, path: &Path) -> bool {
    disk.open(path, Access::Read).is_ok()
}

/// All that a file holds.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, Access::Read)?;
    let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Make a file that holds this, durably but for its name.
pub(crate) fn write(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = disk.open(path, Access::Create)?;
    file.write_at(bytes, 0)?;
    file.sync_all()
}

/// Copy a file, durably but for its name.
pub(crate) fn copy(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    let (source, target) = (disk.open(from, Access::Read)?, disk.open(to, Access::Create)?);
    let (mut buffer, mut at) = (vec![0; COPIED_AT_ONCE], 0);
    loop {
        let read = source.read_at(&mut buffer, at)?;
        if read == 0 {
            return target.sync_all();
        }
        target.write_at(&buffer[..read], at)?;
        at += read as u64;
    }
}

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(access != Access::Read);
        if access == Access::Create {
            options.create(true).truncate(true);
        }
        Ok(Box::new(options.open(path)?))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let parent = parent_of(path);
        if path.is_dir() {
            // Whoever made it may have been killed before this. A parent that we may not open was made by somebody else.
            let _ = self.sync_folder(&parent);
            return Ok(());
        }
        self.create_folder(&parent)?;
        match fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => self.sync_folder(&parent),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_all(&self, folder: &Path) -> io::Result<()> {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        fs::File::open(folder)?.sync_all()
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Lock> {
        // Not truncated on opening: until the lock is ours, the text in it is another's.
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                file.write_all_at(holder.as_bytes(), 0)?;
                Ok(Lock::Taken(Box::new(Flock(file))))
            }
            Err(fs::TryLockError::WouldBlock) => Ok(Lock::Held(fs::read_to_string(path)?)),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn random(&self) -> u64 {
        use std::hash::{BuildHasher, RandomState};
        // The keys come from the system's random numbers, once a thread, and change with each use.
        RandomState::new().hash_one(std::process::id())
    }
}

/// The parent of a relative path with one part is the folder we are in.
fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_path_buf(),
        None => PathBuf::from("/"),
    }
}

/// A lock that the system lets go of when the process ends, however it ends.
struct Flock(#[expect(dead_code, reason = "open is what it has to be")] fs::File);

impl Guard for Flock {}

impl File for fs::File {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            match FileExt::read_at(self, &mut into[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        fs::File::set_len(self, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        fs::File::sync_data(self)
    }

    fn sync_all(&self) -> io::Result<()> {
        fs::File::sync_all(self)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
