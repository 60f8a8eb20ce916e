//! Folder and children.
//!
//! **Invariant:** [`Stage::clear`] returns when every child is dead and waited for.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::ValueEnum as _;
use headframe_stage::Ground;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
};

use super::disk::SmallDisk;
use crate::{
    args::{Args, Birth, Mutant},
    damage::Started,
    victim::Place,
    workload::Programs,
};

/// The longest path of a Unix socket, without its final NUL.
const SOCKET_PATH_MAX: usize = 107;

/// With less than this the door of an engine closes, which would look like a broken promise.
const ROOM_LEFT: u64 = 64 << 20;
/// A start on a damaged folder that takes longer hangs.
const STARTER_MAX: Duration = Duration::from_secs(60);

/// Where everything happens.
pub(super) struct Stage {
    ground: Ground,
    socket: PathBuf,
    data: PathBuf,
    recorder: Option<Child>,
    pub(super) victim: Option<Victim>,
    starter: Option<Child>,
    /// Where the data is for one life.
    pub(super) disk: Option<SmallDisk>,
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
        let ground = Ground::new(args.dir.as_deref(), env!("CARGO_PKG_NAME"), "")?;
        let socket = ground.path().join("recorder");
        let length = socket.as_os_str().len();
        ensure!(length <= SOCKET_PATH_MAX, "the path {socket:?} is too long for a socket; choose a shorter --dir");
        let data = ground.path().join("data");
        Ok(Self { ground, socket, data, recorder: None, victim: None, starter: None, disk: None })
    }

    /// An engine without room refuses what it is sent, as it should; that would prove nothing.
    pub(super) fn has_room(&self) -> anyhow::Result<()> {
        let (room, place) = (self.ground.room()?, self.ground.path().display());
        ensure!(room >= ROOM_LEFT, "only {} MiB are free in {place}; choose a larger --dir", room >> 20);
        Ok(())
    }

    /// Where the victim's data is between its lives.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// Where it is now.
    pub(super) fn data_now(&self) -> PathBuf {
        self.disk.as_ref().map_or_else(|| self.data.clone(), SmallDisk::folder)
    }

    /// A folder beside the data that nobody has made yet.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.data.with_file_name(name)
    }

    /// Where the last life, which nobody kills, works: in this process.
    pub(super) fn place(&self) -> Place {
        let programs = Programs::of(rustix::process::getpid().as_raw_nonzero().get(), self.socket.clone());
        Place { data: self.data.clone(), programs }
    }

    /// The data moves to a small disk for one life.
    pub(super) fn move_to_a_small_disk(&mut self) -> anyhow::Result<()> {
        self.disk = Some(SmallDisk::with(&self.beside("disk"), &self.data)?);
        Ok(())
    }

    /// It comes back.
    pub(super) fn move_back(&mut self) -> anyhow::Result<()> {
        self.disk.take().map_or(Ok(()), |disk| disk.give_back(&self.data))
    }

    /// Start on a damaged copy, in a process of its own; or say how that died.
    pub(super) async fn start_damaged(&mut self, copy: &Path) -> anyhow::Result<Result<Started, String>> {
        // A log of its own: that of victims is searched for panics nobody asked for.
        let log = self.beside("starter.log");
        let mut command = self.ground.command("__starter")?;
        command.arg("--data").arg(copy).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        // It stays on the stage, which waits for its end also when an interrupt drops us here.
        let starter = self.starter.insert(command.spawn().context("cannot start on a damaged folder")?);
        let mut stdout = starter.stdout.take().context("a starter has no stdout")?;
        let mut said = String::new();
        let ended = async {
            stdout.read_to_string(&mut said).await?;
            starter.wait().await
        };
        let Ok(status) = tokio::time::timeout(STARTER_MAX, ended).await else {
            return Ok(Err(format!("it did not end within {STARTER_MAX:?}")));
        };
        let status = status?;
        self.starter = None;
        let why = |_| format!("{status}: {}", std::fs::read_to_string(&log).unwrap_or_default().trim());
        Ok(serde_json::from_str(&said).map_err(why))
    }

    /// Start the recorder; returns when it listens.
    pub(super) async fn start_recorder(&mut self, mutant: Option<Mutant>) -> anyhow::Result<()> {
        let mut command = self.ground.command("__recorder")?;
        command.arg("--socket").arg(&self.socket);
        let named = mutant.and_then(|mutant| mutant.to_possible_value());
        named.iter().for_each(|mutant| _ = command.args(["--mutant", mutant.get_name()]));
        let mut recorder =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start the recorder")?;
        let stdout = recorder.stdout.take().context("the recorder has no stdout")?;
        self.recorder = Some(recorder);
        let said = BufReader::new(stdout).lines().next_line().await?;
        ensure!(said.as_deref() == Some("listening"), "the recorder does not listen: {}", self.last_words());
        Ok(())
    }

    pub(super) fn start_victim(&mut self, seed: u64, birth: &Birth) -> anyhow::Result<()> {
        let mut command = self.ground.command("__victim")?;
        command.arg("--socket").arg(&self.socket).arg("--data").arg(self.data_now());
        command.arg(format!("--seed={seed}")).arg(format!("--life={}", birth.life));
        command.arg(format!("--ahead-ms={}", birth.ahead_ms)).arg(format!("--latest-ms={}", birth.latest_ms));
        command.args(birth.faults.iter().map(|fault| format!("--faults={}", fault.name())));
        let flags = [("--patient", birth.patient), ("--small-files", birth.small_files)];
        command.args(flags.iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag));
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start a victim")?;
        let stdin = process.stdin.take().context("a victim has no stdin")?;
        let stdout = process.stdout.take().context("a victim has no stdout")?;
        self.victim = Some(Victim { process, stdin, lines: BufReader::new(stdout).lines() });
        Ok(())
    }

    pub(super) fn victim(&mut self) -> anyhow::Result<&mut Victim> {
        self.victim.as_mut().context("there is no victim")
    }

    /// The end of what children wrote to stderr.
    pub(super) fn last_words(&self) -> String {
        self.ground.last_words()
    }

    /// What victims said of panics.
    pub(super) fn panics(&self) -> Vec<String> {
        self.ground.panics()
    }

    /// Kill and wait for all children; also one that was stopped. Then nobody uses the small disk any more.
    pub(super) async fn clear(&mut self) {
        let victim = self.victim.take().map(|victim| victim.process);
        for mut child in victim.into_iter().chain(self.starter.take()).chain(self.recorder.take()) {
            // Fails when it is dead already.
            let _ = child.kill().await;
        }
        if let Some(Err(error)) = self.disk.take().map(|disk| disk.give_back(&self.data)) {
            eprintln!("warning: {error:#}");
        }
    }

    /// Remove the folder, or say where it is.
    pub(super) fn leave(self, keep: bool) {
        self.ground.leave(keep);
    }
}
