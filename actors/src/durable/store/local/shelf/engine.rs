//! sled, with its traps guarded.
//!
//! What it does to those who trust it, all measured: `flush` leaves the data in the disk's cache; a damaged file makes it
//! panic; an error of the disk spoils the handle for good, and a panic in one of its threads makes it wait for ever.
//!
//! **Invariants:** `flush` here is followed by an `fdatasync`. After a failed write, or a panic, nothing more is asked of
//! this handle. Never used: `flush_async` and `transaction`, which can wait for ever, and settings of our own for segment
//! size and flush interval, on which its safety and its tidying hang.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use sled::IVec;

use super::{
    folder,
    guard::{Broken, Hand, Handed, caught},
};
use crate::durable::{dying, store::rows::Error};

/// Bytes of pages that sled keeps in memory. It counts them as they lie on disk; in memory they take two to three times as
/// much, and what it knows of every page comes on top.
const CACHE: u64 = 64 << 20;

const APPLY: &str = "write rows to";
const FLUSH: &str = "flush";

/// A write under way.
type Write = Handed<sled::Result<()>>;

/// A batch on its way into sled.
pub(super) struct Applying(Write);

/// One open handle of sled.
pub(super) struct Engine {
    folder: PathBuf,
    /// There until it is let go of.
    db: Option<sled::Db>,
    /// A second descriptor of sled's file, from before the first write, so that no error of writing it back escapes.
    file: File,
    /// Whoever writes, because a wait inside sled may never end.
    hand: Hand,
    patience: Duration,
    closed: OnceLock<String>,
}

impl Engine {
    /// Open a folder, or make one. Every call may take as long as `patience` and is then given up.
    pub(super) fn open(folder: &Path, patience: Duration) -> Result<Self, Error> {
        let path = folder.to_path_buf();
        dying::point();
        let hand = Hand::default();
        let opened = hand.within(patience, move || sled::Config::new().path(path).cache_capacity(CACHE).open());
        let db = opened.map_err(Fault::Broken).and_then(|db| db.map_err(Fault::Sled));
        let db = db.map_err(|fault| fault.told("open", folder))?;
        let path = folder.join(folder::DB);
        let file = File::open(&path).map_err(folder::io("open", &path))?;
        Ok(Self { folder: folder.to_path_buf(), db: Some(db), file, hand, patience, closed: OnceLock::new() })
    }

