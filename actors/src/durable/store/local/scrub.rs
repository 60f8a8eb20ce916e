//! Compares the rows in sled with what base and journal come to: sled loses rows without a word.
//!
//! sled writes as soon as it is opened, and so a copy is opened; what was wrong stays to be looked at.
//!
//! **Invariant:** nothing in the data folder is changed. Nobody begins to work in it meanwhile.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    Local, LocalOptions,
    ground::{self, fits},
    inspect::{Quiet, quiet},
    shelf::{Check, Shelf},
};
use crate::durable::{
    audit,
    id::Sequence,
    journal::{disk::Disk as _, disk::RealDisk, recovery, survey::Survey},
    live::{Live, stored},
    store::{
        Error, Opened, Rows, RowsChecked,
        rows::{self, Mark, Rows as _},
    },
};

/// Compare, unless somebody works there.
pub(super) fn check(folder: &Path) -> Result<RowsChecked, Error> {
    let skipped = |why: String| Ok(RowsChecked { skipped: Some(why), ..RowsChecked::default() });
    let _quiet = match quiet(folder)? {
        Quiet::Free(guard) => guard,
        Quiet::Held(holder) => return skipped(format!("{holder} has them open")),
    };
    let live = folder.join(ground::FOLDER);
    if !live.exists() || folder.join(ground::UNUSABLE).exists() {
        return skipped("there are none that can be used; the next start builds them".to_owned());
    }
    let copy = match Copy::make(&live) {
        Ok(copy) => copy,
        Err(error) => return skipped(format!("they cannot be copied: {error}")),
    };
    let survey = Survey::take(&RealDisk, folder)?;
    let end = recovery::end(&RealDisk, &survey, None)?;
    let wrong = |why: String| {
        let problem =
            format!("the rows in {} are of no use: {why}; `headframe store repair` builds them again", live.display());
        Ok(RowsChecked { problems: vec![problem], ..RowsChecked::default() })
    };
    let opened = match Shelf::open(&copy.0, survey.store().unwrap_or_default(), Check::Rows) {
        Ok(opened) => opened,
        Err(rows::Error::Unusable { why }) => return wrong(why),
        Err(error) => return skipped(error.to_string()),
    };
    if !opened.mark.reached && opened.mark.from == Sequence(0) {
        return skipped("they were not built to the end; the next start builds them again".to_owned());
    }
    match fits(&opened.mark, survey.first(), end) {
        Ok(()) => compare(folder, Arc::new(Copied(opened.shelf)), opened.mark),
        Err(why) => wrong(why),
    }
}

fn compare(folder: &Path, rows: Arc<Copied>, mark: Mark) -> Result<RowsChecked, Error> {
    let read_only = || Local::open(folder, LocalOptions { read_only: true, ..LocalOptions::default() });
    let (truth, _) = Live::fold(&read_only()?)?;
    let store = read_only()?;
    store.begun.lock().from = mark.from;
    let reached = mark.reached;
    let opened =
        Opened { rows: Some(rows.clone()), from: mark.from, to: mark.to, meta: mark.meta, repairs: Vec::new() };
    let mut problems = match Live::fold_over(&store, &opened) {
        Ok((live, _)) => audit::differences(&live, &truth),
        Err(error) => vec![error.to_string()],
    };
    if reached && problems.is_empty() {
        problems.extend(missing_hints(&*rows)?);
    }
    Ok(RowsChecked { rows: rows.0.stats().rows, skipped: None, problems })
}

/// Actors with mail or timers that a start would not look at.
fn missing_hints(rows: &dyn Rows) -> Result<Vec<String>, Error> {
    let (from, to) = stored::all(b'a');
    let (mut wrong, mut failed) = (Vec::new(), None);
    rows.scan(&from, &to, &mut |key, sealed| {
        let looked = hints(key, &sealed).into_iter().try_for_each(|hint| {
            if rows.get(&hint)?.is_none() {
                wrong.push(format!("the row {} has no hint {}", crate::hex::text(key), crate::hex::text(&hint)));
            }
            Ok(())
        });
        failed = looked.err();
        failed.is_none()
    })?;
    failed.map_or(Ok(wrong), Err)
}

/// The hints that an actor's row needs; one that cannot be read was told of before.
fn hints(key: &[u8], sealed: &[u8]) -> Vec<Bytes> {
    let (Some(stored::Key::Actor(actor)), Ok((row, _))) = (stored::read_key(key), stored::open_actor(sealed)) else {
        return Vec::new();
    };
    let has_mail = !row.mailbox.is_empty() || row.suspended.is_some();
    let timers = row.timers.iter().map(|timer| stored::timer_key((timer.due_ms, actor, timer.name)));
    timers.chain(has_mail.then(|| stored::mail_key(actor))).collect()
}

/// Rows that were copied.
struct Copied(Shelf);

impl Rows for Copied {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.0.get(key).map_err(unread)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], Bytes) -> bool) -> Result<(), Error> {
        self.0.scan(from, to, visit).map_err(unread)
    }
}

fn unread(error: rows::Error) -> Error {
    Error::Rows { folder: PathBuf::from(ground::FOLDER), cause: error.to_string() }
}

/// A folder that goes when this does.
struct Copy(PathBuf);

impl Copy {
    fn make(from: &Path) -> io::Result<Self> {
        let copy = Self(std::env::temp_dir().join(format!("headframe-rows-{:016x}", RealDisk.random())));
        copy_all(from, &copy.0)?;
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // What stays in the folder for temporary files is taken away by whoever looks after that.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &to)?
        } else {
            fs::copy(entry.path(), to).map(drop)?
        }
    }
    Ok(())
}
