//! The verb of our own binary that stands between fork and exec.
//!
//! What a program must be given before it runs (a session, a death signal, limits) cannot be set from outside without
//! `pre_exec`, which is unsafe. So our own binary is started instead; it sets all that on itself, writes the record of
//! its process group, and becomes the program.
//!
//! **Invariant:** before the program runs, its record is written and its parent's death kills it. **Invariant:** if the
//! program cannot be run, the record says so, and nothing else happened.

use std::{
    ffi::OsString,
    fmt, io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, exit},
};

use rustix::process::{Resource, Rlimit, getpid, getppid, setrlimit, setsid};

use super::group::Record;

/// The verb: `argv[1]` of a process that is to call [`launcher_main`].
pub const LAUNCH: &str = "__launch";

/// What the launcher leaves with when the program cannot be run, as shells do.
pub(super) const REFUSED: i32 = 127;

/// A resource limit that a task may set.
pub(super) struct Limit {
    pub(super) name: &'static str,
    resource: Resource,
}

/// Every limit; what each one means is in `setrlimit(2)`.
pub(super) const LIMITS: &[Limit] = &[
    Limit { name: "cpu_s", resource: Resource::Cpu },
    Limit { name: "memory_bytes", resource: Resource::As },
    Limit { name: "file_bytes", resource: Resource::Fsize },
    Limit { name: "open_files", resource: Resource::Nofile },
    Limit { name: "processes", resource: Resource::Nproc },
];

/// A command that starts a program through the launcher.
pub(super) fn command(
    launcher: &Path,
    record: &Record,
    limits: &[(&'static Limit, u64)],
    program: &Path,
    argv: &[OsString],
) -> Command {
    let limits: Vec<_> = limits.iter().map(|(limit, most)| format!("{}={most}", limit.name)).collect();
    let mut command = Command::new(launcher);
    command.arg(LAUNCH).arg(getpid().to_string()).arg(record.path()).arg(limits.join(",")).arg(program).args(argv);
    command
}

/// Become the program that the arguments name. `args` are what follows [`LAUNCH`]. Never returns: it replaces the
/// process, or ends it.
///
/// Call it first thing in `main`:
/// ```no_run
/// let mut args = std::env::args_os().skip(1);
/// if args.next().is_some_and(|verb| verb == headframe::tools::LAUNCH) {
///     headframe::tools::launcher_main(args);
/// }
/// ```
pub fn launcher_main(args: impl IntoIterator<Item = OsString>) -> ! {
    let mut args = args.into_iter();
    if let (Some(parent), Some(record)) = (args.next(), args.next()) {
        let record = Record::at(PathBuf::from(record));
        let error = become_program(&parent, &record, args);
        // A launcher without its parent, or without a record, has nobody to tell.
        let _ = record.refuse(&error);
    }
    exit(REFUSED)
}

fn become_program(parent: &OsString, record: &Record, mut args: impl Iterator<Item = OsString>) -> String {
    let (Some(limits), Some(program), Some(name)) = (args.next(), args.next(), args.next()) else {
        return "the launcher was given too few arguments; is it the same version as the engine?".to_owned();
    };
    if let Err(error) = settle(parent).and_then(|()| apply(&limits.to_string_lossy())) {
        return error;
    }
    if let Err(error) = record.write(getpid()) {
        return format!("cannot write {}: {error}", record.path().display());
    }
    let error = Command::new(&program).arg0(name).args(args).exec();
    format!("cannot run {}: {error}", Path::new(&program).display())
}

/// A session of its own: no terminal, and signals of the caller's terminal pass it by.
fn settle(parent: &OsString) -> Result<(), String> {
    setsid().map_err(failed("start a session"))?;
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(failed("ask for a death signal"))?;
    // The parent may have died before the signal was asked for.
    let now = getppid().map_or(0, |pid| pid.as_raw_pid());
    if parent.to_string_lossy() == now.to_string() { Ok(()) } else { Err("the engine is gone".to_owned()) }
}

fn apply(limits: &str) -> Result<(), String> {
    for written in limits.split(',').filter(|written| !written.is_empty()) {
        let known = written.split_once('=').and_then(|(name, most)| {
            Some((LIMITS.iter().find(|limit| limit.name == name)?, most.parse::<u64>().ok()?))
        });
        let (limit, most) = known.ok_or_else(|| format!("`{written}` is no limit"))?;
        let both = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(limit.resource, both).map_err(failed(format!("set the limit {written}")))?;
    }
    Ok(())
}

fn failed(doing: impl fmt::Display) -> impl FnOnce(rustix::io::Errno) -> String {
    move |error| format!("cannot {doing}: {}", io::Error::from(error))
}
