//! Where a start begins: the rows, if they fit the journal; else rows that are built anew from the last base.
//!
//! **Invariants:** rows are used only if they belong to this store, hold nothing that the journal does not, and the
//! journal has everything that they do not. Whatever is wrong with them ends in building them again, and is told; what is
//! wrong with the journal or with every base is an error.

use std::{path::Path, sync::Arc};

use bytes::Bytes;

use super::{
    base::{self, Base},
    format,
    live_rows::LiveRows,
    lives,
    shelf::{Check, Shelf},
    versions::Versions,
};
use crate::{
    durable::{
        dying,
        id::Sequence,
        journal::{self, disk::Disk, recovery, survey::Survey, writer::Setup},
        live::{self, stored},
        store::{
            Error, Opened, Rows,
            rows::{self, Mark, Rows as _},
        },
    },
    mutant::Mutant,
};

/// The folder of rows.
pub(super) const FOLDER: &str = "live";
/// If it is there, rows turned out to be of no use while they were read.
pub(super) const UNUSABLE: &str = "live.unusable";

/// What was found or built.
pub(super) struct Found {
    pub(super) opened: Opened,
    pub(super) shelf: Arc<LiveRows>,
    pub(super) store: u64,
}

/// Have rows that fit the journal.
pub(super) fn prepare(setup: &Setup, cut: Option<Sequence>, versions: &Versions) -> Result<Found, Error> {
    let (disk, folder) = (&*setup.disk, setup.folder.join(FOLDER));
    format::refuse_newer(disk, &setup.folder)?;
    let survey = Survey::take(disk, &setup.folder)?;
    let end = recovery::end(disk, &survey, cut)?;
    let store = survey.store().unwrap_or_else(|| disk.random());
    let mut repairs: Vec<_> = format::raise(disk, &setup.folder, &survey, versions)?.into_iter().collect();
    repairs.extend(put_ahead_aside(disk, &survey, end)?);
    let check = if lives::is_unended(disk, &setup.folder) { Check::Rows } else { Check::Mark };
    lives::begin(disk, &setup.folder)?;
    let unusable = setup.folder.join(UNUSABLE);
    let found = if unusable.exists() {
        Err(condemned(&setup.folder))
    } else if survey.is_new() || !folder.exists() {
        Err((!survey.is_new() && base::list(disk, &setup.folder.join(base::FOLDER))?.last().is_some())
            .then(|| "they are gone".to_owned()))
    } else {
        match Shelf::open(&folder, store, check) {
            Ok(opened) => {
                repairs.extend(opened.mended);
                fits(&opened.mark, survey.first(), end).map(|()| (opened.shelf, opened.mark)).map_err(Some)
            }
            Err(rows::Error::Unusable { why }) => Err(Some(why)),
            Err(error) => return Err(unread(&folder, error)),
        }
    };
    let (shelf, mark) = match found {
        Ok(fitting) => fitting,
        Err(why) => {
            repairs.extend(why.map(|why| format!("the rows in {} were built again: {why}", folder.display())));
            build(setup, &survey, store, end, &mut repairs)?
        }
    };
    if unusable.exists() {
        dying::point();
        disk.remove(&unusable).map_err(|source| Error::Io { action: "remove", file: unusable, source })?;
    }
    let shelf = Arc::new(LiveRows::new(setup, shelf, &mark));
    let opened = Opened { rows: Some(shelf.clone()), from: mark.from, to: mark.to, meta: mark.meta, repairs };
    Ok(Found { opened, shelf, store })
}

/// A base that holds more than the journal is of another story than the one that goes on from here. Once the journal has grown
/// past it, it would be taken for one of this story. Not where the journal may be what is wrong, or has no other ground.
fn put_ahead_aside(disk: &dyn Disk, survey: &Survey, end: Sequence) -> Result<Vec<String>, Error> {
    let (folder, mut told) = (survey.folder.join(base::FOLDER), Vec::new());
    let (held, ahead): (Vec<_>, Vec<_>) =
        base::list(disk, &folder)?.into_iter().partition(|(sequence, _)| *sequence <= end);
    let has_ground = survey.first() == Sequence(1) || held.iter().any(|(base, _)| base.next() >= survey.first());
    if survey.newest_is_there().is_err() || !has_ground {
        return Ok(told);
    }
    for (sequence, path) in ahead {
        base::put_aside(disk, &folder, &path)?;
        told.push(format!(
            "the base image of record {sequence} was put aside: it holds more than the journal, which ends at {end}"
        ));
    }
    Ok(told)
}

