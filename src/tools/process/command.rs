//! From arguments to a command that can be started: environment, program, standard input.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use headframe_actors::{durable::Failure, tool::CallContext};

use super::{
    group::{COOKIE, Record},
    launcher,
    told::{Stdin, Told},
};
use crate::artifacts::Artifacts;

/// Where programs are looked for when no PATH is passed on.
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";

/// The command, complete but for its standard streams.
pub(super) fn prepare(
    told: &Told,
    cx: &CallContext,
    launcher: Option<&Path>,
    record: &Record,
) -> Result<Command, Failure> {
    let env = environment(told, cx);
    let program = find(told, &env)?;
    let mut command = match launcher {
        Some(launcher) => launcher::command(launcher, record, &told.limits, &program, &told.argv),
        None if told.limits.is_empty() => by_itself(&program, &told.argv),
        None => return Err(Failure::new("input", "`limits` need an engine that was built with a launcher")),
    };
    command.env_clear().envs(env);
    if let Some(cwd) = &told.cwd {
        if !cwd.is_dir() {
            return Err(Failure::new("spawn", format!("`cwd`: {} is not a folder", cwd.display())));
        }
        command.current_dir(cwd);
    }
    Ok(command)
}

fn by_itself(program: &Path, argv: &[OsString]) -> Command {
    let mut command = Command::new(program);
    command.arg0(&argv[0]).args(&argv[1..]).process_group(0);
    command
}

/// What is passed on, then what the task adds, then what we say about the call.
fn environment(told: &Told, cx: &CallContext) -> Vec<(OsString, OsString)> {
    let passed = told.env_allow.iter().filter_map(|name| Some((name.clone(), env::var_os(name)?)));
    let ours =
        [(COOKIE.into(), cx.key().to_string().into()), ("HEADFRAME_ATTEMPT".into(), cx.attempt().to_string().into())];
    passed.chain(told.env.iter().cloned()).chain(ours).collect()
}

/// The program's file: looked up here and not by exec, so that a missing one is known before anything is started.
fn find(told: &Told, env: &[(OsString, OsString)]) -> Result<PathBuf, Failure> {
    let name = &told.argv[0];
    if name.as_encoded_bytes().contains(&b'/') {
        let path = told.cwd.as_deref().unwrap_or(Path::new("")).join(name);
        let path = std::path::absolute(&path).unwrap_or(path);
        return if is_program(&path) { Ok(path) } else { Err(not_found(name, "is not an executable file")) };
    }
    let path = env.iter().rev().find(|(variable, _)| variable == "PATH").map(|(_, value)| value.as_os_str());
    let path = path.unwrap_or(OsStr::new(PATH_DEFAULT));
    let folders = env::split_paths(path).filter(|folder| folder.is_absolute());
    let found = folders.map(|folder| folder.join(name)).find(|file| is_program(file));
    found.ok_or_else(|| not_found(name, &format!("was not found in PATH ({})", Path::new(path).display())))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

fn not_found(name: &OsStr, what: &str) -> Failure {
    let name = Path::new(name).display();
    Failure::new("spawn", format!("`{name}` {what}: install it, or give its full path as `argv[0]`"))
}

/// A start that the system refused.
pub(super) fn refused(told: &Told, error: &io::Error) -> Failure {
    let hint = match error.kind() {
        io::ErrorKind::ArgumentListTooLong => ": pass the data through `stdin` instead of `argv`",
        io::ErrorKind::NotFound => ": its folder, or the launcher, has been removed",
        io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => ": the machine has no room for another process",
        _ => "",
    };
    Failure::new("spawn", format!("cannot start `{}`: {error}{hint}", Path::new(&told.argv[0]).display()))
}

/// A standard input: what to connect, and what is still to be written to it.
pub(super) struct Input {
    pub(super) stdio: Stdio,
    pub(super) bytes: Vec<u8>,
}

/// Open the standard input. An artifact is connected as a file; nothing is copied.
pub(super) fn stdin(told: &Stdin, artifacts: &Artifacts) -> Result<Input, Failure> {
    match told {
        Stdin::Nothing => Ok(Input { stdio: Stdio::null(), bytes: Vec::new() }),
        Stdin::Bytes(bytes) => Ok(Input { stdio: Stdio::piped(), bytes: bytes.clone() }),
        Stdin::Artifact(digest) => {
            let file =
                artifacts.open_file(*digest).map_err(|error| Failure::new("input", format!("`stdin`: {error}")))?;
            Ok(Input { stdio: file.into(), bytes: Vec::new() })
        }
    }
}
