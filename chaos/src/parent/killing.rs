//! One life after the other: feed the victim, listen, kill it when its time has come.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use headframe::clock::monotonic;
use tokio::io::AsyncWriteExt as _;

use super::{
    client::Client,
    stage::{Stage, Victim},
};
use crate::{look, oracle::Findings, schedule::Death, victim::Said};

/// A start that takes longer has failed.
const START_MAX: Duration = Duration::from_secs(60);

/// What was counted on the way.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// Lives that died before they gave any answer.
    pub(crate) unanswered: u64,
    pub(crate) hosts_killed: u64,
    pub(crate) tools_killed: u64,
    /// Looks into the folder of a dead victim.
    pub(crate) looks: u32,
    /// From spawn to first answer, in microseconds.
    pub(crate) recovery: Histogram<u64>,
}

/// The client and what was counted.
pub(super) struct Killing {
    pub(super) client: Client,
    tally: Tally,
    findings: Findings,
}

/// One life, seen from outside.
struct Life {
    born: Instant,
    dies: Option<Instant>,
    answered: bool,
}

impl Killing {
    pub(super) fn new(client: Client) -> Self {
        let recovery =
            Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("an hour in microseconds, to three digits");
        let tally = Tally { unanswered: 0, hosts_killed: 0, tools_killed: 0, looks: 0, recovery };
        Self { client, tally, findings: Findings::default() }
    }

    pub(super) fn done(self) -> (Client, Tally, Findings) {
        (self.client, self.tally, self.findings)
    }

    /// Look at what the dead victim left, if anybody was ever told of anything.
    pub(super) async fn look(&mut self, stage: &Stage) -> anyhow::Result<()> {
        let (data, known) = (stage.data().to_owned(), look::known(&self.client));
        if !known.is_empty() {
            let look = move || look::after_a_kill(&data, &known);
            let findings = tokio::task::spawn_blocking(look).await?.context("cannot read what the dead victim left")?;
            self.findings.add(findings);
            self.tally.looks += 1;
        }
        Ok(())
    }

    /// Let the victim live until its time has come.
    pub(super) async fn life(&mut self, stage: &mut Stage, death: Death) -> anyhow::Result<()> {
        let born = monotonic();
        let dies = match death {
            Death::StartingUp(after) => Some(born + after),
            Death::AtWork(_) => None,
        };
        let mut life = Life { born, dies, answered: false };
        // It stays on the stage, which waits for its end also when an interrupt drops us here.
        while let Some(line) = next_line(stage.victim()?, &life).await? {
            let Some(line) = line else {
                let status = stage.victim()?.process.wait().await?;
                bail!("the victim ended by itself, {status}: {}", stage.last_words());
            };
            let send = self.hear(&line, &mut life, death)?;
            send_to(stage.victim()?, &send).await;
        }
        self.kill(stage.victim()?, &mut life, death).await?;
        stage.victim = None;
        Ok(())
    }

    /// Kill it, and hear what it had said before.
    async fn kill(&mut self, victim: &mut Victim, life: &mut Life, death: Death) -> anyhow::Result<()> {
        victim.process.kill().await.context("cannot kill the victim")?;
        while let Ok(Some(line)) = victim.lines.next_line().await {
            // The last line may be cut off, and was then never said.
            if self.hear(&line, life, death).is_err() {
                break;
            }
        }
        self.tally.unanswered += u64::from(!life.answered);
        Ok(())
    }

    fn hear(&mut self, line: &str, life: &mut Life, death: Death) -> anyhow::Result<Vec<u64>> {
        let said: Said = serde_json::from_str(line).with_context(|| format!("the victim said `{line}`"))?;
        match &said {
            Said::Up => {
                if let Death::AtWork(after) = death {
                    life.dies = Some(monotonic() + after);
                }
                return Ok(self.client.begin());
            }
            Said::Killed { hosts, tools } => {
                self.tally.hosts_killed += hosts;
                self.tally.tools_killed += tools;
            }
            Said::Acknowledged { .. } | Said::Ended { .. } if !life.answered => {
                life.answered = true;
                let micros = u64::try_from(life.born.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.tally.recovery.saturating_record(micros);
            }
            _ => {}
        }
        Ok(self.client.hear(&said).into_iter().collect())
    }
}

/// The next line, `Some(None)` when the victim closed its end, or nothing when its time has come.
async fn next_line(victim: &mut Victim, life: &Life) -> anyhow::Result<Option<Option<String>>> {
    let dies = life.dies.unwrap_or(life.born + START_MAX);
    tokio::select! {
        biased;
        () = tokio::time::sleep_until(dies.into()) => match life.dies {
            Some(_) => Ok(None),
            None => bail!("the victim did not start within {START_MAX:?}"),
        },
        line = victim.lines.next_line() => Ok(Some(line?)),
    }
}

async fn send_to(victim: &mut Victim, numbers: &[u64]) {
    let orders: String = numbers.iter().map(|number| format!("{number}\n")).collect();
    // A victim that does not read any more has closed its other end as well, which the next read tells.
    let _ = victim.stdin.write_all(orders.as_bytes()).await;
}
