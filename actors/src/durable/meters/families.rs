//! The table of what a system measures.

use crate::{
    durable::system::Figures,
    metrics::{BATCH, CALL_SECONDS as CALL_BUCKETS, Family, SYNC_SECONDS},
};

pub(super) const ACTORS: Family =
    Family::gauge("headframe_actors", &["kind"], "Live actors, in memory or not, as of the last survey.");
const ACTORS_IN_MEMORY: Family =
    Family::gauge("headframe_actors_in_memory", &[], "Live actors whose rows are in memory.");
const HOSTS: Family = Family::gauge("headframe_hosts", &[], "Actors that have a host in memory.");
const ACTORS_SUSPENDED: Family =
    Family::gauge("headframe_actors_suspended", &[], "Actors that are not run, as of the last survey.");
const MAIL: Family =
    Family::gauge("headframe_mail_waiting", &[], "Messages that lie in mailboxes, as of the last survey.");
const TURNS: Family = Family::counter("headframe_turns_total", &[], "Messages that were taken, each in a turn.");
const TIMERS: Family =
    Family::gauge("headframe_timers", &[], "Timers that are set, of actors in memory or due before long.");
pub(super) const RESTARTS: Family =
    Family::counter("headframe_restarts_total", &["of"], "Actors that were loaded again, and services started again.");
const DEAD_LETTERS: Family =
    Family::gauge("headframe_dead_letters", &[], "Messages that were given up and are kept, as of the last survey.");
const BURIED: Family =
    Family::counter("headframe_dead_letters_total", &[], "Messages that were put with the dead letters.");
pub(super) const STUCK: Family =
    Family::gauge("headframe_stuck", &["reason"], "What waits in vain or for a person, as of the last survey.");
pub(super) const UNSTUCK: Family =
    Family::counter("headframe_unstuck_total", &["reason"], "What was done about what was stuck.");

pub(super) const CALLS_ENDED: Family =
    Family::counter("headframe_calls_ended_total", &["tool", "outcome"], "Attempts at calls that ended.");
pub(super) const CALL_SECONDS: Family = Family::histogram(
    "headframe_call_duration_seconds",
    CALL_BUCKETS,
    &["tool"],
    "How long attempts at calls took, from their begin to their end.",
);
pub(super) const PROBES: Family = Family::counter(
    "headframe_probes_total",
    &["tool"],
    "Probes that were asked whether a call happened, and said what they know.",
);
pub(super) const CALLS_WAITING: Family =
    Family::gauge("headframe_calls_waiting", &["tool"], "Calls that wait for a permit of their tool.");
pub(super) const PERMITS_IN_USE: Family =
    Family::gauge("headframe_permits_in_use", &["tool"], "Permits of a tool that calls hold.");
pub(super) const PERMITS: Family =
    Family::gauge("headframe_permits", &["tool"], "Permits that a tool has: the most calls at once.");
const CALLS_OPEN: Family = Family::gauge("headframe_calls_open", &[], "Calls without an outcome.");
const CALLS_IN_DOUBT: Family = Family::gauge(
    "headframe_calls_in_doubt",
    &[],
    "Calls of which nobody knows whether they happened, as of the last survey.",
);
const LATE_ANSWERS: Family =
    Family::counter("headframe_late_answers_total", &[], "Answers that came for calls that were gone.");

const COMMIT_RECORDS: Family = Family::counter("headframe_commit_records_total", &[], "Records that became durable.");
const COMMIT_PAYLOAD: Family =
    Family::counter("headframe_commit_payload_bytes_total", &[], "Bytes of records that became durable.");
const COMMIT_WRITTEN: Family =
    Family::counter("headframe_commit_written_bytes_total", &[], "Bytes written for records, headers and all.");
const COMMIT_SYNCS: Family = Family::counter("headframe_commit_syncs_total", &[], "Syncs that were waited for.");
pub(super) const COMMIT_SECONDS: Family = Family::histogram(
    "headframe_commit_duration_seconds",
    SYNC_SECONDS,
    &[],
    "How long it took to make a record durable, its sync included.",
);
pub(crate) const COMMIT_WAIT_SECONDS: Family = Family::histogram(
    "headframe_commit_wait_seconds",
    SYNC_SECONDS,
    &[],
    "How long the oldest commit of a record waited until it was durable: in the queue, and for the sync.",
);
/// Registered with the store, which alone knows what a sync is.
pub(crate) const SYNC: Family = Family::histogram(
    "headframe_fdatasync_duration_seconds",
    SYNC_SECONDS,
    &[],
    "How long the journal's fdatasync took.",
);
pub(super) const COMMIT_OPERATIONS: Family =
    Family::histogram("headframe_commit_operations", BATCH, &[], "Operations in a record: what shares a sync.");
