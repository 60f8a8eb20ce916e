//! The names of files of parts: what they are of stands in their names, and a draft ends with `.new`.
//!
//! **Invariant:** a name without `.new` is given only by [`publish`].

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::durable::{
    id::Sequence,
    journal::{self, disk::Disk},
    store::Error,
};

const DRAFT: &str = ".new";

/// Where a file is written before it has its name.
pub(crate) fn draft(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}{DRAFT}"))
}

/// Give a file that is whole and synced its name, durably.
pub(crate) fn publish(disk: &dyn Disk, folder: &Path, draft: &Path, name: &str) -> Result<PathBuf, Error> {
    let path = folder.join(name);
    disk.rename(draft, &path).map_err(journal::io("rename to its final name", draft))?;
    disk.sync_folder(folder).map_err(journal::io("sync", folder))?;
    Ok(path)
}

/// Give a damaged file a name that nobody reads, durably.
pub(crate) fn put_aside(disk: &dyn Disk, folder: &Path, path: &Path) -> Result<(), Error> {
    let mut bad = path.as_os_str().to_owned();
    bad.push(".bad");
    disk.rename(path, Path::new(&bad)).map_err(journal::io("rename", path))?;
    disk.sync_folder(folder).map_err(journal::io("sync", folder))
}

/// What a folder holds by its names, in order; of a folder that is not there, nothing.
pub(crate) fn list<T: Ord>(
    disk: &dyn Disk,
    folder: &Path,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<(T, PathBuf)>, Error> {
    let names = match disk.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names.map_err(journal::io("list", folder))?,
    };
    let mut found: Vec<_> = names.iter().filter_map(|name| Some((parse(name)?, folder.join(name)))).collect();
    found.sort();
    Ok(found)
}

/// The drafts in a folder. At a start nobody is writing one, and they can go.
pub(crate) fn drafts(disk: &dyn Disk, folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let found = list(disk, folder, |name| name.ends_with(DRAFT).then(|| name.to_owned()))?;
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// A number as names have it: names are in the order of their numbers.
pub(crate) fn digits(sequence: Sequence) -> String {
    format!("{:020}", sequence.0)
}

/// The number that a name has.
pub(crate) fn sequence(digits: &str) -> Option<Sequence> {
    let is_number = digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
    if is_number { digits.parse().ok().map(Sequence) } else { None }
}

/// What stands in the name of a file, if it has its final one.
pub(crate) fn named<T>(path: &Path, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    path.file_name().and_then(|name| name.to_str()).and_then(parse)
}
