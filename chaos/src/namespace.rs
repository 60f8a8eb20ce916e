//! A place of one's own to mount in, for those who are not root: a new user and mount namespace, for us and our children.
//!
//! The program begins again inside it, as the same process. What is mounted there nobody else sees, and it goes with the
//! last of us, however we end.

use std::{env, os::unix::process::CommandExt as _, path::Path, process::Command};

/// Set inside: why there is none, or nothing.
const INSIDE: &str = "HEADFRAME_CHAOS_NAMESPACE";

/// Begin again inside, if that is permitted. Returns inside, or with the reason why it is not.
pub(crate) fn enter() -> Result<(), String> {
    if env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    let tried = Command::new("unshare").args(["-Urm", "true"]).output();
    let tried = tried.map_err(|error| format!("`unshare` cannot be run: {error}"))?;
    if !tried.status.success() {
        let why = String::from_utf8_lossy(&tried.stderr).trim().to_owned();
        return Err(format!("nothing can be mounted here: {why}"));
    }
    let exe = env::current_exe().map_err(|error| format!("this program cannot be found: {error}"))?;
    if !Path::new(&exe).exists() {
        return Err(format!("this program is not at {} any more", exe.display()));
    }
    let error =
        Command::new("unshare").arg("-Urm").arg("--").arg(exe).args(env::args_os().skip(1)).env(INSIDE, "1").exec();
    Err(format!("`unshare` cannot be run: {error}"))
}
