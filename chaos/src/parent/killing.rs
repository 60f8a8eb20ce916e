//! One life after the other: feed the victim, listen, strike it, kill it when its time has come.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use headframe::clock::monotonic;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncWriteExt as _;

use super::{
    chronicle::Chronicle,
    client::Client,
    programs::{self, Attempt},
    stage::{Stage, Victim},
};
use crate::{
    args::Birth,
    damage,
    fault::{Fault, Faults},
    look,
    oracle::{Findings, Invariant, Violation},
    random::Dice,
    schedule::{Death, Life, Strike},
    victim::{Order, Said, clock},
};

/// A start that takes longer has failed.
const START_MAX: Duration = Duration::from_secs(60);
/// A victim whose disk has room again must have gone on by then.
const RESUME_MAX: Duration = Duration::from_secs(30);
/// And then it works for at least so long.
const AFTERWARDS: Duration = Duration::from_millis(60);
/// The faults that a victim deals out itself.
const WITHIN: [Fault; 2] = [Fault::Actors, Fault::Hangs];

/// What was counted on the way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Lives that died before they gave any answer.
    pub(crate) unanswered: u64,
    /// Looks into the folder of a dead victim.
    pub(crate) looks: u32,
    /// Submissions that were put off because the disk was full.
    pub(crate) put_off: u64,
    /// Stores that closed because the disk was full, and were opened again.
    pub(crate) reopened: u64,
    pub(crate) chronicle: Chronicle,
    /// Calls whose program was killed.
    pub(crate) programs: BTreeSet<Attempt>,
    /// Runs one of whose programs was killed, and when.
    struck_runs: BTreeMap<u64, Instant>,
}

/// The client, what strikes it, and what was counted.
pub(super) struct Killing {
    pub(super) client: Client,
    pub(super) tally: Tally,
    findings: Findings,
    faults: Faults,
    /// How far the victim's wall clock is ahead of the machine's.
    ahead_ms: i64,
    /// The latest time that a life may have written down.
    latest_ms: u64,
}

/// What is to be done to a victim, and when.
enum Act {
    Strike(Strike),
    /// It was stopped, and goes on.
    Continue,
    /// Its disk has room again.
    Free,
}

/// One life, seen from outside.
struct Living<'a> {
    life: &'a Life,
    born: Instant,
    dies: Option<Instant>,
    answered: bool,
    acts: VecDeque<(Instant, Act)>,
    /// What the next answer is a recovery from, and since when.
    suffers: Vec<(Fault, Instant)>,
    /// It may not die before it has gone on after a full disk.
    must_resume: bool,
}

impl Killing {
    pub(super) fn new(client: Client, faults: Faults) -> Self {
        Self { client, tally: Tally::default(), findings: Findings::default(), faults, ahead_ms: 0, latest_ms: 0 }
    }

    pub(super) fn done(self) -> (Client, Tally, Findings) {
        (self.client, self.tally, self.findings)
    }

    /// What the life is born into that nobody kills: the clock is right, and whoever hangs does so to the end.
    pub(super) fn last_birth(&self, number: u32) -> Birth {
        let faults = if self.faults.has(Fault::Hangs) { vec![Fault::Hangs] } else { Vec::new() };
        Birth { faults, ahead_ms: 0, ..self.birth(number) }
    }

