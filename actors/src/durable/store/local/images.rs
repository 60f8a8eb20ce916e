//! What was kept before upgrades, for whoever looks at it or is done with it.
//!
//! ```text
//! before-format-2/      needed until a life of today's format began here, by its HEAD
//! before-versions-1/    the same, for today's behaviours
//! ```
//! **Invariants:** nobody removes one but somebody who says so. One goes only while no process works in the folder, and
//! only if a life began here after it was kept; that what is here reads well is for the caller to have looked at.

use std::{collections::HashMap, fs, io, path::Path};

use super::{Local, format, versions};
use crate::durable::{
    id::Epoch,
    journal::{
        self,
        disk::{self, Disk},
        head,
    },
    store::{Error, Image},
};

const PREFIXES: [&str; 2] = ["before-format-", versions::IMAGE];

/// All there are, by name.
pub(super) fn list(disk: &dyn Disk, folder: &Path, ours: &versions::Versions) -> Result<Vec<Image>, Error> {
    let mut names = disk.list(folder).map_err(journal::io("list", folder))?;
    names.retain(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && folder.join(name).is_dir());
    names.sort();
    let now = Now::of(disk, folder, ours)?;
    let mut gone = Names::default();
    names.into_iter().map(|name| now.image(disk, folder, name, &mut gone)).collect()
}

/// Remove those that nothing needs, with the folder in hand; the others come back as well.
pub(super) fn prune(local: &Local, ours: &versions::Versions) -> Result<Vec<Image>, Error> {
    let (disk, folder) = (&*local.setup.disk, &local.setup.folder);
    let images = list(disk, folder, ours)?;
    for image in images.iter().filter(|image| image.needed.is_none()) {
        format::discard(disk, &folder.join(&image.name))?;
    }
    format::sync(disk, folder)?;
    Ok(images)
}

/// What the folder is today.
struct Now {
    format: u32,
    versions: versions::Versions,
    /// The latest life.
    life: Epoch,
    /// Why it is not as this build leaves it.
    behind: Option<&'static str>,
}

impl Now {
    fn of(disk: &dyn Disk, folder: &Path, ours: &versions::Versions) -> Result<Self, Error> {
        let (format, versions) = (format::read(disk, folder)?, versions::read(disk, folder)?);
        let is_behind = format != format::FORMAT || versions::raised(&versions, ours).is_some();
        let behind = is_behind.then_some("this build has not worked here yet");
        Ok(Self { format, versions, life: life(disk, folder)?, behind })
    }

    /// An image, and with it the names that its files lose if it can go.
    fn image(&self, disk: &dyn Disk, folder: &Path, name: String, gone: &mut Names) -> Result<Image, Error> {
        let path = folder.join(&name);
        let is_whole = disk::exists(disk, &path.join(format::NAME));
        let needed = if is_whole { self.needs(disk, &path) } else { None };
        let mut staying = Names::default();
        let names = if needed.is_none() { gone } else { &mut staying };
        let (bytes, own_bytes) = bytes(&path, names).map_err(journal::io("look at", &path))?;
        Ok(Image { name, is_whole, bytes, own_bytes, needed })
    }

    /// Why an image must stay.
    fn needs(&self, disk: &dyn Disk, image: &Path) -> Option<String> {
        let is_raised = match (format::read(disk, image), versions::read(disk, image)) {
            (Ok(format), Ok(versions)) => format < self.format || versions != self.versions,
            // Somebody should look at it.
            (Err(error), _) | (_, Err(error)) => return Some(error.to_string()),
        };
        let began_since = life(disk, image).is_ok_and(|then| self.life > then);
        let why = match self.behind {
            Some(why) => why,
            None if !is_raised => "nothing was raised since: the start that kept it did not come to its end",
            None if !began_since => "no life began here since",
            None => return None,
        };
        Some(why.to_owned())
    }
}

fn life(disk: &dyn Disk, folder: &Path) -> Result<Epoch, Error> {
    let found = head::read(disk, &folder.join(head::NAME))?;
    Ok(found.head().map_or(Epoch(0), |head| head.incarnation))
}

/// How many names of a file, by device and number, are gone if images go.
type Names = HashMap<(u64, u64), u64>;

/// The bytes in a folder, and those of files that have no name left without it.
fn bytes(folder: &Path, gone: &mut Names) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let mut sum = (0, 0);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        let (all, own) = if about.is_dir() {
            bytes(&entry.path(), gone)?
        } else {
            let names = gone.entry((about.dev(), about.ino())).or_default();
            *names += 1;
            (about.len(), if *names == about.nlink() { about.len() } else { 0 })
        };
        sum = (sum.0 + all, sum.1 + own);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_images_share_is_free_with_the_second_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        ["store", "one", "two"].iter().for_each(|name| fs::create_dir_all(path(name).join("journal")).unwrap());
        fs::write(path("store/journal/kept"), [0; 5]).unwrap();
        fs::write(path("one/journal/shared"), [0; 70]).unwrap();
        fs::write(path("one/journal/alone"), [0; 800]).unwrap();
        fs::hard_link(path("store/journal/kept"), path("one/journal/kept")).unwrap();
        fs::hard_link(path("one/journal/shared"), path("two/journal/shared")).unwrap();
        let mut gone = Names::default();
        assert_eq!(bytes(&path("one"), &mut gone).unwrap(), (875, 800));
        assert_eq!(bytes(&path("two"), &mut gone).unwrap(), (70, 70));
        assert_eq!(bytes(&path("two"), &mut Names::default()).unwrap(), (70, 0), "while the first one stays");
    }
}
