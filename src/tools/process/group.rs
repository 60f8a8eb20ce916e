//! The process group of a call, and how it ends, whoever is left to end it.
//!
//! While a call runs, `RUN_DIR/KEY.pgid` says which process group is its own: `1 PGID START BOOT`, where START is the
//! leader's start time and BOOT the machine's boot. A killed engine takes the leader with it (its death signal), but
//! not the leader's children: who starts a call of the same key reads the file and ends them first.
//!
//! Numbers are reused, so a group counts as the call's own only if that is certain: its leader still is the one that
//! started then (a number in use is not given out again), or one of its processes carries the call's key in its
//! environment. If it can be neither proved nor ruled out, the call is not started, and says so.
//!
//! **Invariant:** the leader is reaped last: until then its number names this group and no other.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    time::Duration,
};

use headframe_actors::durable::{Failure, Key};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, test_kill_process_group, waitid,
};

use super::table::{self, Row};

/// The environment variable that every program finds its call's key in.
pub(super) const COOKIE: &str = "HEADFRAME_KEY";
/// The time a killed process may take to be gone.
const DEATH_MAX: Duration = Duration::from_secs(5);

/// The file about a call's process group.
#[derive(Clone, Debug)]
pub(super) struct Record {
    path: PathBuf,
}

/// What such a file says.
#[derive(Debug, PartialEq)]
enum Said {
    Nothing,
    /// Something may have been started. The group is unknown if its starter died between the start and the record.
    Started {
        group: Option<(i32, u64)>,
        boot: String,
    },
    Refused(String),
}

impl Record {
    pub(super) fn of(run_dir: &Path, key: Key) -> Self {
        Self { path: run_dir.join(format!("{key}.pgid")) }
    }

    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Say that `leader` leads the group. Not synced: after a power cut there is nothing to end.
    pub(super) fn write(&self, leader: Pid) -> io::Result<()> {
        let leader = leader.as_raw_pid();
        let start = table::row(leader).map_or(0, |row| row.start);
        fs::write(&self.path, format!("1 {leader} {start} {}\n", table::boot()))
    }

    /// Say that something is about to be started.
    fn announce(&self) -> io::Result<()> {
        fs::write(&self.path, format!("1 0 0 {}\n", table::boot()))
    }

    /// Say that the program was not run, and why.
    pub(super) fn refuse(&self, why: &str) -> io::Result<()> {
        fs::write(&self.path, format!("refused {why}"))
    }

    fn read(&self) -> Said {
        match fs::read_to_string(&self.path) {
            Ok(said) => Said::parse(&said),
            Err(_) => Said::Nothing,
        }
    }

    fn remove(&self) {
        // It stays if the disk says no; the next call of this key finds nothing alive behind it.
        let _ = fs::remove_file(&self.path);
    }

