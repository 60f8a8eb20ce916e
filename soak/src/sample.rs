//! One look at the process in which the engine works.

use std::{fmt, io, path::Path, time::Duration};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::wire::Looked;

/// The names of the columns that a [`Sample`] prints.
pub(crate) const HEADER: &str = "    time   rss MiB    fds  threads    tasks   actors   hosted    calls  disk MiB       runs   runs/s  us CPU/run   p50 ms   p99 ms  in time";

/// Bytes on disk, by what they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Disk {
    pub(crate) journal: u64,
    pub(crate) rows: u64,
    pub(crate) bases: u64,
    pub(crate) ledger: u64,
    pub(crate) artifacts: u64,
    /// The reserve for a full disk, and small files.
    pub(crate) other: u64,
}

impl Disk {
    pub(crate) fn total(&self) -> u64 {
        let Self { journal, rows, bases, ledger, artifacts, other } = self;
        journal + rows + bases + ledger + artifacts + other
    }

    /// Of a data folder. A file that went meanwhile takes none.
    fn of(folder: &Path) -> io::Result<Self> {
        let mut disk = Self::default();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let part = match entry.file_name().to_str() {
                Some("journal") => &mut disk.journal,
                Some("live") => &mut disk.rows,
                Some("base") => &mut disk.bases,
                Some("ledger") => &mut disk.ledger,
                Some("artifacts") => &mut disk.artifacts,
                _ => &mut disk.other,
            };
            *part += bytes_of(&entry);
        }
        Ok(disk)
    }
}

/// One look.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    #[serde(rename = "at_s", serialize_with = "as_seconds")]
    pub(crate) at: Duration,
    /// Of the engine's process: it lives once more after each kill.
    pub(crate) life: u32,
    pub(crate) rss_kib: u64,
    pub(crate) fds: u64,
    pub(crate) threads: u64,
    /// Of tokio, all of the process.
    pub(crate) tasks: u64,
    pub(crate) actors: u64,
    pub(crate) hosted: u64,
    pub(crate) calls: u64,
    pub(crate) disk: Disk,
    pub(crate) runs: u64,
    pub(crate) runs_per_s: f64,
    /// Processor time of the whole process for each of them: the figure that a busy machine does not move.
    pub(crate) cpu_us_per_run: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Of the probes since the last sample, in percent.
    pub(crate) in_time: f64,
}

fn as_seconds<S: serde::Serializer>(at: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((at.as_secs_f64() * 1_000.0).round() / 1_000.0)
}

/// What the client knows of the time since the last look.
#[derive(Clone, Debug)]
pub(crate) struct Since {
    /// Runs that have ended so far.
    pub(crate) runs: u64,
    /// Since the last look.
    pub(crate) ended: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_us: u64,
    /// Of the load, in microseconds.
    pub(crate) times: Histogram<u64>,
    pub(crate) in_time: f64,
}

impl Sample {
    /// Look at a process and its folder from outside, and take what it said of itself.
    pub(crate) fn take(
        pid: u32,
        data: &Path,
        at: Duration,
        life: u32,
        said: &Looked,
        since: &Since,
    ) -> anyhow::Result<Self> {
        let process = Path::new("/proc").join(pid.to_string());
        let status = std::fs::read_to_string(process.join("status")).context("the engine's process is gone")?;
        let quantile = |quantile| since.times.value_at_quantile(quantile) as f64 / 1_000.0;
        Ok(Self {
            at,
            life,
            rss_kib: field(&status, "VmRSS:"),
            fds: std::fs::read_dir(process.join("fd"))?.count() as u64,
            threads: field(&status, "Threads:"),
            tasks: said.tasks,
            actors: said.actors,
            hosted: said.hosted,
            calls: said.calls,
            disk: Disk::of(data)?,
            runs: since.runs,
            runs_per_s: since.ended as f64 / since.seconds.max(0.001),
            cpu_us_per_run: since.cpu_us as f64 / since.ended.max(1) as f64,
            p50_ms: quantile(0.50),
            p99_ms: quantile(0.99),
            in_time: since.in_time,
        })
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fds, threads, tasks, actors, hosted, calls, runs, runs_per_s, .. } = self;
        let Self { cpu_us_per_run, p50_ms, p99_ms, in_time, .. } = self;
        let time = humantime::format_duration(Duration::from_secs(self.at.as_secs())).to_string();
        let (rss, disk) = (self.rss_kib as f64 / 1_024.0, self.disk.total() as f64 / 1_048_576.0);
        write!(f, "{time:>8} {rss:>9.1} {fds:>6} {threads:>8} {tasks:>8} {actors:>8} {hosted:>8} {calls:>8} ")?;
        write!(f, "{disk:>9.1} {runs:>10} {runs_per_s:>8.1} {cpu_us_per_run:>11.0} {p50_ms:>8.2} {p99_ms:>8.2} ")?;
        write!(f, "{in_time:>6.1} %")
    }
}

/// A number in `/proc/self/status`.
fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Bytes that a file takes on disk, or the files of a folder.
fn bytes_of(entry: &std::fs::DirEntry) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            let entries = std::fs::read_dir(entry.path()).into_iter().flatten().flatten();
            entries.map(|entry| bytes_of(&entry)).sum()
        }
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    }
}

#[cfg(test)]
impl Sample {
    /// A calm look, with so much memory.
    pub(crate) fn at_minute(at: u64, rss_kib: u64) -> Self {
        let (at, disk, zero) = (Duration::from_secs(at * 60), Disk::default(), 0.0);
        let (fds, threads, tasks, actors, hosted, calls) = (20, 8, 60, 40, 40, 7);
        let (runs, runs_per_s, cpu_us_per_run, p50_ms, p99_ms, in_time) = (0, zero, 500.0, zero, zero, 100.0);
        Self {
            at,
            life: 1,
            rss_kib,
            fds,
            threads,
            tasks,
            actors,
            hosted,
            calls,
            disk,
            runs,
            runs_per_s,
            cpu_us_per_run,
            p50_ms,
            p99_ms,
            in_time,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_the_status_is_read() {
        assert_eq!(field("Name:\tx\nVmRSS:\t   1234 kB\nThreads:\t7\n", "VmRSS:"), 1234);
        assert_eq!(field("Threads:\t7\n", "Threads:"), 7);
        assert_eq!(field("", "Threads:"), 0);
    }

    #[test]
    fn files_are_counted_by_what_they_are_for() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("journal/deep")).unwrap();
        std::fs::write(folder.path().join("journal/deep/1.seg"), [1; 10_000]).unwrap();
        std::fs::write(folder.path().join("ballast"), [1; 5_000]).unwrap();
        let disk = Disk::of(folder.path()).unwrap();
        assert!(disk.journal >= 10_000 && disk.other >= 5_000);
        assert_eq!((disk.rows, disk.ledger, disk.total()), (0, 0, disk.journal + disk.other));
    }
}