const SEQUENCE: Family = Family::gauge("headframe_durable_sequence", &[], "The number of the last durable record.");
const ACCEPTED: Family = Family::gauge("headframe_accepted_sequence", &[], "The number of the last accepted record.");

pub(super) const CHECKPOINT_SECONDS: Family = Family::histogram(
    "headframe_checkpoint_duration_seconds",
    CALL_BUCKETS,
    &[],
    "How long it took to write the rows that changed.",
);
pub(super) const CHECKPOINT_ROWS: Family =
    Family::counter("headframe_checkpoint_rows_total", &[], "Rows that checkpoints wrote or removed.");
pub(super) const CHECKPOINT_FAILURES: Family =
    Family::counter("headframe_checkpoint_failures_total", &[], "Checkpoints that failed and are tried again.");
const CHECKPOINT_PENDING: Family =
    Family::gauge("headframe_checkpoint_pending_bytes", &[], "Bytes of records whose rows are not written yet.");
const ROWS: Family = Family::gauge("headframe_store_rows", &[], "Live rows on disk, as of the last checkpoint.");
const SHORT: Family =
    Family::gauge("headframe_store_short_of_room", &[], "1 while nothing is let in because the disk is full.");
const CLOSED: Family =
    Family::gauge("headframe_store_closed", &[], "1 once the store has closed and the process is to start again.");

/// How a figure is read.
pub(super) type Reads<T> = fn(&Figures) -> T;

/// Counters that are read from figures.
pub(super) const COUNTED: &[(Family, Reads<u64>)] = &[
    (TURNS, |of| of.turns),
    (BURIED, |of| of.buried),
    (LATE_ANSWERS, |of| of.late_answers),
    (COMMIT_RECORDS, |of| of.store.records),
    (COMMIT_PAYLOAD, |of| of.store.payload_bytes),
    (COMMIT_WRITTEN, |of| of.store.written_bytes),
    (COMMIT_SYNCS, |of| of.store.syncs),
];

/// Gauges that are read from figures.
pub(super) const GAUGED: &[(Family, Reads<f64>)] = &[
    (ACTORS_IN_MEMORY, |of| of.actors as f64),
    (HOSTS, |of| of.hosted as f64),
    (TIMERS, |of| of.timers as f64),
    (CALLS_OPEN, |of| of.calls as f64),
    (SEQUENCE, |of| of.durable as f64),
    (ACCEPTED, |of| of.accepted as f64),
    (CHECKPOINT_PENDING, |of| of.unsaved_bytes as f64),
    (ROWS, |of| of.store.rows as f64),
    (SHORT, |of| f64::from(u8::from(of.is_short))),
    (CLOSED, |of| f64::from(u8::from(of.is_closed))),
];

/// Gauges that a survey sets.
pub(super) const SURVEYED: &[Family] = &[ACTORS_SUSPENDED, MAIL, DEAD_LETTERS, CALLS_IN_DOUBT];

/// All of them.
pub const FAMILIES: &[Family] = &[
    ACTORS,
    ACTORS_IN_MEMORY,
    HOSTS,
    ACTORS_SUSPENDED,
    MAIL,
    TURNS,
    TIMERS,
    RESTARTS,
    DEAD_LETTERS,
    BURIED,
    STUCK,
    UNSTUCK,
    CALLS_ENDED,
    CALL_SECONDS,
    PROBES,
    CALLS_WAITING,
    PERMITS_IN_USE,
    PERMITS,
    CALLS_OPEN,
    CALLS_IN_DOUBT,
    LATE_ANSWERS,
    COMMIT_RECORDS,
    COMMIT_PAYLOAD,
    COMMIT_WRITTEN,
    COMMIT_SYNCS,
    COMMIT_SECONDS,
    COMMIT_WAIT_SECONDS,
    SYNC,
    COMMIT_OPERATIONS,
    SEQUENCE,
    ACCEPTED,
    CHECKPOINT_SECONDS,
    CHECKPOINT_ROWS,
    CHECKPOINT_FAILURES,
    CHECKPOINT_PENDING,
    ROWS,
    SHORT,
    CLOSED,
];