/// Have the next start build rows again.
pub(super) fn condemn(folder: &Path, why: &str) -> Result<(), Error> {
    let note = folder.join(UNUSABLE);
    dying::point();
    std::fs::write(&note, why).map_err(journal::io("write", &note))
}

/// Why the next start builds rows again, if it does.
pub(super) fn condemned(folder: &Path) -> Option<String> {
    let why = std::fs::read_to_string(folder.join(UNUSABLE)).ok()?;
    Some(if why.is_empty() { "they could not be read".to_owned() } else { why })
}

/// Let the next start use the rows that are there.
pub(super) fn spare(folder: &Path) {
    // If the note stays, rows are built again, and that does no harm.
    let _ = std::fs::remove_file(folder.join(UNUSABLE));
}

/// Whether rows and journal go together.
pub(super) fn fits(mark: &Mark, first: Sequence, end: Sequence) -> Result<(), String> {
    if mark.from == Sequence(0) && !mark.reached {
        Err("they had not been built to the end".to_owned())
    } else if mark.to > end && !Mutant::CheckpointPastJournal.is_chosen() {
        Err(format!("they hold record {}, and the journal ends at {end}", mark.to))
    } else if mark.from.next() < first {
        Err(format!("they end at record {}, and the journal begins at {first}", mark.from))
    } else {
        Ok(())
    }
}

/// Make rows anew: those of the last good base, or none if the journal has everything.
fn build(
    setup: &Setup,
    survey: &Survey,
    store: u64,
    end: Sequence,
    told: &mut Vec<String>,
) -> Result<(Shelf, Mark), Error> {
    let folder = setup.folder.join(FOLDER);
    let base = newest(&*setup.disk, &setup.folder, Some(end), told)?;
    let held = base.as_ref().map_or(Sequence(0), |base| base.header().sequence);
    if held.next() < survey.first() {
        let cause = format!(
            "the journal begins at record {}, and no base image that can be read holds all that came before; restore a backup of the folder",
            survey.first()
        );
        return Err(Error::Inconsistent { folder: setup.folder.clone(), cause });
    }
    dying::point();
    // Not before it is sure that others can be built.
    if folder.exists() {
        Shelf::aside(&folder).map_err(|error| unread(&folder, error))?;
    }
    let mut mark = Mark { store, from: Sequence(0), to: Sequence(0), reached: true, meta: Bytes::new() };
    let Some(base) = base else {
        let opened = Shelf::create(&folder, &mark).map_err(|error| unread(&folder, error))?;
        return Ok((opened.shelf, mark));
    };
    let shelf = Shelf::create(&folder, &mark.begun(Sequence(0))).map_err(|error| unread(&folder, error))?.shelf;
    mark.from = base.header().sequence;
    mark.to = mark.from;
    mark.meta = Bytes::from(base.header().meta.clone());
    let mut read = base.rows();
    let mut wrong = None;
    let mut changes = std::iter::from_fn(|| match read.next() {
        Ok(row) => row.map(|(key, value)| (Bytes::from(key), Some(Bytes::from(value)))),
        Err(error) => {
            wrong = Some(error);
            None
        }
    });
    // A base that turns out to be damaged half-way leaves rows that say so themselves.
    let written = shelf.write(Sequence(0), &mark, &mut changes, &mut |_| true);
    if let Some(error) = wrong {
        return Err(error);
    }
    written.map_err(|error| unread(&folder, error))?;
    Ok((shelf, mark))
}

