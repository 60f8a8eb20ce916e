//! The children, by place and by name, and who is to be looked at when.
//!
//! **Invariant:** the indexes say what the children's lives say; [`Book::set`] is the one place where a life changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rustc_hash::FxHashMap;

use crate::durable::supervision::{
    child::{Child, ChildId, Key, Life, Slot, Status},
    error::Error,
    spec::ChildSpec,
};

#[derive(Debug, Default)]
pub(super) struct Book {
    children: BTreeMap<Slot, Child>,
    slots: FxHashMap<ChildId, Slot>,
    due: BTreeSet<(Duration, Slot)>,
    kills: BTreeSet<(Duration, Slot)>,
    starting: usize,
    ending: usize,
    /// Starting, up, or ending.
    alive: usize,
    next_slot: u64,
}

impl Book {
    pub(super) fn add(&mut self, spec: ChildSpec, life: Life) -> Result<Slot, Error> {
        let id = spec.id.clone();
        if let Some(slot) = self.slots.get(&id) {
            let is_down = self.child(*slot).life == Life::Down;
            return Err(if is_down { Error::AlreadyPresent(id) } else { Error::AlreadyStarted(id) });
        }
        let slot = Slot(self.next_slot);
        self.next_slot += 1;
        self.slots.insert(id, slot);
        self.children.insert(slot, Child::new(spec, Life::Down));
        self.set(slot, life);
        Ok(slot)
    }

    /// Forget a child that is down.
    pub(super) fn remove(&mut self, slot: Slot) {
        if let Some(child) = self.children.remove(&slot) {
            debug_assert_eq!(child.life, Life::Down, "only what is down is forgotten");
            self.slots.remove(&child.spec.id);
        }
    }

    pub(super) fn set(&mut self, slot: Slot, life: Life) {
        let child = self.children.get_mut(&slot).expect("a slot is used while its child is there");
        let former = std::mem::replace(&mut child.life, life);
        self.index(slot, former, false);
        self.index(slot, life, true);
    }

    fn index(&mut self, slot: Slot, life: Life, is_added: bool) {
        let count = |counter: &mut usize| *counter = if is_added { *counter + 1 } else { *counter - 1 };
        if life.incarnation().is_some() {
            count(&mut self.alive);
        }
        match life {
            Life::Starting { .. } => count(&mut self.starting),
            Life::Ending { .. } => count(&mut self.ending),
            _ => {}
        }
        let (alarms, at) = match life {
            Life::Due { at } => (&mut self.due, at),
            Life::Ending { kill_at: Some(at), .. } => (&mut self.kills, at),
            _ => return,
        };
        if is_added {
            alarms.insert((at, slot));
        } else {
            alarms.remove(&(at, slot));
        }
    }

    pub(super) fn child(&self, slot: Slot) -> &Child {
        self.children.get(&slot).expect("a slot is used while its child is there")
    }

    pub(super) fn child_mut(&mut self, slot: Slot) -> &mut Child {
        self.children.get_mut(&slot).expect("a slot is used while its child is there")
    }

    /// The child that lives this life, if it still does.
    pub(super) fn current(&self, key: Key) -> Option<(&Child, Life)> {
        let child = self.children.get(&key.slot)?;
        (child.life.incarnation() == Some(key.incarnation)).then_some((child, child.life))
    }

    pub(super) fn find(&self, id: &ChildId) -> Result<Slot, Error> {
        self.slots.get(id).copied().ok_or_else(|| Error::NotFound(id.clone()))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Child)> {
        self.children.iter().map(|(slot, child)| (*slot, child))
    }

    /// This place and those after it.
    pub(super) fn from(&self, first: Slot) -> Vec<Slot> {
        self.children.range(first..).map(|(slot, _)| *slot).collect()
    }

    pub(super) fn up(&self) -> Vec<Slot> {
        // While thousands end together, each end asks this.
        if self.alive == self.starting + self.ending {
            return Vec::new();
        }
        let up = self.iter().filter(|(_, child)| child.life.status() == Status::Up);
        up.map(|(slot, _)| slot).collect()
    }

    pub(super) fn alive(&self) -> usize {
        self.alive
    }

    pub(super) fn is_starting(&self) -> bool {
        self.starting > 0
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending > 0
    }

    pub(super) fn last_alive(&self) -> Option<(Slot, Life)> {
        let alive = self.children.iter().rev().find(|(_, child)| child.life.incarnation().is_some());
        alive.map(|(slot, child)| (*slot, child.life))
    }

    pub(super) fn last_leaving(&self) -> Option<Slot> {
        let leaving = |child: &Child| matches!(child.life, Life::Up { leaves: true, .. });
        self.children.iter().rev().find(|(_, child)| leaving(child)).map(|(slot, _)| *slot)
    }

    /// What is due next.
    pub(super) fn due(&self) -> Option<(Duration, Slot)> {
        self.due.first().copied()
    }

    /// What is due and stands first.
    pub(super) fn first_due(&self) -> Option<(Duration, Slot)> {
        self.due.iter().copied().min_by_key(|(_, slot)| *slot)
    }

    pub(super) fn next_kill(&self) -> Option<Duration> {
        self.kills.first().map(|(at, _)| *at)
    }

    /// Those whose time to end is over.
    pub(super) fn overdue(&self, now: Duration) -> Vec<Slot> {
        self.kills.iter().take_while(|(at, _)| *at <= now).map(|(_, slot)| *slot).collect()
    }

    /// Whether a significant child is not down.
    pub(super) fn has_significant(&self) -> bool {
        self.children.values().any(|child| child.spec.significant && child.life != Life::Down)
    }
}
