//! Watching a program until it is buried: one loop around `poll`, on a thread of its own.
//!
//! ```text
//! Running ─ exit ───────────────────────────────► Draining ─ pipes closed, or 250 ms ─► over
//!    │ time limit, cancel: SIGTERM                    ▲
//!    ├──────────────► Stopping ─ exit ────────────────┤
//!    │                   │ 2 s: SIGKILL               │
//!    └─ output over ──► Killed ─ exit ────────────────┘
//!       its cap: SIGKILL  └─ 5 s: over, and a process that cannot die is waited for after the answer
//! ```
//! **Invariant:** every state but `Running` has an end that does not depend on the program; `Running` ends at the
//! deadline.

use std::{
    io::{self, Write as _},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    process::{ChildStderr, ChildStdin, ChildStdout},
    time::{Duration, Instant},
};

use headframe_actors::{
    clock::monotonic,
    durable::{Failure, Outcome},
    plan::text,
    tool::Progress,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::Signal,
};
use serde_json::json;

use super::{
    Call,
    capture::{Output, Tail},
    group::{Buried, Group},
    launcher::REFUSED,
    turnstile::Turn,
};

/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// From the program's end to the end of its pipes, which others may hold.
const DRAIN: Duration = Duration::from_millis(250);
/// From SIGKILL to the answer, for a process that the kernel cannot end.
const DEATH_MAX: Duration = Duration::from_secs(5);
/// How often the engine hears how far the program is.
const SAY: Duration = Duration::from_secs(1);
/// How often to look for the end of the program where it cannot be polled.
const LOOK: Duration = Duration::from_millis(10);

/// Tells the thread that nobody waits for its call any more: a pipe that nobody writes to, until it is closed.
pub(super) struct Leash(io::PipeReader);

impl Leash {
    pub(super) fn new(reader: io::PipeReader) -> Self {
        Self(reader)
    }

    pub(super) fn is_cut(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
    }
}

#[derive(Clone, Copy)]
enum State {
    Running,
    Stopping { kill_at: Instant },
    Killed { over_at: Instant },
    Draining { over_at: Instant },
    Over { alive: bool },
}

#[derive(Clone, Copy, PartialEq)]
enum Source {
    Exit,
    Leash,
    Stdin,
    Stdout,
    Stderr,
}

