//! The folder that everything happens in, and the victim that works in it.
//!
//! **Invariant:** [`Stage::clear`] returns when the victim is dead and waited for; only then the folder goes.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use headframe_stage::Ground;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
    sync::mpsc::{UnboundedReceiver, UnboundedSender},
    task::JoinSet,
};

use crate::wire::{Order, Said};

/// Most panics that are told.
const PANICS_MAX: usize = 5;

/// Where it happens.
pub(crate) struct Stage {
    ground: Ground,
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
        let ground = Ground::new(dir, env!("CARGO_PKG_NAME"), " and more for every run")?;
        Ok(Self { ground, victim: None })
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.ground.path().join("data")
    }

    /// Bytes that may still be written there.
    pub(crate) fn room(&self) -> anyhow::Result<u64> {
        self.ground.room()
    }

    /// Start a victim; it says that it is up later.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        let mut command = self.ground.command("__victim")?;
        command.arg("--data").arg(self.data()).stdin(Stdio::piped()).stdout(Stdio::piped());
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

    /// The end of what victims wrote to stderr.
    pub(crate) fn last_words(&self) -> String {
        self.ground.last_words()
    }

    /// What victims said of panics.
    pub(crate) fn panics(&self) -> Vec<String> {
        self.ground.panics().into_iter().take(PANICS_MAX).collect()
    }

    /// Kill and wait, if there still is one.
    pub(crate) async fn clear(&mut self) {
        if let Some(mut victim) = self.victim.take() {
            // Fails when it is dead already.
            let _ = victim.process.kill().await;
        }
    }

    /// Remove the folder, or say where it is.
    pub(crate) fn leave(self, keep: bool) {
        self.ground.leave(keep);
    }
}

async fn write(mut stdin: ChildStdin, mut orders: UnboundedReceiver<String>) {
    while let Some(text) = orders.recv().await {
        if stdin.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}
