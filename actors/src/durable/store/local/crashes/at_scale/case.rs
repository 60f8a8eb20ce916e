//! One crash: which story, after which operation, and what the disk makes of it.

use std::{fmt, panic};

use super::{
    super::{Life, MANNERS, Manner, Tale, archiver, lives_on_as, loss, open_as, upgrade},
    CRASH, rows,
};
use crate::{
    durable::{
        journal::sim::{Fate, SimDisk},
        store::Error,
    },
    replay,
};

/// What the machine makes of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Model {
    /// Only the process died.
    Kept,
    /// The power went, and none of it is there.
    Dropped,
    /// The second half of the last write is not there.
    Torn,
    /// The last write left zeros.
    Zeroed,
    /// The power went: any combination of pages of 4 KiB, any beginning of the changes to each folder.
    Pages,
    /// The process died; the next life died on its way, too; then the power went, with what either of them had not synced.
    Later,
    /// As `Pages`, and sled left anything: rows of another moment, half of a checkpoint, damage, garbage, nothing.
    Rows,
}

pub(super) const MODELS: [Model; 7] =
    [Model::Kept, Model::Dropped, Model::Torn, Model::Zeroed, Model::Pages, Model::Later, Model::Rows];

impl Model {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Dropped => "unsynced dropped",
            Self::Torn => "torn",
            Self::Zeroed => "zeroed",
            Self::Pages => "power cut",
            Self::Later => "second power cut",
            Self::Rows => "power cut with any rows",
        }
    }

    pub(super) fn has_seeds(self) -> bool {
        matches!(self, Self::Pages | Self::Later | Self::Rows)
    }

    fn fate(self, seed: u64) -> Fate {
        match self {
            Self::Kept => Fate::Kept,
            Self::Dropped => Fate::Lost,
            Self::Torn => Fate::Torn,
            Self::Zeroed => Fate::Zeroed,
            Self::Pages | Self::Later | Self::Rows => Fate::Pages(seed),
        }
    }
}

/// One crash. As text: `STORY:OPERATION:MODEL:SEED`, all numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) plot: usize,
    pub(super) step: u64,
    pub(super) model: Model,
    pub(super) seed: u64,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = MODELS.iter().position(|model| *model == self.model).expect("all are listed");
        write!(f, "{}:{}:{model}:{}", self.plot, self.step, self.seed)
    }
}

impl Case {
    pub(super) fn parse(text: &str) -> Self {
        let numbers: Vec<u64> = text.split(':').map(|number| number.parse().expect("a number")).collect();
        let [plot, step, model, seed] = numbers[..] else {
            panic!("a {CRASH} is STORY:OPERATION:MODEL:SEED, not {text}")
        };
        let [plot, model] = [plot, model].map(|number| usize::try_from(number).unwrap());
        Self { plot, step, model: MODELS[model], seed }
    }
}

/// What is told.
enum Story {
    /// A store's lives.
    Lives(Manner),
    /// A loss is accepted.
    Loss(loss::Plot),
    /// A newer build starts.
    Upgrade(upgrade::Plot),
}

/// All stories.
pub(super) struct Plots {
    tale: Tale,
    stories: Vec<Story>,
    /// What kind of operation each step of each story is.
    operations: Vec<Vec<&'static str>>,
}

impl Plots {
    pub(super) fn new() -> Self {
        let tale = Tale::of(60);
        let lives = MANNERS.into_iter().map(Story::Lives);
        let losses = loss::plots(&tale).into_iter().map(Story::Loss);
        let upgrades = upgrade::plots(&tale).into_iter().map(Story::Upgrade);
        let stories: Vec<_> = lives.chain(losses).chain(upgrades).collect();
        let mut plots = Self { tale, stories, operations: Vec::new() };
        let plot = |number: usize| {
            let steps = plots.die(number, u64::MAX).0.steps();
            (0..=steps).map(|step| plots.die(number, step).0.operation()).collect()
        };
        plots.operations = (0..plots.stories.len()).map(plot).collect();
        plots
    }

