//! A disk in memory that forgets whatever was not synced.
//!
//! It counts what changes it, dies after any number of such steps, fails at any of them, and says what a machine might
//! find after its power came back: any choice of the pages that were not synced, any beginning of the changes to a
//! folder that were not.
//!
//! **Invariant:** the same steps and the same [`Fate`] give the same bytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use super::disk::{Access, Disk, File, Guard, Lock};

const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// What becomes of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Only the process died: all of it is there, and still not synced.
    Kept,
    /// None of it is.
    Lost,
    /// All of it is, but for the second half of the last write.
    Torn,
    /// All of it is, but the last write left zeros.
    Zeroed,
    /// Some of it is: pages, and beginnings of the changes to folders, by the throw of a die.
    Pages(u64),
    /// The same, in sectors of 512 bytes.
    Sectors(u64),
}

/// The disk; clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

#[derive(Clone, Default)]
struct State {
    files: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
    /// Changes to folders since each one's last sync, in order.
    changes: Vec<Change>,
    folders: BTreeSet<PathBuf>,
    locks: BTreeMap<PathBuf, String>,
    steps: u64,
    dies_after: Option<u64>,
    fails_at: Option<(u64, i32)>,
    random: u64,
    log: Vec<String>,
    meanwhile: Option<(u64, PathBuf, Vec<u8>)>,
    /// The last step, if it was a write.
    write: Option<Write>,
}

/// A write, and what was there before.
#[derive(Clone)]
struct Write {
    inode: usize,
    start: usize,
    before: Vec<u8>,
    zeros: bool,
}

#[derive(Clone, Default)]
struct Inode {
    now: Vec<u8>,
    synced: Vec<u8>,
    /// Pages that the next sync will write. A failed sync forgets them, as Linux does.
    dirty: BTreeSet<usize>,
}

#[derive(Clone, Debug)]
enum Change {
    Link(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    RenameFolder(PathBuf, PathBuf),
    Unlink(PathBuf),
}

impl SimDisk {
    /// Every step after this many fails, as if the process were no more.
    pub(crate) fn die_after(&self, steps: u64) {
        self.0.lock().dies_after = Some(steps);
    }

    /// One step fails with an error of the system's; those after it do not.
    pub(crate) fn fail_at(&self, step: u64, errno: i32) {
        self.0.lock().fails_at = Some((step, errno));
    }

    fn spare(&self) {
        let mut state = self.0.lock();
        (state.steps, state.dies_after, state.fails_at) = (0, None, None);
        state.log.clear();
    }

    /// How many steps were taken.
    pub(crate) fn steps(&self) -> u64 {
        self.0.lock().steps
    }

    /// The steps, in words.
    pub(crate) fn log(&self) -> Vec<String> {
        self.0.lock().log.clone()
    }

    /// The disk as the next process finds it when only the process was killed. What was not synced reads well, and can
    /// still be lost. Steps are counted on, and death comes when it was due.
    pub(crate) fn killed(&self) -> SimDisk {
        let state = self.0.lock().clone();
        SimDisk(Arc::new(Mutex::new(State { locks: BTreeMap::new(), ..state })))
    }

    /// The disk as the next process finds it, which is spared.
    pub(crate) fn after_crash(&self, fate: Fate) -> SimDisk {
        if fate == Fate::Kept {
            let killed = self.killed();
            killed.spare();
            return killed;
        }
        let state = self.0.lock();
        let mut dice = Dice(match fate {
            Fate::Pages(seed) | Fate::Sectors(seed) => seed,
            Fate::Kept | Fate::Lost | Fate::Torn | Fate::Zeroed => 0,
        });
        let (names, folders) = names_after(&state, fate, &mut dice);
        let mut files: Vec<_> = state.files.iter().map(|inode| inode.after(fate, &mut dice)).collect();
        if let Some(write) = state.write.as_ref().filter(|_| matches!(fate, Fate::Torn | Fate::Zeroed)) {
            write.spoil(&mut files[write.inode], fate);
        }
        let random = state.random;
        let synced_names = names.clone();
        SimDisk(Arc::new(Mutex::new(State { files, names, synced_names, folders, random, ..State::default() })))
    }

    /// What kind of step the last one was.
    pub(crate) fn operation(&self) -> &'static str {
        let state = self.0.lock();
        let step = state.log.last().map_or("", String::as_str);
        match step.split_whitespace().next() {
            Some("create") => "create",
            Some("write") if state.write.as_ref().is_some_and(|write| write.zeros) => "zero-fill",
            Some("write") => "write",
            Some("cut") => "cut",
            Some("rename") => "rename",
            Some("link") => "link",
            Some("remove") => "unlink",
            Some("sync") if step.starts_with("sync folder") => "fsync of a folder",
            Some("sync") => "fsync",
            _ => "none",
        }
    }

