//! Writing an artifact whose length and digest are known only at its end.
//!
//! **Invariant:** a writer that is dropped, or whose `finish` failed, leaves no file behind.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::PathBuf,
};

use super::{Artifacts, Error, Reference, digest::Hasher};

/// An artifact in the making.
pub struct Writer {
    store: Artifacts,
    temporary: Temporary,
    file: File,
    hash: Hasher,
    bytes: u64,
}

impl Writer {
    pub(super) fn new(store: Artifacts) -> Result<Self, Error> {
        loop {
            let path = store.temporary();
            match File::create_new(&path) {
                Ok(file) => {
                    let temporary = Temporary(Some(path));
                    return Ok(Self { store, temporary, file, hash: Hasher::default(), bytes: 0 });
                }
                // Left by a process of the same number, or by another store on this folder: take the next name.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create", &path)(error)),
            }
        }
    }

    /// Add bytes at the end.
    ///
    /// # Errors
    /// If they could not be written. The artifact is of no use then.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(Error::io("write", self.temporary.path()))?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// How many bytes were added.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Make it durable under its digest.
    ///
    /// # Errors
    /// If it could not be synced or renamed; nothing is stored then.
    pub fn finish(self) -> Result<Reference, Error> {
        let Self { store, mut temporary, file, hash, bytes } = self;
        let digest = hash.finish();
        if !store.keep(digest)? {
            // It may have been written slowly, and the collector goes by when a file was touched.
            file.set_modified(super::now()).map_err(Error::io("touch", temporary.path()))?;
            file.sync_all().map_err(Error::io("sync", temporary.path()))?;
            let path = store.path(digest);
            let folder = path.parent().unwrap_or(&store.dir);
            fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
            fs::rename(temporary.path(), &path).map_err(Error::io("create", &path))?;
            temporary.0 = None;
            store.sync_folders(digest)?;
        }
        Ok(Reference::new(digest, bytes))
    }
}

/// A file that goes away unless it was renamed.
struct Temporary(Option<PathBuf>);

impl Temporary {
    fn path(&self) -> &std::path::Path {
        self.0.as_deref().unwrap_or(std::path::Path::new(""))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // What cannot be removed now is removed by a start a day later.
            let _ = fs::remove_file(path);
        }
    }
}
