//! A file system of its own for one test: so small that it fills up, and the test's to be made read-only.
//!
//! The test runs once more, alone in a process that may mount for itself and nobody else. That takes Linux, and a machine
//! that allows it; elsewhere the caller hears why not, and says that it skipped.
//!
//! **Invariant:** nobody outside sees the file system, and it goes with the process, however that ends.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

const FOLDER: &str = "HEADFRAME_SMALL_DISK";
const SCRIPT: &str = "mount -t tmpfs -o \"size=$1m\" none \"$0\" || exit 77; shift; exec \"$@\"";
/// How a test binary ends when a test failed.
const FAILED: i32 = 101;

/// Play a scene on a file system of so many MiB. `test` is the path of the test that calls this, as `module_path!` and its
/// name give it: it is run again in a process of its own, and plays the scene there.
///
/// # Errors
/// Why nothing could be mounted; nothing was played then.
///
/// # Panics
/// If the scene fails.
pub fn on_a_small_disk(mib: u32, test: &str, scene: impl FnOnce(&Path)) -> Result<(), String> {
    if let Some(folder) = env::var_os(FOLDER) {
        scene(Path::new(&folder));
        return Ok(());
    }
    let place = Place::new().map_err(|error| format!("no folder can be made: {error}"))?;
    let binary = env::current_exe().map_err(|error| format!("this binary cannot be found: {error}"))?;
    let (_, name) = test.split_once("::").ok_or_else(|| format!("`{test}` is not the path of a test"))?;
    let mut child = Command::new("unshare");
    child.args(["-Urm", "sh", "-c", SCRIPT]).arg(&place.0).arg(mib.to_string());
    child.arg(binary).args(["--exact", name, "--nocapture", "--include-ignored"]).env(FOLDER, &place.0);
    let told = child.output().map_err(|error| format!("`unshare` cannot be run: {error}"))?;
    let [out, err] = [&told.stdout, &told.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(told.status.code() != Some(FAILED), "{out}{err}");
    if !told.status.success() {
        return Err(format!("no file system can be mounted here: {}: {err}", told.status));
    }
    assert!(out.contains("1 passed"), "there is no test `{name}`: {out}");
    Ok(())
}

/// Let nobody write to the file system that holds the folder of a scene, or let everybody again.
///
/// # Panics
/// If the system refuses, which it does not where the scene could be mounted.
pub fn set_read_only(folder: &Path, read_only: bool) {
    let how = if read_only { "remount,ro" } else { "remount,rw" };
    let done = Command::new("mount").args(["-o", how]).arg(folder).output().expect("`mount` has made it");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// An empty folder to mount on.
struct Place(PathBuf);

impl Place {
    fn new() -> io::Result<Self> {
        let mut number = 0;
        loop {
            let path = env::temp_dir().join(format!("headframe-disk-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                made => return made.map(|()| Self(path)),
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It is empty: what was mounted on it was another's to see.
        let _ = fs::remove_dir(&self.0);
    }
}
