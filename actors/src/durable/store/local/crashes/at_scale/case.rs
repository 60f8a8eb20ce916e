//! One crash: which story, after which operation, and what the disk makes of it.

use std::{fmt, panic};

use super::{
    super::{Life, Tale, archiver, lives_on, loss, open},
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

/// All stories: the first is that of a store's life, the others accept losses.
pub(super) struct Plots {
    tale: Tale,
    losses: Vec<loss::Plot>,
    /// What kind of operation each step of each story is.
    operations: Vec<Vec<&'static str>>,
}

impl Plots {
    pub(super) fn new() -> Self {
        let tale = Tale::of(60);
        let losses = loss::plots(&tale);
        let mut plots = Self { tale, losses, operations: Vec::new() };
        let plot = |number: usize| {
            let steps = plots.die(number, u64::MAX).0.steps();
            (0..=steps).map(|step| plots.die(number, step).0.operation()).collect()
        };
        plots.operations = (0..=plots.losses.len()).map(plot).collect();
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
            Model::Rows => case.plot == 0,
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
        let (disk, acknowledged) = match case.model {
            Model::Later => self.die_again(&disk, acknowledged, case),
            _ => (disk, acknowledged),
        };
        let image = disk.after_crash(case.model.fate(case.seed));
        let scene = || format!("{case} {:?}: {:?}", case.model, disk.log().last());
        match case.plot {
            0 if case.model == Model::Rows => rows::rebuilt(&image, &self.tale, acknowledged, case.seed, &scene),
            0 => lives_on(&image, &self.tale, acknowledged, &scene),
            plot => loss::settles(&image, &self.tale, &self.losses[plot - 1], &scene),
        }
    }

    /// The disk when the process died after a step, and what was acknowledged by then.
    fn die(&self, plot: usize, step: u64) -> (SimDisk, u64) {
        if plot == 0 {
            let (mut disk, mut acknowledged) = (SimDisk::default(), 0);
            disk.die_after(step);
            let _ = archiver::story(&mut disk, &self.tale, &mut acknowledged);
            return (disk, acknowledged);
        }
        let disk = self.losses[plot - 1].disk(&self.tale);
        disk.die_after(step);
        let _ = loss::accept(&disk);
        (disk, 0)
    }

    /// Another life, on what the first left in memory, which dies after some operation of its own.
    fn die_again(&self, disk: &SimDisk, mut acknowledged: u64, case: &Case) -> (SimDisk, u64) {
        let next = disk.after_crash(Fate::Kept);
        next.die_after(case.seed % 80);
        if case.plot == 0 {
            let _ = open(&next).and_then(|life| self.go_on(life, &mut acknowledged));
        } else {
            let _ = loss::accept(&next);
        }
        (next, acknowledged)
    }

    fn go_on(&self, mut life: Life, acknowledged: &mut u64) -> Result<(), Error> {
        life.tell(&self.tale, life.last.0 + 3, acknowledged)?;
        life.base()
    }
}