    /// Put everything below a folder into a real one.
    pub(crate) fn write_out(&self, folder: &Path, into: &Path) {
        for path in self.paths() {
            let to = into.join(path.strip_prefix(folder).expect("it is below it"));
            std::fs::create_dir_all(to.parent().expect("it is in a folder")).unwrap();
            std::fs::write(to, self.bytes(&path)).unwrap();
        }
    }

    /// Change a file behind everybody's back.
    pub(crate) fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        let inode = state.names[path];
        change(&mut state.files[inode].now);
        state.files[inode].synced = state.files[inode].now.clone();
    }

    /// What a file holds.
    pub(crate) fn bytes(&self, path: &Path) -> Vec<u8> {
        let state = self.0.lock();
        state.files[state.names[path]].now.clone()
    }

    /// After so many reads a file holds something else, as when another process writes it.
    pub(crate) fn meanwhile(&self, reads: u64, path: &Path, bytes: Vec<u8>) {
        self.0.lock().meanwhile = Some((reads, path.to_path_buf(), bytes));
    }

    /// Make a file vanish.
    pub(crate) fn lose(&self, path: &Path) {
        let mut state = self.0.lock();
        state.names.remove(path).expect("it was there");
        state.synced_names.remove(path);
    }

    /// Put a file somewhere else.
    pub(crate) fn relocate(&self, from: &Path, to: &Path) {
        let mut state = self.0.lock();
        let inode = state.names.remove(from).expect("it was there");
        state.names.insert(to.to_path_buf(), inode);
        state.synced_names = state.names.clone();
    }

    /// Every file.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.0.lock().names.keys().cloned().collect()
    }

    fn step(&self, what: impl FnOnce() -> String) -> io::Result<parking_lot::MutexGuard<'_, State>> {
        let mut state = self.0.lock();
        if state.dies_after.is_some_and(|last| state.steps >= last) {
            return Err(io::Error::other("the process is no more"));
        }
        state.steps += 1;
        state.write = None;
        let step = state.steps;
        state.log.push(what());
        match state.fails_at {
            Some((at, errno)) if at == step => Err(io::Error::from_raw_os_error(errno)),
            _ => Ok(state),
        }
    }
}

impl State {
    fn rename_folder(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if self.names.keys().any(|path| path.starts_with(to)) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let change = Change::RenameFolder(from.to_path_buf(), to.to_path_buf());
        change.apply(&mut self.names);
        // A folder that had both names before this one did is gone, and what became of its names is of no matter: that it was
        // renamed would be told of the files of this one.
        let same = |of: &Change| matches!(of, Change::RenameFolder(one, other) if one == from && other == to);
        self.changes.retain(|earlier| !same(earlier));
        self.changes.push(change);
        self.folders = moved_folders(&self.folders, from, to);
        Ok(())
    }