/// A running program and what is known of it.
pub(super) struct Watch<'a> {
    call: &'a Call,
    group: Group,
    state: State,
    stopped: Option<Failure>,
    /// Output was too long or could not be stored; what follows is thrown away.
    overflowed: bool,
    exit: Option<OwnedFd>,
    stdin: Option<(ChildStdin, Vec<u8>, usize)>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    output: Output<'a>,
    tail: Tail,
    say_at: Instant,
    // Last, so that it is dropped after the group: the next program of this key starts when this one is buried.
    _turn: Turn<'a>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(call: &'a Call, turn: Turn<'a>, mut group: Group, input: Vec<u8>) -> Self {
        let (stdin, stdout, stderr) = group.streams();
        let output = Output::new(&call.told, &call.shared.artifacts);
        Self {
            call,
            state: State::Running,
            stopped: None,
            overflowed: false,
            exit: exit_of(&group),
            stdin: stdin.filter(|pipe| never_block(pipe.as_fd())).map(|pipe| (pipe, input, 0)),
            stdout,
            stderr,
            output,
            tail: Tail::new(call.told.max_output),
            say_at: monotonic(),
            group,
            _turn: turn,
        }
    }

    /// Watch the program to its end, end what it leaves, and say what became of it. A process that does not die is
    /// given back: dropping it waits for its end.
    pub(super) fn until_buried(mut self) -> (Outcome, Option<Self>) {
        loop {
            self.advance(monotonic());
            match self.state {
                State::Over { alive: false } => return (self.conclude(), None),
                State::Over { alive: true } => return (self.undead(), Some(self)),
                _ => self.wait(),
            }
        }
    }

    fn advance(&mut self, now: Instant) {
        if now >= self.say_at {
            self.say(now);
        }
        let exited = !matches!(self.state, State::Draining { .. }) && self.group.has_exited();
        let closed = self.stdout.is_none() && self.stderr.is_none();
        match self.state {
            State::Draining { over_at } if closed || now >= over_at => self.state = State::Over { alive: false },
            State::Draining { .. } => {}
            _ if exited => self.drain(now),
            State::Running if now >= self.call.cx.deadline() => {
                self.stop(Failure::new("timeout", "the program was ended at its time limit"));
            }
            State::Stopping { kill_at } if now >= kill_at => self.kill(now),
            State::Killed { over_at } if now >= over_at => self.state = State::Over { alive: true },
            State::Running | State::Stopping { .. } | State::Killed { .. } | State::Over { .. } => {}
        }
    }

    fn drain(&mut self, now: Instant) {
        self.stdin = None;
        self.state = State::Draining { over_at: now + DRAIN };
        self.advance(now);
    }

    fn stop(&mut self, why: Failure) {
        self.group.signal(Signal::TERM);
        self.stopped.get_or_insert(why);
        self.state = State::Stopping { kill_at: monotonic() + GRACE };
    }

    /// The engine cancels at the time limit too, and may be a little earlier than this thread.
    fn let_go(&mut self) {
        if self.call.cx.deadline().saturating_duration_since(monotonic()) < LOOK {
            self.stop(Failure::new("timeout", "the program was ended at its time limit"));
        } else {
            self.stop(Failure::new("cancelled", "the program was ended by a cancel"));
        }
    }

    fn kill(&mut self, now: Instant) {
        self.group.signal(Signal::KILL);
        self.state = State::Killed { over_at: now + DEATH_MAX };
    }

    fn say(&mut self, now: Instant) {
        let note = format!("process {}: {} bytes of output", self.group.leader(), self.output.bytes());
        self.call.cx.say(Progress { fraction: None, note });
        self.say_at = now + SAY;
    }

    /// Wait for anything, and take what is there.
    fn wait(&mut self) {
        for source in self.ready(self.patience()) {
            match source {
                Source::Exit => {}
                Source::Leash => self.let_go(),
                Source::Stdin => self.write(),
                Source::Stdout | Source::Stderr => self.read(source),
            }
        }
    }

    fn patience(&self) -> Duration {
        let next = match self.state {
            State::Running => self.call.cx.deadline(),
            State::Stopping { kill_at: at } | State::Killed { over_at: at } | State::Draining { over_at: at } => at,
            State::Over { .. } => self.say_at,
        };
        let next = next.min(self.say_at).saturating_duration_since(monotonic());
        if self.exit.is_some() { next } else { next.min(LOOK) }
    }

    fn ready(&self, patience: Duration) -> Vec<Source> {
        let sources = self.sources();
        let mut fds: Vec<_> = sources.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        let timeout = Timespec::try_from(patience).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match poll(&mut fds, Some(&timeout)) {
            // Interrupted, or out of memory: the caller looks at the clock and comes again.
            Err(_) | Ok(0) => Vec::new(),
            Ok(_) => {
                let ready = sources.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
                ready.map(|((source, ..), _)| *source).collect()
            }
        }
    }

    fn sources(&self) -> Vec<(Source, BorrowedFd<'_>, PollFlags)> {
        let mut sources = Vec::with_capacity(5);
        let ended = matches!(self.state, State::Draining { .. } | State::Over { .. });
        if let Some(exit) = self.exit.as_ref().filter(|_| !ended) {
            sources.push((Source::Exit, exit.as_fd(), PollFlags::IN));
        }
        if matches!(self.state, State::Running) {
            sources.push((Source::Leash, self.call.leash.0.as_fd(), PollFlags::IN));
        }
        if let Some((pipe, ..)) = &self.stdin {
            sources.push((Source::Stdin, pipe.as_fd(), PollFlags::OUT));
        }
        sources.extend(self.stdout.iter().map(|pipe| (Source::Stdout, pipe.as_fd(), PollFlags::IN)));
        sources.extend(self.stderr.iter().map(|pipe| (Source::Stderr, pipe.as_fd(), PollFlags::IN)));
        sources
    }

    fn write(&mut self) {
        let Some((pipe, bytes, at)) = &mut self.stdin else { return };
        match pipe.write(&bytes[*at..]) {
            Ok(written) => *at += written,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return,
            // The program closed its end. Not to read everything is its right.
            Err(_) => *at = bytes.len(),
        }
        if *at == bytes.len() {
            self.stdin = None;
        }
    }

    fn read(&mut self, source: Source) {
        let mut buffer = [0; 64 * 1024];
        let stream: Option<&mut dyn io::Read> = match source {
            Source::Stdout => self.stdout.as_mut().map(|pipe| pipe as _),
            _ => self.stderr.as_mut().map(|pipe| pipe as _),
        };
        match stream.map(|stream| stream.read(&mut buffer)) {
            Some(Ok(length)) if length > 0 => self.take(source, &buffer[..length]),
            Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            _ if source == Source::Stdout => self.stdout = None,
            _ => self.stderr = None,
        }
    }

    fn take(&mut self, source: Source, bytes: &[u8]) {
        self.call.cx.beat();
        if self.overflowed {
            return;
        }
        let taken = if source == Source::Stdout { self.output.push(bytes) } else { self.tail.push(bytes) };
        if let Err(why) = taken {
            self.overflowed = true;
            self.stopped.get_or_insert(why);
            if matches!(self.state, State::Running | State::Stopping { .. }) {
                self.kill(monotonic());
            }
        }
    }

    /// Take what is in the pipes without waiting for more; not for ever, should somebody unknown still fill them.
    fn read_rest(&mut self) {
        let start = monotonic();
        while !self.overflowed && start.elapsed() < DRAIN {
            let ready = self.ready(Duration::ZERO);
            if ready.is_empty() {
                return;
            }
            ready.into_iter().for_each(|source| self.read(source));
        }
    }

    fn conclude(mut self) -> Outcome {
        let loose = self.stdout.is_some() || self.stderr.is_some();
        if loose || self.stopped.is_some() {
            self.group.kill_all();
            self.read_rest();
        }
        let Self { call, group, stopped, output, tail, _turn, .. } = self;
        let buried = group.bury();
        match stopped {
            Some(why) => Outcome::Unknown(why.with_details(json!({"stderr": tail.text()}))),
            None => ended(call, &buried, output, &tail),
        }
    }

    /// Answer for a process that SIGKILL does not end (it hangs in the kernel, on a dead network disk as a rule).
    fn undead(&self) -> Outcome {
        let pid = self.group.leader();
        let why = self.stopped.as_ref().map_or("killed", |why| why.class.as_str());
        Outcome::unknown(why, format!("process {pid} does not end although it was killed; it hangs in the kernel"))
    }
}

