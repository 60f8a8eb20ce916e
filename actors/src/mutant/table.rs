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
        "actors/src/durable/tests/early.rs::a_second_submission_is_answered_only_when_the_first_is_durable",
    ];
    /// Whoever waits until a record is durable is told at once.
    AnswerBeforeDurable = "answer-before-durable", breaks 11, caught by [
        "actors/src/durable/tests.rs::a_torn_record_was_never_acknowledged",
        "actors/src/durable/tests/early.rs::a_second_submission_is_answered_only_when_the_first_is_durable",
    ];
    /// A record is reported durable before it is synced.
    AckBeforeSync = "ack-before-sync", breaks 23, caught by [
        "actors/src/durable/journal/tests/crashes.rs::what_was_acknowledged_is_there_wherever_the_process_dies",
    ];
    /// A call is made before the record that intends it is durable.
    EffectBeforeIntent = "effect-before-intent", breaks 13, caught by [
        "actors/src/durable/tests/early.rs::no_call_is_made_while_its_intent_is_on_its_way_to_the_disk",
    ];
    /// HEAD names a record that is not synced yet.
    HeadAheadOfSync = "head-ahead-of-sync", breaks 24, caught by [
        "actors/src/durable/journal/tests/crashes.rs::what_was_acknowledged_is_there_wherever_the_process_dies",
    ];
    /// A store opens whose newest segment is missing.
    HeadWithoutJournalOpens = "head-without-journal-opens", breaks 24, caught by [
        "actors/src/durable/journal/tests/damage.rs::a_missing_empty_last_segment_is_noticed_too",
    ];
    /// A bad record that was acknowledged is cut like a torn tail.
    DamageTakenForTornTail = "damage-taken-for-torn-tail", breaks 24, caught by [
        "actors/src/durable/journal/tests/damage.rs::a_flipped_bit_in_what_was_acknowledged_is_damage_and_names_the_range",
        "actors/src/durable/journal/tests/damage.rs::a_bad_record_with_a_later_one_behind_it_is_damage_even_above_head",
    ];
    /// Segments have no random number, so that a payload can hold what passes for a record.
    GuessedSegment = "guessed-segment", breaks 23, caught by [
        "actors/src/durable/journal/tests/damage.rs::a_forged_record_inside_a_payload_is_only_payload",
    ];
    /// What lies in an old segment behind the first record of the new one counts.
    StaleBytesCount = "stale-bytes-count", breaks 25, caught by [
        "actors/src/durable/journal/tests/damage.rs::stale_bytes_after_a_cut_count_for_nothing",
    ];
    /// A start does not sync the tail that it writes again, and goes on.
    TailNotSynced = "tail-not-synced", breaks 25, caught by [
        "actors/src/durable/journal/tests/crashes.rs::a_second_crash_during_recovery_loses_nothing",
    ];
    /// After a failed write or sync the journal goes on.
    FailedSyncTriedAgain = "failed-sync-tried-again", breaks 26, caught by [
        "actors/src/durable/journal/tests/failures.rs::a_failed_step_of_an_append_closes_the_store_for_good",
    ];
    /// A segment gets its final name, and the folder is not synced.
    FolderNotSynced = "folder-not-synced", breaks 26, caught by [
        "actors/src/durable/journal/tests/crashes.rs::what_was_acknowledged_is_there_wherever_the_process_dies",
    ];
    /// The door stays open while there is no room.
    FullStoreLetsIn = "full-store-lets-in", breaks 26, caught by [
        "actors/src/durable/tests/send.rs::a_store_that_is_short_of_room_lets_nothing_in_until_there_is_room_again",
    ];
    /// A record ends in the middle of a commit.
    SplitCommit = "split-commit", breaks 4, caught by [
        "actors/src/run/tests.rs::an_idempotent_effect_happens_once_wherever_the_process_dies",
    ];
    /// The timers of a turn are in the record behind its commit.
    TimerOutsideCommit = "timer-outside-commit", breaks 22, caught by [
        "actors/src/run/tests/sleep.rs::a_sleep_ends_once_and_on_time_wherever_the_process_dies",
        "actors/src/run/tests.rs::a_lost_answer_repeats_under_the_same_key",
    ];
    /// A timer fires 5 ms before it is due.
    TimerFiresEarly = "timer-fires-early", breaks 22, caught by [
        "actors/src/durable/tests/order.rs::a_timer_is_not_fired_a_millisecond_before_its_time",
    ];
    /// What came due before a message was accepted is taken after it.
    TimerTakenLate = "timer-taken-late", breaks 22, caught by [
        "actors/src/durable/tests/order.rs::a_timer_that_came_due_before_a_message_was_accepted_is_taken_before_it",
    ];
    /// Clearing a timer leaves a firing that was not taken yet.
    ClearLeavesFiring = "clear-leaves-firing", breaks 22, caught by [
        "actors/src/durable/tests/order.rs::a_timer_that_is_set_again_takes_back_a_firing_that_was_not_taken",
    ];
    /// A message that was refused is not consumed on disk.
    RefusedMessageStays = "refused-message-stays", breaks 2, caught by [
        "actors/src/durable/tests/rules.rs::a_message_that_was_refused_is_refused_once",
    ];
    /// A message whose turn panics once is given up, and with it the result that it carries.
    MessageLostWithItsTurn = "message-lost-with-its-turn", breaks 2, caught by [
        "actors/src/durable/tests/supervision/reload.rs::one_for_one_reloads_the_one_whose_host_died_and_nobody_else",
    ];
    /// A message of which its actor always dies is tried for ever.
    PoisonNeverGivenUp = "poison-never-given-up", breaks 2, caught by [
        "actors/src/durable/directory/deaths.rs::an_actor_that_dies_of_one_message_is_reloaded_until_the_message_is_given_up",
    ];
    /// What is given up is not kept.
    DeadLetterLost = "dead-letter-lost", breaks 2, caught by [
        "actors/src/durable/tests.rs::a_message_that_kills_five_times_goes_to_the_dead_letters_and_the_owner_sees_it",
    ];
    /// A snapshot raises the version of its actor.
    SnapshotRaisesVersion = "snapshot-raises-version", breaks 6, caught by [
        "actors/src/durable/tests/rules.rs::a_version_counts_turns_and_no_snapshots",
    ];
    /// An actor that finishes with mail goes on.
    LateMessageRevives = "late-message-revives", breaks 7, caught by [
        "actors/src/durable/tests/supervision/ending.rs::an_actor_that_finishes_leaves_no_child_behind_and_its_mail_is_nobodys",
    ];
    /// An actor may finish before its children and calls.
    StopLeavesChildren = "stop-leaves-children", breaks 7, caught by [
        "actors/src/durable/tests/supervision/ending.rs::an_actor_that_finishes_leaves_no_child_behind_and_its_mail_is_nobodys",
    ];
    /// A commit of an older activation is accepted if its version fits.
    FenceByVersionOnly = "fence-by-version-only", breaks 8, caught by [
        "actors/src/durable/tests/rules.rs::a_commit_of_an_older_activation_is_refused_though_its_version_fits",
    ];
    /// A message that was accepted while its host let go rings nobody.
    BellLostWhilePassivating = "bell-lost-while-passivating", breaks 8, caught by [
        "actors/src/durable/tests/rules.rs::a_message_that_comes_while_a_host_lets_go_is_taken",
    ];
    /// The mailbox is not looked at again after a host was killed.
    BellLostAtDeath = "bell-lost-at-death", breaks 8, caught by [
        "actors/src/durable/tests/supervision/reload.rs::a_kill_from_outside_counts_for_no_intensity",
    ];
    /// The row of a call stays when its answer is accepted, so that a second one counts.
    SecondAnswerCounts = "second-answer-counts", breaks 15, caught by [
        "actors/src/durable/tests/rules.rs::a_second_answer_is_late_and_changes_nothing",
    ];
    /// An unknown outcome is followed by a call under a new key.
    TimeoutRaisesGeneration = "timeout-raises-generation", breaks 16, caught by [
        "actors/src/run/tests.rs::a_lost_answer_repeats_under_the_same_key",
    ];
    /// A refusal is followed by a new key, though nobody knows what became of the call before.
    RefusalRaisesGeneration = "refusal-raises-generation", breaks 16, caught by [
        "actors/src/run/tests.rs::a_refusal_after_an_attempt_of_which_nobody_knows_is_no_proof_and_keeps_the_key",
    ];
    /// A tool that panicked counts as one that did nothing.
    UnknownTakenForFailed = "unknown-taken-for-failed", breaks 16, caught by [
        "actors/src/durable/tests.rs::a_tool_that_panics_has_an_unknown_outcome",
    ];
    /// A call is repeated after its tool has forgotten the key.
    ForgottenKeyRepeated = "forgotten-key-repeated", breaks 16, caught by [
        "actors/src/durable/tests.rs::an_idempotent_call_whose_tool_has_forgotten_the_key_is_in_doubt_after_a_crash",
    ];
    /// The key of a call changes with the attempt.
    KeyIncludesAttempt = "key-includes-attempt", breaks 17, caught by [
        "actors/src/run/tests.rs::a_lost_answer_repeats_under_the_same_key",
    ];
    /// An at-most-once call is made before its start is durable.
    CallBeforeItsStart = "call-before-its-start", breaks 18, caught by [
        "actors/src/durable/tests/early.rs::no_at_most_once_call_is_made_while_its_start_is_on_its_way_to_the_disk",
    ];
    /// An at-most-once call that was under way in the last life is not in doubt.
    AtMostOnceRepeated = "at-most-once-repeated", breaks 18, caught by [
        "actors/src/run/tests.rs::an_at_most_once_call_is_never_repeated_wherever_the_process_dies",
    ];
    /// A task whose deadline is over ends without the outcome of its call.
    DeadlineDropsOutcome = "deadline-drops-outcome", breaks 19, caught by [
        "tests/it/limits.rs::what_turns_out_done_after_its_deadline_is_done",
    ];
    /// What a call answers after it was asked to stop counts for nothing.
    CancelThrowsResultAway = "cancel-throws-result-away", breaks 19, caught by [
        "actors/src/tool/limits.rs::what_turns_out_done_within_the_grace_is_done_and_what_failed_is_failed",
    ];
    /// A commit and its cancels stand in different records.
    CancelsOutsideCommit = "cancels-outside-commit", breaks 19, caught by [
        "actors/src/durable/tests/cancel.rs::a_commit_and_its_cancels_stand_in_one_record_however_full_it_is",
        "actors/src/durable/tests/cancel.rs::nothing_is_durable_of_a_commit_before_its_cancels_are",
    ];
    /// That a call ran when it was cancelled is not written down.
    CancelledCallMadeAgain = "cancelled-call-made-again", breaks 19, caught by [
        "actors/src/durable/tests/cancel.rs::a_call_that_was_cancelled_while_it_ran_is_not_made_again_after_a_crash",
    ];
    /// A restarted tool begins what runs.
    RunningCallBegunAgain = "running-call-begun-again", breaks 20, caught by [
        "actors/src/durable/tests.rs::a_killed_tool_actor_does_not_begin_a_running_call_again",
    ];
    /// Outcomes that no store took are dropped.
    OutcomeLostWithStore = "outcome-lost-with-store", breaks 20, caught by [
        "tests/it/reopen.rs::a_store_that_fails_once_is_opened_again_and_everything_finishes_once_whichever_write_it_was",
    ];
    /// Keys and artifacts expire right after the wall clock jumped.
    JumpWithoutGrace = "jump-without-grace", breaks 21, caught by [
        "actors/src/durable/tests/jumps.rs::a_jump_within_a_life_is_written_down_and_holds_expiries_for_ten_minutes",
        "actors/src/durable/tests/keys.rs::no_key_goes_while_the_wall_clock_is_not_to_be_trusted",
    ];
    /// Rows are written of records that are not durable.
    CheckpointPastDurable = "checkpoint-past-durable", breaks 29, caught by [
        "actors/src/durable/store/contract/checkpoints.rs::a_checkpoint_of_what_is_not_durable_is_refused",
    ];
    /// Rows are used that hold more than the journal.
    CheckpointPastJournal = "checkpoint-past-journal", breaks 29, caught by [
        "actors/src/durable/tests/faults.rs::rows_that_are_gone_cut_or_exchanged_are_built_again_and_that_is_told",
    ];
    /// Rows are captured in the middle of a record.
    RowsOutOfStep = "rows-out-of-step", breaks 29, caught by [
        "actors/src/run/tests.rs::rows_and_what_came_since_give_what_all_records_give_wherever_the_process_dies",
    ];
    /// A row that changed is missing in the next base.
    BaseLosesRow = "base-loses-row", breaks 30, caught by [
        "actors/src/durable/tests/asleep.rs::history_moves_from_the_journal_to_ledger_segments_and_rows_are_built_again_from_a_base",
    ];
    /// A base holds records that HEAD does not vouch for.
    BasePastHead = "base-past-head", breaks 30, caught by [
        "actors/src/durable/store/local/crashes/archiver.rs::no_base_holds_more_than_head_vouches_for",
    ];
    /// An artifact that was stored again meanwhile is removed.
    StoredArtifactCollected = "stored-artifact-collected", breaks 32, caught by [
        "src/artifacts/tests.rs::what_is_being_touched_is_not_removed",
        "src/artifacts/tests.rs::only_what_is_old_is_removed",
    ];
    /// The key of a submission is forgotten while its run goes on.
    KeyForgottenEarly = "key-forgotten-early", breaks 33, caught by [
        "src/engine/keys.rs::a_key_goes_a_day_after_its_run_has_ended_and_never_before",
    ];
    /// Events of a turn that emits several are not in the chain.
    EventOutsideChain = "event-outside-chain", breaks 34, caught by [
        "actors/src/run/tests.rs::an_idempotent_effect_happens_once_wherever_the_process_dies",
    ];
    /// Deaths of all actors count together.
    IntensityPerSupervisor = "intensity-per-supervisor", breaks 35, caught by [
        "actors/src/durable/tests/rules.rs::actors_that_die_at_once_are_counted_apart",
    ];
    /// The silence of a call is counted while the whole process stood still.
    StoppedProcessCostsCalls = "stopped-process-costs-calls", breaks 36, caught by [
        "actors/src/tool/in_flight.rs::a_late_look_gives_the_whole_silence_again",
    ];
    /// A call whose adapter runs is taken for a lost one.
    LivingCallTakenForLost = "living-call-taken-for-lost", breaks 36, caught by [
        "actors/src/durable/unsticker/tests.rs::a_call_is_stuck_when_nobody_has_it_and_never_while_its_adapter_lives",
    ];
}
