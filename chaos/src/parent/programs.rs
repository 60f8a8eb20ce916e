//! Programs that the victim's tasks started, seen and killed from outside.
//!
//! **Invariant:** a number is signalled only while it names the process that was looked at.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::{program::CALL, recorder::Request};

/// A program that was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Killed {
    pub(super) attempt: Attempt,
    /// The submission whose task started it.
    pub(super) number: Option<u64>,
    /// A program that did something, or one that was asked about another.
    pub(super) is_probe: bool,
}

/// Which call was made by a program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Attempt {
    pub(crate) key: String,
    pub(crate) attempt: u32,
    pub(crate) life: u32,
}

/// Kill one of the programs that an engine on this folder runs now, if there is one; `draw` says which.
pub(super) fn kill_one(data: &Path, draw: u64) -> Option<Killed> {
    let mut records: Vec<_> =
        fs::read_dir(data.join("processes")).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    records.retain(|path| path.extension().is_some_and(|kind| kind == "pgid"));
    records.sort_unstable();
    let first = usize::try_from(draw % records.len().max(1) as u64).unwrap_or(0);
    records.iter().cycle().skip(first).take(records.len()).find_map(|record| kill(record))
}

fn kill(record: &PathBuf) -> Option<Killed> {
    // `1 PGID START BOOT`; the leader has the number of its group.
    let written = fs::read_to_string(record).ok()?;
    let leader = Pid::from_raw(written.split_ascii_whitespace().nth(1)?.parse().ok()?)?;
    // From here on the number cannot be given to another without our knowing.
    let process = pidfd_open(leader, PidfdFlags::empty()).ok()?;
    let of = |what: &str| fs::read(format!("/proc/{}/{what}", leader.as_raw_nonzero())).ok();
    let killed = told(&of("cmdline")?, &of("environ")?)?;
    pidfd_send_signal(&process, Signal::KILL).ok()?;
    Some(killed)
}

/// What command line and environment say of a program of ours; nothing if it is none, or not yet one.
fn told(command: &[u8], environ: &[u8]) -> Option<Killed> {
    let words = |bytes: &[u8]| -> Vec<String> {
        bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    };
    let (command, environ) = (words(command), words(environ));
    let is_probe = match command.get(1)?.as_str() {
        "__program" => false,
        "__probe" => true,
        _ => return None,
    };
    let label = command.iter().skip_while(|word| *word != "--label").nth(1);
    let number = label.and_then(|label| label.split('/').next()?.strip_prefix('k')?.parse().ok());
    let call = environ.iter().find_map(|word| word.strip_prefix(CALL)?.strip_prefix('='))?;
    let Request::Call { call, .. } = serde_json::from_str(call).ok()? else { return None };
    Some(Killed { attempt: Attempt { key: call.key, attempt: call.attempt, life: call.life }, number, is_probe })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Call;

    #[test]
    fn a_program_is_known_by_what_it_was_started_with_and_nothing_else_is() {
        let [tool, key, call, label] = ["", "abc", "call_1", ""].map(str::to_owned);
        let call = Call { tool, key, call, label, attempt: 2, life: 3, epoch: 1, deaf: false };
        let call = serde_json::to_string(&Request::Call { call, at_ms: 5 }).unwrap();
        let environ = format!("PATH=/bin\0{CALL}={call}\0");
        let command = b"/proc/7/exe\0__program\0--socket\0/s\0--tool\0idem\0--label\0k12/run/again\0";
        let killed = told(command, environ.as_bytes()).unwrap();
        assert_eq!(killed.attempt, Attempt { key: "abc".to_owned(), attempt: 2, life: 3 });
        assert_eq!((killed.number, killed.is_probe), (Some(12), false));
        assert_eq!(told(b"/bin/sh\0-c\0sleep 1\0", environ.as_bytes()), None);
        assert_eq!(told(command, b"PATH=/bin\0"), None);
    }
}