    fn read(&mut self) {
        if let Some((reads, path, bytes)) = self.meanwhile.take() {
            if reads == 0 {
                let inode = self.names[&path];
                self.files[inode].now = bytes;
            } else {
                self.meanwhile = Some((reads - 1, path, bytes));
            }
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn File>> {
        if access == Access::Create {
            let mut state = self.step(|| format!("create {}", path.display()))?;
            let inode = state.files.len();
            state.files.push(Inode::default());
            state.names.insert(path.to_path_buf(), inode);
            state.changes.push(Change::Link(path.to_path_buf(), inode));
        }
        let inode = *self.0.lock().names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(SimFile { disk: self.clone(), inode }))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let above = path.ancestors().filter(|above| !above.as_os_str().is_empty());
        self.0.lock().folders.extend(above.map(Path::to_path_buf));
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.0.lock();
        if !state.folders.contains(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = state.names.keys().chain(&state.folders).filter(|path| path.parent() == Some(folder));
        Ok(inside.filter_map(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned()).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.step(|| format!("rename {} {}", from.display(), to.display()))?;
        if state.folders.contains(from) {
            return state.rename_folder(from, to);
        }
        let inode = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        // From one folder to another it is two changes, and a disk may keep either.
        let changes = if from.parent() == to.parent() {
            vec![Change::Rename(from.to_path_buf(), to.to_path_buf())]
        } else {
            vec![Change::Link(to.to_path_buf(), inode), Change::Unlink(from.to_path_buf())]
        };
        for change in changes {
            change.apply(&mut state.names);
            state.changes.push(change);
        }
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.step(|| format!("link {} {}", from.display(), to.display()))?;
        let inode = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        let change = Change::Link(to.to_path_buf(), inode);
        change.apply(&mut state.names);
        state.changes.push(change);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.step(|| format!("remove {}", path.display()))?;
        state.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        state.changes.push(Change::Unlink(path.to_path_buf()));
        Ok(())
    }

    fn remove_all(&self, folder: &Path) -> io::Result<()> {
        let inside = self.paths().into_iter().filter(|path| path.starts_with(folder));
        inside.into_iter().try_for_each(|path| self.remove(&path))?;
        self.0.lock().folders.retain(|there| !there.starts_with(folder));
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.step(|| format!("sync folder {}", folder.display()))?;
        let mut changes = std::mem::take(&mut state.changes);
        while let Some(over) = changes.iter().enumerate().position(|(at, _)| is_over(&changes, at, folder)) {
            changes.remove(over);
        }
        let (now, later) = changes.into_iter().partition(|change: &Change| change.is_in(folder));
        state.changes = later;
        for change in now {
            change.apply(&mut state.synced_names);
            state.changes.iter_mut().for_each(|later| later.follow(&change));
        }
        Ok(())
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Lock> {
        let mut state = self.0.lock();
        if let Some(holder) = state.locks.get(path) {
            return Ok(Lock::Held(holder.clone()));
        }
        state.locks.insert(path.to_path_buf(), holder.to_owned());
        Ok(Lock::Taken(Box::new(SimLock(self.clone(), path.to_path_buf()))))
    }

    fn random(&self) -> u64 {
        let mut state = self.0.lock();
        state.random += 1;
        Dice(state.random).next()
    }
}

struct SimLock(SimDisk, PathBuf);

impl Guard for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.0.0.lock().locks.remove(&self.1);
    }
}

struct SimFile {
    disk: SimDisk,
    inode: usize,
}

impl File for SimFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.0.lock();
        state.read();
        let bytes = &state.files[self.inode].now;
        let start = usize::try_from(offset).unwrap().min(bytes.len());
        let read = into.len().min(bytes.len() - start);
        into[..read].copy_from_slice(&bytes[start..start + read]);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.step(|| format!("write {} bytes at {offset} of file {}", bytes.len(), self.inode))?;
        let (now, start) = (&mut state.files[self.inode].now, usize::try_from(offset).unwrap());
        now.resize(now.len().max(start + bytes.len()), 0);
        let before = now[start..start + bytes.len()].to_vec();
        now[start..start + bytes.len()].copy_from_slice(bytes);
        let pages = start / PAGE..(start + bytes.len()).div_ceil(PAGE);
        state.files[self.inode].dirty.extend(pages);
        state.write = Some(Write { inode: self.inode, start, before, zeros: bytes.iter().all(|byte| *byte == 0) });
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.step(|| format!("cut file {} at {len}", self.inode))?;
        state.files[self.inode].now.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = match self.disk.step(|| format!("sync file {}", self.inode)) {
            Ok(state) => state,
            Err(error) => {
                self.disk.0.lock().files[self.inode].dirty.clear();
                return Err(error);
            }
        };
        state.files[self.inode].sync();
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().files[self.inode].now.len() as u64)
    }
}

impl Inode {
    fn sync(&mut self) {
        self.synced.resize(self.now.len(), 0);
        for page in std::mem::take(&mut self.dirty) {
            let (start, end) = (page * PAGE, self.now.len().min((page + 1) * PAGE));
            if start < end {
                self.synced[start..end].copy_from_slice(&self.now[start..end]);
            }
        }
    }

    fn after(&self, fate: Fate, dice: &mut Dice) -> Self {
        let bytes = match fate {
            Fate::Kept | Fate::Torn | Fate::Zeroed => self.now.clone(),
            Fate::Lost => self.synced.clone(),
            Fate::Pages(_) => self.mixed(PAGE, dice),
            Fate::Sectors(_) => self.mixed(SECTOR, dice),
        };
        Self { now: bytes.clone(), synced: bytes, dirty: BTreeSet::new() }
    }

