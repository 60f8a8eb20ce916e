//! One look at the process and its engine.

use std::{fmt, path::Path, time::Duration};

use anyhow::Context as _;
use headframe::Engine;

use crate::load::Ended;

/// The names of the columns that a [`Sample`] prints.
pub(crate) const HEADER: &str = "    time   rss MiB    fds  threads   actors   hosted    calls  disk MiB       runs   runs/s  us CPU/run   p50 ms   p99 ms";

/// One look.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) rss_kib: u64,
    pub(crate) fds: u64,
    pub(crate) threads: u64,
    pub(crate) actors: u64,
    pub(crate) hosted: u64,
    pub(crate) calls: u64,
    pub(crate) disk_bytes: u64,
    pub(crate) runs: u64,
    pub(crate) runs_per_s: f64,
    pub(crate) cpu_us_per_run: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Sample {
    pub(crate) fn take(engine: &Engine, folder: &Path, at: Duration, ended: Ended) -> anyhow::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").context("this machine has no /proc")?;
        let figures = engine.system().figures();
        Ok(Self {
            at,
            rss_kib: field(&status, "VmRSS:"),
            // The listing itself holds one open.
            fds: std::fs::read_dir("/proc/self/fd")?.count().saturating_sub(1) as u64,
            threads: field(&status, "Threads:"),
            actors: figures.actors as u64,
            hosted: figures.hosted as u64,
            calls: figures.calls as u64,
            disk_bytes: bytes_in(folder)?,
            runs: ended.runs,
            runs_per_s: ended.per_s,
            cpu_us_per_run: ended.cpu_us_per_run,
            p50_ms: ended.times.value_at_quantile(0.50) as f64 / 1_000.0,
            p99_ms: ended.times.value_at_quantile(0.99) as f64 / 1_000.0,
        })
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fds, threads, actors, hosted, calls, runs, runs_per_s, cpu_us_per_run, p50_ms, p99_ms, .. } = self;
        let time = humantime::format_duration(Duration::from_secs(self.at.as_secs())).to_string();
        let (rss, disk) = (self.rss_kib as f64 / 1_024.0, self.disk_bytes as f64 / 1_048_576.0);
        write!(f, "{time:>8} {rss:>9.1} {fds:>6} {threads:>8} {actors:>8} {hosted:>8} {calls:>8} {disk:>9.1} ")?;
        write!(f, "{runs:>10} {runs_per_s:>8.1} {cpu_us_per_run:>11.0} {p50_ms:>8.2} {p99_ms:>8.2}")
    }
}

/// A number in `/proc/self/status`.
fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Bytes that the files of a folder take on disk. A file that went meanwhile takes none.
fn bytes_in(folder: &Path) -> anyhow::Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        bytes += match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path())?,
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        };
    }
    Ok(bytes)
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
}
