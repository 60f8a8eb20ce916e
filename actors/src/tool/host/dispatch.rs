//! Calls on their way to their tools, and back: what the system asks of all tools together.

use std::{sync::Arc, time::Duration};

use super::HostMessage;
#[cfg(test)]
use crate::durable::faults::{Site, Who};
use crate::durable::{CallId, Inner, Row, RowState};

impl Inner {
    /// Hand calls that became durable to their tools.
    pub(crate) fn dispatch(&self, calls: &[(u32, CallId)], started: &[(u32, CallId)]) {
        #[cfg(feature = "testing")]
        let calls = &*self.stalls.without_lost(calls);
        #[cfg(test)]
        if !(calls.is_empty() && started.is_empty()) && self.fault_at_once(Site::Dispatch, Who::Nobody).is_some() {
            return;
        }
        for (tool, calls) in by_tool(calls) {
            self.tell_tool(tool, HostMessage::Calls(calls));
        }
        for (tool, calls) in by_tool(started) {
            self.tell_tool(tool, HostMessage::Started(calls));
        }
    }

    pub(super) fn tell_tool(&self, tool: u32, message: HostMessage) {
        match self.tools.get(&tool) {
            Some(slot) => slot.tell(message),
            None => tracing::warn!("a call waits for a tool that is not registered in this process"),
        }
    }

    /// Whoever waits may begin now.
    pub(crate) fn let_all_begin(&self) {
        for slot in self.tools.values() {
            slot.tell(HostMessage::Freed);
        }
    }

    /// Take over what runs in this process, and the outcomes that the store before did not take.
    pub(crate) fn take_over(self: &Arc<Self>) {
        let parked = self.in_flight.parked();
        if parked.is_empty() {
            return;
        }
        let ended: Vec<_> = parked.iter().map(|(call, ..)| *call).collect();
        let tools = self.tools_of(&ended);
        let inner = self.clone();
        self.answer(parked, move || {
            inner.in_flight.unpark(&ended);
            for (tool, calls) in by_tool(&tools) {
                inner.end_calls(tool, calls);
                inner.tell_tool(tool, HostMessage::Freed);
            }
        });
    }

    /// Calls that run already hold their permits before any other begins.
    pub(crate) fn permit_what_runs(&self) {
        if self.in_flight.is_empty() {
            return;
        }
        let calls = self.core.lock().accepted.live().calls.keys().copied().collect::<Vec<_>>();
        let held: Vec<_> = calls.into_iter().filter(|call| self.in_flight.holds(*call)).collect();
        for (tool, calls) in by_tool(&self.tools_of(&held)) {
            if let Some(slot) = self.tools.get(&tool) {
                slot.permits.lock().extend(calls);
            }
        }
    }

    fn tools_of(&self, calls: &[CallId]) -> Vec<(u32, CallId)> {
        let core = self.core.lock();
        let rows = &core.accepted.live().calls;
        let tool = |call: &CallId| Some((crate::durable::codec::fnv1a(&rows.get(call)?.request.tool), *call));
        calls.iter().filter_map(tool).collect()
    }

    /// The answers of these calls are in: their permits are free, and they do not run any more.
    pub(super) fn end_calls(&self, tool: u32, calls: Vec<CallId>) {
        if let Some(slot) = self.tools.get(&tool) {
            slot.give_back(calls.iter().copied());
        }
        self.in_flight.end(calls);
    }

    /// Begin no more calls, ask those that run to stop, and wait for them at most so long.
    pub(crate) async fn drain_tools(&self, grace: Duration) {
        for slot in self.tools.values() {
            slot.tell(HostMessage::Drain);
        }
        let is_still = || self.tools.values().all(|slot| slot.permits.lock().is_empty());
        self.in_flight.drain(grace, is_still).await;
    }

    /// The calls in a tool's mailbox: those not begun or to be probed, and the at-most-once ones whose start is written.
    pub(super) fn mailbox(&self, tool: u32) -> (Vec<CallId>, Vec<CallId>) {
        let calls = self.with_accepted(|accepted, _| {
            let of_tool = |row: &Row| crate::durable::codec::fnv1a(&row.request.tool) == tool;
            let in_state = |is_wanted: fn(&RowState) -> bool| {
                let rows = accepted.live().calls.iter();
                rows.filter(|(_, row)| is_wanted(&row.state) && of_tool(row) && !accepted.is_held(row.caller))
                    .map(|(call, _)| *call)
                    .collect()
            };
            let waiting = in_state(|state| matches!(state, RowState::Intended | RowState::Probing(_)));
            (waiting, in_state(|state| *state == RowState::Started))
        });
        calls.unwrap_or_default()
    }
}

fn by_tool(calls: &[(u32, CallId)]) -> Vec<(u32, Vec<CallId>)> {
    let mut grouped: Vec<(u32, Vec<CallId>)> = Vec::new();
    for (tool, call) in calls {
        match grouped.iter_mut().find(|(known, _)| known == tool) {
            Some((_, group)) => group.push(*call),
            None => grouped.push((*tool, vec![*call])),
        }
    }
    grouped
}
