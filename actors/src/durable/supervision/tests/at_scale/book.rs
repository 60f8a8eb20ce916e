//! What a supervisor wanted and was told, and what follows from its rules.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{super::bench::spec, Word};
use crate::durable::supervision::{
    AutoShutdown, ChildId, ChildSpec, Exit, Happened, Policy, Report, Restart, RestartLog, Shutdown, Strategy,
    child::{Key, Slot},
    event::{Action, Command, Event, Ticket},
    state::State,
};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// Nothing takes more steps to come to an end.
const STEPS_MAX: u32 = 10_000;
const MINUTE_MS: u64 = 60_000;

type Wrong = Result<(), String>;

/// How a child's life goes, as whoever carries out knows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Carried {
    Starting,
    Up,
    Told,
}

pub(super) struct Book {
    state: State,
    policy: Policy,
    now: Duration,
    lives: BTreeMap<Key, Carried>,
    incarnations: u64,
    asked: BTreeSet<Ticket>,
    next_ticket: Ticket,
    /// Failures that were counted: of whom, and when. Together, unless the supervisor is dynamic.
    failures: Vec<(Option<Slot>, Duration)>,
    /// Nobody starts a child again before.
    not_before: BTreeMap<Slot, Duration>,
    log: RestartLog,
    recorded: BTreeMap<ChildId, Vec<(u64, u64)>>,
    restarts: BTreeMap<ChildId, u64>,
    seen: BTreeMap<&'static str, u64>,
}

fn child(word: u8, more: u8, policy: &Policy) -> ChildSpec {
    let name = NAMES[usize::from(word) % NAMES.len()];
    let restart = [Restart::Permanent, Restart::Transient, Restart::Temporary][usize::from(more) % 3];
    let shutdown = match more / 3 % 3 {
        0 => Shutdown::BrutalKill,
        1 => Shutdown::Within(Duration::from_secs(2)),
        _ => Shutdown::Infinity,
    };
    let spec = spec(name, restart).shutdown(shutdown);
    let may_be = policy.auto_shutdown != AutoShutdown::Never && restart != Restart::Permanent;
    if may_be && more >= 128 { spec.significant() } else { spec }
}

impl Book {
    pub(super) fn begin(policy: Policy) -> Result<Self, String> {
        let children = if policy.strategy == Strategy::Dynamic { 0 } else { 3 };
        let children = (0..children).map(|at| child(at, at * 40 + 3, &policy)).collect();
        let happened = ["started", "start failed", "restarting", "gave up", "ended", "answered", "refused", "killed"];
        let mut book = Self {
            state: State::new(policy, children).map_err(|error| error.to_string())?,
            policy,
            now: Duration::ZERO,
            lives: BTreeMap::new(),
            incarnations: 0,
            asked: BTreeSet::new(),
            next_ticket: 0,
            failures: Vec::new(),
            not_before: BTreeMap::new(),
            log: RestartLog::default(),
            recorded: BTreeMap::new(),
            restarts: BTreeMap::new(),
            seen: happened.into_iter().map(|what| (what, 0)).collect(),
        };
        book.step(Event::Woke)?;
        Ok(book)
    }