/// The newest base that reads well from front to back, up to an end; those that do not are told of.
pub(super) fn newest(
    disk: &dyn Disk,
    folder: &Path,
    end: Option<Sequence>,
    told: &mut Vec<String>,
) -> Result<Option<Base>, Error> {
    let bases = || base::list(disk, &folder.join(base::FOLDER));
    let mut listed = bases()?;
    while let Some((sequence, path)) = listed.pop() {
        if end.is_some_and(|end| sequence > end) {
            continue;
        }
        match Base::open(disk, &path).and_then(|base| base.verify().map(|_| base)) {
            Ok(base) => return Ok(Some(base)),
            Err(error @ Error::Newer { .. }) => return Err(error),
            // Another process removed it after it had made newer ones.
            Err(error) if error.is_gone() && !bases()?.iter().any(|(_, there)| *there == path) => listed = bases()?,
            Err(error) => {
                tracing::error!(%error, "a base image is damaged and is not used");
                told.push(format!("a base image is damaged and was not used: {error}"));
            }
        }
    }
    Ok(None)
}

/// For those who only look: the newest base as rows, and the journal as it is at the same moment.
pub(super) fn image(disk: &dyn Disk, folder: &Path) -> Result<(Opened, Survey), Error> {
    format::read(disk, folder)?;
    let mut last = None;
    loop {
        let mut repairs = Vec::new();
        let newest = newest(disk, folder, None, &mut repairs)?;
        let opened = Opened { repairs, ..newest.map(opened).transpose()?.unwrap_or_default() };
        let survey = Survey::hold(disk, folder)?;
        // Another process may have made newer bases, and trimmed the journal behind this one. If it did not, it is damage,
        // and told of when the journal is read.
        if survey.first() <= opened.from.next() || last == Some((opened.from, survey.first())) {
            return Ok((opened, survey));
        }
        last = Some((opened.from, survey.first()));
    }
}

/// The newest base that holds nothing after a record, as rows. Its blocks are checked when they are read.
pub(super) fn image_before(disk: &dyn Disk, folder: &Path, until: Sequence) -> Result<Opened, Error> {
    loop {
        let listed = base::list(disk, &folder.join(base::FOLDER))?;
        let Some((_, path)) = listed.iter().rfind(|(sequence, _)| *sequence <= until) else {
            return Ok(Opened::default());
        };
        match Base::open(disk, path) {
            // The archiver removed it after it was listed.
            Err(error) if error.is_gone() && base::list(disk, &folder.join(base::FOLDER))? != listed => {}
            base => return base.and_then(opened),
        }
    }
}

fn opened(base: Base) -> Result<Opened, Error> {
    let (from, meta) = (base.header().sequence, Bytes::from(base.header().meta.clone()));
    Ok(Opened { rows: Some(Arc::new(Image::over(base)?)), from, to: from, meta, repairs: Vec::new() })
}

/// A base, read as rows.
pub(super) struct Image {
    base: Base,
    /// Nobody with a higher number is in it. Every actor that is spawned later is asked for once, and a base is read in
    /// blocks: looking for each of them would take longer than all else that becomes of it.
    highest_id: u64,
}

impl Image {
    pub(super) fn over(base: Base) -> Result<Self, Error> {
        let highest_id = live::highest_id(&base.header().meta)?;
        Ok(Self { base, highest_id })
    }

    /// Where the base is.
    pub(super) fn path(&self) -> &Path {
        self.base.path()
    }
}

impl Rows for Image {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        if stored::actor_of(key).is_some_and(|actor| actor.0 >> 8 > self.highest_id) {
            return Ok(None);
        }
        Ok(self.base.get(key)?.map(Bytes::from))
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], Bytes) -> bool) -> Result<(), Error> {
        self.base.scan(from, Some(to), &mut |key, value| Ok(visit(key, Bytes::copy_from_slice(value))))
    }
}

/// An error of rows, as the store tells it.
pub(super) fn unread(folder: &Path, error: rows::Error) -> Error {
    match error {
        rows::Error::Io { action, file, source } => Error::Io { action, file, source },
        rows::Error::Held { folder } => Error::Held { folder, holder: "another handle of this process".to_owned() },
        error => Error::Rows { folder: folder.to_path_buf(), cause: error.to_string() },
    }
}
