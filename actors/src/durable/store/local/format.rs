//! The newest format that wrote in a folder, and what is kept before the first start of a newer one.
//!
//! ```text
//! FOLDER/format              a number: 1 is a journal alone (and no such file), 2 has rows, bases and ledger segments, 3 has
//!                            values that builds of 2 do not read (plans 3, calls 2, states of tasks 3, how actors are looked after),
//!                            4 compresses records, 5 cuts out of them what is long and was said before, and
//!                            compresses parts of ledger segments
//! FOLDER/versions            the newest versions of events and states that behaviours wrote here (`versions.rs`)
//! FOLDER/before-format-2/    what format 2 left: HEAD, journal, bases, ledger; its file `format` is written last
//! FOLDER/before-versions-1/  the same, from before a behaviour wrote with a newer version
//! ```
//! Whoever wants to go back puts what is in there in the place of what is in the folder, and removes `live`.
//!
//! **Invariants:** the image is whole before the first byte of a newer format is written, and made again as long as none
//! is. One in which there is no file `format` is none: that is written last and removed first. Nothing that an older build could misunderstand is written before the number is raised, and a build does not open
//! what a newer one wrote: it refuses before it writes a byte. Whatever version of a value this build writes and the one
//! before does not read raises the number.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    archive,
    base::{self, Base},
    versions,
};
use crate::durable::{
    dying,
    id::Sequence,
    journal::{
        self,
        disk::{self, Disk},
        segment,
        survey::Survey,
    },
    store::Error,
};

/// The format that this build writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 5;
/// Before there was a file that says so.
const FIRST: u32 = 1;
pub(super) const NAME: &str = "format";

/// The newest format that wrote here.
///
/// # Errors
/// [`Error::Newer`] if this build does not know it.
pub(super) fn read(disk: &dyn Disk, folder: &Path) -> Result<u32, Error> {
    let path = folder.join(NAME);
    let bytes = match disk::read(disk, &path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(FIRST),
        bytes => bytes.map_err(journal::io("read", &path))?,
    };
    match String::from_utf8_lossy(&bytes).trim().parse() {
        Ok(found) if found > FORMAT => Err(Error::Newer { file: path, found, known: FORMAT }),
        Ok(found) => Ok(found),
        Err(_) => {
            let cause = "the file `format` holds no number; if no newer build ever wrote here, remove it".to_owned();
            Err(Error::Inconsistent { folder: folder.to_path_buf(), cause })
        }
    }
}

/// Refuse what a newer build wrote, also where it forgot to say so in `format`.
pub(super) fn refuse_newer(disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
    read(disk, folder)?;
    let is_newer = |error: Error| if matches!(error, Error::Newer { .. }) { Err(error) } else { Ok(()) };
    for (_, path) in base::list(disk, &folder.join(base::FOLDER))? {
        Base::open(disk, &path).map(drop).or_else(is_newer)?;
    }
    // One is enough: whoever writes a newer one writes it behind those that are there.
    match archive::list(disk, &folder.join(archive::FOLDER))?.last() {
        Some((_, path)) => archive::Segment::open(disk, path).map(drop).or_else(is_newer),
        None => Ok(()),
    }
}

/// Raise the format of a folder to this build's, and the versions to those of its behaviours; a sentence says what was kept.
pub(super) fn raise(
    disk: &dyn Disk,
    folder: &Path,
    survey: &Survey,
    wanted: &versions::Versions,
) -> Result<Option<String>, Error> {
    let (found, written) = (read(disk, folder)?, versions::read(disk, folder)?);
    let is_older = found < FORMAT || !disk::exists(disk, &folder.join(NAME));
    let versions = versions::raised(&written, wanted);
    // Where nothing said so before, the number did.
    let is_behind = versions.is_some() && !written.is_empty();
    let mut told = None;
    if !survey.is_new() && (is_older || is_behind) {
        let name = if is_older { format!("before-format-{found}") } else { versions::image(disk, folder, &written)? };
        let image = keep(disk, folder, survey, &name, found)?;
        let what = if is_older {
            format!("the folder was of format {found} and is of format {FORMAT} now")
        } else {
            "behaviours write newer versions than any build that wrote here".to_owned()
        };
        told = Some(format!("{what}; what it was is kept in {}", image.display()));
    }
    // The number first: as long as it is not raised the image is made again, and must hold the versions as they were.
    if is_older {
        write(disk, folder)?;
    }
    if let Some(versions) = versions {
        versions::write(disk, folder, &versions)?;
    }
    Ok(told)
}

