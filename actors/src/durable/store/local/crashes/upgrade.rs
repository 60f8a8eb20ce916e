//! Dying while all there is is kept before an upgrade, and in the first life after it.
//!
//! ```text
//! an older build's store ─► kept, raised ─► a life of today's ─► dies; perhaps the older build goes on, and a newer one starts again
//! ```
//! **Invariants:** where the number or the versions are raised, the image holds, byte by byte, what was there when they were
//! not; where nothing is raised, the next start makes it anew.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    super::{archive, format, lives, versions},
    *,
};
use crate::durable::journal::{
    disk::{self, Disk as _},
    segment,
    survey::Survey,
};

const DATA: &str = "data";
const PART: &str = "counter state";

/// Every file that a start reads, by its path in the folder.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// What an older build left, and what this one raises.
pub(super) struct Plot {
    /// The number in `format`, and the version in `versions`, where there are such files.
    format: u32,
    version: Option<u16>,
    image: String,
    /// The store as it was left.
    left: SimDisk,
}

/// A disk on which a process died, and what was there when the start began that raised something, if one did.
pub(super) struct Died {
    pub(super) disk: SimDisk,
    before: Files,
    acknowledged: u64,
}

const LAST: u64 = 30;

/// From a number of before there were versions, from one with versions, and versions alone.
pub(super) fn plots(tale: &Tale) -> Vec<Plot> {
    let plot = |(format, version, image)| {
        let left = SimDisk::default();
        let mut life = open_as(&left, Manner::Lagging).unwrap();
        for to in [9, 16, 24] {
            life.tell(tale, to, &mut 0).unwrap();
            life.local.idle().unwrap();
            life.base().unwrap();
        }
        life.tell(tale, LAST, &mut 0).unwrap();
        disk::write(&left, Path::new("data/format"), format!("{format}\n").as_bytes()).unwrap();
        if let Some(version) = version {
            versions::write(&left, Path::new(DATA), &of(version)).unwrap();
        }
        lives::begin(&left, Path::new(DATA)).unwrap();
        Plot { format, version, image, left: left.after_crash(Fate::Kept) }
    };
    let before = format::FORMAT - 1;
    let plots = [
        (before, None, format!("before-format-{before}")),
        (before, Some(1), format!("before-format-{before}")),
        (format::FORMAT, Some(1), "before-versions-1".to_owned()),
    ];
    plots.map(plot).into()
}

fn of(version: u16) -> versions::Versions {
    versions::Versions::from([(PART.to_owned(), version)])
}

/// As a start does it, before rows are touched.
fn raise(disk: &SimDisk) -> Result<(), Error> {
    let survey = Survey::take(disk, Path::new(DATA))?;
    format::raise(disk, Path::new(DATA), &survey, &of(2))?;
    lives::begin(disk, Path::new(DATA))
}

impl Plot {
    /// The store when a newer build died after a step.
    pub(super) fn die(&self, tale: &Tale, step: u64) -> SimDisk {
        let disk = self.left.after_crash(Fate::Kept);
        disk.die_after(step);
        let _ = work(&disk, tale, &mut 0);
        disk
    }

    pub(super) fn died(&self, disk: SimDisk) -> Died {
        Died { disk, before: files(&self.left, Path::new(DATA)), acknowledged: LAST }
    }

    /// What the first left in memory: perhaps the older build goes on; then a newer one starts again, and dies, too.
    pub(super) fn die_again(&self, disk: &SimDisk, tale: &Tale, seed: u64) -> Died {
        let (next, mut acknowledged) = (disk.after_crash(Fate::Kept), LAST);
        if self.is_raised(&next) {
            next.die_after(seed % 80);
            let _ = work(&next, tale, &mut acknowledged);
            return Died { acknowledged, ..self.died(next) };
        }
        if seed.is_multiple_of(2) {
            let mut life = open_as(&next, Manner::Lagging).unwrap();
            life.tell(tale, life.last.0 + 5, &mut acknowledged).unwrap();
            life.local.idle().unwrap();
            life.base().unwrap();
        }
        let next = next.after_crash(Fate::Kept);
        let before = files(&next, Path::new(DATA));
        next.die_after(seed / 2 % 80);
        let _ = work(&next, tale, &mut acknowledged);
        Died { disk: next, before, acknowledged }
    }

