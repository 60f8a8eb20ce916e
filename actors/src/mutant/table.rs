//! The mutants: what each does, which rule it breaks, and which tests catch it.
//!
//! **Invariant:** a mutant that no test catches has no place here; the hole that it showed is closed first.

/// Make the enum and what is known of its variants.
macro_rules! mutants {
    ($(#[doc = $bug:literal] $mutant:ident = $name:literal, breaks $rule:literal, caught by [$($test:literal,)*];)*) => {
        /// A named bug that can be chosen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $(#[doc = $bug] $mutant,)*
        }

        #[cfg(any(test, feature = "mutants"))]
        impl Mutant {
            /// All of them, by the rules that they break, as far as these belong together.
            pub const ALL: &[Self] = &[$(Self::$mutant),*];

            /// What is known of it.
            #[must_use]
            pub fn about(self) -> super::About {
                match self {
                    $(Self::$mutant => {
                        super::About { name: $name, bug: $bug.trim_ascii(), rule: $rule, caught_by: &[$($test),*] }
                    })*
                }
            }
        }
    };
}

mutants! {
    /// A second submission with a key is answered before the first one is durable.
    DuplicateAnsweredEarly = "duplicate-answered-early", breaks 11, caught by [
    ];
    /// Whoever waits until a record is durable is told at once.
    AnswerBeforeDurable = "answer-before-durable", breaks 11, caught by [
    ];
    /// A record is reported durable before it is synced.
    AckBeforeSync = "ack-before-sync", breaks 23, caught by [
    ];
    /// A call is made before the record that intends it is durable.
    EffectBeforeIntent = "effect-before-intent", breaks 13, caught by [
    ];
    /// HEAD names a record that is not synced yet.
    HeadAheadOfSync = "head-ahead-of-sync", breaks 24, caught by [
    ];
    /// A store opens whose newest segment is missing.
    HeadWithoutJournalOpens = "head-without-journal-opens", breaks 24, caught by [
    ];
    /// A bad record that was acknowledged is cut like a torn tail.
    DamageTakenForTornTail = "damage-taken-for-torn-tail", breaks 24, caught by [
    ];
    /// Segments have no random number, so that a payload can hold what passes for a record.
    GuessedSegment = "guessed-segment", breaks 23, caught by [
    ];
    /// What lies in an old segment behind the first record of the new one counts.
    StaleBytesCount = "stale-bytes-count", breaks 25, caught by [
    ];
    /// A start does not sync the tail that it writes again, and goes on.
    TailNotSynced = "tail-not-synced", breaks 25, caught by [
    ];
    /// After a failed write or sync the journal goes on.
    FailedSyncTriedAgain = "failed-sync-tried-again", breaks 26, caught by [
    ];
    /// A segment gets its final name, and the folder is not synced.
    FolderNotSynced = "folder-not-synced", breaks 26, caught by [
    ];
    /// The door stays open while there is no room.
    FullStoreLetsIn = "full-store-lets-in", breaks 26, caught by [
    ];
    /// A record ends in the middle of a commit.
    SplitCommit = "split-commit", breaks 4, caught by [
    ];
    /// The timers of a turn are in the record behind its commit.
    TimerOutsideCommit = "timer-outside-commit", breaks 22, caught by [
    ];
    /// A timer fires 5 ms before it is due.
    TimerFiresEarly = "timer-fires-early", breaks 22, caught by [
    ];
    /// What came due before a message was accepted is taken after it.
    TimerTakenLate = "timer-taken-late", breaks 22, caught by [
    ];
    /// Clearing a timer leaves a firing that was not taken yet.
    ClearLeavesFiring = "clear-leaves-firing", breaks 22, caught by [
    ];
    /// A message that was refused is not consumed on disk.
    RefusedMessageStays = "refused-message-stays", breaks 2, caught by [
    ];
    /// A message whose turn panics once is given up, and with it the result that it carries.
    MessageLostWithItsTurn = "message-lost-with-its-turn", breaks 2, caught by [
    ];
    /// A message of which its actor always dies is tried for ever.
    PoisonNeverGivenUp = "poison-never-given-up", breaks 2, caught by [
    ];
    /// What is given up is not kept.
    DeadLetterLost = "dead-letter-lost", breaks 2, caught by [
    ];
    /// A snapshot raises the version of its actor.
    SnapshotRaisesVersion = "snapshot-raises-version", breaks 6, caught by [
    ];
    /// An actor that finishes with mail goes on.
    LateMessageRevives = "late-message-revives", breaks 7, caught by [
    ];
    /// An actor may finish before its children and calls.
    StopLeavesChildren = "stop-leaves-children", breaks 7, caught by [
    ];
    /// A commit of an older activation is accepted if its version fits.
    FenceByVersionOnly = "fence-by-version-only", breaks 8, caught by [
    ];
    /// A message that was accepted while its host let go rings nobody.
    BellLostWhilePassivating = "bell-lost-while-passivating", breaks 8, caught by [
    ];
    /// The mailbox is not looked at again after a host was killed.
    BellLostAtDeath = "bell-lost-at-death", breaks 8, caught by [
    ];
    /// The row of a call stays when its answer is accepted, so that a second one counts.
    SecondAnswerCounts = "second-answer-counts", breaks 15, caught by [
    ];
    /// An unknown outcome is followed by a call under a new key.
    TimeoutRaisesGeneration = "timeout-raises-generation", breaks 16, caught by [
    ];
    /// A refusal is followed by a new key, though nobody knows what became of the call before.
    RefusalRaisesGeneration = "refusal-raises-generation", breaks 16, caught by [
    ];
    /// A tool that panicked counts as one that did nothing.
    UnknownTakenForFailed = "unknown-taken-for-failed", breaks 16, caught by [
    ];
    /// A call is repeated after its tool has forgotten the key.
    ForgottenKeyRepeated = "forgotten-key-repeated", breaks 16, caught by [
    ];
    /// The key of a call changes with the attempt.
    KeyIncludesAttempt = "key-includes-attempt", breaks 17, caught by [
    ];
    /// An at-most-once call is made before its start is durable.
    CallBeforeItsStart = "call-before-its-start", breaks 18, caught by [
    ];
    /// An at-most-once call that was under way in the last life is not in doubt.
    AtMostOnceRepeated = "at-most-once-repeated", breaks 18, caught by [
    ];
    /// A task whose deadline is over ends without the outcome of its call.
    DeadlineDropsOutcome = "deadline-drops-outcome", breaks 19, caught by [
    ];
    /// What a call answers after it was asked to stop counts for nothing.
    CancelThrowsResultAway = "cancel-throws-result-away", breaks 19, caught by [
    ];
    /// That a call ran when it was cancelled is not written down.
    CancelledCallMadeAgain = "cancelled-call-made-again", breaks 19, caught by [
    ];
    /// A restarted tool begins what runs.
    RunningCallBegunAgain = "running-call-begun-again", breaks 20, caught by [
    ];
    /// Outcomes that no store took are dropped.
    OutcomeLostWithStore = "outcome-lost-with-store", breaks 20, caught by [
    ];
    /// Keys and artifacts expire right after the wall clock jumped.
    JumpWithoutGrace = "jump-without-grace", breaks 21, caught by [
    ];
    /// Rows are written of records that are not durable.
    CheckpointPastDurable = "checkpoint-past-durable", breaks 29, caught by [
    ];
    /// Rows are used that hold more than the journal.
    CheckpointPastJournal = "checkpoint-past-journal", breaks 29, caught by [
    ];
    /// Rows are captured in the middle of a record.
    RowsOutOfStep = "rows-out-of-step", breaks 29, caught by [
    ];
    /// A row that changed is missing in the next base.
    BaseLosesRow = "base-loses-row", breaks 30, caught by [
    ];
    /// An artifact that was stored again meanwhile is removed.
    StoredArtifactCollected = "stored-artifact-collected", breaks 32, caught by [
    ];
    /// The key of a submission is forgotten while its run goes on.
    KeyForgottenEarly = "key-forgotten-early", breaks 33, caught by [
    ];
    /// Events of a turn that emits several are not in the chain.
    EventOutsideChain = "event-outside-chain", breaks 34, caught by [
    ];
    /// Deaths of all actors count together.
    IntensityPerSupervisor = "intensity-per-supervisor", breaks 35, caught by [
    ];
    /// The silence of a call is counted while the whole process stood still.
    StoppedProcessCostsCalls = "stopped-process-costs-calls", breaks 36, caught by [
    ];
    /// A call whose adapter runs is taken for a lost one.
    LivingCallTakenForLost = "living-call-taken-for-lost", breaks 36, caught by [
    ];
}
