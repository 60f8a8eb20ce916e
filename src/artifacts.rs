//! Artifacts: content too large for a message, kept in files that are named by their digest.
//!
//! ```text
//! DATA/artifacts/ab/cdef...   one file per content: `ab` + `cdef...` is its SHA-256 in hexadecimal
//! DATA/artifacts/tmp/         being written; what a crash leaves here is removed a day later
//! DATA/artifacts/lock         empty; held while one is touched, or removed
//! ```
//! **Invariant:** what [`Artifacts::put`] or [`Writer::finish`] returned is on the disk: the file is synced, renamed to
//! its digest, and the folders are synced, so that a commit may name it. **Invariant:** a file under its digest is never
//! written to again; only its modification time changes, which tells the collector that somebody wants it.
//! **Absent on purpose:** reference counts, and names: who uses what is in the ledger.

mod check;
mod collect;
mod digest;
mod names;
mod reference;
mod resolve;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use headframe_actors::clock::{Clock as _, SystemClock};

use self::digest::Hasher;
pub(crate) use self::names::Names;
pub use self::{
    check::{Checked, Named},
    digest::Digest,
    reference::Reference,
    writer::Writer,
};

/// What nobody names, or nobody finished, is kept so long after it was last touched.
pub(crate) const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Why an artifact could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing was ever stored under this digest, or it was collected.
    #[error("there is no artifact {digest}")]
    Missing {
        /// What was asked for.
        digest: Digest,
    },
    /// The file no longer holds what its name says. Storing the same content again repairs it.
    #[error("artifact {digest} is damaged: its content has another digest")]
    Damaged {
        /// What was asked for.
        digest: Digest,
    },
    /// The content behind the references is larger than the reader allows.
    #[error("the referenced artifacts are larger than {limit_bytes} bytes")]
    TooLarge {
        /// What the reader allows, in bytes.
        limit_bytes: u64,
    },
    /// A reference, or a list behind one, is not written as it should be.
    #[error("{what}")]
    Malformed {
        /// What is wrong with it.
        what: String,
    },
    /// The file system refused. A full disk is the usual reason.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

/// One artifact in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What names it.
    pub digest: Digest,
    /// Its length.
    pub bytes: u64,
    /// When it was last stored, in milliseconds since 1970.
    pub stored_at_ms: u64,
}

/// The store. Clones share it, and so may processes.
#[derive(Clone, Debug)]
pub struct Artifacts {
    dir: Arc<Path>,
    written: Arc<AtomicU64>,
}

