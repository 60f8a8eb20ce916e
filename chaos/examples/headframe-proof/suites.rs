//! The suites that a proof consists of, and what each of them does.

/// A suite.
pub(crate) struct Suite {
    /// Under this name it notes what it found out.
    pub(crate) name: &'static str,
    /// What it does, and what would make it fail.
    pub(crate) about: &'static str,
    /// How it is run.
    pub(crate) command: &'static str,
}

/// In the order in which they are told: from the pure to the real.
pub(crate) const SUITES: &[Suite] = &[
    Suite {
        name: "crash points",
        about: "Runs of many shapes on the accepted view, without threads or clocks. The process dies after each commit, with the unacknowledged \
                record lost, kept or torn, and dies again in its recovery; then everything must come to rest with every invariant held. Messages are delivered at acceptance, and in a quarter of the runs only when they are durable.",
        command: "HEADFRAME_SCALE=prove cargo test at_scale",
    },
    Suite {
        name: "state machines",
        about: "Every state machine is told anything in any state that can be reached: no panic, a refusal changes nothing, and the \
                live state is the fold of its events.",
        command: "HEADFRAME_SCALE=prove cargo test at_scale",
    },
    Suite {
        name: "actor faults",
        about: "The real system on one thread under paused time. At every seam of hosts, directory, supervisors, tools and timers a seed chooses \
                among panics, kills, hangs, errors, waits and lost doorbells. Every pair of a place and a fault must have struck, equal seeds must \
                give equal traces in two processes, and at rest every invariant must hold.",
        command: "HEADFRAME_SCALE=prove cargo test at_scale",
    },
    Suite {
        name: "actor faults: replay",
        about: "The same seeds in two processes: every line of their traces must be equal.",
        command: "HEADFRAME_SCALE=prove cargo test at_scale",
    },
    Suite {
        name: "system-call crash points",
        about: "Every operation on the files of a store is recorded. After each prefix of them, with what was not synced lost in combinations of 4 KiB \
                pages, also what an earlier life had written, the store must open with everything that was acknowledged: with HEAD close behind, with HEAD lagging, \
                and without syncs, where only a power cut may cost what HEAD does not vouch for. What is kept before an upgrade must be whole, or is made anew.",
        command: "HEADFRAME_SCALE=prove cargo test at_scale",
    },
    Suite {
        name: "corruption",
        about: "Every kind of file of a store is flipped, cut, zeroed, exchanged and removed, and opened in a process of its own. Whatever comes of it is said: \
                unharmed, built again, refused by name, or a torn end that is cut and told. Nothing is lost in silence.",
        command: "HEADFRAME_SCALE=prove cargo test at_scale",
    },
    Suite {
        name: "states of sled's files",
        about: "sled writes and syncs as it likes. Its files are damaged, gone, those of another moment of the same store, or mixed of two moments, file by \
                file and page by page: each store opens with all that was acknowledged, from rows that fit or from rows that were built again.",
        command: "HEADFRAME_SCALE=prove cargo test at_scale",
    },
    Suite {
        name: "damaged artifacts",
        about: "Artifacts are flipped, cut, grown, zeroed, exchanged and removed: nobody is given other bytes than were stored, and a check names each that was hit.",
        command: "HEADFRAME_SCALE=prove cargo test at_scale",
    },
    Suite {
        name: "stalls",
        about: "For each class of the unsticker one thing is lost on a real system: it must be found and cured, or named, within its deadline.",
        command: "HEADFRAME_SCALE=prove cargo test at_scale",
    },
    Suite {
        name: "kill loop",
        about: "A process with an engine is killed at times that were drawn before, one in five during its start; actors, tools and subprocesses die, clocks jump, \
                the disk runs full. A recorder outside counts what really happened. The page is docs/CHAOS.md.",
        command: "cargo run -r -p headframe-chaos -- --kills 150",
    },
    Suite {
        name: "soak",
        about: "A steady mixed load with kills: nothing may grow that should not, and probes must end in time.",
        command: "cargo run -r -p headframe-soak -- --for 60m --kill-every 5m",
    },
    Suite {
        name: "mutants",
        about: "Named bugs, each of which breaks one rule, are switched on one at a time; the suites must notice.",
        command: "bash .ci/run mutants",
    },
];