    fn mixed(&self, grain: usize, dice: &mut Dice) -> Vec<u8> {
        if self.now == self.synced {
            return self.now.clone();
        }
        let len = if dice.heads() { self.now.len() } else { self.synced.len() };
        let mut bytes = vec![0; len];
        for at in (0..len).step_by(grain) {
            let source = if dice.heads() { &self.now } else { &self.synced };
            let end = len.min(at + grain).min(source.len());
            if at < end {
                bytes[at..end].copy_from_slice(&source[at..end]);
            }
        }
        bytes
    }
}

impl Write {
    fn spoil(&self, inode: &mut Inode, fate: Fate) {
        let bytes = &mut inode.now[self.start..self.start + self.before.len()];
        if fate == Fate::Zeroed {
            bytes.fill(0);
        } else {
            let half = bytes.len() / 2;
            bytes[half..].copy_from_slice(&self.before[half..]);
        }
        inode.synced = inode.now.clone();
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Link(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            Self::Rename(from, to) => {
                let inode = names.remove(from).expect("a folder's changes are made in order");
                names.insert(to.clone(), inode);
            }
            Self::RenameFolder(from, to) => {
                // What had this name before is a folder that nobody can reach any more.
                names.retain(|path, _| !path.starts_with(to));
                let moved: Vec<_> = names.extract_if(.., |path, _| path.starts_with(from)).collect();
                names.extend(moved.into_iter().map(|(path, inode)| (moved_path(&path, from, to), inode)));
            }
            Self::Unlink(path) => {
                names.remove(path);
            }
        }
    }

    /// A change inside a folder that has another name for good by now.
    fn follow(&mut self, renamed: &Self) {
        let Self::RenameFolder(from, to) = renamed else { return };
        let paths = match self {
            Self::Link(path, _) | Self::Unlink(path) => vec![path],
            Self::Rename(one, other) | Self::RenameFolder(one, other) => vec![one, other],
        };
        for path in paths.into_iter().filter(|path| path.starts_with(from)) {
            *path = moved_path(path, from, to);
        }
    }

    fn is_in(&self, folder: &Path) -> bool {
        self.path().parent() == Some(folder)
    }

    fn path(&self) -> &Path {
        let (Self::Link(path, _) | Self::Rename(path, _) | Self::RenameFolder(path, _) | Self::Unlink(path)) = self;
        path
    }
}

/// Whether it was changed in a folder whose name another one takes for good as `synced` is synced.
fn is_over(changes: &[Change], at: usize, synced: &Path) -> bool {
    changes[at + 1..].iter().any(|later| {
        later.is_in(synced) && matches!(later, Change::RenameFolder(_, to) if changes[at].path().parent().is_some_and(|of| of.starts_with(to)))
    })
}

/// What has which name, and the folders that are there. A change is made in its folder's turn, so that what happened in a
/// folder before it was renamed comes before that.
fn names_after(state: &State, fate: Fate, dice: &mut Dice) -> (BTreeMap<PathBuf, usize>, BTreeSet<PathBuf>) {
    let mut kept: BTreeSet<usize> = BTreeSet::new();
    let changed: BTreeSet<_> = state.changes.iter().filter_map(|change| change.path().parent()).collect();
    for folder in changed {
        let changes: Vec<_> = (0..state.changes.len()).filter(|at| state.changes[*at].is_in(folder)).collect();
        let count = match fate {
            Fate::Kept | Fate::Torn | Fate::Zeroed => changes.len(),
            Fate::Lost => 0,
            Fate::Pages(_) | Fate::Sectors(_) => usize::try_from(dice.next()).unwrap() % (changes.len() + 1),
        };
        kept.extend(changes[..count].iter().copied());
    }
    let (mut names, mut folders) = (state.synced_names.clone(), state.folders.clone());
    for (at, change) in state.changes.iter().enumerate() {
        if kept.contains(&at) {
            change.apply(&mut names);
        } else if let Change::RenameFolder(from, to) = change {
            folders = moved_folders(&folders, to, from);
        }
    }
    folders.extend(names.keys().filter_map(|path| path.parent()).map(Path::to_path_buf));
    (names, folders)
}

fn moved_folders(folders: &BTreeSet<PathBuf>, from: &Path, to: &Path) -> BTreeSet<PathBuf> {
    let moved = |path: &PathBuf| if path.starts_with(from) { moved_path(path, from, to) } else { path.clone() };
    folders.iter().map(moved).collect()
}

fn moved_path(path: &Path, from: &Path, to: &Path) -> PathBuf {
    to.join(path.strip_prefix(from).expect("it is below it"))
}

/// `SplitMix64`: <https://prng.di.unimi.it/splitmix64.c>.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn heads(&mut self) -> bool {
        self.next() & 1 == 0
    }
}
