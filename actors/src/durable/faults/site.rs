//! Where something can go wrong, and what.

use crate::durable::id::{ActorId, CallId};

/// What can go wrong at a fault point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    /// Others go first.
    Yield,
    /// Nothing, for some milliseconds.
    Sleep,
    /// Nothing, for longer than the unsticker has patience.
    Hang,
    /// Our own code panics.
    Panic,
    /// Whoever is here is killed.
    Kill,
    /// What is on its way here gets lost.
    Drop,
    /// It comes later.
    Late,
    /// It is refused.
    Error,
    /// Another host of the same actor is quicker, as one is that a keeper's death left running.
    Race,
    /// The whole process dies.
    Die,
}

/// Where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Site {
    /// A host heard its bell.
    HostRung,
    /// A host waits for actors to be brought into memory, or for room.
    HostWaits,
    /// A host is about to load its actor.
    BeforeLoad,
    /// It has loaded it.
    AfterLoad,
    /// It is about to take a message.
    BeforeTurn,
    /// The turn is decided, and nobody knows of it.
    Decided,
    /// The turn is accepted, and nobody was rung yet.
    Accepted,
    /// A host is about to let go of its idle actor.
    BeforePassivation,
    /// It has let go of it.
    LetGo,
    /// A bell is rung.
    Ring,
    /// A host is needed.
    SpawnHost,
    /// The keeper has started, and looked at nothing.
    KeeperStarts,
    /// The keeper hears of the end of a host.
    KeeperHears,
    /// The host is out of the directory, and nothing was done about its end.
    KeeperKnows,
    /// A back-off is over.
    KeeperReloads,
    /// Calls are handed to their tools.
    Dispatch,
    /// The actor before a tool is started.
    SpawnTool,
    /// It is there, and does not know its calls yet.
    ToolStarts,
    /// It hears something.
    ToolHears,
    /// It is about to begin calls.
    BeforeCalls,
    /// A call runs in a task of its own.
    CallRuns,
    /// A call has ended.
    CallEnded,
    /// Its answer is about to be let in.
    BeforeAnswer,
    /// A service is started.
    SpawnService,
    /// It is there, and has done nothing.
    ServiceStarts,
    /// The timers are looked at.
    TimersLook,
    /// Timers have fired, and nobody was rung.
    TimersFired,
    /// An earlier timer was set.
    TimerSet,
    /// The unsticker looks.
    UnstickerLooks,
    /// It is about to act.
    UnstickerActs,
    /// Idle hosts are looked for.
    Passivates,
    /// A record is about to be written.
    BeforeSync,
    /// It is durable, and nobody has heard of it.
    AfterSync,
    /// Rows are about to be captured.
    BeforeCapture,
    /// They are about to be written.
    BeforeRows,
    /// They are written.
    WriteRows,
    /// Rows are read.
    ReadRows,
    /// A tool is about to act.
    BeforeActing,
    /// A tool has acted, and not answered.
    AfterActing,
    /// Somebody outside kills whomever.
    ByHand,
}

/// A fault point, and what goes wrong at it.
pub(crate) type Pair = (Site, Action);

impl Site {
    /// All of them.
    pub(crate) const ALL: [Self; 40] = [
        Self::HostRung,
        Self::HostWaits,
        Self::BeforeLoad,
        Self::AfterLoad,
        Self::BeforeTurn,
        Self::Decided,
        Self::Accepted,
        Self::BeforePassivation,
        Self::LetGo,
        Self::Ring,
        Self::SpawnHost,
        Self::KeeperStarts,
        Self::KeeperHears,
        Self::KeeperKnows,
        Self::KeeperReloads,
        Self::Dispatch,
        Self::SpawnTool,
        Self::ToolStarts,
        Self::ToolHears,
        Self::BeforeCalls,
        Self::CallRuns,
        Self::CallEnded,
        Self::BeforeAnswer,
        Self::SpawnService,
        Self::ServiceStarts,
        Self::TimersLook,
        Self::TimersFired,
        Self::TimerSet,
        Self::UnstickerLooks,
        Self::UnstickerActs,
        Self::Passivates,
        Self::BeforeSync,
        Self::AfterSync,
        Self::BeforeCapture,
        Self::BeforeRows,
        Self::WriteRows,
        Self::ReadRows,
        Self::BeforeActing,
        Self::AfterActing,
        Self::ByHand,
    ];