impl Artifacts {
    /// Open the store in a folder, which is created when missing.
    ///
    /// # Errors
    /// If the folder cannot be created or read.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, Error> {
        let dir = dir.into();
        let temporary = dir.join("tmp");
        fs::create_dir_all(&temporary).map_err(Error::io("create", &temporary))?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_folder(parent)?;
        }
        let store = Self { dir: dir.into(), written: Arc::new(AtomicU64::new(0)) };
        store.forget_abandoned(KEPT)?;
        Ok(store)
    }

    /// The store in a folder as it is: nothing is made, and nothing tidied up.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into().into(), written: Arc::new(AtomicU64::new(0)) }
    }

    /// Store bytes. They are on the disk when this returns.
    ///
    /// # Errors
    /// If they could not be written; nothing is stored then.
    pub fn put(&self, bytes: &[u8]) -> Result<Reference, Error> {
        let digest = Digest::of(bytes);
        let reference = Reference::new(digest, bytes.len() as u64);
        if self.keep(digest)? {
            return Ok(reference);
        }
        let mut writer = self.writer()?;
        writer.append(bytes)?;
        writer.finish()
    }

    /// Store content of unknown length, piece by piece.
    ///
    /// # Errors
    /// If the temporary file cannot be created.
    pub fn writer(&self) -> Result<Writer, Error> {
        Writer::new(self.clone())
    }

    /// Read an artifact and check that it still is what its digest says.
    ///
    /// # Errors
    /// If it is missing, damaged or unreadable.
    pub fn get(&self, digest: Digest) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let mut file = self.file(digest)?;
        file.read_to_end(&mut bytes).map_err(Error::io("read", &self.path(digest)))?;
        if Digest::of(&bytes) == digest { Ok(bytes) } else { Err(Error::Damaged { digest }) }
    }

    /// Open an artifact for reading from its start, checked like [`Artifacts::get`] but not held in memory.
    ///
    /// # Errors
    /// If it is missing, damaged or unreadable.
    pub fn open_file(&self, digest: Digest) -> Result<File, Error> {
        let mut file = self.file(digest)?;
        let path = self.path(digest);
        let mut hash = Hasher::default();
        io::copy(&mut file, &mut hash).map_err(Error::io("read", &path))?;
        if hash.finish() != digest {
            return Err(Error::Damaged { digest });
        }
        file.rewind().map_err(Error::io("read", &path))?;
        Ok(file)
    }

    /// Whether something is stored under the digest.
    #[must_use]
    pub fn contains(&self, digest: Digest) -> bool {
        self.path(digest).is_file()
    }

    /// The length of an artifact in bytes.
    ///
    /// # Errors
    /// If it is missing or unreadable.
    pub fn len(&self, digest: Digest) -> Result<u64, Error> {
        let file = self.file(digest)?;
        Ok(file.metadata().map_err(Error::io("read", &self.path(digest)))?.len())
    }

    /// Everything stored, in the order of digests.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        for folder in read_folder(&self.dir)? {
            let prefix = folder.file_name();
            if prefix.len() == 2 && folder.path().is_dir() {
                let files = read_folder(&folder.path())?;
                entries.extend(files.iter().filter_map(|file| entry(&prefix.to_string_lossy(), file)));
            }
        }
        entries.sort_by_key(|entry| entry.digest);
        Ok(entries)
    }

    /// The file that holds, or would hold, an artifact.
    #[must_use]
    pub fn path(&self, digest: Digest) -> PathBuf {
        let hex = digest.hex();
        self.dir.join(&hex[..2]).join(&hex[2..])
    }

    fn file(&self, digest: Digest) -> Result<File, Error> {
        let path = self.path(digest);
        File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::Missing { digest },
            _ => Error::Io { doing: "open", path, source },
        })
    }

    /// Take what is already there, if it is sound. The folders are synced here too: whoever renamed the file may not have
    /// come so far, and this caller's commit must not depend on it.
    fn keep(&self, digest: Digest) -> Result<bool, Error> {
        // Without the touch the collector might take it away under a commit that names it.
        match self.touch(digest).and_then(|()| self.open_file(digest)) {
            Ok(_) => self.sync_folders(digest).map(|()| true),
            Err(Error::Missing { .. } | Error::Damaged { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn touch(&self, digest: Digest) -> Result<(), Error> {
        let _shared = self.share()?;
        let touched = self.file(digest)?.set_modified(now());
        touched.map_err(Error::io("touch", &self.path(digest)))
    }

    fn sync_folders(&self, digest: Digest) -> Result<(), Error> {
        sync_folder(&self.dir.join(&digest.hex()[..2]))?;
        sync_folder(&self.dir)
    }

    fn temporary(&self) -> PathBuf {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        self.dir.join("tmp").join(format!("{}-{number}", std::process::id()))
    }

    /// Remove what was not finished and not touched for so long; returns how many files went.
    pub(crate) fn forget_abandoned(&self, kept: Duration) -> Result<u64, Error> {
        let (now_ms, mut gone) = (SystemClock.now_ms(), 0);
        for file in read_folder(&self.dir.join("tmp"))? {
            let age_ms = file.metadata().map_or(0, |about| now_ms.saturating_sub(modified_ms(&about)));
            if Duration::from_millis(age_ms) > kept {
                // Another process may be faster; what stays is tried again at the next start.
                gone += u64::from(fs::remove_file(file.path()).is_ok());
            }
        }
        Ok(gone)
    }
}

fn entry(prefix: &str, file: &fs::DirEntry) -> Option<Entry> {
    let digest = format!("{prefix}{}", file.file_name().to_str()?).parse().ok()?;
    let about = file.metadata().ok()?;
    Some(Entry { digest, bytes: about.len(), stored_at_ms: modified_ms(&about) })
}

fn now() -> std::time::SystemTime {
    UNIX_EPOCH + Duration::from_millis(SystemClock.now_ms())
}

fn modified_ms(about: &fs::Metadata) -> u64 {
    let since = about.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn read_folder(path: &Path) -> Result<Vec<fs::DirEntry>, Error> {
    fs::read_dir(path).and_then(Iterator::collect).map_err(Error::io("list", path))
}

fn sync_folder(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", path))
}