    /// What the next life is born into.
    fn birth(&self, number: u32) -> Birth {
        Birth {
            life: number,
            faults: WITHIN.into_iter().filter(|fault| self.faults.has(*fault)).collect(),
            ahead_ms: self.ahead_ms,
            latest_ms: self.latest_ms,
            patient: false,
            small_files: false,
        }
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

    /// Let the victim be born, and live until its time has come.
    pub(super) async fn life(&mut self, stage: &mut Stage, number: u32, life: &Life) -> anyhow::Result<()> {
        if let Some(ahead_ms) = life.clock {
            self.set_clock(ahead_ms, "between lives");
        }
        if life.is_on_a_small_disk() {
            stage.move_to_a_small_disk()?;
        }
        let patient = life.is_on_a_small_disk();
        let birth = Birth { patient, small_files: life.small_files, ..self.birth(number) };
        let (born, born_ms) = (monotonic(), clock::machine_ms());
        stage.start_victim(self.client.seed, &birth)?;
        let dies = match life.death {
            Death::StartingUp(after) => Some(born + after),
            Death::AtWork(_) => None,
        };
        let suffers = life.clock.map(|_| (Fault::Clock, born));
        let mut living = Living {
            life,
            born,
            dies,
            answered: false,
            acts: VecDeque::new(),
            suffers: suffers.into_iter().chain([(Fault::Kill, born)]).collect(),
            must_resume: false,
        };
        // It stays on the stage, which waits for its end also when an interrupt drops us here.
        loop {
            match next(stage.victim()?, &living).await? {
                Next::Dies => {
                    if living.must_resume {
                        let what = format!("no answer within {RESUME_MAX:?} after a full disk had room again");
                        self.client.complain(Violation::lost(Invariant::I1, what));
                    }
                    break;
                }
                Next::Acts => self.act(stage, &mut living).await?,
                Next::Said(line) => {
                    let send = self.hear(&line, &mut living)?;
                    send_to(stage.victim()?, &send).await;
                }
                Next::Ended => {
                    let status = stage.victim()?.process.wait().await?;
                    bail!("the victim ended by itself, {status}: {}", stage.last_words());
                }
            }
        }
        self.kill(stage.victim()?, &mut living).await?;
        self.latest_ms = clock::latest(self.latest_ms, birth.ahead_ms, born_ms, clock::machine_ms());
        stage.victim = None;
        stage.move_back()?;
        if let Some(draw) = life.damage {
            self.damage(stage, draw).await.context("cannot damage a copy of the folder")?;
        }
        Ok(())
    }

    /// Kill it, and hear what it had said before.
    async fn kill(&mut self, victim: &mut Victim, living: &mut Living<'_>) -> anyhow::Result<()> {
        victim.process.kill().await.context("cannot kill the victim")?;
        let when = match living.life.death {
            Death::StartingUp(_) => "during start-up",
            Death::AtWork(_) => "at work",
        };
        self.tally.chronicle.struck(Fault::Kill, when);
        while let Ok(Some(line)) = victim.lines.next_line().await {
            // The last line may be cut off, and was then never said.
            if self.hear(&line, living).is_err() {
                break;
            }
        }
        self.tally.unanswered += u64::from(!living.answered);
        Ok(())
    }

    /// Do what is to be done now.
    async fn act(&mut self, stage: &mut Stage, living: &mut Living<'_>) -> anyhow::Result<()> {
        let Some((_, act)) = living.acts.pop_front() else { return Ok(()) };
        let chronicle = &mut self.tally.chronicle;
        match act {
            Act::Strike(Strike::KillProgram(draw)) => {
                if let Some(killed) = programs::kill_one(&stage.data_now(), draw) {
                    chronicle.struck(Fault::Programs, if killed.is_probe { "probe" } else { "program" });
                    self.tally.programs.insert(killed.attempt);
                    if let Some(number) = killed.number {
                        self.tally.struck_runs.entry(number).or_insert_with(monotonic);
                    }
                }
            }
            Act::Strike(Strike::SetClock(ahead_ms)) => {
                self.set_clock(ahead_ms, "within a life");
                living.suffers.push((Fault::Clock, monotonic()));
                send_to(stage.victim()?, &[Order::SetClock(ahead_ms)]).await;
            }
            Act::Strike(Strike::Stop(length)) => {
                chronicle.lasted(Fault::Stop, "stopped", length);
                signal(stage.victim()?, Signal::STOP)?;
                living.plan(length, Act::Continue);
                // One in four dies as it stands.
                if !length.subsec_micros().is_multiple_of(4) {
                    living.dies = living.dies.map(|dies| dies + length);
                }
            }
            Act::Continue => {
                signal(stage.victim()?, Signal::CONT)?;
                living.suffers.push((Fault::Stop, monotonic()));
            }
            Act::Strike(Strike::FillDisk(length)) => {
                stage.disk.as_ref().context("there is no small disk")?.fill()?;
                chronicle.lasted(Fault::FullDisk, "filled", length);
                // One in four dies while it is full.
                living.must_resume = !length.subsec_micros().is_multiple_of(4);
                living.plan(length, Act::Free);
            }
            Act::Free => {
                stage.disk.as_ref().context("there is no small disk")?.free()?;
                living.suffers.push((Fault::FullDisk, monotonic()));
            }
        }
        Ok(())
    }

    fn set_clock(&mut self, ahead_ms: i64, when: &str) {
        let which = if ahead_ms < 0 { "back" } else { "ahead" };
        let which = if ahead_ms == 0 { "right" } else { which };
        self.tally.chronicle.struck(Fault::Clock, &format!("{which}, {when}"));
        self.ahead_ms = ahead_ms;
    }

    fn hear(&mut self, line: &str, living: &mut Living<'_>) -> anyhow::Result<Vec<Order>> {
        let said: Said = serde_json::from_str(line).with_context(|| format!("the victim said `{line}`"))?;
        match &said {
            Said::Up => {
                living.is_up();
                return Ok(self.client.begin().into_iter().map(Order::Submit).collect());
            }
            Said::Acknowledged { .. } | Said::Ended { .. } => self.answered(&said, living),
            Said::Waits { .. } => self.tally.put_off += 1,
            // Where the disk was full it may, and is opened again.
            Said::Closed { .. } if living.life.is_on_a_small_disk() => {
                self.tally.reopened += 1;
                return Ok(Vec::new());
            }
            within => self.tally.hear(within),
        }
        Ok(self.client.hear(&said).into_iter().map(Order::Submit).collect())
    }

    fn answered(&mut self, said: &Said, living: &mut Living<'_>) {
        living.answered = true;
        for (fault, since) in living.suffers.drain(..) {
            self.tally.chronicle.healed(fault, since.elapsed());
            if fault == Fault::FullDisk {
                living.must_resume = false;
                living.dies = living.dies.max(Some(monotonic() + AFTERWARDS));
            }
        }
        if let Said::Ended { number, .. } = said {
            self.tally.ended(*number);
        }
    }

    /// Damage a copy of what the dead victim left, start on it, and judge what that says.
    async fn damage(&mut self, stage: &mut Stage, draw: u64) -> anyhow::Result<()> {
        let (data, copy) = (stage.data().to_owned(), stage.beside("damaged"));
        let target = copy.clone();
        let wound = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
            // A victim that died before it had a store left nothing to damage.
            if !data.join("HEAD").exists() {
                return Ok(None);
            }
            damage::copy(&data, &target)?;
            let wound = damage::choose(&target, &mut Dice::of(draw, 0))?;
            if let Some(wound) = &wound {
                wound.inflict(&target)?;
            }
            Ok(wound.map(|wound| (wound, damage::read(&data))))
        });
        if let Some((wound, was)) = wound.await?? {
            let was = was.context("cannot read the folder that is not damaged")?;
            let verdict = match stage.start_damaged(&copy).await? {
                Ok(started) => {
                    self.tally.chronicle.healed(Fault::Corrupt, Duration::from_micros(started.micros));
                    damage::judge(&was, &started, |last| damage::read_until(stage.data(), Some(last)).ok())
                }
                Err(why) => damage::Verdict::Silent(format!("the start died: {why}")),
            };
            self.tally.chronicle.struck(Fault::Corrupt, verdict.name());
            if let damage::Verdict::Silent(what) = verdict {
                self.findings.found(Violation::wrong(Invariant::I7, format!("{wound}: {what}")));
            }
        }
        match std::fs::remove_dir_all(&copy) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Tally {
    /// A run ended, and is over whatever its programs suffered.
    pub(crate) fn ended(&mut self, number: u64) {
        if let Some(since) = self.struck_runs.remove(&number) {
            self.chronicle.healed(Fault::Programs, since.elapsed());
        }
    }

    /// What a victim says of what it does to itself.
    pub(crate) fn hear(&mut self, said: &Said) {
        match said {
            Said::Struck { fault, what } => self.chronicle.struck(*fault, what),
            Said::Healed { fault, micros } => self.chronicle.healed(*fault, Duration::from_micros(*micros)),
            _ => {}
        }
    }
}

impl Living<'_> {
    fn is_up(&mut self) {
        let now = monotonic();
        if let Death::AtWork(after) = self.life.death {
            self.dies = Some(now + after);
        }
        self.acts = self.life.strikes.iter().map(|(after, strike)| (now + *after, Act::Strike(*strike))).collect();
    }

