//! One damage: of which file, in which way, where.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

const PAGE: usize = 4096;

/// The stores that are damaged: one whose process was killed, and one whose process ended in order.
pub(super) const TEMPLATES: [&str; 2] = ["killed", "rested"];
/// The folder of folders of rows.
pub(super) const MOMENTS_IN: &str = "moments";
/// Rows of the same store at three moments: in its first life, where it was killed, after it rested.
pub(super) const MOMENTS: [&str; 3] = ["first", "killed", "rested"];

/// What kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Segment,
    LastSegment,
    Head,
    OlderBase,
    NewerBase,
    Ledger,
    Rows,
    RowsConf,
    RowsSnapshot,
    /// The folder of rows as a whole.
    AllRows,
    Format,
    Open,
    Flight,
    Spare,
}

pub(super) const KINDS: [Kind; 14] = [
    Kind::Segment,
    Kind::LastSegment,
    Kind::Head,
    Kind::OlderBase,
    Kind::NewerBase,
    Kind::Ledger,
    Kind::Rows,
    Kind::RowsConf,
    Kind::RowsSnapshot,
    Kind::AllRows,
    Kind::Format,
    Kind::Open,
    Kind::Flight,
    Kind::Spare,
];

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Segment => "journal segment",
            Self::LastSegment => "last journal segment",
            Self::Head => "HEAD",
            Self::OlderBase => "older base",
            Self::NewerBase => "newer base",
            Self::Ledger => "ledger segment",
            Self::Rows => "sled db",
            Self::RowsConf => "sled conf",
            Self::RowsSnapshot => "sled snapshot",
            Self::AllRows => "all of sled's files",
            Self::Format => "format",
            Self::Open => "open",
            Self::Flight => "flight",
            Self::Spare => "spare segment",
        }
    }

    /// Whether it is sled's.
    pub(super) fn is_of_sled(self) -> bool {
        matches!(self, Self::Rows | Self::RowsConf | Self::RowsSnapshot | Self::AllRows)
    }

    /// Whether a store must open without it: it is a cache, or there is another of it.
    fn is_spared(self) -> bool {
        !matches!(self, Self::Segment | Self::LastSegment | Self::Head | Self::Format)
    }

    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let folder = path.parent()?.file_name()?.to_str()?;
        Some(match (folder, name) {
            (_, "HEAD") => Self::Head,
            (_, "format") => Self::Format,
            (_, "open") => Self::Open,
            (_, "flight") => Self::Flight,
            ("journal", _) if name.ends_with(".seg") => Self::Segment,
            ("journal", _) => Self::Spare,
            ("base", _) if name.ends_with(".base") => Self::OlderBase,
            ("ledger", _) => Self::Ledger,
            ("live", "db") => Self::Rows,
            ("live", "conf") => Self::RowsConf,
            ("live", _) => Self::RowsSnapshot,
            _ => return None,
        })
    }

    /// The files of this kind, in the order of their names.
    fn files(self, data: &Path) -> Vec<PathBuf> {
        let mut files: Vec<_> = everything(data).into_iter().filter(|path| Self::of(path).is_some()).collect();
        files.sort();
        let of = |kind: Self| files.iter().filter(|path| Self::of(path) == Some(kind)).cloned().collect::<Vec<_>>();
        match self {
            Self::AllRows => Vec::from([data.join("live")]),
            Self::LastSegment => of(Self::Segment).pop().into_iter().collect(),
            Self::Segment => {
                let mut all = of(Self::Segment);
                all.pop();
                all
            }
            Self::NewerBase => of(Self::OlderBase).pop().into_iter().collect(),
            Self::OlderBase => of(Self::OlderBase).into_iter().take(1).collect(),
            kind => of(kind),
        }
    }
}

fn everything(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(everything(&path)) } else { found.push(path) }
    }
    found
}

/// In which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    Flip,
    Cut,
    Zero,
    Missing,
    Swap,
    /// As it was, or will be, at another moment.
    OtherMoment,
    /// Partly so: some of the files, some of the pages.
    Mixed,
}

pub(super) const WAYS: [Way; 7] =
    [Way::Flip, Way::Cut, Way::Zero, Way::Missing, Way::Swap, Way::OtherMoment, Way::Mixed];

impl Way {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Flip => "bit flipped",
            Self::Cut => "cut off",
            Self::Zero => "page zeroed",
            Self::Missing => "missing",
            Self::Swap => "swapped with another",
            Self::OtherMoment => "of another moment",
            Self::Mixed => "mixed of two moments",
        }
    }
}

/// Where: at the start, behind the first page, in the middle, at the end of what is written, anywhere.
pub(super) const PLACES: usize = 5;

/// One damage. As text: `STORE:FILE:WAY:PLACE:SEED`, all numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) template: usize,
    pub(super) kind: Kind,
    pub(super) way: Way,
    pub(super) place: usize,
    pub(super) seed: u64,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = KINDS.iter().position(|kind| *kind == self.kind).expect("all are listed");
        let way = WAYS.iter().position(|way| *way == self.way).expect("all are listed");
        write!(f, "{}:{kind}:{way}:{}:{}", self.template, self.place, self.seed)
    }
}

