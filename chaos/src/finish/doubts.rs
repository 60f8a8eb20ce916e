//! Whether anything came into doubt for a reason that this suite never gives: a process that stood still, or a clock that was
//! set, must not cost a call its outcome.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use headframe::{
    durable::{
        Ledger, Registry, What,
        store::{Local, LocalOptions, Store as _},
    },
    phase::Phase,
    run::Run,
    task::{Event, Task},
};
use serde::Deserialize as _;

use crate::{
    oracle::{Findings, Invariant::I4, Violation},
    recorder::Entry,
    workload,
};

/// No call of these tools waits so long that its time could be over, and none forgets a key.
const STEADY: [&str; 6] = ["swift", "idem", "lossy", "flaky", "deny", "once"];
/// Classes of failure that only time can bring.
const OF_TIME: [&str; 3] = ["timeout", "heartbeat", "forgotten"];

/// Look through the ledger of a folder at rest.
pub(super) fn examine(folder: &Path, entries: &[Entry]) -> anyhow::Result<Findings> {
    let store = Local::open(folder, LocalOptions { read_only: true, ..LocalOptions::default() })?;
    store.open()?;
    let ledger = Ledger::new(Arc::new(store), Registry::new().with::<Run>().with::<Phase>().with::<Task>());
    let made = entries.iter().map(|entry| &entry.call).filter(|call| !workload::is_a_programs(&call.label));
    let tools: BTreeMap<&str, &str> = made.map(|call| (call.call.as_str(), call.tool.as_str())).collect();
    let mut findings = Findings::default();
    ledger.all(&mut |item| {
        if let (What::Event(event), "task") = (&item.what, item.kind)
            && let Ok(Event::Doubted { call, failure, .. }) = Event::deserialize(event)
        {
            let call = call.to_string();
            findings.tested(I4, 1);
            let tool = tools.get(call.as_str()).copied().unwrap_or("process");
            if is_of_time(tool, &failure.class) {
                let what = format!("{call} of `{tool}` came into doubt by `{}`: {}", failure.class, failure.message);
                findings.found(Violation::wrong(I4, what).at_call(&call));
            }
        }
        true
    })?;
    Ok(findings)
}

fn is_of_time(tool: &str, class: &str) -> bool {
    STEADY.contains(&tool) && OF_TIME.contains(&class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tools_that_hang_may_cost_a_call_its_outcome_by_time() {
        assert!(is_of_time("once", "timeout") && is_of_time("idem", "forgotten"));
        assert!(!is_of_time("slow", "timeout") && !is_of_time("stubborn", "timeout") && !is_of_time("once", "crash"));
    }
}