fn ended(call: &Call, buried: &Buried, output: Output<'_>, tail: &Tail) -> Outcome {
    use std::os::unix::process::ExitStatusExt as _;
    let Some(status) = buried.status else {
        return Outcome::unknown("lost", "the program ended, but this process was not told how");
    };
    let details = |exit: Option<i32>| json!({"exit": exit, "stderr": tail.text()});
    match (status.code(), &buried.refused) {
        (Some(REFUSED), Some(why)) => Outcome::failed("spawn", text::for_people(why)),
        (Some(code), _) if call.told.ok_exit.contains(&code) => done(code, output, tail),
        (Some(code), _) => {
            let words = tail.last_words();
            let colon = if words.is_empty() { "" } else { ": " };
            let why = Failure::new("exit", format!("the program ended with code {code}{colon}{words}"));
            Outcome::Failed(why.with_details(details(Some(code))))
        }
        (None, _) => {
            let signal = status.signal().unwrap_or(0);
            let why = Failure::new("signal", format!("the program was ended by signal {signal}"));
            Outcome::Unknown(why.with_details(details(None)))
        }
    }
}

fn done(code: i32, output: Output<'_>, tail: &Tail) -> Outcome {
    match output.finish() {
        Ok(Ok(stdout)) => Outcome::Done(json!({"exit": code, "stdout": stdout, "stderr": tail.text()}).into()),
        Ok(Err(refused)) => Outcome::Failed(refused.with_details(json!({"exit": code, "stderr": tail.text()}))),
        Err(lost) => Outcome::Unknown(lost),
    }
}

#[cfg(target_os = "linux")]
fn exit_of(group: &Group) -> Option<OwnedFd> {
    rustix::process::pidfd_open(group.leader(), rustix::process::PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
fn exit_of(_group: &Group) -> Option<OwnedFd> {
    None
}

/// A program that does not read must not stop the loop.
fn never_block(pipe: BorrowedFd<'_>) -> bool {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    fcntl_getfl(pipe).and_then(|flags| fcntl_setfl(pipe, flags | OFlags::NONBLOCK)).is_ok()
}