    pub(super) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.seen.iter().map(|(what, count)| (*what, *count))
    }

    pub(super) fn hear(&mut self, (what, who, wait_ms): Word) -> Wrong {
        self.pass(Duration::from_millis(u64::from(wait_ms) / 8))?;
        let some = |wanted: Carried, lives: &BTreeMap<Key, Carried>| {
            let keys: Vec<_> = lives.iter().filter(|(_, life)| **life == wanted).map(|(key, _)| *key).collect();
            (!keys.is_empty()).then(|| keys[usize::from(who) % keys.len()])
        };
        let name = || NAMES[usize::from(who) % NAMES.len()].into();
        match what % 16 {
            0..=3 => match some(Carried::Starting, &self.lives) {
                Some(key) => self.start_is_over(key, what % 16 != 3),
                None => Ok(()),
            },
            4..=7 => match some(Carried::Up, &self.lives) {
                Some(key) => self.ends(key, exit(what)),
                None => Ok(()),
            },
            8 | 9 => match some(Carried::Told, &self.lives) {
                Some(key) => self.ends(key, exit(what)),
                None => Ok(()),
            },
            10 => self.hears_what_never_was(who, what),
            11 => {
                let spec = child(who, what, &self.policy);
                self.ask(Command::Start(spec))
            }
            12 => self.ask(Command::Terminate(name())),
            13 => self.ask(Command::Restart(name())),
            14 => self.ask(Command::Delete(name())),
            _ if what > 250 => self.step(Event::Shutdown),
            _ => self.step(Event::Woke),
        }
    }

    /// Everybody does as told, and everything is over.
    pub(super) fn end(&mut self) -> Wrong {
        self.step(Event::Shutdown)?;
        for _ in 0..STEPS_MAX {
            let one = |wanted| self.lives.iter().find(|(_, life)| **life == wanted).map(|(key, _)| *key);
            match (one(Carried::Told), one(Carried::Starting)) {
                (Some(told), _) => self.ends(told, Exit::Normal)?,
                (None, Some(starting)) => self.start_is_over(starting, starting.incarnation.is_multiple_of(2))?,
                (None, None) => break,
            }
        }
        is(self.lives.is_empty(), || format!("nobody is told to end: {:?}", self.lives))?;
        is(self.state.has_ended(), || "the end is not reached".to_owned())?;
        is(self.state.next_alarm().is_none(), || "it wants to be woken after its end".to_owned())?;
        is(self.asked.is_empty(), || format!("nobody answered {:?}", self.asked))?;
        self.records_add_up()
    }

    fn start_is_over(&mut self, key: Key, is_up: bool) -> Wrong {
        if is_up {
            self.lives.insert(key, Carried::Up);
            return self.step(Event::Started(key));
        }
        self.lives.remove(&key);
        self.step(Event::StartFailed(key, "it would not".to_owned()))
    }

    fn ends(&mut self, key: Key, exit: Exit) -> Wrong {
        self.lives.remove(&key);
        self.step(Event::Exited(key, exit))
    }

    /// Of lives that are over, and of those that never were: all of it changes nothing.
    fn hears_what_never_was(&mut self, who: u8, what: u8) -> Wrong {
        let key = Key { slot: Slot(u64::from(who % 8)), incarnation: u64::from(what) };
        if self.lives.contains_key(&key) {
            return Ok(());
        }
        let events = [
            Event::Started(key),
            Event::StartFailed(key, "it never was".to_owned()),
            Event::Exited(key, Exit::Failed("it never was".to_owned())),
        ];
        // What is due by now is done first, so that nothing else is to be done.
        self.step(Event::Woke)?;
        for event in events {
            let actions = self.state.step(event.clone(), self.now);
            is(actions.is_empty(), || format!("{event:?}, which never was, led to {actions:?}"))?;
        }
        Ok(())
    }

    fn ask(&mut self, command: Command) -> Wrong {
        self.next_ticket += 1;
        self.asked.insert(self.next_ticket);
        if let Command::Terminate(id) = &command {
            // Its wait is called off, and when it is started again is another's decision.
            let slot = self.state.children().find(|(_, child)| child.spec.id == *id).map(|(slot, _)| slot);
            slot.map(|slot| self.not_before.remove(&slot));
        }
        self.step(Event::Asked(self.next_ticket, command))
    }

    /// Let time pass, and wake it whenever it wants to be woken.
    fn pass(&mut self, time: Duration) -> Wrong {
        let until = self.now + time;
        for _ in 0..STEPS_MAX {
            let Some(at) = self.state.next_alarm().filter(|at| *at <= until) else {
                self.now = until;
                return Ok(());
            };
            self.now = self.now.max(at);
            self.step(Event::Woke)?;
        }
        Err("an alarm rings for ever".to_owned())
    }

    fn step(&mut self, event: Event) -> Wrong {
        let is_asked = matches!(event, Event::Asked(..));
        let was_ending = self.state.cause().is_some();
        let slots: BTreeMap<_, _> = self.state.children().map(|(slot, child)| (child.spec.id.clone(), slot)).collect();
        for action in self.state.step(event, self.now) {
            match action {
                Action::Start(key, _) => self.start(key, is_asked, was_ending)?,
                Action::Stop(key) => self.told(key)?,
                Action::Kill(key) => {
                    self.count("killed");
                    self.told(key)?;
                }
                Action::Report(id, happened) => self.reported(&id, slots.get(&id).copied(), &happened)?,
                Action::Reply(ticket, answer) => {
                    self.count(if answer.is_ok() { "answered" } else { "refused" });
                    is(self.asked.remove(&ticket), || format!("{ticket} is answered twice: {answer:?}"))?;
                }
            }
        }
        if self.state.has_ended() {
            is(self.lives.is_empty(), || format!("it ended before {:?}", self.lives))?;
        }
        Ok(())
    }

    fn start(&mut self, key: Key, is_asked: bool, was_ending: bool) -> Wrong {
        is(!was_ending, || format!("{key:?} is started after the decision to end"))?;
        is(key.incarnation > self.incarnations, || format!("{key:?} is no new life"))?;
        self.incarnations = key.incarnation;
        let lives = self.lives.keys().any(|other| other.slot == key.slot);
        is(!lives, || format!("{key:?} is started beside its former life"))?;
        let not_before = self.not_before.remove(&key.slot).filter(|_| !is_asked);
        is(not_before.is_none_or(|at| self.now >= at), || format!("{key:?} is started before its wait is over"))?;
        self.lives.insert(key, Carried::Starting);
        Ok(())
    }

    fn told(&mut self, key: Key) -> Wrong {
        let life = self.lives.get_mut(&key).ok_or_else(|| format!("{key:?} does not live and is told to end"))?;
        *life = Carried::Told;
        Ok(())
    }

    fn reported(&mut self, id: &ChildId, slot: Option<Slot>, happened: &Happened) -> Wrong {
        match happened {
            Happened::Started { .. } => self.count("started"),
            Happened::StartFailed { .. } => self.count("start failed"),
            Happened::Exited { .. } => self.count("ended"),
            Happened::Restarting { after, .. } => {
                self.count("restarting");
                let slot = slot.ok_or_else(|| format!("{id} is restarted and was never there"))?;
                let counting = self.failed(slot);
                let most = self.policy.intensity.max_restarts as usize;
                is(counting <= most, || format!("{id} is restarted the {counting}th time, and {most} are borne"))?;
                let max = self.policy.backoff.max;
                is(*after <= max, || format!("{id} waits {after:?}, and {max:?} is the most"))?;
                let is_first = !self.restarts.contains_key(id);
                is(!is_first || after.is_zero(), || format!("the first restart of {id} waits {after:?}"))?;
                self.not_before.insert(slot, self.now + *after);
            }
            Happened::Escalated { ends_supervisor, .. } => {
                self.count("gave up");
                let slot = slot.ok_or_else(|| format!("{id} is given up and was never there"))?;
                let counting = self.failed(slot);
                let most = self.policy.intensity.max_restarts as usize;
                is(counting > most, || format!("{id} is given up at {counting} failures, and {most} are borne"))?;
                let is_dynamic = self.policy.strategy == Strategy::Dynamic;
                is(*ends_supervisor != is_dynamic, || format!("who ends with {id}?"))?;
            }
        }
        self.record(id, happened)
    }

    /// One more failure; how many count now, this one included.
    fn failed(&mut self, slot: Slot) -> usize {
        let of = (self.policy.strategy == Strategy::Dynamic).then_some(slot);
        self.failures.push((of, self.now));
        let counts =
            |(whose, at): &&(Option<Slot>, Duration)| *whose == of && self.now - *at <= self.policy.intensity.period;
        self.failures.iter().filter(counts).count()
    }

    fn record(&mut self, id: &ChildId, happened: &Happened) -> Wrong {
        let now_ms = u64::try_from(self.now.as_millis()).expect("not so late");
        if matches!(happened, Happened::Restarting { .. }) {
            *self.restarts.entry(id.clone()).or_default() += 1;
        }
        let report = Report { supervisor: "s".into(), child: id.clone(), happened: happened.clone() };
        let records = self.log.note(now_ms, &report).into_iter().chain(self.log.due(now_ms));
        for record in records.collect::<Vec<_>>() {
            let former = self.recorded.entry(record.child.clone()).or_default();
            let is_apart = former.last().is_none_or(|(at_ms, _)| now_ms - at_ms >= MINUTE_MS);
            is(is_apart, || format!("two records of {id} within a minute"))?;
            former.push((now_ms, record.count));
        }
        Ok(())
    }

    fn records_add_up(&mut self) -> Wrong {
        let mut counted: BTreeMap<ChildId, u64> = BTreeMap::new();
        for (id, records) in &self.recorded {
            counted.insert(id.clone(), records.iter().map(|(_, count)| count).sum());
        }
        for record in std::mem::take(&mut self.log).finish() {
            *counted.entry(record.child).or_default() += record.count;
        }
        is(counted == self.restarts, || format!("{counted:?} were written down, of {:?}", self.restarts))
    }

    fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }
}

fn exit(what: u8) -> Exit {
    match what / 16 % 6 {
        0 => Exit::Normal,
        1 => Exit::Asked,
        2 => Exit::Killed,
        3 => Exit::Shutdown,
        _ => Exit::Failed("it broke".to_owned()),
    }
}

fn is(holds: bool, wrong: impl FnOnce() -> String) -> Wrong {
    if holds { Ok(()) } else { Err(wrong()) }
}
