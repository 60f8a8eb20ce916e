//! A folder to run the program in, and what it told.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use headframe::durable::store::Local;
use serde_json::Value;
use tempfile::TempDir;

/// Nothing here takes longer, on the slowest machine.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// On a disk of its own.
    pub(super) fn on(disk: &Path) -> Self {
        Self(tempfile::tempdir_in(disk).unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        fs::create_dir(self.path(name)).unwrap();
        self.path(name)
    }

    /// What a file holds, nothing if it is not there.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A workflow of one task, whose output is its own.
    pub(crate) fn spec(&self, file: &str, tool: &str, with: &str, more: &str) {
        let text = format!(
            "headframe: 1\nname: w\nphases:\n  - name: a\n    tasks:\n      - name: t\n        tool: {tool}\n        with: {with}\n        {more}\noutput: \"{{{{ outputs.a.t }}}}\"\n"
        );
        fs::write(self.path(file), text).unwrap();
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headframe"));
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null());
        command.env_remove("HEADFRAME_DATA").env_remove("HEADFRAME_LOG").env_remove("HEADFRAME_LOG_FORMAT");
        command
    }

    /// Run it to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// The same with variables in its environment.
    pub(crate) fn run_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Output {
        self.command(args).envs(variables.iter().copied()).output().unwrap()
    }

    /// Start it; what it says goes into the file `stderr`.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.spawn(args, Stdio::null())
    }

    /// The same with its output in our hands.
    pub(crate) fn piped(&self, args: &[&str]) -> Child {
        self.spawn(args, Stdio::piped())
    }

    fn spawn(&self, args: &[&str], stdout: Stdio) -> Child {
        let stderr = File::create(self.path("stderr")).unwrap();
        self.command(args).stdout(stdout).stderr(stderr).spawn().unwrap()
    }

    /// Wait until something is no longer so; says whether the program still runs then.
    pub(crate) fn wait_while(&self, child: &mut Child, so: impl Fn() -> bool) -> bool {
        let start = headframe::clock::monotonic();
        while so() {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(start.elapsed() < DEADLINE, "it never came: {}", self.read("stderr"));
            std::thread::sleep(Duration::from_millis(5));
        }
        child.try_wait().unwrap().is_none()
    }

    pub(crate) fn interrupt(&self, child: &Child) {
        self.signal(child, "-INT");
    }

    pub(crate) fn signal(&self, child: &Child, signal: &str) {
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    }

    /// Records in the store, also while another process writes.
    pub(crate) fn records(&self) -> u64 {
        Local::check(&self.path(".headframe")).map_or(0, |checked| checked.records)
    }

    /// The files of the journal, in order.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.path(".headframe/journal")).unwrap().map(|entry| entry.unwrap().path());
        let mut segments: Vec<_> = files.filter(|path| path.extension().is_some_and(|is| is == "seg")).collect();
        segments.sort();
        segments
    }

    /// So many small files in a folder `tree`.
    pub(crate) fn tree(&self, files: usize) {
        let tree = self.folder("tree");
        (0..files).for_each(|at| fs::write(tree.join(format!("file {at}")), format!("{at}\n")).unwrap());
    }

    pub(crate) fn is_clean(&self) {
        let told = self.run(&["store", "verify"]);
        assert_eq!(code(&told), 0, "{}{}", stdout(&told), stderr(&told));
    }
}

pub(crate) fn code(told: &Output) -> i32 {
    told.status.code().unwrap()
}

pub(crate) fn stdout(told: &Output) -> String {
    String::from_utf8(told.stdout.clone()).unwrap()
}

pub(crate) fn stderr(told: &Output) -> String {
    String::from_utf8_lossy(&told.stderr).into_owned()
}

pub(crate) fn json(told: &Output) -> Value {
    serde_json::from_slice(&told.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", stdout(told), stderr(told)))
}

pub(crate) fn lines(told: &Output) -> Vec<Value> {
    stdout(told).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
