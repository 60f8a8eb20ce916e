//! The file of the flight recorder.
//!
//! **Invariants:** noting is one write and no sync, because the page cache outlives the process; the deaths are synced
//! before anything that is suspected runs again.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;

use super::page::{Book, EMPTY_SLOT, FILE, Named, PAGE, SLOT, Suspect, encode_slot};

pub(super) struct Notes {
    file: File,
    path: PathBuf,
    life: u64,
    book: Mutex<Book>,
    has_ended: AtomicBool,
}

impl Notes {
    /// Read what the last life left, count its death, and begin a life.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::with_capacity(FILE);
        file.by_ref().take(FILE as u64).read_to_end(&mut bytes)?;
        let (mut book, named) = Book::read(&bytes);
        book.blame(named);
        book.life += 1;
        let notes = Self {
            file,
            path: path.to_path_buf(),
            life: book.life,
            book: Mutex::new(book),
            has_ended: AtomicBool::new(false),
        };
        notes.write_book(&mut notes.book.lock())?;
        // Written whole, so that a note later finds its page and never the end of the file.
        notes.file.write_all_at(&[0; PAGE], 2 * PAGE as u64)?;
        Ok(notes)
    }

    pub(super) fn suspects(&self) -> Vec<Suspect> {
        self.book.lock().suspects.clone()
    }

    pub(super) fn strays(&self) -> u32 {
        self.book.lock().strays
    }

    /// From now on only these are suspected.
    pub(super) fn keep(&self, suspects: Vec<Suspect>, strays: u32) -> io::Result<()> {
        let mut book = self.book.lock();
        (book.suspects, book.strays) = (suspects, strays);
        self.write_book(&mut book)
    }

    /// This one survived.
    pub(super) fn lift(&self, named: Named) -> io::Result<()> {
        let mut book = self.book.lock();
        book.suspects.retain(|suspect| suspect.named != named);
        self.write_book(&mut book)
    }

    fn write_book(&self, book: &mut Book) -> io::Result<()> {
        book.generation += 1;
        let at = (book.generation % 2) * PAGE as u64;
        self.file.write_all_at(&book.encode(), at)?;
        if book.suspects.is_empty() && book.strays == 0 {
            return Ok(());
        }
        self.file.sync_data()?;
        self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    /// Name what a thread is at. A note that cannot be written is missed only if the process dies of this message.
    pub(super) fn name(&self, slot: usize, named: Named) {
        if !self.has_ended.load(Ordering::SeqCst) {
            let _ = self.file.write_at(&encode_slot(named, self.life), offset(slot));
        }
    }

    /// A slot that is not cleared costs its message a turn of its own at the next start, and nothing else.
    pub(super) fn clear(&self, slot: usize) {
        let _ = self.file.write_at(&EMPTY_SLOT, offset(slot));
    }

    /// Name nothing any more.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
    }

    /// The life ended by itself: there is nobody to suspect of its end.
    pub(super) fn close(&self) {
        let mut book = self.book.lock();
        book.strays = 0;
        // Those that were held and not run in this life are suspected in the next one still.
        let closed = if book.suspects.is_empty() { fs::remove_file(&self.path) } else { self.write_book(&mut book) };
        if let Err(error) = closed {
            tracing::debug!(%error, path = %self.path.display(), "the flight recorder was not put away");
        }
    }
}

fn offset(slot: usize) -> u64 {
    (2 * PAGE + slot * SLOT) as u64
}
