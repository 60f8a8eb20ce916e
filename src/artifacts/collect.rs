//! Removing artifacts that nobody names, and what crashes left in `tmp/`.
//!
//! ```text
//! put:      lock shared    ─ open, touch ─ unlock ─ check content ─ (missing or damaged: write it again)
//! collect:  lock exclusive ─ still as old? remove ─ unlock
//! ```
//! Whoever stores what is there already touches it, and only then relies on it; the collector looks at the time under the
//! lock that the touch is made under. So either the touch comes first, and the file stays, or the file is gone, and is
//! written again. The lock is one of the file system's, on a file beside the artifacts, because processes may share them.
//!
//! **Invariant:** a file is removed only if it was last stored before the time that the caller gives.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Read as _},
};

use super::{Artifacts, Digest, Error, digest::Hasher, modified_ms, names::Names, sync_folder};
use headframe_actors::mutant::Mutant;

impl Artifacts {
    /// Keep the collector away while this is held.
    pub(super) fn share(&self) -> Result<File, Error> {
        let file = self.lock_file()?;
        file.lock_shared().map_err(Error::io("lock", &self.dir.join("lock")))?;
        Ok(file)
    }

    pub(super) fn lock_file(&self) -> Result<File, Error> {
        let path = self.dir.join("lock");
        let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        opened.map_err(Error::io("open", &path))
    }

    /// Remove an artifact, unless it was stored again since `before_ms`; returns its bytes if it is gone.
    pub(crate) fn remove(&self, digest: Digest, before_ms: u64) -> Result<Option<u64>, Error> {
        let path = self.path(digest);
        let lock = self.lock_file()?;
        lock.lock().map_err(Error::io("lock", &self.dir.join("lock")))?;
        let about = match fs::metadata(&path) {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("look at", &path)(error)),
        };
        if modified_ms(&about) >= before_ms && !Mutant::StoredArtifactCollected.is_chosen() {
            return Ok(None);
        }
        fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        drop(lock);
        // A removal that a crash takes back is made again.
        sync_folder(path.parent().unwrap_or(&self.dir))?;
        Ok(Some(about.len()))
    }

    /// What the content of an artifact names of the digests that are wanted; one that is not there names nothing.
    ///
    /// # Errors
    /// If it cannot be read, or its content is not what its name says: what it names cannot be known then.
    pub(crate) fn names_in(&self, digest: Digest, wanted: &HashSet<Digest>) -> Result<HashSet<Digest>, Error> {
        let mut file = match self.file(digest) {
            Ok(file) => file,
            Err(Error::Missing { .. }) => return Ok(HashSet::new()),
            Err(error) => return Err(error),
        };
        let (mut names, mut hash, mut piece) = (Names::of(wanted), Hasher::default(), vec![0; 64 * 1024]);
        loop {
            match file.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => {
                    names.read(&piece[..read]);
                    hash.update(&piece[..read]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read", &self.path(digest))(error)),
            }
        }
        if hash.finish() == digest { Ok(names.found()) } else { Err(Error::Damaged { digest }) }
    }
}
