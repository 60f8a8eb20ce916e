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

use super::{
    Local, LocalOptions,
    ground::{self, fits},
    inspect::{Quiet, quiet},
    misuse,
    shelf::{Check, Shelf},
};
use crate::durable::{
    id::Sequence,
    journal::{disk::Disk as _, disk::RealDisk, recovery, survey::Survey},
    scrub::{Round, Step},
    store::{
        Error, Fence, Opened, Recovered, RowsChecked, Slice, Stats, Store,
        rows::{self, Rows as _},
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
        Ok(()) => compare(folder, opened.shelf),
        Err(why) => wrong(why),
    }
}

fn compare(folder: &Path, shelf: Shelf) -> Result<RowsChecked, Error> {
    let journal = Local::open(folder, LocalOptions { read_only: true, ..LocalOptions::default() })?;
    // The bases are read whole, and so is the journal after the last of them.
    Store::open(&journal)?;
    journal.recover(&mut |_, _| Ok(()))?;
    let rows = shelf.stats().rows;
    let mut round = Round::new(Arc::new(AtRest { journal, shelf }));
    let step = loop {
        match round.step() {
            Ok(Step::More) => {}
            Ok(step) => break step,
            Err(error) => return Ok(RowsChecked { problems: vec![error.to_string()], ..RowsChecked::default() }),
        }
    };
    let skipped = (step != Step::Done).then(|| "they are older than every base image that is left".to_owned());
    let mend = |problem| format!("{problem}; rows are built again by `headframe store repair`");
    Ok(RowsChecked { rows, skipped, problems: round.wrong().into_iter().map(mend).collect() })
}

/// Rows that were copied, and the journal and bases that they go with.
struct AtRest {
    journal: Local,
    shelf: Shelf,
}

impl Store for AtRest {
    fn recover(&self, _: &mut dyn FnMut(Sequence, &[u8]) -> Result<(), Error>) -> Result<Recovered, Error> {
        Err(misuse("it was recovered before"))
    }

    fn append(&self, _: Fence, _: Sequence, _: &[u8]) -> Result<(), Error> {
        Err(misuse("it was opened to be read only"))
    }

    fn scan(&self, from: Sequence, visit: &mut dyn FnMut(Sequence, &[u8]) -> bool) -> Result<(), Error> {
        self.journal.scan(from, visit)
    }

    fn slice(&self, from: &[u8], most: usize) -> Result<Option<Slice>, Error> {
        let unread = |error: rows::Error| Error::Rows { folder: ground::FOLDER.into(), cause: error.to_string() };
        self.shelf.slice(from, most).map(Some).map_err(unread)
    }

    fn image(&self, until: Sequence) -> Result<Opened, Error> {
        self.journal.image(until)
    }

    fn idle(&self) -> Result<(), Error> {
        Ok(())
    }

    fn release(&self) {}

    fn stats(&self) -> Stats {
        Stats::default()
    }
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
