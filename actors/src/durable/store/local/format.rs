//! The newest format that wrote in a folder, and what is kept before the first start of a newer one.
//!
//! ```text
//! FOLDER/format              a number: 1 is a journal alone (and no such file), 2 has rows, bases and ledger segments
//! FOLDER/before-format-1/    HEAD and journal as format 1 left them
//! ```
//! **Invariants:** the image is whole before the first byte of a newer format is written. Nothing that an older build could
//! misunderstand is written before the number is raised, and a build does not open what a newer one wrote.

use std::{
    fs, io,
    path::{Path, PathBuf},
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
pub(super) const FORMAT: u32 = 2;
/// Before there was a file that says so.
const FIRST: u32 = 1;
const NAME: &str = "format";

/// The newest format that wrote here.
///
/// # Errors
/// [`Error::Newer`] if this build does not know it.
pub(super) fn read(folder: &Path) -> Result<u32, Error> {
    let path = folder.join(NAME);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(FIRST),
        text => text.map_err(journal::io("read", &path))?,
    };
    match text.trim().parse() {
        Ok(found) if found > FORMAT => Err(Error::Newer { file: path, found, known: FORMAT }),
        Ok(found) => Ok(found),
        Err(_) => {
            let cause = "the file `format` holds no number; if no newer build ever wrote here, remove it".to_owned();
            Err(Error::Inconsistent { folder: folder.to_path_buf(), cause })
        }
    }
}

/// Raise the format of a folder to this build's; a sentence says what was kept of an older one.
pub(super) fn raise(disk: &dyn Disk, folder: &Path, survey: &Survey) -> Result<Option<String>, Error> {
    let found = read(folder)?;
    if found == FORMAT && folder.join(NAME).exists() {
        return Ok(None);
    }
    let kept = if survey.is_new() { None } else { Some(keep(disk, folder, survey, found)?) };
    write(disk, folder)?;
    Ok(kept.map(|image| {
        format!(
            "the folder was of format {found} and is of format {FORMAT} now; what it was is kept in {}",
            image.display()
        )
    }))
}

/// Keep HEAD and journal as they are.
fn keep(disk: &dyn Disk, folder: &Path, survey: &Survey, found: u32) -> Result<PathBuf, Error> {
    let image = folder.join(format!("before-format-{found}"));
    if image.exists() {
        return Ok(image);
    }
    let new = folder.join(format!("before-format-{found}.new"));
    if new.exists() {
        fs::remove_dir_all(&new).map_err(journal::io("remove", &new))?;
    }
    let inner = new.join(segment::FOLDER);
    fs::create_dir_all(&inner).map_err(journal::io("create", &inner))?;
    let head = folder.join(journal::head::NAME);
    if head.exists() {
        put(disk, &head, &new, false)?;
    }
    for (at, segment) in survey.all.iter().enumerate() {
        put(disk, &segment.path, &inner, is_closed(survey, at))?;
    }
    for folder in [&inner, &new] {
        sync(disk, folder)?;
    }
    dying::point();
    fs::rename(&new, &image).map_err(journal::io("create", &image))?;
    sync(disk, folder)?;
    Ok(image)
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
    use super::*;

    /// Bytes that stay on disk: an older build must be able to tell that this one is newer.
    #[test]
    fn the_number_keeps_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), 1, "where there is no such file");
        write(&crate::durable::journal::disk::RealDisk, folder.path()).unwrap();
        assert_eq!(fs::read(folder.path().join("format")).unwrap(), b"2\n");
        assert_eq!(read(folder.path()).unwrap(), 2);
    }
}
