//! Who is asked, and what words mean.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    Word,
    model::{Model, Wrong, is},
};
use crate::{
    durable::{
        accepted::{Accepted, Commit, Entrance, Receipt, Refused},
        behavior::Rejection,
        call::{Effect, Failure, Key, Outcome, Request, Verdict},
        codec,
        entry::Body,
        id::{ActorId, CallId, Sequence},
        live::Live,
        outbox::{Outbox, TimerChange},
        record::{FORMAT, Note, Record},
        sim::{comparable, seal_record},
    },
    json::Json,
};

const ROOTS: u64 = 3;
const TIMERS: u32 = 2;
const DAWN_MS: u64 = 1_700_000_000_000;
const EFFECTS: [Effect; 5] = [
    Effect::AtMostOnce,
    Effect::IDEMPOTENT,
    Effect::Idempotent { remembers_ms: 20_000 },
    Effect::Verify { probes: 0, wait_ms: u64::MAX },
    Effect::Verify { probes: 2, wait_ms: 100 },
];

pub(super) struct Scene {
    accepted: Accepted,
    pub(super) model: Model,
    /// What is durable, and what was known when it became so.
    records: Vec<Bytes>,
    durable: Model,
    now_ms: u64,
    ids: u64,
    /// What lies in each mailbox, as far as it was looked at.
    mailboxes: BTreeMap<ActorId, u64>,
    letters: u64,
}

impl Scene {
    pub(super) fn begin() -> Self {
        let mut scene = Self {
            accepted: Accepted::new(Live::default(), Sequence(1)),
            model: Model::default(),
            records: Vec::new(),
            durable: Model::default(),
            now_ms: DAWN_MS,
            ids: 10,
            mailboxes: BTreeMap::new(),
            letters: 0,
        };
        for root in 1..=ROOTS {
            let root = Some((7, ActorId(root << 8), message()));
            scene.accepted.enter(DAWN_MS, Entrance { root, ..Entrance::default() }).expect("nothing is in its way");
        }
        scene
    }

    pub(super) fn hear(&mut self, (what, who, more): Word) -> Wrong {
        self.now_ms += u64::from(more % 4_000);
        let actor = ActorId((u64::from(who) % (ROOTS + 1) + 1) << 8);
        let (call, now_ms) = (self.some_call(who), self.now_ms);
        let before = self.model.clone();
        match what % 24 {
            0..=6 => self.turn(actor, what, more)?,
            7 | 8 => self.tell(actor),
            9 => {
                let is_started = self.accepted.start_call(now_ms, call);
                if is_started {
                    self.model.count("a call is started");
                }
            }
            10..=12 => {
                let outcomes = vec![(call, outcome(more), None), (self.some_call(who / 2), outcome(more / 8), None)];
                let late = self.accepted.late_answers();
                self.accepted.answer(now_ms, outcomes);
                if self.accepted.late_answers() > late {
                    self.model.count("an answer is late");
                }
            }
            13 => _ = self.accepted.doubt(now_ms, call, failure()),
            14 => _ = self.accepted.cancel_idle(now_ms, call),
            15 => self.accepted.cancel_running(now_ms, call),
            16 => self.decide(call, more),
            17 => self.accepted.save_checkpoint(now_ms, call, Bytes::from_static(b"half")),
            18 => self.accepted.take_back_start(now_ms, call),
            19 | 20 => _ = self.accepted.fire(now_ms, more as usize % 3 + 1),
            21 => _ = self.accepted.end_orphan_call(now_ms, call),
            22 => self.seal()?,
            _ => self.die(more)?,
        }
        self.look()?;
        self.probes(&before);
        self.model.agrees(&self.accepted)
    }

    /// Everything becomes durable, and nothing was lost on the way.
    pub(super) fn end(&mut self) -> Wrong {
        self.seal()
    }

    /// One that is there, mostly; or one that was, or never will be.
    fn some_call(&self, who: u8) -> CallId {
        let calls = &self.accepted.live().calls;
        match calls.keys().nth(usize::from(who / 4) % calls.len().max(1)) {
            Some(call) if !who.is_multiple_of(8) => *call,
            _ => CallId(u64::from(who)),
        }
    }

    fn tell(&mut self, actor: ActorId) {
        let deliver = Some((actor, Body::Message(message())));
        self.accepted.enter(self.now_ms, Entrance { deliver, ..Entrance::default() }).expect("nothing is in its way");
    }