    fn key(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl Said {
    fn parse(said: &str) -> Self {
        if let Some(why) = said.strip_prefix("refused ") {
            return Self::Refused(why.to_owned());
        }
        let mut words = said.split_ascii_whitespace().skip(1);
        let mut word = || words.next().unwrap_or_default();
        let (group, start, boot) = (word().parse().unwrap_or(0), word().parse().unwrap_or(0), word().to_owned());
        Self::Started { group: (group > 0).then_some((group, start)), boot }
    }
}

/// End what former attempts of the same key left running, and wait until it is gone.
pub(super) fn end_former(record: &Record) -> Result<(), Failure> {
    let left = match record.read() {
        Said::Nothing => return Ok(()),
        // Another boot's processes are gone. A file torn by a crash names no boot, and is taken for this one.
        Said::Started { boot, .. } if !boot.is_empty() && boot != table::boot() => Vec::new(),
        Said::Refused(_) => Vec::new(),
        Said::Started { group, .. } => end_started(group, &record.key()),
    };
    if left.is_empty() {
        record.remove();
        return Ok(());
    }
    let pids: Vec<_> = left.iter().map(|row| row.pid.to_string()).collect();
    Err(Failure::new(
        "orphan",
        format!("processes {} may belong to a former attempt and cannot be ended safely: end them", pids.join(", ")),
    ))
}

fn end_started(group: Option<(i32, u64)>, key: &str) -> Vec<Row> {
    let rows = table::rows();
    let inside = |row: &Row| group.is_some_and(|(group, _)| row.group == group || row.session == group);
    let carries = |row: &Row| row.carries(COOKIE, key);
    let leader = group.and_then(|(group, _)| rows.iter().find(|row| row.pid == group));
    let certain = match (group, leader) {
        (Some((_, start)), Some(leader)) => leader.start == start,
        _ => rows.iter().any(|row| inside(row) && carries(row)),
    };
    let doubtful: Vec<_> = rows.iter().copied().filter(|row| row.alive && inside(row)).collect();
    if !certain && leader.is_none() && !doubtful.is_empty() {
        return doubtful;
    }
    if let Some(group) = group.filter(|_| certain).and_then(|(group, _)| Pid::from_raw(group)) {
        // At once for all of them: no fork escapes a signal to the group. Those that did not get it follow below.
        let _ = kill_process_group(group, Signal::KILL);
    }
    table::hunt(DEATH_MAX, |row| (certain && inside(row)) || carries(row))
}

/// End everything that a dead engine's calls left running. Only for the one who holds the data folder's lock: it does
/// not ask whether a call still is somebody's.
///
/// # Errors
/// If the folder cannot be read, or what is left cannot be ended; its sentence names the processes.
pub fn end_leftovers(run_dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(run_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let mut worst = Ok(());
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "pgid") {
            worst = worst.and(end_former(&Record::at(path)).map_err(|failure| io::Error::other(failure.message)));
        }
    }
    worst
}

/// A running program and all that it started.
pub(super) struct Group {
    child: Child,
    leader: Pid,
    record: Record,
    buried: bool,
}

/// How a group's leader ended.
pub(super) struct Buried {
    /// `None` if somebody else in this process waited for it.
    pub(super) status: Option<ExitStatus>,
    /// Why the launcher could not run the program.
    pub(super) refused: Option<String>,
}

impl Group {
    /// Start a command in a group of its own, with its streams connected to us. A launcher writes the record itself.
    pub(super) fn start(command: &mut Command, stdin: Stdio, record: Record, launched: bool) -> io::Result<Self> {
        if !launched {
            record.announce()?;
        }
        let started = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = started.inspect_err(|_| record.remove())?;
        let group = Self { leader: Pid::from_child(&child), child, record, buried: false };
        if !launched {
            // It runs, so this is no failure to start any more; the announcement leads to it through its environment.
            let _ = group.record.write(group.leader);
        }
        Ok(group)
    }

    pub(super) fn leader(&self) -> Pid {
        self.leader
    }

    pub(super) fn streams(&mut self) -> (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take())
    }

    /// Whether the leader has ended. It is not reaped by asking.
    pub(super) fn has_exited(&self) -> bool {
        let how = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        !matches!(waitid(WaitId::Pid(self.leader), how), Ok(None) | Err(rustix::io::Errno::INTR))
    }

    /// Send a signal to all of it.
    pub(super) fn signal(&self, signal: Signal) {
        if kill_process_group(self.leader, signal).is_err() {
            // A launcher that has no group yet. What is gone already needs no signal.
            let _ = kill_process(self.leader, signal);
        }
    }

    /// Kill all of it, with what left the group or the session but carries the call's key.
    pub(super) fn kill_all(&self) {
        self.signal(Signal::KILL);
        let (leader, key) = (self.leader.as_raw_pid(), self.record.key());
        table::hunt(DEATH_MAX, |row| {
            row.pid != leader && (row.group == leader || row.session == leader || row.carries(COOKIE, &key))
        });
    }

    /// Kill what is left, reap the leader, and take away the record.
    pub(super) fn bury(mut self) -> Buried {
        self.end()
    }

    fn end(&mut self) -> Buried {
        self.buried = true;
        self.signal(Signal::KILL);
        let status = self.child.wait().ok();
        if test_kill_process_group(self.leader).is_ok() {
            // Members that took the signal are still dying; their number is theirs until they have.
            let leader = self.leader.as_raw_pid();
            table::hunt(DEATH_MAX, |row| row.group == leader);
        }
        let refused = match self.record.read() {
            Said::Refused(why) => Some(why),
            Said::Nothing | Said::Started { .. } => None,
        };
        self.record.remove();
        Buried { status, refused }
    }
}

/// A panic on the way must not leave a program running.
impl Drop for Group {
    fn drop(&mut self) {
        if !self.buried {
            self.end();
        }
    }
}
