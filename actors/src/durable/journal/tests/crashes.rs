//! Dying at every step, and coming back on every kind of disk.

use super::*;
use crate::durable::journal::{
    disk::{Access, Disk as _},
    sim::Fate,
};

const FATES: [Fate; 7] =
    [Fate::Kept, Fate::Lost, Fate::Pages(1), Fate::Pages(2), Fate::Pages(3), Fate::Sectors(4), Fate::Sectors(5)];

/// What the outside knows: what it sent, and how much of it was acknowledged.
#[derive(Clone, Debug, Default)]
struct Witness {
    sent: Vec<Vec<u8>>,
    acknowledged: usize,
}

impl Witness {
    /// What is found is what was sent, at least as far as was acknowledged; and it counts from now on.
    fn examine(&mut self, found: &[Vec<u8>], scene: &dyn Fn() -> String) {
        assert!(found.len() >= self.acknowledged, "{} of {} acknowledged: {}", found.len(), self.acknowledged, scene());
        assert!(found.len() <= self.sent.len(), "{} of {} sent: {}", found.len(), self.sent.len(), scene());
        assert!(found == &self.sent[..found.len()], "another record than was sent: {}", scene());
        self.sent = found.to_vec();
        self.acknowledged = found.len();
    }

    fn send(&mut self, opened: &mut Opened, payload: Vec<u8>) -> Result<(), Error> {
        self.sent.push(payload);
        opened.append(self.sent.last().unwrap())?;
        self.acknowledged += 1;
        Ok(())
    }
}

/// Three lives: records of many sizes, over several segments, one larger than a segment; idle and not.
fn story(disk: &mut SimDisk, mode: Mode, witness: &mut Witness) -> Result<(), Error> {
    for (life, sizes) in
        [&[3, 2000, 0, 5000, 700][..], &[20_000, 10, 3000, 3000, 1], &[4095, 40, 4000]].iter().enumerate()
    {
        let mut opened = recover(disk, mode)?;
        witness.examine(&opened.records, &|| format!("life {life}"));
        for (index, size) in sizes.iter().enumerate() {
            let mut payload = format!("{life} {index} ").into_bytes();
            payload.resize(*size, b'a' + u8::try_from(index).unwrap());
            witness.send(&mut opened, payload)?;
            if index == 2 {
                opened.store.idle()?;
            }
        }
        // The second life ends well, the others do not.
        *disk = if life == 1 { disk.clone() } else { opened.killed(disk) };
    }
    Ok(())
}

/// Every death of the story: the disk at that moment, and what the outside knew.
fn deaths(mode: Mode) -> impl Iterator<Item = (u64, SimDisk, Witness)> {
    let (mut whole, mut witness) = (SimDisk::default(), Witness::default());
    story(&mut whole, mode, &mut witness).unwrap();
    (0..=whole.steps()).map(move |step| {
        let (mut disk, mut witness) = (SimDisk::default(), Witness::default());
        disk.die_after(step);
        let _ = story(&mut disk, mode, &mut witness);
        (step, disk, witness)
    })
}

/// The store opens, tells the truth, takes records, and has them all after the power goes again.
fn lives_on(disk: &SimDisk, mode: Mode, mut witness: Witness, scene: &dyn Fn() -> String) {
    let mut opened = recover(disk, mode).unwrap_or_else(|error| panic!("{error}: {}", scene()));
    witness.examine(&opened.records, scene);
    for payload in [&b"after"[..], &[b'x'; 4500]] {
        witness.send(&mut opened, payload.to_vec()).unwrap_or_else(|error| panic!("{error}: {}", scene()));
    }
    let image = disk.after_crash(if mode.durability == Durability::Power { Fate::Lost } else { Fate::Kept });
    drop(opened);
    assert_eq!(check(&image).unwrap().problems, Vec::<String>::new(), "{}", scene());
    let opened = recover(&image, mode).unwrap_or_else(|error| panic!("{error}: again, {}", scene()));
    witness.examine(&opened.records, scene);
    assert_eq!(check(&image).unwrap().problems, Vec::<String>::new());
}