impl Case {
    /// The case of a number: over all strata, before any comes again.
    pub(super) fn numbered(number: u64, seed: u64) -> Self {
        let at = |of: usize, within: u64| usize::try_from(number / within % of as u64).expect("below a length");
        let (kinds, ways, places) = (KINDS.len() as u64, WAYS.len() as u64, PLACES as u64);
        Self {
            kind: KINDS[at(KINDS.len(), 1)],
            way: WAYS[at(WAYS.len(), kinds)],
            place: at(PLACES, kinds * ways),
            template: at(TEMPLATES.len(), kinds * ways * places),
            seed: mixed(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)) >> 16,
        }
    }

    pub(super) fn parse(text: &str) -> Self {
        let numbers: Vec<u64> = text.split(':').map(|number| number.parse().expect("a number")).collect();
        let [template, kind, way, place, seed] = numbers[..] else { panic!("STORE:FILE:WAY:PLACE:SEED, not {text}") };
        let [template, kind, way, place] = [template, kind, way, place].map(|number| usize::try_from(number).unwrap());
        Self { template, kind: KINDS[kind], way: WAYS[way], place, seed }
    }

    /// How many there are before any comes again in all but its seed.
    pub(super) const STRATA: u64 = (KINDS.len() * WAYS.len() * PLACES * TEMPLATES.len()) as u64;

    /// Whether the store must open in spite of it.
    pub(super) fn must_open(&self) -> bool {
        self.kind.is_spared() && self.way != Way::Swap
    }

    /// Whether there is such a file, and that can happen to it.
    pub(super) fn applies(&self, data: &Path) -> bool {
        let is_possible = match self.way {
            Way::OtherMoment | Way::Mixed => self.kind.is_of_sled(),
            Way::Missing => true,
            Way::Flip | Way::Cut | Way::Zero | Way::Swap => self.kind != Kind::AllRows,
        };
        is_possible && !self.kind.files(data).is_empty()
    }

    /// Do it; `moments` holds rows of other moments.
    pub(super) fn damage(&self, data: &Path, moments: &Path) {
        if self.kind == Kind::AllRows || matches!(self.way, Way::OtherMoment | Way::Mixed) {
            return self.exchange(&data.join("live"), moments);
        }
        let files = self.kind.files(data);
        let dice = mixed(self.seed);
        let file = &files[usize::try_from(dice % files.len() as u64).unwrap()];
        let mut bytes = fs::read(file).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let any = usize::try_from(mixed(dice)).unwrap_or(0);
        let place = [0, PAGE, used / 2, used.saturating_sub(1), any][self.place];
        let at = if self.place == 4 { place % used.max(1) } else { place.min(used.saturating_sub(1)) };
        match self.way {
            Way::Flip if bytes.is_empty() => bytes.push(1),
            Way::Flip => bytes[at] ^= 1 << (dice >> 32 & 7),
            Way::Cut => bytes.truncate(at),
            Way::Zero => {
                let page = at / PAGE * PAGE;
                let end = bytes.len().min(page + PAGE);
                bytes[page..end].fill(0);
            }
            Way::Missing => return fs::remove_file(file).unwrap(),
            Way::OtherMoment | Way::Mixed => unreachable!("it was done above"),
            Way::Swap => {
                let mut others = everything(data);
                others.retain(|other| Kind::of(other).is_some() && other != file);
                others.sort();
                // Every other place is for a file of the same kind.
                let same: Vec<_> = others.iter().filter(|other| Kind::of(other) == Kind::of(file)).cloned().collect();
                let others = if self.place.is_multiple_of(2) && !same.is_empty() { same } else { others };
                let other = &others[any % others.len()];
                let theirs = fs::read(other).unwrap();
                fs::write(other, &bytes).unwrap();
                bytes = theirs;
            }
        }
        fs::write(file, bytes).unwrap();
    }
}

impl Case {
    /// Put rows of another moment in the place of those that are there, or some of them.
    fn exchange(&self, live: &Path, moments: &Path) {
        if self.way == Way::Missing {
            return fs::remove_dir_all(live).unwrap();
        }
        let mut dice = mixed(self.seed);
        let mut roll = || {
            dice = mixed(dice);
            dice
        };
        let moment = moments.join(MOMENTS[usize::try_from(roll() % MOMENTS.len() as u64).unwrap()]);
        let files: Vec<_> = everything(&moment).into_iter().chain(everything(live)).collect();
        let names: std::collections::BTreeSet<_> = files
            .iter()
            .filter_map(|file| file.strip_prefix(&moment).or_else(|_| file.strip_prefix(live)).ok())
            .collect();
        for name in names {
            let (here, there) = (live.join(name), moment.join(name));
            let is_meant = self.kind == Kind::AllRows || Kind::of(&here) == Some(self.kind);
            let is_taken = self.way == Way::OtherMoment || self.place.is_multiple_of(2) || roll().is_multiple_of(2);
            if !is_meant || !is_taken {
                continue;
            }
            match fs::read(&there) {
                Err(_) => fs::remove_file(&here).unwrap(),
                Ok(theirs) if self.way == Way::Mixed && self.place.is_multiple_of(2) => {
                    let mut ours = fs::read(&here).unwrap_or_default();
                    ours.resize(if roll().is_multiple_of(2) { ours.len() } else { theirs.len() }, 0);
                    for (ours, theirs) in ours.chunks_mut(PAGE).zip(theirs.chunks(PAGE)) {
                        if roll().is_multiple_of(2) {
                            let both = ours.len().min(theirs.len());
                            ours[..both].copy_from_slice(&theirs[..both]);
                        }
                    }
                    fs::write(&here, ours).unwrap();
                }
                Ok(theirs) => fs::write(&here, theirs).unwrap(),
            }
        }
    }
}

/// `SplitMix64`: <https://prng.di.unimi.it/splitmix64.c>.
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