    /// An actor takes its next message. Some commits are of the past.
    fn turn(&mut self, actor: ActorId, what: u8, more: u32) -> Wrong {
        let Some(head) = self.accepted.head(actor) else {
            self.tell(actor);
            return Ok(());
        };
        let activation = self.accepted.activate(actor).ok_or_else(|| format!("{actor} has mail and is not there"))?;
        let (stale, behind) = (u64::from(more.is_multiple_of(37)), u64::from(more.is_multiple_of(41)));
        let mut commit = Commit {
            actor,
            activation: activation.number - stale,
            version: activation.version + behind,
            entry: head.number,
            outbox: Box::new(self.outbox(actor, what, more)),
        };
        let (stops, timers) = (commit.outbox.stop, commit.outbox.timers.clone());
        let calls: Vec<_> = commit.outbox.calls.iter().map(|(call, request, _)| (*call, request.effect)).collect();
        let settled = commit.outbox.settled.clone();
        let now_ms = self.now_ms;
        let cancel = |accepted: &mut Accepted, call| accepted.cancel_idle(now_ms, call);
        match self.accepted.accept_and_cancel(now_ms, &mut commit, cancel) {
            Ok((Receipt { stopped, .. }, _)) => {
                is(stale + behind == 0, || "a commit of the past is accepted".to_owned())?;
                is(stopped == stops, || format!("{actor} stopped: {stopped}"))?;
                self.model.count("a turn");
                for call in settled {
                    self.model.settled(call);
                }
                for (call, effect) in calls {
                    self.model.count("a call is intended");
                    self.model.calls.insert(call, (actor, effect));
                }
                self.set(actor, &timers);
                if stopped {
                    self.model.timers.retain(|(of, _), _| *of != actor);
                    self.mailboxes.remove(&actor);
                }
                Ok(())
            }
            Err(refused) => {
                self.model.count("a turn is refused");
                is(!refused.to_string().is_empty(), || "without a reason".to_owned())?;
                let is_due = stale + behind > 0 || (stops && matches!(refused, Refused::Broken { .. }));
                is(is_due, || format!("{refused}, and nothing is wrong with it"))
            }
        }
    }

    fn set(&mut self, actor: ActorId, timers: &[TimerChange]) {
        for TimerChange { name, due_ms } in timers {
            let former = match due_ms {
                Some(due_ms) => self.model.timers.insert((actor, *name), *due_ms),
                None => self.model.timers.remove(&(actor, *name)),
            };
            if former.is_some() {
                self.model.count("a timer is cleared or set again");
            }
        }
    }

    fn outbox(&mut self, actor: ActorId, what: u8, more: u32) -> Outbox {
        let mut outbox = Outbox::default();
        let own: Vec<_> = self.model.calls.iter().filter(|(_, (of, _))| *of == actor).map(|(call, _)| *call).collect();
        let one = own.get(more as usize % own.len().max(1)).copied();
        match what % 24 {
            0 => outbox.emit(Bytes::from(more.to_be_bytes().to_vec())),
            1 | 2 => {
                self.ids += 1;
                let call = CallId(self.ids);
                let doubt = more.is_multiple_of(11).then(failure);
                outbox.calls.push((call, request(EFFECTS[more as usize % EFFECTS.len()], self.now_ms), doubt));
            }
            3 | 4 => {
                let due_ms = (!more.is_multiple_of(5)).then(|| self.now_ms + u64::from(more % 30_000));
                outbox.timers.push(TimerChange { name: more % TIMERS, due_ms });
                outbox.sends.push((ActorId((u64::from(more) % ROOTS + 1) << 8), Body::Message(message())));
            }
            5 if more.is_multiple_of(3) => outbox.settled.extend(one),
            5 => outbox.cancelled.extend(one),
            _ if more.is_multiple_of(6) => outbox.stop = true,
            _ if more % 6 == 1 => outbox.refusal = Some(Rejection::new("it would not")),
            _ => outbox.snapshot = Some(Bytes::from_static(b"state")),
        }
        outbox
    }

