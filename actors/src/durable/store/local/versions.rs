//! The newest versions of events and states that behaviours wrote in a folder.
//!
//! ```text
//! FOLDER/versions     a line each: kind, `event` or `state`, version
//! ```
//! An actor whose state a build does not read would be suspended, and its owner told of it, in the middle of its work. So a
//! build in which a behaviour is older than what was written here does not open the folder at all.
//!
//! **Invariant:** what a life may write is named here, durably, before it writes anything else.

use std::{collections::BTreeMap, io, path::Path};

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
pub(super) fn read(disk: &dyn Disk, folder: &Path) -> Result<Versions, Error> {
    let path = folder.join(NAME);
    let bytes = match disk::read(disk, &path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Versions::new()),
        bytes => bytes.map_err(journal::io("read", &path))?,
    };
    let text = String::from_utf8(bytes).unwrap_or_else(|_| "?".to_owned());
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
pub(super) fn refuse_newer(disk: &dyn Disk, folder: &Path, ours: &Versions) -> Result<(), Error> {
    let written = read(disk, folder)?;
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

/// What the names of images begin with that are kept before versions are raised.
pub(super) const IMAGE: &str = "before-versions-";

/// The name of the image that is kept before versions are raised: the next one. Or the last one again, if nothing was
/// raised since: it is of a start that died, and may be older than what is here.
pub(super) fn image(disk: &dyn Disk, folder: &Path, written: &Versions) -> Result<String, Error> {
    let names = disk.list(folder).map_err(journal::io("list", folder))?;
    let number = |name: &String| name.strip_prefix(IMAGE)?.parse().ok();
    let last: u32 = names.iter().filter_map(number).max().unwrap_or_default();
    let former = folder.join(format!("{IMAGE}{last}"));
    let is_whole = disk::exists(disk, &former.join(format::NAME));
    let is_needed = last > 0 && is_whole && read(disk, &former).ok().as_ref() != Some(written);
    Ok(format!("{IMAGE}{}", if is_needed || last == 0 { last + 1 } else { last }))
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
    use std::fs;

    use super::*;
    use crate::durable::journal::disk::RealDisk;

    /// Bytes that stay on disk: a later build must be able to tell what was written here.
    #[test]
    fn versions_keep_their_bytes_and_only_rise() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(&RealDisk, folder.path()).unwrap(), Versions::new());
        let ours = Versions::from([("task event".to_owned(), 1), ("task state".to_owned(), 2)]);
        write(&RealDisk, folder.path(), &ours).unwrap();
        assert_eq!(fs::read(folder.path().join("versions")).unwrap(), b"task event 1\ntask state 2\n");
        assert_eq!(read(&RealDisk, folder.path()).unwrap(), ours);
        assert_eq!(raised(&ours, &ours), None);
        let older = Versions::from([("task state".to_owned(), 1), ("run state".to_owned(), 1)]);
        let told = refuse_newer(&RealDisk, folder.path(), &older).unwrap_err().to_string();
        assert!(told.starts_with("HF0005") && told.contains("task state"), "{told}");
        let both = raised(&ours, &older).unwrap();
        assert_eq!((both["task state"], both["run state"]), (2, 1));
    }
}
