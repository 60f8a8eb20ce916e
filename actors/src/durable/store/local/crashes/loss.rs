//! Dying while a loss is accepted.

use std::path::PathBuf;

use super::{
    super::{loss, losses},
    *,
};
use crate::durable::journal::segment;

/// What is wrong with the journal.
#[derive(Clone, Copy, Debug)]
pub(super) enum Damage {
    /// One bit of the segment that holds a record.
    Bit(u64),
    /// One bit of each of two.
    Bits(u64, u64),
    /// The segment that holds a record is gone.
    Gone(u64),
    /// One bit of the base at which the ledger ends.
    Base,
}

const DAMAGES: [Damage; 6] =
    [Damage::Bit(28), Damage::Bit(20), Damage::Bits(20, 28), Damage::Gone(20), Damage::Gone(29), Damage::Base];

/// A base at each of these records, the history up to the last but one in ledger segments, and some records more.
fn told(tale: &Tale, bases: &[u64], last: u64) -> SimDisk {
    let disk = SimDisk::default();
    let mut life = open(&disk).unwrap();
    for base in bases {
        life.tell(tale, *base, &mut 0).unwrap();
        life.base().unwrap();
    }
    life.tell(tale, last, &mut 0).unwrap();
    life.local.release();
    disk.after_crash(Fate::Lost)
}

fn holder(disk: &SimDisk, record: u64) -> PathBuf {
    let segments = crate::durable::journal::survey::Survey::take(disk, Path::new("data")).unwrap().live;
    let starts = |segment: &segment::Segment| segment.header.as_ref().unwrap().first <= Sequence(record);
    segments.into_iter().rfind(starts).unwrap().path
}

fn flip(disk: &SimDisk, tale: &Tale, record: u64) {
    let payload = tale.payload(record);
    disk.tamper(&holder(disk, record), |bytes| {
        let at = bytes.windows(payload.len()).position(|window| window == payload).unwrap();
        bytes[at] ^= 1;
    });
}

fn damaged(tale: &Tale, damage: Damage) -> SimDisk {
    let disk = match damage {
        // The journal does not have what the ledger has.
        Damage::Base => told(tale, &[20, 45, 55], 58),
        _ => told(tale, &[8, 16, 24], 30),
    };
    match damage {
        Damage::Bit(record) => flip(&disk, tale, record),
        Damage::Bits(one, other) => [one, other].map(|record| flip(&disk, tale, record)).into_iter().collect(),
        Damage::Base => disk.tamper(Path::new("data/base/00000000000000000045.base"), |bytes| bytes[100] ^= 1),
        Damage::Gone(record) => disk.lose(&holder(&disk, record)),
    }
    disk
}

pub(super) fn accept(disk: &SimDisk) -> Result<(), Error> {
    let local = unread(disk, Manner::Close)?;
    let settled = loss::accept(&local, 1_000_000);
    local.release();
    settled.map(drop)
}

/// What accepting it comes to when nobody dies: how much of the state stays, and which history is lost.
fn accepted(tale: &Tale, damage: Damage) -> (Sequence, u64, Vec<(Sequence, Sequence)>) {
    let disk = damaged(tale, damage);
    let found = loss::plan(&disk, Path::new("data")).unwrap().expect("it is damaged");
    accept(&disk).unwrap_or_else(|error| panic!("{error}: {damage:?} {found:?} {:?}", disk.log()));
    (Sequence(found.until), disk.steps(), lost(&disk))
}

fn lost(disk: &SimDisk) -> Vec<(Sequence, Sequence)> {
    losses::list(disk, Path::new("data"), Gone::default())
        .unwrap()
        .into_iter()
        .map(|range| (range.from, range.to))
        .collect()
}

#[test]
fn an_accepted_loss_costs_no_more_wherever_the_process_dies_on_the_way() {
    let tale = Tale::of(60);
    let mut points = Vec::new();
    for damage in DAMAGES {
        let (until, steps, lost) = accepted(&tale, damage);
        let plot = Plot { damage, until, lost };
        for step in 0..=steps {
            let disk = damaged(&tale, damage);
            disk.die_after(step);
            let _ = accept(&disk);
            for fate in FATES {
                let scene = || format!("{damage:?}: {}", scene(&disk, step, fate));
                settles(&disk.after_crash(fate), &tale, &plot, &scene);
            }
        }
        points.push(steps);
    }
    assert_eq!(points, [53, 66, 66, 55, 50, 22], "crash points");
}

/// A loss that is accepted, and what it comes to when nobody dies.
pub(super) struct Plot {
    damage: Damage,
    until: Sequence,
    lost: Vec<(Sequence, Sequence)>,
}

impl Plot {
    /// The disk before it is accepted.
    pub(super) fn disk(&self, tale: &Tale) -> SimDisk {
        damaged(tale, self.damage)
    }
}

/// One for each kind of damage.
pub(super) fn plots(tale: &Tale) -> Vec<Plot> {
    let plot = |damage| {
        let (until, _, lost) = accepted(tale, damage);
        Plot { damage, until, lost }
    };
    DAMAGES.map(plot).into()
}

/// Doing it again goes on; then all that is not lost is there, and the store takes records.
pub(super) fn settles(
    disk: &SimDisk,
    tale: &Tale,
    Plot { until, lost: lost_before, .. }: &Plot,
    scene: &dyn Fn() -> String,
) {
    let until = *until;
    accept(disk).unwrap_or_else(|error| panic!("{error}: {}", scene()));
    assert_eq!(loss::plan(disk, Path::new("data")).unwrap(), None, "{}", scene());
    let life = open(disk).unwrap_or_else(|error| panic!("{error}: {}", scene()));
    assert!(life.last >= until, "{} of {until}: {}", life.last, scene());
    assert_eq!(lost(disk), *lost_before, "{}", scene());
    let is_lost = |record: u64| lost_before.iter().any(|(from, to)| (from.0..=to.0).contains(&record));
    let mut wanted = tale.history(until);
    wanted.retain(|item| !is_lost(item.record));
    let mut found = life.history(scene);
    found.retain(|item| item.record <= until.0);
    assert_eq!(found, wanted, "{}", scene());
    life.local.append(life.fence, life.last.next(), tale.payload(1)).unwrap();
    let image = disk.after_crash(Fate::Lost);
    let checked = inspect::check(&image, Path::new("data")).unwrap();
    assert_eq!(checked.problems, Vec::<String>::new(), "{}", scene());
}
