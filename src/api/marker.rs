//! The file `server` in a data folder: where the server that works on it answers.
//!
//! **Invariant:** it decides nothing. The folder's lock says whether somebody works there, and the server's own answer says
//! whether it is the one that wrote this; a file that was left behind is told by either.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// Where a server answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The address of its API.
    pub address: SocketAddr,
    /// Where health and metrics answer, on a thread of their own.
    pub admin: SocketAddr,
    /// Its process.
    pub pid: u32,
    /// Tells it from every other server.
    pub instance: String,
}

impl Marker {
    /// Its path in a data folder.
    #[must_use]
    pub fn path(folder: &Path) -> PathBuf {
        folder.join("server")
    }

    /// What the file of a folder says, if there is one that can be read.
    #[must_use]
    pub fn read(folder: &Path) -> Option<Self> {
        let bytes = fs::read(Self::path(folder)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Write it, in place of one that was left behind. Only the holder of the folder's lock does.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let (path, new) = (Self::path(folder), folder.join("server.new"));
        fs::write(&new, serde_json::to_vec(self)?)?;
        fs::rename(new, path)
    }

    /// Remove it. What cannot be removed is told from a living server's all the same.
    pub(super) fn remove(folder: &Path) {
        let _ = fs::remove_file(Self::path(folder));
    }
}