/// Keep all that a start reads as it is; not the rows, which are built again.
fn keep(disk: &dyn Disk, folder: &Path, survey: &Survey, name: &str, found: u32) -> Result<PathBuf, Error> {
    let (image, new) = (folder.join(name), folder.join(format!("{name}.new")));
    // What an attempt before this one has kept may be older than what is here: nothing was raised since.
    for former in [&new, &image] {
        discard(disk, former)?;
    }
    let parts: [(&str, Vec<(PathBuf, bool)>); 3] = [
        (
            segment::FOLDER,
            survey.all.iter().enumerate().map(|(at, of)| (of.path.clone(), is_closed(survey, at))).collect(),
        ),
        (
            base::FOLDER,
            base::list(disk, &folder.join(base::FOLDER))?.into_iter().map(|(_, path)| (path, true)).collect(),
        ),
        (archive::FOLDER, inside(disk, &folder.join(archive::FOLDER))?.into_iter().map(|path| (path, true)).collect()),
    ];
    for (part, files) in parts {
        let inner = new.join(part);
        disk.create_folder(&inner).map_err(journal::io("create", &inner))?;
        for (file, is_closed) in files {
            put(disk, &file, &inner, is_closed)?;
        }
        sync(disk, &inner)?;
    }
    for file in [journal::head::NAME, "open", "flight", versions::NAME].map(|name| folder.join(name)) {
        if disk::exists(disk, &file) {
            put(disk, &file, &new, false)?;
        }
    }
    let number = new.join(NAME);
    disk::write(disk, &number, format!("{found}\n").as_bytes()).map_err(journal::io("write", &number))?;
    sync(disk, &new)?;
    dying::point();
    disk.rename(&new, &image).map_err(journal::io("create", &image))?;
    sync(disk, folder)?;
    Ok(image)
}

/// Remove an image, or what there is of one. Half of one is never taken for a whole one: what says that it is whole goes
/// first.
pub(super) fn discard(disk: &dyn Disk, image: &Path) -> Result<(), Error> {
    let number = image.join(NAME);
    if disk::exists(disk, &number) {
        disk.remove(&number).map_err(journal::io("remove", &number))?;
        sync(disk, image)?;
    }
    disk.remove_all(image).map_err(journal::io("remove", image))
}

/// The files in a folder, if it is there.
fn inside(disk: &dyn Disk, folder: &Path) -> Result<Vec<PathBuf>, Error> {
    match disk.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        names => {
            let names = names.map_err(journal::io("list", folder))?;
            Ok(names.into_iter().filter(|name| !name.ends_with(".new")).map(|name| folder.join(name)).collect())
        }
    }
}

/// Whether nobody writes to a segment again: a start cuts the one in which the sure part of the journal ends.
fn is_closed(survey: &Survey, at: usize) -> bool {
    let next = survey.all.get(at + 1).and_then(|next| next.header.as_ref().ok()).map(|header| header.first);
    next.is_some_and(|next: Sequence| next.0 <= survey.floor().0)
}

/// A copy, or another name where the file does not change any more.
pub(super) fn put(disk: &dyn Disk, file: &Path, into: &Path, is_closed: bool) -> Result<(), Error> {
    let Some(name) = file.file_name() else { return Ok(()) };
    let to = into.join(name);
    if is_closed && disk.link(file, &to).is_ok() {
        return Ok(());
    }
    disk::copy(disk, file, &to).map_err(journal::io("copy", file))
}

pub(super) fn write(disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
    let (new, path) = (folder.join("format.new"), folder.join(NAME));
    dying::point();
    let written = disk::write(disk, &new, format!("{FORMAT}\n").as_bytes());
    written.and_then(|()| disk.rename(&new, &path)).map_err(journal::io("write", &path))?;
    sync(disk, folder)
}

/// Make the names in a folder durable.
pub(super) fn sync(disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
    disk.sync_folder(folder).map_err(journal::io("sync", folder))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::durable::journal::disk::RealDisk;

    /// Bytes that stay on disk: an older build must be able to tell that this one is newer.
    #[test]
    fn the_number_keeps_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(&RealDisk, folder.path()).unwrap(), 1, "where there is no such file");
        write(&RealDisk, folder.path()).unwrap();
        assert_eq!(fs::read(folder.path().join("format")).unwrap(), b"5\n");
        assert_eq!(read(&RealDisk, folder.path()).unwrap(), 5);
    }
}