    /// What can go wrong there.
    pub(crate) fn actions(self) -> &'static [Action] {
        use Action::{Die, Drop, Error, Hang, Kill, Late, Panic, Race, Sleep, Yield};
        match self {
            Self::HostRung | Self::HostWaits => &[Yield, Sleep, Hang, Panic, Kill],
            // A turn never waits, so neither does a fault in one.
            Self::BeforeLoad | Self::AfterLoad | Self::BeforeTurn | Self::Accepted => &[Panic, Kill],
            Self::Decided => &[Panic, Kill, Error, Race],
            Self::BeforePassivation => &[Panic, Kill],
            Self::LetGo => &[Panic],
            Self::Ring => &[Drop, Late],
            Self::SpawnHost => &[Error],
            Self::KeeperStarts | Self::KeeperHears | Self::KeeperKnows | Self::KeeperReloads => {
                &[Yield, Sleep, Panic, Kill]
            }
            Self::Dispatch => &[Drop],
            Self::SpawnTool | Self::SpawnService => &[Yield, Sleep, Panic, Error],
            Self::ToolStarts | Self::ServiceStarts => &[Yield, Sleep, Panic, Kill],
            Self::ToolHears => &[Yield, Sleep, Hang, Panic, Kill],
            Self::BeforeCalls => &[Panic, Kill],
            Self::CallRuns | Self::CallEnded | Self::BeforeAnswer => &[Yield, Sleep, Hang],
            Self::TimersLook | Self::UnstickerLooks | Self::UnstickerActs | Self::Passivates => {
                &[Yield, Sleep, Hang, Panic, Kill]
            }
            Self::TimersFired => &[Panic, Kill],
            Self::TimerSet => &[Drop],
            Self::BeforeSync | Self::AfterSync => &[Yield, Sleep, Hang, Error, Die],
            Self::BeforeCapture | Self::BeforeRows => &[Yield, Sleep, Hang, Die],
            Self::WriteRows => &[Error],
            Self::ByHand => &[Kill],
            Self::ReadRows => &[Yield, Sleep, Hang],
            Self::BeforeActing | Self::AfterActing => &[Yield, Sleep, Hang, Panic],
        }
    }

    /// Whether it is passed seldom.
    pub(crate) fn is_rare(self) -> bool {
        matches!(
            self,
            Self::HostWaits
                | Self::KeeperStarts
                | Self::KeeperReloads
                | Self::Dispatch
                | Self::TimersFired
                | Self::TimerSet
                | Self::UnstickerActs
        )
    }

    /// Every fault there is.
    pub(crate) fn pairs() -> impl Iterator<Item = Pair> {
        Self::ALL.into_iter().flat_map(|site| site.actions().iter().map(move |action| (site, *action)))
    }

    /// Whether the unsticker may have to do something about a fault there.
    pub(crate) fn is_lasting(self, action: Action) -> bool {
        matches!(action, Action::Drop | Action::Late | Action::Hang) || self.loses_bells(action)
    }

    /// Whether a fault there loses bells that nobody rings again but the unsticker.
    pub(super) fn loses_bells(self, action: Action) -> bool {
        matches!(
            (self, action),
            (Self::Accepted | Self::TimersFired | Self::LetGo, Action::Panic) | (Self::SpawnHost, Action::Error)
        )
    }
}

/// Who passes a fault point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// The host of an actor.
    Actor(ActorId),
    /// The actor before a tool.
    Tool(u32),
    /// A call.
    Call(CallId),
    /// A service; the keeper is one, called `runs`.
    Service(&'static str),
    /// Nobody who could be killed.
    Nobody,
}

impl Who {
    pub(super) fn salt(self) -> u64 {
        match self {
            Self::Actor(actor) => actor.0 << 3,
            Self::Tool(tool) => u64::from(tool) << 3 | 1,
            Self::Call(call) => call.0 << 3 | 2,
            Self::Service(name) => u64::from(crate::durable::codec::fnv1a(name)) << 3 | 4,
            Self::Nobody => 5,
        }
    }
}
