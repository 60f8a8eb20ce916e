//! What a process costs: memory, time on a processor, bytes on disk.
//!
//! Read from `/proc`; where there is none, memory and shares are zero.

use std::{collections::BTreeMap, fmt, fs, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use serde::Serialize;

/// Memory of this process that is in RAM, in bytes.
pub(super) fn memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|resident| resident.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}

/// Time that this process has spent on a processor.
pub(super) fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Ticks of the processor that this process has used so far: all of them, and those of each thread that lives.
#[derive(Debug, Default)]
pub(super) struct Threads {
    total: u64,
    alive: BTreeMap<String, (String, u64)>,
}

/// Who used the processor, of all that this process used of it; together 1.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Shares {
    /// Turns, calls and whatever else runs on tokio's threads; the bench's own lanes, too.
    pub(super) workers: f64,
    /// The thread that encodes, writes and syncs records.
    pub(super) commit: f64,
    /// The checkpoint: the threads that take and write rows, sled's own, and those that ended meanwhile, which are sled's
    /// and one for each file of the journal.
    pub(super) checkpoint: f64,
    /// The thread that makes bases and ledger segments.
    pub(super) base: f64,
    /// Every other thread.
    pub(super) other: f64,
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workers, commit, checkpoint, base, other } = self;
        let [workers, commit, checkpoint, base, other] =
            [workers, commit, checkpoint, base, other].map(|share| share * 100.0);
        write!(f, "workers {workers:.1} %, commit {commit:.1} %, checkpoint {checkpoint:.1} %, ")?;
        write!(f, "bases {base:.1} %, other {other:.1} %")
    }
}

impl Threads {
    pub(super) fn now() -> Self {
        let ticks = |stat: &str| -> Option<(String, u64)> {
            // The name is in parentheses, and may hold some.
            let (name, rest) = (stat.get(stat.find('(')? + 1..stat.rfind(')')?)?, &stat[stat.rfind(')')? + 2..]);
            let mut fields = rest.split(' ').skip(11).map(|field| field.parse::<u64>().unwrap_or(0));
            Some((name.to_owned(), fields.next()? + fields.next()?))
        };
        let total = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| ticks(&stat));
        let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let alive = tasks.filter_map(|task| {
            let stat = fs::read_to_string(task.path().join("stat")).ok()?;
            Some((task.file_name().to_string_lossy().into_owned(), ticks(&stat)?))
        });
        Self { alive: alive.collect(), total: total.map_or(0, |(_, ticks)| ticks) }
    }

    /// Who used the processor since then.
    pub(super) fn since(&self, before: &Self) -> Shares {
        let total = self.total.saturating_sub(before.total);
        let mut used: BTreeMap<Group, u64> = BTreeMap::new();
        for (id, (name, ticks)) in &self.alive {
            let before = before.alive.get(id).map_or(0, |(_, ticks)| *ticks);
            *used.entry(Group::of(name)).or_default() += ticks.saturating_sub(before);
        }
        // A thread's part of a tick is cut off or not, so that few ticks may come to more than their sum.
        let total = total.max(used.values().sum());
        let ended = total - used.values().sum::<u64>();
        *used.entry(Group::Checkpoint).or_default() += ended;
        let share = |group| used.get(&group).map_or(0.0, |ticks| *ticks as f64 / total.max(1) as f64);
        Shares {
            workers: share(Group::Workers),
            commit: share(Group::Commit),
            checkpoint: share(Group::Checkpoint),
            base: share(Group::Base),
            other: share(Group::Other),
        }
    }
}

/// Threads that do the same kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Workers,
    Commit,
    Checkpoint,
    Base,
    Other,
}

impl Group {
    /// By name, of which the system keeps 15 bytes.
    fn of(name: &str) -> Self {
        match name {
            _ if name.starts_with("tokio-r") => Self::Workers,
            "headframe-commi" => Self::Commit,
            "headframe-rows" | "headframe-shelf" | "journal-spare" => Self::Checkpoint,
            _ if name.starts_with("sled") || name.starts_with("log flusher") => Self::Checkpoint,
            "headframe-base" => Self::Base,
            _ => Self::Other,
        }
    }
}

/// Bytes that a data folder takes on disk, by what they are for.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Disk {
    /// The journal's files, filled or not.
    pub(super) journal: u64,
    /// The rows in sled.
    pub(super) live: u64,
    /// Base images.
    pub(super) base: u64,
    /// Ledger segments.
    pub(super) ledger: u64,
    /// Anything else: the reserve for a full disk, artifacts, and small files.
    pub(super) other: u64,
}

impl Disk {
    pub(super) fn of(folder: &Path) -> Self {
        let part = |name: &str| bytes(&folder.join(name));
        let [journal, live, base, ledger] = ["journal", "live", "base", "ledger"].map(part);
        let other = bytes(folder).saturating_sub(journal + live + base + ledger);
        Self { journal, live, base, ledger, other }
    }

    pub(super) fn total(&self) -> u64 {
        self.journal + self.live + self.base + self.ledger + self.other
    }
}

/// What a folder takes; files that go meanwhile take nothing.
fn bytes(folder: &Path) -> u64 {
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes(&entry.path()),
        Ok(data) => data.blocks() * 512,
        Err(_) => 0,
    };
    fs::read_dir(folder).into_iter().flatten().flatten().map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threads(total: u64, alive: &[(&str, &str, u64)]) -> Threads {
        let alive = alive.iter().map(|(id, name, ticks)| ((*id).to_owned(), ((*name).to_owned(), *ticks)));
        Threads { total, alive: alive.collect() }
    }

    #[test]
    fn every_tick_has_an_owner_and_those_of_threads_that_ended_are_the_checkpoints() {
        let before = threads(100, &[("1", "headframe", 10), ("2", "tokio-rt-worker", 50)]);
        let after =
            threads(200, &[("1", "headframe", 15), ("2", "tokio-rt-worker", 100), ("3", "headframe-commi", 25)]);
        let shares = after.since(&before);
        assert_eq!((shares.workers, shares.commit, shares.checkpoint, shares.other), (0.5, 0.25, 0.2, 0.05));
    }
}
