//! The folder that everything happens in, and the victim that works in it.
//!
//! **Invariant:** [`Stage::clear`] returns when the victim is dead and waited for; only then the folder goes.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::mpsc::{UnboundedReceiver, UnboundedSender},
    task::JoinSet,
};

use crate::wire::{Order, Said};

/// A start takes a segment of the journal and a reserve for a full disk; history comes on top, with every run.
const ROOM_MIN: u64 = 256 << 20;
/// This very program, also when its file was replaced or removed meanwhile.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// How often a folder is tried to be removed into which something may still write its last file.
const REMOVALS: u32 = 100;
const REMOVE_AGAIN: Duration = Duration::from_millis(20);

/// Where it happens.
pub(crate) struct Stage {
    folder: TempDir,
    victim: Option<Victim>,
}

struct Victim {
    process: Child,
    /// Bounded by what is open.
    orders: UnboundedSender<String>,
    /// Ends with the victim.
    _writer: JoinSet<()>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Stage {
    /// A new folder in `dir`, or in the system's place for temporary files.
    pub(crate) fn new(dir: Option<&Path>) -> anyhow::Result<Self> {
        let dir = dir.map_or_else(std::env::temp_dir, Path::to_path_buf);
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot use --dir {}", dir.display()))?;
        // The victim opens files by this path, from wherever it is.
        let dir = dir.canonicalize().with_context(|| format!("cannot use --dir {}", dir.display()))?;
        let room = room_in(&dir).with_context(|| format!("cannot tell how much room {} has", dir.display()))?;
        ensure!(
            room >= ROOM_MIN,
            "{} has {} MiB free, and this needs {} MiB and more for every run; choose another --dir",
            dir.display(),
            room >> 20,
            ROOM_MIN >> 20
        );
        ensure!(
            Path::new(THIS_PROGRAM).exists(),
            "the engine is started from {THIS_PROGRAM}, and this machine has no /proc"
        );
        let folder = tempfile::Builder::new().prefix("headframe-soak-").tempdir_in(&dir);
        let folder = folder.with_context(|| format!("cannot make a folder in {}", dir.display()))?;
        Ok(Self { folder, victim: None })
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Bytes that may still be written there.
    pub(crate) fn room(&self) -> anyhow::Result<u64> {
        Ok(room_in(self.folder.path())?)
    }

    /// Start a victim; it says that it is up later.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(self.log()).context("cannot open the victim's log")?;
        let mut command = Command::new(THIS_PROGRAM);
        command.arg0(env!("CARGO_PKG_NAME")).args(["__victim", "--parent", &std::process::id().to_string(), "--data"]);
        command.arg(self.data()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut process = command.spawn().context("cannot start the engine")?;
        let stdin = process.stdin.take().context("the engine has no stdin")?;
        let stdout = process.stdout.take().context("the engine has no stdout")?;
        let (orders, written) = tokio::sync::mpsc::unbounded_channel();
        let mut writer = JoinSet::new();
        writer.spawn(write(stdin, written));
        self.victim = Some(Victim { process, orders, _writer: writer, lines: BufReader::new(stdout).lines() });
        Ok(())
    }

    /// The process that can be looked at.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.victim.as_ref().and_then(|victim| victim.process.id())
    }

    /// What it says next; nothing once it has closed its end, and nothing ever while there is none.
    pub(crate) async fn hear(&mut self) -> anyhow::Result<Option<Said>> {
        let Some(victim) = &mut self.victim else { return std::future::pending().await };
        let Some(line) = victim.lines.next_line().await? else { return Ok(None) };
        serde_json::from_str(&line).with_context(|| format!("the engine's process said `{line}`")).map(Some)
    }

    /// It is written beside: whoever waits for a pipe does not listen, and a victim that is not listened to does not read.
    pub(crate) fn tell(&mut self, orders: &[Order]) -> anyhow::Result<()> {
        let Some(victim) = &mut self.victim else { return Ok(()) };
        let mut text = String::new();
        for order in orders {
            text.push_str(&serde_json::to_string(order)?);
            text.push('\n');
        }
        if !text.is_empty() {
            // A victim that does not read any more has closed its other end as well, which is heard next.
            let _ = victim.orders.send(text);
        }
        Ok(())
    }

    /// Kill it; returns what it had said before.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<Vec<Said>> {
        let Some(mut victim) = self.victim.take() else { return Ok(Vec::new()) };
        victim.process.kill().await.context("cannot kill the engine's process")?;
        let mut heard = Vec::new();
        // The last line may be cut off, and was then never said.
        while let Ok(Some(line)) = victim.lines.next_line().await {
            heard.extend(serde_json::from_str::<Said>(&line));
        }
        Ok(heard)
    }

    /// Wait for the end of a victim that was asked to end, and says how it ended.
    pub(crate) async fn wait(&mut self) -> anyhow::Result<String> {
        let Some(mut victim) = self.victim.take() else { return Ok("was not there".to_owned()) };
        let status = victim.process.wait().await?;
        Ok(format!("{status}; {}", self.last_words()))
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("victim.log")
    }

    /// The end of what victims wrote to stderr.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// What victims said of panics: actors survive them, but nobody asked for any.
    pub(crate) fn panics(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let panics = lines.windows(2).filter(|pair| pair[0].contains("panicked at"));
        panics.map(|pair| pair.join(" ")).take(5).collect()
    }

    /// Kill and wait, if there still is one.
    pub(crate) async fn clear(&mut self) {
        if let Some(mut victim) = self.victim.take() {
            // Fails when it is dead already.
            let _ = victim.process.kill().await;
        }
    }

    /// Remove the folder.
    pub(crate) fn leave(self) {
        let path = self.folder.keep();
        let gone = (0..REMOVALS).any(|tried| {
            if tried > 0 {
                std::thread::sleep(REMOVE_AGAIN);
            }
            std::fs::remove_dir_all(&path).is_ok() || !path.exists()
        });
        if !gone {
            eprintln!("warning: {} is left behind; remove it", path.display());
        }
    }
}

async fn write(mut stdin: ChildStdin, mut orders: UnboundedReceiver<String>) {
    while let Some(text) = orders.recv().await {
        if stdin.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn room_in(dir: &Path) -> std::io::Result<u64> {
    let found = rustix::fs::statvfs(dir)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
