//! The process table, as `/proc` shows it. Where there is no `/proc`, it is empty.

use std::{fs, io, time::Duration};

use headframe_actors::clock;
use rustix::process::{Pid, Signal};

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) pid: i32,
    /// The id of its process group.
    pub(super) group: i32,
    /// The id of its session.
    pub(super) session: i32,
    /// When it started, in ticks since boot: with the pid, its identity.
    pub(super) start: u64,
    /// Whether it still runs; a zombie is dead.
    pub(super) alive: bool,
}

/// One process.
pub(super) fn row(pid: i32) -> Option<Row> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Every process there is.
pub(super) fn rows() -> Vec<Row> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| row(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// See `proc(5)`: the name stands in parentheses and may itself hold any character, so fields count from the last one.
fn parse(pid: i32, stat: &str) -> Option<Row> {
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<i32>().ok();
    Some(Row {
        pid,
        group: number(2)?,
        session: number(3)?,
        start: fields.get(19)?.parse().ok()?,
        alive: !matches!(*fields.first()?, "Z" | "X" | "x"),
    })
}

/// Which boot of the machine this is. Start times of different boots cannot be compared.
pub(super) fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map_or_else(|_| "-".to_owned(), |id| id.trim().to_owned())
}

impl Row {
    /// Whether the process was started with this variable in its environment. Only its own user may see that.
    pub(super) fn carries(&self, name: &str, value: &str) -> bool {
        let environment = fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default();
        let wanted = format!("{name}={value}");
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    }

    /// Kill this very process: not another one that was given its number since.
    fn kill(&self) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        // Errors mean that it is gone, or not ours to kill; the next look at the table tells.
        let _ = kill_exactly(pid, self.start);
    }
}

#[cfg(target_os = "linux")]
fn kill_exactly(pid: Pid, start: u64) -> io::Result<()> {
    use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    if row(pid.as_raw_pid()).is_some_and(|row| row.start == start) {
        pidfd_send_signal(process, Signal::KILL)?;
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn kill_exactly(pid: Pid, _start: u64) -> io::Result<()> {
    Ok(rustix::process::kill_process(pid, Signal::KILL)?)
}

/// Kill whatever matches until nothing does, new children included. Gives back what would not die in time.
pub(super) fn hunt(within: Duration, matches: impl Fn(&Row) -> bool) -> Vec<Row> {
    let start = clock::monotonic();
    let own = rustix::process::getpid().as_raw_pid();
    loop {
        let left: Vec<_> = rows().into_iter().filter(|row| row.alive && row.pid != own && matches(row)).collect();
        left.iter().for_each(Row::kill);
        if left.is_empty() || start.elapsed() > within {
            return left;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_parentheses_is_no_obstacle() {
        let stat = "42 (a) R (b)) Z 1 40 39 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 777 1 2";
        let expected = Row { pid: 42, group: 40, session: 39, start: 777, alive: false };
        assert_eq!(parse(42, stat), Some(expected));
        assert_eq!(parse(42, "42 (torn"), None);
    }
}