fn modes() -> [Mode; 2] {
    [false, true].map(|head_each| Mode { head_each, ..Mode::default() })
}

#[test]
fn what_was_acknowledged_is_there_wherever_the_process_dies() {
    for mode in modes() {
        for (step, disk, witness) in deaths(mode) {
            for fate in FATES {
                lives_on(&disk.after_crash(fate), mode, witness.clone(), &|| scene(&disk, step, fate));
            }
        }
    }
}

#[test]
fn a_second_crash_during_recovery_loses_nothing() {
    for mode in modes() {
        for (step, disk, witness) in deaths(mode) {
            // One fate each keeps this to seconds; neighbouring steps and the two modes meet the others.
            let fates = [Fate::Kept, Fate::Lost, Fate::Pages(step)];
            let fate = fates[(usize::try_from(step).unwrap() + usize::from(mode.head_each)) % fates.len()];
            let image = disk.after_crash(fate);
            die_in_recovery(&image, mode, &witness, &|| scene(&disk, step, fate));
        }
    }
}

fn die_in_recovery(image: &SimDisk, mode: Mode, witness: &Witness, scene: &dyn Fn() -> String) {
    for death in 0.. {
        let disk = image.after_crash(Fate::Kept);
        disk.die_after(death);
        let mut witness = witness.clone();
        let opened = recover(&disk, mode);
        if let Ok(opened) = &opened {
            // From here on the runtime answers questions about what it found.
            witness.examine(&opened.records, scene);
        }
        for fate in [Fate::Kept, Fate::Lost, Fate::Sectors(death)] {
            let scene = || format!("{fate:?} after step {death} of recovery, {}", scene());
            lives_on(&disk.after_crash(fate), mode, witness.clone(), &scene);
        }
        if opened.is_ok() {
            break;
        }
    }
}

#[test]
fn without_syncs_a_kill_loses_nothing_and_a_power_cut_only_the_end() {
    for mode in modes().map(|mode| Mode { durability: Durability::Process, ..mode }) {
        for (step, disk, witness) in deaths(mode) {
            for fate in FATES {
                let acknowledged = if fate == Fate::Kept { witness.acknowledged } else { 0 };
                let witness = Witness { acknowledged, ..witness.clone() };
                lives_on(&disk.after_crash(fate), mode, witness, &|| scene(&disk, step, fate));
            }
        }
    }
}

#[test]
fn what_idle_noted_survives_a_power_cut() {
    let disk = SimDisk::default();
    let mut opened = recover(&disk, Mode::default()).unwrap();
    opened.append_all(&["a", "b"]);
    opened.store.idle().unwrap();
    let disk = disk.after_crash(Fate::Lost);
    let (start, _) = extents(&disk, 1)[1];
    disk.tamper(&segment(1), |bytes| bytes[start..].fill(0));
    let refused = recover(&disk, Mode::default()).err().expect("HEAD remembers two records");
    assert!(matches!(refused, Error::Damaged { from: Sequence(2), to: Sequence(2), .. }), "{refused}");
}

#[test]
fn a_start_makes_room_for_all_that_it_writes_again() {
    let disk = SimDisk::default();
    let mut opened = recover(&disk, Mode::default()).unwrap();
    for _ in 0..10 {
        opened.append(&[1; 5000]).unwrap();
    }
    let disk = opened.killed(&disk);
    let before = disk.log().len();
    recover(&disk, Mode::default()).unwrap();
    let log = disk.log().split_off(before);
    let filled = log.iter().position(|step| step.starts_with("create data/journal/start.new")).unwrap() + 1;
    assert!(log[filled].starts_with(&format!("write {} bytes at 0 ", 4096 + 10 * (5000 + frame::OVERHEAD))), "{log:?}");
}