    /// One stored value.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<IVec>, Error> {
        self.alive()?;
        self.read(|db| db.get(key))
    }

    /// Stored values from a key on, up to another and without it.
    pub(super) fn range<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
    ) -> impl Iterator<Item = Result<(IVec, IVec), Error>> + 'a {
        // sled takes `from..to` with `from` above `to` for nothing, too.
        self.walk(self.db().range(from..to))
    }

    /// Stored values whose key begins so.
    pub(super) fn prefixed<'a>(&'a self, prefix: &[u8]) -> impl Iterator<Item = Result<(IVec, IVec), Error>> + 'a {
        self.walk(self.db().scan_prefix(prefix))
    }

    /// Change some values, all of them or none.
    pub(super) fn apply(&self, batch: sled::Batch) -> Result<(), Error> {
        self.applied(self.begin(batch)?)
    }

    /// Begin to change some values. Nothing else is written before that is [`applied`](Self::applied).
    pub(super) fn begin(&self, batch: sled::Batch) -> Result<Applying, Error> {
        self.write(APPLY, move |db| db.apply_batch(batch)).map(Applying)
    }

    /// Wait until they are changed, all of them or none.
    pub(super) fn applied(&self, Applying(write): Applying) -> Result<(), Error> {
        self.written(APPLY, write)
    }

    /// Make everything applied so far durable.
    pub(super) fn flush(&self) -> Result<(), Error> {
        self.written(FLUSH, self.write(FLUSH, |db| db.flush().map(drop))?)?;
        dying::point();
        self.file.sync_data().and_then(|()| self.sync_blobs()).map_err(|error| self.fail("sync", Fault::Io(error)))
    }

    /// Whether it can be used; else what closed it.
    pub(super) fn alive(&self) -> Result<(), Error> {
        self.closed.get().map_or(Ok(()), |cause| Err(Error::Closed { cause: cause.clone() }))
    }

    /// Bytes of its files.
    pub(super) fn disk_bytes(&self) -> u64 {
        folder::bytes(&self.folder)
    }

    /// Let go of the folder, and know that it happened.
    pub(super) fn close(mut self) -> Result<(), Error> {
        self.let_go().map_err(|broken| Fault::Broken(broken).told("close", &self.folder))
    }

    fn db(&self) -> &sled::Db {
        self.db.as_ref().expect("it is there until it is let go of")
    }

    fn read<T>(&self, work: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, Error> {
        self.heard(caught(|| work(self.db())))
    }

    fn walk<'a>(&'a self, mut iter: sled::Iter) -> impl Iterator<Item = Result<(IVec, IVec), Error>> + 'a {
        let mut over = false;
        std::iter::from_fn(move || {
            if over {
                return None;
            }
            let next = self.alive().and_then(|()| self.heard(caught(|| iter.next().transpose())));
            over = next.is_err();
            next.transpose()
        })
    }

    fn heard<T>(&self, answer: Result<sled::Result<T>, Broken>) -> Result<T, Error> {
        match answer {
            Ok(Ok(found)) => Ok(found),
            // A read takes no room: sled repeats what a thread of its own met while writing, and answers nothing any more.
            Ok(Err(sled::Error::Io(source))) if folder::is_of_a_write(&source) => {
                Err(self.fail("write", Fault::Io(source)))
            }
            // A bad page harms nobody who does not read it.
            Ok(Err(error)) => Err(Fault::Sled(error).told("read", &self.folder)),
            Err(broken) => Err(self.fail("read", Fault::Broken(broken))),
        }
    }

    fn write(
        &self,
        action: &'static str,
        work: impl FnOnce(&sled::Db) -> sled::Result<()> + Send + 'static,
    ) -> Result<Write, Error> {
        self.alive()?;
        let db = self.db().clone();
        dying::point();
        self.hand.begin(move || work(&db)).map_err(|broken| self.fail(action, Fault::Broken(broken)))
    }

    fn written(&self, action: &'static str, write: Write) -> Result<(), Error> {
        match self.hand.end(self.patience, write) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.fail(action, Fault::Sled(error))),
            Err(broken) => Err(self.fail(action, Fault::Broken(broken))),
        }
    }

    /// sled makes a file of its own of a large page, which our values do not fill; should there be one, it is synced.
    fn sync_blobs(&self) -> io::Result<()> {
        let blobs = self.folder.join(folder::BLOBS);
        let mut some = false;
        for entry in fs::read_dir(&blobs)? {
            match File::open(entry?.path()) {
                // It went because its page did.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                file => file?.sync_all()?,
            }
            some = true;
        }
        if some { File::open(&blobs)?.sync_all() } else { Ok(()) }
    }

    fn fail(&self, action: &'static str, fault: Fault) -> Error {
        let error = fault.told(action, &self.folder);
        // The first failure is the cause of those after it.
        let _ = self.closed.set(error.to_string());
        error
    }

    fn let_go(&mut self) -> Result<(), Broken> {
        let Some(db) = self.db.take() else { return Ok(()) };
        dying::point();
        self.hand.within(self.patience, move || drop(db))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Err(broken) = self.let_go() {
            tracing::warn!(folder = %self.folder.display(), ?broken, "the rows could not be closed");
        }
    }
}

/// What went wrong below.
enum Fault {
    Sled(sled::Error),
    Io(io::Error),
    Broken(Broken),
}

impl Fault {
    fn told(self, action: &'static str, folder: &Path) -> Error {
        match self {
            Self::Sled(sled::Error::Io(source)) | Self::Io(source) | Self::Broken(Broken::NoThread(source)) => {
                folder::io(action, folder)(source)
            }
            Self::Sled(error) => unusable(action, folder, &error.to_string()),
            Self::Broken(Broken::Panicked(words)) => unusable(action, folder, &format!("sled panicked: {words}")),
            Self::Broken(Broken::Late(limit)) => {
                unusable(action, folder, &format!("sled did not come back within {limit:?}"))
            }
        }
    }
}

fn unusable(action: &str, folder: &Path, why: &str) -> Error {
    Error::Unusable { why: format!("cannot {action} {}: {why}", folder.display()) }
}
