//! Folder and children.
//!
//! **Invariant:** [`Stage::clear`] returns when every child is dead and waited for.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::args::Args;

/// The longest path of a Unix socket, without its final NUL.
const SOCKET_PATH_MAX: usize = 107;

/// Where everything happens.
pub(super) struct Stage {
    folder: Option<TempDir>,
    socket: PathBuf,
    data: PathBuf,
    log: PathBuf,
    recorder: Option<Child>,
    pub(super) victim: Option<Victim>,
}

/// A living victim.
pub(super) struct Victim {
    pub(super) process: Child,
    pub(super) stdin: ChildStdin,
    pub(super) lines: Lines<BufReader<ChildStdout>>,
}

impl Stage {
    /// Make the folder.
    pub(super) fn new(args: &Args) -> anyhow::Result<Self> {
        let dir = args.dir.clone().unwrap_or_else(std::env::temp_dir);
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot use --dir {}", dir.display()))?;
        // Children open files by these paths, from wherever they are.
        let dir = dir.canonicalize().with_context(|| format!("cannot use --dir {}", dir.display()))?;
        let folder = tempfile::Builder::new().prefix("headframe-chaos-").tempdir_in(&dir);
        let folder = folder.with_context(|| format!("cannot make a folder in {}", dir.display()))?;
        let socket = folder.path().join("recorder");
        let length = socket.as_os_str().len();
        ensure!(length <= SOCKET_PATH_MAX, "the path {socket:?} is too long for a socket; choose a shorter --dir");
        let (data, log) = (folder.path().join("data"), folder.path().join("victim.log"));
        Ok(Self { folder: Some(folder), socket, data, log, recorder: None, victim: None })
    }

    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Start the recorder; returns when it listens.
    pub(super) async fn start_recorder(&mut self) -> anyhow::Result<()> {
        let mut command = self.command("__recorder")?;
        let mut recorder = command.stdin(Stdio::null()).spawn().context("cannot start the recorder")?;
        let stdout = recorder.stdout.take().context("the recorder has no stdout")?;
        self.recorder = Some(recorder);
        let said = BufReader::new(stdout).lines().next_line().await?;
        ensure!(said.as_deref() == Some("listening"), "the recorder does not listen: {}", self.last_words());
        Ok(())
    }

    pub(super) fn start_victim(&mut self, seed: u64, life: u32, actors: bool) -> anyhow::Result<()> {
        let mut command = self.command("__victim")?;
        command.arg("--data").arg(&self.data).args(["--seed", &seed.to_string(), "--life", &life.to_string()]);
        if actors {
            command.arg("--actors");
        }
        let mut process = command.stdin(Stdio::piped()).spawn().context("cannot start a victim")?;
        let stdin = process.stdin.take().context("a victim has no stdin")?;
        let stdout = process.stdout.take().context("a victim has no stdout")?;
        self.victim = Some(Victim { process, stdin, lines: BufReader::new(stdout).lines() });
        Ok(())
    }

    fn command(&self, role: &str) -> anyhow::Result<Command> {
        let log = File::options().create(true).append(true).open(&self.log).context("cannot open the victims' log")?;
        let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
        command.arg(role).args(["--parent", &std::process::id().to_string(), "--socket"]).arg(&self.socket);
        command.stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        Ok(command)
    }

    /// The end of what children wrote to stderr.
    pub(super) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// What victims said of panics: the actors survive them, but nobody asked for any.
    pub(super) fn panics(&self) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let panics = lines.windows(2).filter(|pair| pair[0].contains("panicked at"));
        panics.map(|pair| pair.join(" ")).collect()
    }

    /// Kill and wait for all children.
    pub(super) async fn clear(&mut self) {
        let victim = self.victim.take().map(|victim| victim.process);
        for mut child in victim.into_iter().chain(self.recorder.take()) {
            // Fails when it is dead already.
            let _ = child.kill().await;
        }
    }

    /// Remove the folder, or say where it is.
    pub(super) fn leave(&mut self, keep: bool) {
        let Some(folder) = self.folder.take() else { return };
        if keep {
            eprintln!("kept {}", folder.keep().display());
        } else if let Err(error) = folder.close() {
            eprintln!("warning: the working folder is left behind: {error}");
        }
    }
}