    fn decide(&mut self, call: CallId, more: u32) {
        let verdict = match more % 3 {
            0 => Verdict::Repeat,
            1 => Verdict::Ended(Outcome::Done(Json::NULL)),
            _ => Verdict::Ended(Outcome::failed("decided", "it did not happen")),
        };
        let note = Note::Decided { call, decision: "so".to_owned(), by: "somebody".to_owned() };
        if self
            .accepted
            .live()
            .calls
            .get(&call)
            .is_some_and(|row| self.accepted.live().actors.contains_key(&row.caller))
        {
            self.accepted.decide(self.now_ms, call, verdict, note);
        }
    }

    /// What came into mailboxes, and to the dead letters, since it was last looked.
    fn look(&mut self) -> Wrong {
        let live = self.accepted.live();
        let mut came = Vec::new();
        for (actor, row) in &live.actors {
            let known = self.mailboxes.entry(*actor).or_default();
            came.extend(row.mailbox.iter().filter(|entry| entry.number > *known).cloned().map(|entry| (*actor, entry)));
            *known = row.mailbox.back().map_or(*known, |entry| entry.number.max(*known));
        }
        // In the order in which it was accepted, as far as that matters: a firing is of the last setting.
        for (actor, entry) in came {
            self.model.delivered(actor, &entry.body, entry.accepted_at)?;
        }
        let letters: Vec<_> = live.dead_letters().filter(|(number, _)| *number >= self.letters).collect();
        for (number, letter) in letters {
            self.letters = number + 1;
            self.model.buried(&letter)?;
        }
        Ok(())
    }

    fn probes(&mut self, before: &Model) {
        let is_probing =
            |row: &crate::durable::call::Row| matches!(row.state, crate::durable::call::RowState::Probing(_));
        let probing =
            self.accepted.live().calls.iter().filter(|(call, row)| is_probing(row) && before.calls.contains_key(call));
        if probing.count() > 0 {
            self.model.count("a call is probed");
        }
    }

    /// All of it goes to the disk, and what is there is what is live.
    fn seal(&mut self) -> Wrong {
        while let Some(sealed) = self.accepted.seal() {
            self.records.push(seal_record(&sealed));
        }
        self.durable = self.model.clone();
        let folded = self.folded()?;
        is(comparable(&folded) == comparable(self.accepted.live()), || {
            format!(
                "the fold of the records is {:#?}, and live is {:#?}",
                comparable(&folded),
                comparable(self.accepted.live())
            )
        })
    }

    fn folded(&self) -> Result<Live, String> {
        let mut live = Live::default();
        for (payload, sequence) in self.records.iter().zip(1..) {
            let record: Record = codec::open(FORMAT, payload).map_err(|error| error.to_string())?;
            live.apply_record(Sequence(sequence), &record)?;
        }
        Ok(live)
    }

    /// The process dies, and what was not durable is gone. Or its store fails, and it goes on in the next one.
    fn die(&mut self, more: u32) -> Wrong {
        if !more.is_multiple_of(3) {
            self.seal()?;
            self.look()?;
        }
        let seen = std::mem::take(&mut self.model.seen);
        self.model = self.durable.clone();
        self.model.seen = seen;
        self.model.count("the process dies");
        let live = self.folded()?;
        self.mailboxes =
            live.actors.iter().filter_map(|(actor, row)| Some((*actor, row.mailbox.back()?.number))).collect();
        self.letters = live.dead_letters().map(|(number, _)| number + 1).max().unwrap_or(0);
        self.accepted = Accepted::new(live, Sequence(self.records.len() as u64 + 1));
        if more.is_multiple_of(4) {
            self.accepted.take_over_calls(self.now_ms, |call| call.0.is_multiple_of(2));
        } else {
            self.accepted.doubt_calls_of_the_last_life(self.now_ms);
        }
        Ok(())
    }
}

fn message() -> Bytes {
    Bytes::from_static(b"a message")
}

fn failure() -> Failure {
    Failure::new("timeout", "nobody knows")
}

fn outcome(more: u32) -> Outcome {
    match more % 5 {
        0 => Outcome::Done(Json::NULL),
        1 => Outcome::failed("exit", "it ended with 3"),
        _ => Outcome::Unknown(failure()),
    }
}

fn request(effect: Effect, now_ms: u64) -> Request {
    Request {
        tool: "bank".to_owned(),
        path: "test".to_owned(),
        key: Key([0; 32]),
        attempt: 1,
        effect,
        input: Json::NULL,
        timeout_ms: 1_000,
        checkpoint: None,
        key_since_ms: now_ms,
        heartbeat_ms: None,
    }
}
