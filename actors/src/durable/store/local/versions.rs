//! The newest versions of events and states that behaviours wrote in a folder.
//!
//! ```text
//! FOLDER/versions     a line each: kind, `event` or `state`, version
//! ```
//! An actor whose state a build does not read would be suspended, and its owner told of it, in the middle of its work. So a
//! build in which a behaviour is older than what was written here does not open the folder at all.
//!
//! **Invariant:** what a life may write is named here, durably, before it writes anything else.

use std::{collections::BTreeMap, fs, io, path::Path};

use super::format;
use crate::durable::{
    dying,
    journal::{
        self,
        disk::{self, Disk},
    },
    store::Error,
};

/// The file's name.
pub(super) const NAME: &str = "versions";
const NEW: &str = "versions.new";

/// Versions by kind and part, as in `task state`.
pub(super) type Versions = BTreeMap<String, u16>;

/// What is written there; nothing where there is no such file.
pub(super) fn read(folder: &Path) -> Result<Versions, Error> {
    let path = folder.join(NAME);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Versions::new()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => String::from("?"),
        text => text.map_err(journal::io("read", &path))?,
    };
    let line = |line: &str| {
        let (part, version) = line.rsplit_once(' ')?;
        Some((part.to_owned(), version.parse().ok()?))
    };
    text.lines().map(line).collect::<Option<_>>().ok_or_else(|| {
        let cause =
            "the file `versions` is not what was written; if no newer build ever wrote here, remove it".to_owned();
        Error::Inconsistent { folder: folder.to_path_buf(), cause }
    })
}

/// Refuse a folder in which a behaviour of ours wrote with a newer version.
pub(super) fn refuse_newer(folder: &Path, ours: &Versions) -> Result<(), Error> {
    let written = read(folder)?;
    let newer = ours
        .iter()
        .find_map(|(part, known)| written.get(part).filter(|found| *found > known).map(|found| (part, found, known)));
    match newer {
        None => Ok(()),
        Some((part, found, known)) => {
            Err(Error::NewerVersion { file: folder.join(NAME), part: part.clone(), found: *found, known: *known })
        }
    }
}

/// Both together, if that is more than what is written.
pub(super) fn raised(written: &Versions, ours: &Versions) -> Option<Versions> {
    let mut all = written.clone();
    for (part, version) in ours {
        let known = all.entry(part.clone()).or_default();
        *known = (*known).max(*version);
    }
    (all != *written).then_some(all)
}

/// The name of the next image that is kept before versions are raised.
pub(super) fn image(folder: &Path) -> String {
    let mut names = (1..=u32::MAX).map(|number| format!("before-versions-{number}"));
    names.find(|name| !folder.join(name).exists()).expect("nobody has that many")
}

/// Write them, durably.
pub(super) fn write(disk: &dyn Disk, folder: &Path, versions: &Versions) -> Result<(), Error> {
    let (new, path) = (folder.join(NEW), folder.join(NAME));
    let text: String = versions.iter().map(|(part, version)| format!("{part} {version}\n")).collect();
    dying::point();
    let written = disk::write(disk, &new, text.as_bytes());
    written.and_then(|()| disk.rename(&new, &path)).map_err(journal::io("write", &path))?;
    format::sync(disk, folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::journal::disk::RealDisk;

    /// Bytes that stay on disk: a later build must be able to tell what was written here.
    #[test]
    fn versions_keep_their_bytes_and_only_rise() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), Versions::new());
        let ours = Versions::from([("task event".to_owned(), 1), ("task state".to_owned(), 2)]);
        write(&RealDisk, folder.path(), &ours).unwrap();
        assert_eq!(fs::read(folder.path().join("versions")).unwrap(), b"task event 1\ntask state 2\n");
        assert_eq!(read(folder.path()).unwrap(), ours);
        assert_eq!(raised(&ours, &ours), None);
        let older = Versions::from([("task state".to_owned(), 1), ("run state".to_owned(), 1)]);
        let told = refuse_newer(folder.path(), &older).unwrap_err().to_string();
        assert!(told.starts_with("HF0005") && told.contains("task state"), "{told}");
        let both = raised(&ours, &older).unwrap();
        assert_eq!((both["task state"], both["run state"]), (2, 1));
    }
}
