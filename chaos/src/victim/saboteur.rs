//! Kills actors inside the victim, as faults of their own would.

use headframe::durable::System;

use super::tools;
use crate::random::Random;

/// Kill something; returns how many hosts and how many tools' actors died.
pub(super) fn strike(system: &System, random: &mut Random) -> (u64, u64) {
    if random.one_in(6) {
        let killed = random.pick(tools::NAMES).is_some_and(|name| system.kill_tool(name));
        return (0, u64::from(killed));
    }
    let hosted = system.hosted();
    let killed = random.pick(&hosted).is_some_and(|actor| system.kill_host(*actor));
    (u64::from(killed), 0)
}
