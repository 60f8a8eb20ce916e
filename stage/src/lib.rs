//! Where `headframe-chaos` and `headframe-soak` play: a folder with room, which goes when the play is over, and processes of
//! this very program, which die with it and whose last words are kept.
//!
//! **Invariants:** whoever is started dies with whoever started it, whatever that dies of. The folder is removed unless somebody
//! asked to keep it.
#![expect(clippy::print_stderr, reason = "what is left behind must be told, whatever the programs write")]

mod life;

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tokio::process::Command;

pub use self::life::bound_to;

/// A start takes a segment of the journal and a reserve for a full disk; history comes on top.
const ROOM_MIN: u64 = 256 << 20;
/// This very program, also when its file was replaced or removed meanwhile.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// How often a folder is tried to be removed into which something may still write its last file.
const REMOVALS: u32 = 100;
const REMOVE_AGAIN: Duration = Duration::from_millis(20);
/// So many lines are the last words.
const LAST_WORDS: usize = 8;

/// The folder that everything happens in.
pub struct Ground {
    folder: TempDir,
    /// The program's name, also on the command lines of those it starts.
    program: &'static str,
}

impl Ground {
    /// A new folder in `dir`, or in the system's place for temporary files. `more` says what it takes beyond what a start does.
    ///
    /// # Errors
    /// If there is no room, no such place, or no way to start this program again; each says what to do.
    pub fn new(dir: Option<&Path>, program: &'static str, more: &str) -> anyhow::Result<Self> {
        let dir = dir.map_or_else(std::env::temp_dir, Path::to_path_buf);
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot use --dir {}", dir.display()))?;
        // Children open files by these paths, from wherever they are.
        let dir = dir.canonicalize().with_context(|| format!("cannot use --dir {}", dir.display()))?;
        let room = room_in(&dir).with_context(|| format!("cannot tell how much room {} has", dir.display()))?;
        ensure!(
            room >= ROOM_MIN,
            "{} has {} MiB free, and this needs {} MiB{more}; choose another --dir",
            dir.display(),
            room >> 20,
            ROOM_MIN >> 20
        );
        ensure!(
            Path::new(THIS_PROGRAM).exists(),
            "{program} starts itself from {THIS_PROGRAM}, and this machine has no /proc"
        );
        let folder = tempfile::Builder::new().prefix(&format!("{program}-")).tempdir_in(&dir);
        let folder = folder.with_context(|| format!("cannot make a folder in {}", dir.display()))?;
        Ok(Self { folder, program })
    }

    /// It.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Bytes that we may still write there.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn room(&self) -> anyhow::Result<u64> {
        room_in(self.path()).context("cannot tell how much room is left")
    }

    /// This program in another role. What it says on stderr is kept; it is killed when its handle goes, and asks to die with us.
    ///
    /// # Errors
    /// If its log cannot be opened.
    pub fn command(&self, role: &str) -> anyhow::Result<Command> {
        let log = File::options().create(true).append(true).open(self.log()).context("cannot open the victims' log")?;
        let mut command = Command::new(THIS_PROGRAM);
        command.arg0(self.program).arg(role).args(["--parent", &std::process::id().to_string()]);
        command.stderr(log).kill_on_drop(true);
        Ok(command)
    }

    fn log(&self) -> PathBuf {
        self.path().join("victim.log")
    }

    /// The end of what children wrote to stderr.
    #[must_use]
    pub fn last_words(&self) -> String {
        let log = self.said();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
    }

    /// What children said of panics: actors survive them, but nobody asked for any.
    #[must_use]
    pub fn panics(&self) -> Vec<String> {
        let log = self.said();
        let lines: Vec<_> = log.lines().collect();
        let panics = lines.windows(2).filter(|pair| pair[0].contains("panicked at"));
        panics.map(|pair| pair.join(" ")).collect()
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Remove the folder, or say where it is.
    pub fn leave(self, keep: bool) {
        let path = self.folder.keep();
        if keep {
            eprintln!("kept {}", path.display());
            return;
        }
        // An engine of ours that was interrupted may still write its last file.
        let gone = (0..REMOVALS).any(|tried| {
            if tried > 0 {
                std::thread::sleep(REMOVE_AGAIN);
            }
            std::fs::remove_dir_all(&path).is_ok() || !path.exists()
        });
        if !gone {
            eprintln!("warning: {} is left behind; remove it", path.display());
        }
    }
}

fn room_in(dir: &Path) -> std::io::Result<u64> {
    let found = rustix::fs::statvfs(dir)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ground(dir: &Path) -> Ground {
        Ground::new(Some(dir), "headframe-stage", "").unwrap()
    }

    #[test]
    fn the_folder_goes_unless_it_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (gone, kept) = (ground(dir.path()), ground(dir.path()));
        let path = kept.path().to_owned();
        gone.leave(false);
        kept.leave(true);
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [path.canonicalize().unwrap()]);
    }

    #[test]
    fn last_words_are_few_and_panics_are_told_with_what_they_said() {
        let dir = tempfile::tempdir().unwrap();
        let ground = ground(dir.path());
        assert_eq!((ground.last_words(), ground.panics()), (String::new(), Vec::new()));
        let lines: Vec<_> = (0..20).map(|line| format!("line {line}")).collect();
        let panic = "thread 'main' panicked at src/main.rs:1:1:\nasked to\n";
        std::fs::write(ground.log(), panic.to_owned() + &lines.join("\n")).unwrap();
        assert_eq!(ground.last_words(), lines[12..].join("\n"));
        assert_eq!(ground.panics(), ["thread 'main' panicked at src/main.rs:1:1: asked to"]);
    }
}
