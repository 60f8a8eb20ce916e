//! What the process takes, under the names that Prometheus' own client libraries use.
//!
//! Written as text rather than through a recorder: counters of the facade are whole numbers, and seconds of a processor
//! are not.
//!
//! **Invariant:** what this machine does not tell is left out.

use std::{fmt::Write as _, fs, time::Duration};

use headframe_actors::clock::{Clock as _, SystemClock};
use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

use super::{Family, Kind};

/// In which Linux tells when a process started: 1/100 s, on every architecture that this is built for.
const TICKS_PER_SECOND: f64 = 100.0;

const CPU: Family =
    Family::counter("process_cpu_seconds_total", &[], "Total user and system CPU time spent in seconds.");
const RESIDENT: Family = Family::gauge("process_resident_memory_bytes", &[], "Resident memory size in bytes.");
const VIRTUAL: Family = Family::gauge("process_virtual_memory_bytes", &[], "Virtual memory size in bytes.");
const FDS: Family = Family::gauge("process_open_fds", &[], "Number of open file descriptors.");
const FDS_MAX: Family = Family::gauge("process_max_fds", &[], "Maximum number of open file descriptors.");
const START: Family =
    Family::gauge("process_start_time_seconds", &[], "Start time of the process since unix epoch in seconds.");
const THREADS: Family = Family::gauge("process_threads", &[], "Number of OS threads in the process.");

/// All of them.
pub(super) const FAMILIES: &[Family] = &[CPU, RESIDENT, VIRTUAL, FDS, FDS_MAX, START, THREADS];

/// Write what is known.
pub(super) fn write(text: &mut String) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |name| field(&status, name).map(|kib| kib * 1_024.0);
    let known = [
        (CPU, Some(seconds(ClockId::ProcessCPUTime))),
        (RESIDENT, kib("VmRSS:")),
        (VIRTUAL, kib("VmSize:")),
        (FDS, open_fds()),
        (FDS_MAX, getrlimit(Resource::Nofile).current.map(|most| most as f64)),
        (START, started()),
        (THREADS, field(&status, "Threads:")),
    ];
    for (Family { name, kind, help, .. }, value) in known {
        let Some(value) = value else { continue };
        let kind = if kind == Kind::Counter { "counter" } else { "gauge" };
        // Writing to a string does not fail.
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    }
}

/// A number in `/proc/self/status`.
fn field(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn open_fds() -> Option<f64> {
    // The listing itself holds one open.
    fs::read_dir("/proc/self/fd").ok().map(|fds| fds.count().saturating_sub(1) as f64)
}

/// When the process started, in seconds since 1970.
fn started() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let ticks: f64 = start_ticks(&stat)?;
    let age = seconds(boot_clock()?) - ticks / TICKS_PER_SECOND;
    Some(Duration::from_millis(SystemClock.now_ms()).as_secs_f64() - age)
}

/// The 22nd field, counted from the name, which is in parentheses and may hold some.
fn start_ticks(stat: &str) -> Option<f64> {
    stat.get(stat.rfind(')')? + 2..)?.split(' ').nth(19)?.parse().ok()
}

#[cfg(target_os = "linux")]
fn boot_clock() -> Option<ClockId> {
    Some(ClockId::Boottime)
}

#[cfg(not(target_os = "linux"))]
fn boot_clock() -> Option<ClockId> {
    None
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_process_takes_is_told_under_the_usual_names() {
        let mut text = String::new();
        write(&mut text);
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("{name} is missing: {text}")).parse().unwrap()
        };
        for Family { name, .. } in FAMILIES {
            assert!(value(name) > 0.0, "{name}: {text}");
        }
        let now = Duration::from_millis(SystemClock.now_ms()).as_secs_f64();
        assert!(value("process_start_time_seconds") <= now);
    }

    #[test]
    fn a_name_with_parentheses_hides_no_field() {
        let stat = format!("7 (a) b) S {}4711 8", "0 ".repeat(18));
        assert_eq!(start_ticks(&stat), Some(4711.0));
    }
}
