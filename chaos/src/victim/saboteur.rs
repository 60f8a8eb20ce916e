//! Kills actors inside the victim by their ids, as faults of their own would.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use headframe::{
    clock::monotonic,
    durable::{ActorId, Behavior as _, Killed, System, codec::fnv1a},
    phase::Phase,
    run::Run,
    task::Task,
};

use super::{Said, tools};
use crate::{fault::Fault, random::Dice};

/// So many actors are watched until they are over their death.
const WATCHED_MAX: usize = 32;

/// Kills, and sees who gets over it.
#[derive(Default)]
pub(super) struct Saboteur {
    /// When each was killed, and how many turns it had taken by then.
    killed: HashMap<ActorId, (Instant, u64)>,
}

impl Saboteur {
    /// Kill something; says what, if there was something to kill.
    pub(super) async fn strike(
        &mut self,
        system: &System,
        outside: &tools::Outside,
        random: &mut Dice,
    ) -> Option<Said> {
        let struck = |what: &str| Some(Said::Struck { fault: Fault::Actors, what: what.to_owned() });
        if random.one_in(6) {
            let name = random.pick(tools::NAMES)?;
            outside.about_to_kill(name);
            return if system.kill_tool(name) { struck("tool") } else { None };
        }
        let actor = *random.pick(&system.hosted())?;
        // One that has ended meanwhile is nobody's to kill.
        let (kind, version) =
            system.read(|live| live.actors.get(&actor).map(|actor| (actor.kind, actor.version))).await.ok()??;
        if !matches!(system.kill(&actor.to_string()).await, Ok(Killed::Host)) {
            return None;
        }
        if self.killed.len() < WATCHED_MAX {
            self.killed.entry(actor).or_insert((monotonic(), version));
        }
        struck(name_of(kind))
    }

    /// How long those took to get over it that have: they took another turn, or have ended.
    pub(super) async fn healed(&mut self, system: &System) -> Vec<Duration> {
        if self.killed.is_empty() {
            return Vec::new();
        }
        let is_over = |live: &headframe::durable::Live, actor: &ActorId, turns: u64| {
            live.actors.get(actor).is_none_or(|actor| actor.version > turns)
        };
        let seen = system.read(|live| {
            let killed = self.killed.iter().filter(|(actor, (_, turns))| is_over(live, actor, *turns));
            killed.map(|(actor, _)| *actor).collect::<Vec<_>>()
        });
        // A store that closed is told by others.
        let over = seen.await.unwrap_or_default();
        over.iter().filter_map(|actor| self.killed.remove(actor)).map(|(since, _)| since.elapsed()).collect()
    }
}

fn name_of(kind: u32) -> &'static str {
    let kinds = [Run::KIND, Phase::KIND, Task::KIND];
    kinds.into_iter().find(|name| fnv1a(name) == kind).unwrap_or("other actor")
}