    /// The image is whole where something is raised; else the next start makes it anew. And the store lives on.
    pub(super) fn holds(&self, died: &Died, fate: Fate, tale: &Tale, scene: &dyn Fn() -> String) {
        let disk = died.disk.after_crash(fate);
        let before = if self.is_raised(&disk) { died.before.clone() } else { files(&disk, Path::new(DATA)) };
        for finished in [false, true] {
            if finished || !self.is_raised(&disk) {
                raise(&disk).unwrap_or_else(|error| panic!("{error}: {}", scene()));
            }
            self.is_kept(&disk, &before, scene);
        }
        let is_raised = versions::read(&disk, Path::new(DATA)).unwrap() == of(2);
        assert!(is_raised && format::read(&disk, Path::new(DATA)).unwrap() == format::FORMAT, "{}", scene());
        lives_on(&disk, tale, died.acknowledged, scene);
        self.is_kept(&disk, &before, scene);
    }

    fn is_raised(&self, disk: &SimDisk) -> bool {
        let (number, written) =
            (format::read(disk, Path::new(DATA)).unwrap(), versions::read(disk, Path::new(DATA)).unwrap());
        if self.format < format::FORMAT { number == format::FORMAT } else { written == of(2) }
    }

    fn is_kept(&self, disk: &SimDisk, before: &Files, scene: &dyn Fn() -> String) {
        let image = Path::new(DATA).join(&self.image);
        let (mut kept, mut wanted) = (files(disk, &image), before.clone());
        let number = kept.remove(Path::new("format")).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(number, Some(format!("{}\n", self.format)), "{}", scene());
        wanted.remove(Path::new("format"));
        assert_eq!(names(&kept), names(&wanted), "{}", scene());
        for (path, bytes) in &kept {
            assert!(wanted[path] == *bytes, "{} is not what it was: {}", path.display(), scene());
        }
        let written = self.version.map(of).unwrap_or_default();
        assert_eq!(versions::read(disk, &image).unwrap(), written, "{}", scene());
        // Of a kind there is one; and nothing half made is left.
        let kind = self.image.trim_end_matches(char::is_numeric);
        let all = disk.list(Path::new(DATA)).unwrap();
        let all: Vec<_> = all.into_iter().filter(|name| name.starts_with(kind)).collect();
        assert_eq!(all, [self.image.as_str()], "{}", scene());
    }
}

/// A newer build starts, works, and makes bases.
fn work(disk: &SimDisk, tale: &Tale, acknowledged: &mut u64) -> Result<(), Error> {
    raise(disk)?;
    let mut life = open(disk)?;
    for _ in 0..2 {
        life.tell(tale, life.last.0 + 4, acknowledged)?;
        life.base()?;
    }
    Ok(())
}

fn files(disk: &SimDisk, folder: &Path) -> Files {
    let mut files = Files::new();
    for path in disk.paths() {
        let Ok(inside) = path.strip_prefix(folder) else { continue };
        let (top, is_there) = (inside.iter().next().unwrap(), inside.iter().count() == 1);
        let is_read = [segment::FOLDER, base::FOLDER, archive::FOLDER].iter().any(|part| top == *part)
            || is_there && [head::NAME, "open", versions::NAME, format::NAME].iter().any(|name| top == *name);
        let is_half = inside.extension().is_some_and(|end| end == "new");
        if is_read && !is_half {
            files.insert(inside.to_path_buf(), disk.bytes(&path));
        }
    }
    files
}

fn names(files: &Files) -> Vec<&PathBuf> {
    files.keys().collect()
}

/// A start that died between raising the versions and the number once had the next one keep an image in which the versions
/// were raised already: the older build, put back on it, refused its own folder. And images before versions piled up, one
/// for each start that died.
#[test]
fn an_image_is_whole_or_made_anew_wherever_a_start_dies_that_keeps_it() {
    let tale = Tale::of(60);
    for plot in plots(&tale) {
        let steps = plot.die(&tale, u64::MAX).steps();
        let raised = plot.left.after_crash(Fate::Kept);
        raise(&raised).unwrap();
        assert!(raised.steps() > 20 && steps > raised.steps(), "{} of {steps}", raised.steps());
        for step in 0..=raised.steps() + 2 {
            let disk = plot.die(&tale, step);
            for fate in [Fate::Kept, Fate::Lost, Fate::Pages(step)] {
                plot.holds(&plot.died(disk.after_crash(Fate::Kept)), fate, &tale, &|| scene(&disk, step, fate));
            }
        }
    }
}

#[test]
fn an_image_is_made_anew_after_any_step_of_it_was_refused() {
    let tale = Tale::of(60);
    for plot in plots(&tale) {
        let whole = plot.left.after_crash(Fate::Kept);
        raise(&whole).unwrap();
        for step in 1..=whole.steps() {
            let disk = plot.left.after_crash(Fate::Kept);
            disk.fail_at(step, 28);
            let _ = raise(&disk);
            plot.holds(&plot.died(disk), Fate::Lost, &tale, &|| format!("step {step} of {}", plot.image));
        }
    }
}