    /// Do this in so long.
    fn plan(&mut self, after: Duration, act: Act) {
        let at = monotonic() + after;
        let before = self.acts.partition_point(|(other, _)| *other <= at);
        self.acts.insert(before, (at, act));
    }

    /// When it dies; not before its disk was full and it went on.
    fn dies(&self) -> Option<Instant> {
        let waits =
            self.must_resume || self.acts.iter().any(|(_, act)| matches!(act, Act::Strike(Strike::FillDisk(_))));
        self.dies.map(|dies| if waits { dies + RESUME_MAX } else { dies })
    }
}

/// What comes next.
enum Next {
    Said(String),
    /// It closed its end.
    Ended,
    Acts,
    Dies,
}

async fn next(victim: &mut Victim, living: &Living<'_>) -> anyhow::Result<Next> {
    let dies = living.dies();
    let (ends, then) = match living.acts.front() {
        Some((at, _)) if dies.is_none_or(|dies| *at < dies) => (*at, Next::Acts),
        _ => (dies.unwrap_or(living.born + START_MAX), Next::Dies),
    };
    tokio::select! {
        biased;
        () = tokio::time::sleep_until(ends.into()) => match then {
            Next::Dies if dies.is_none() => bail!("the victim did not start within {START_MAX:?}"),
            then => Ok(then),
        },
        line = victim.lines.next_line() => Ok(line?.map_or(Next::Ended, Next::Said)),
    }
}

fn signal(victim: &Victim, signal: Signal) -> anyhow::Result<()> {
    let id = victim.process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    kill_process(id.context("the victim has ended")?, signal).context("cannot signal the victim")
}

async fn send_to(victim: &mut Victim, orders: &[Order]) {
    let line = |order| serde_json::to_string(order).map(|line| line + "\n").unwrap_or_default();
    let orders: String = orders.iter().map(line).collect();
    // A victim that does not read any more has closed its other end as well, which the next read tells.
    let _ = victim.stdin.write_all(orders.as_bytes()).await;
}
