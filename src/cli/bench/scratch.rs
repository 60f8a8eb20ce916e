//! A folder of our own that goes with us.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::super::exit::Error;

/// The folder.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new(dir: &Path) -> Result<Self, Error> {
        let folder = dir.join(format!(".headframe-bench-{}", std::process::id()));
        match std::fs::create_dir(&folder) {
            Ok(()) => Ok(Self(folder)),
            Err(error) => {
                let help = "choose a folder that is there and can be written with --dir";
                Err(Error::Usage(format!("cannot measure in {}: {error}; {help}", dir.display())))
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// What was interrupted may still be writing: removing begins again while files appear.
    pub(super) fn remove(self) -> Result<(), String> {
        let removed = (0..100).find_map(|_| match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => None,
            removed => Some(removed),
        });
        match removed {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(format!("{} is left behind: {error}", self.0.display())),
            None => Err(format!("{} is left behind: it is still written to", self.0.display())),
        }
    }
}