/// Of two segments that begin with the same record, the replaced one once stayed. It came back to life when the other was
/// trimmed: `store verify` told of damage where there was none, and `doctor` offered to accept its loss.
#[test]
fn a_segment_that_was_replaced_is_gone_after_the_next_start_wherever_the_one_before_died() {
    let disk = SimDisk::default();
    let mut opened = recover(&disk, Mode::default()).unwrap();
    opened.append_all(&["a", "b"]);
    let killed = opened.killed(&disk);
    for (first, second) in (0..25).flat_map(|first| (0..25).map(move |second| (first, second))) {
        let mut disk = killed.after_crash(Fate::Kept);
        for death in [first, second] {
            disk.die_after(death);
            let _ = recover(&disk, Mode::default());
            disk = disk.after_crash(Fate::Kept);
        }
        let opened = recover(&disk, Mode::default()).unwrap();
        assert_eq!(texts(&opened), ["a", "b"]);
        let survey = super::super::survey::Survey::take(&disk, Path::new(FOLDER)).unwrap();
        let numbers = |segments: &[segment::Segment]| segments.iter().map(|segment| segment.number).collect::<Vec<_>>();
        assert_eq!(numbers(&survey.all), numbers(&survey.live), "after steps {first} and {second}");
    }
}

/// The simulated disk once gave a folder that had been removed back to the one that took its name, and removed from that one what
/// had been removed from the other.
#[test]
fn a_folder_that_takes_the_name_of_another_has_its_own_files_whatever_the_disk_keeps() {
    let (disk, top) = (SimDisk::default(), Path::new(FOLDER));
    let [one, other] = ["one", "other"].map(|name| top.join(name));
    for folder in [top, &one, &other] {
        disk.create_folder(folder).unwrap();
    }
    for file in [one.join("both"), one.join("old"), other.join("both"), other.join("new")] {
        disk.open(&file, Access::Create).unwrap().sync_all().unwrap();
        disk.sync_folder(file.parent().unwrap()).unwrap();
    }
    disk.remove_all(&one).unwrap();
    disk.rename(&other, &one).unwrap();
    disk.sync_folder(top).unwrap();
    for seed in 0..64 {
        let mut there = disk.after_crash(Fate::Pages(seed)).paths();
        there.sort_unstable();
        assert_eq!(there, [one.join("both"), one.join("new")], "{seed}");
    }
}

/// A whole folder was once lost that was made, renamed, removed and made again before anybody had synced its first new name.
#[test]
fn a_folder_that_is_made_again_under_both_its_names_is_there_once_its_name_is_synced() {
    let (disk, top) = (SimDisk::default(), Path::new(FOLDER));
    let [draft, folder] = ["folder.new", "folder"].map(|name| top.join(name));
    disk.create_folder(top).unwrap();
    for _ in 0..2 {
        disk.create_folder(&draft).unwrap();
        disk.open(&draft.join("file"), Access::Create).unwrap().sync_all().unwrap();
        disk.sync_folder(&draft).unwrap();
        disk.remove_all(&folder).unwrap();
        disk.rename(&draft, &folder).unwrap();
    }
    disk.sync_folder(top).unwrap();
    for seed in 0..64 {
        assert_eq!(disk.after_crash(Fate::Pages(seed)).paths(), [folder.join("file")], "{seed}");
    }
}

#[test]
fn the_story_is_long_enough_to_matter() {
    let (mut disk, mut witness) = (SimDisk::default(), Witness::default());
    story(&mut disk, Mode::default(), &mut witness).unwrap();
    assert_eq!(witness.acknowledged, 13);
    assert!(disk.steps() > 80, "{} steps", disk.steps());
    assert!(disk.paths().iter().filter(|path| path.extension().is_some_and(|end| end == "seg")).count() > 4);
}

fn scene(disk: &SimDisk, step: u64, fate: Fate) -> String {
    format!("{fate:?} after step {step}: {:?}", disk.log().last())
}