    /// How many crash points there are.
    pub(super) fn points(&self) -> usize {
        self.operations.iter().map(Vec::len).sum()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (usize, u64)> {
        self.operations
            .iter()
            .enumerate()
            .flat_map(|(plot, steps)| (0..steps.len() as u64).map(move |step| (plot, step)))
    }

    pub(super) fn operation(&self, case: &Case) -> &'static str {
        self.operations[case.plot][usize::try_from(case.step).unwrap()]
    }

    /// Whether a case is another than those of the other models.
    pub(super) fn applies(&self, case: &Case) -> bool {
        match case.model {
            Model::Torn => self.operation(case) == "write",
            // Zeros in the place of zeros are the write itself.
            Model::Zeroed => self.operation(case) == "write",
            Model::Rows => matches!(self.stories[case.plot], Story::Lives(_)),
            _ => true,
        }
    }

    /// Play a case, and say how to play it again when it fails.
    pub(super) fn tell(&self, case: &Case) {
        let played = panic::catch_unwind(panic::AssertUnwindSafe(|| self.play(case)));
        // What went wrong was told by the panic itself.
        let line = replay::line(CRASH, case);
        assert!(played.is_ok(), "{line} cargo test -p headframe-actors --lib crashes::at_scale::nothing");
    }

    pub(super) fn play(&self, case: &Case) {
        let (disk, acknowledged) = self.die(case.plot, case.step);
        let scene = |disk: &SimDisk| format!("{case} {:?}: {:?}", case.model, disk.log().last());
        if let Story::Upgrade(plot) = &self.stories[case.plot] {
            let died = match case.model {
                Model::Later => plot.die_again(&disk, &self.tale, case.seed),
                _ => plot.died(disk),
            };
            return plot.holds(&died, case.model.fate(case.seed), &self.tale, &|| scene(&died.disk));
        }
        let (disk, acknowledged) = match case.model {
            Model::Later => self.die_again(&disk, acknowledged, case),
            _ => (disk, acknowledged),
        };
        let (image, scene) = (disk.after_crash(case.model.fate(case.seed)), || scene(&disk));
        match &self.stories[case.plot] {
            Story::Lives(manner) => {
                let owed = manner.owed(&disk, acknowledged, case.model == Model::Kept);
                if case.model == Model::Rows {
                    rows::rebuilt(&image, &self.tale, owed, case.seed, &scene);
                } else {
                    lives_on_as(&image, *manner, &self.tale, owed, &scene);
                }
            }
            Story::Loss(plot) => loss::settles(&image, &self.tale, plot, &scene),
            Story::Upgrade(_) => unreachable!("it was told above"),
        }
    }

    /// The disk when the process died after a step, and what was acknowledged by then.
    fn die(&self, plot: usize, step: u64) -> (SimDisk, u64) {
        match &self.stories[plot] {
            Story::Lives(manner) => {
                let (mut disk, mut acknowledged) = (SimDisk::default(), 0);
                disk.die_after(step);
                let _ = archiver::story_as(&mut disk, *manner, &self.tale, &mut acknowledged);
                (disk, acknowledged)
            }
            Story::Loss(plot) => {
                let disk = plot.disk(&self.tale);
                disk.die_after(step);
                let _ = loss::accept(&disk);
                (disk, 0)
            }
            Story::Upgrade(plot) => (plot.die(&self.tale, step), 0),
        }
    }

    /// Another life, on what the first left in memory, which dies after some operation of its own.
    fn die_again(&self, disk: &SimDisk, mut acknowledged: u64, case: &Case) -> (SimDisk, u64) {
        let next = disk.after_crash(Fate::Kept);
        next.die_after(case.seed % 80);
        if let Story::Lives(manner) = &self.stories[case.plot] {
            let _ = open_as(&next, *manner).and_then(|life| self.go_on(life, &mut acknowledged, case));
        } else {
            let _ = loss::accept(&next);
        }
        (next, acknowledged)
    }

    fn go_on(&self, mut life: Life, acknowledged: &mut u64, case: &Case) -> Result<(), Error> {
        // The power stayed: whatever was acknowledged is there, in every manner.
        life.examine(&self.tale, *acknowledged, &|| format!("{case}: the life between"));
        life.tell(&self.tale, life.last.0 + 3, acknowledged)?;
        life.base()
    }
}
