//! Damage to artifacts: whatever happens to a file, nobody is ever given other bytes than were stored, and `store verify`
//! names what it happened to.
//!
//! A failure prints a line that replays it. `HEADFRAME_ARTIFACT_SEED` chooses other bits and files.

use std::{collections::BTreeMap, path::Path};

use headframe_actors::{
    clock,
    testing::{Scale, note},
};
use serde_json::{Value, json};

use super::{super::check::Named, *};

const CASE: &str = "HEADFRAME_ARTIFACT";
const SEED: &str = "HEADFRAME_ARTIFACT_SEED";
const PAGE: usize = 4096;

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Flip,
    Cut,
    Grown,
    Zero,
    Missing,
    Swap,
    FolderMissing,
    IsFolder,
}

const WAYS: [Way; 8] =
    [Way::Flip, Way::Cut, Way::Grown, Way::Zero, Way::Missing, Way::Swap, Way::FolderMissing, Way::IsFolder];

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Flip => "bit flipped",
            Self::Cut => "cut off",
            Self::Grown => "grown",
            Self::Zero => "page zeroed",
            Self::Missing => "missing",
            Self::Swap => "swapped with another",
            Self::FolderMissing => "its folder is missing",
            Self::IsFolder => "a folder in its place",
        }
    }
}

/// Contents of many sizes; the last is a list whose chunks are two of them, and it is all that is named from outside.
fn contents() -> (Vec<Vec<u8>>, Value) {
    let sizes = [1, 2, 63, 64, 65, 4_095, 4_096, 4_097, 65_536, 100_000];
    let text = |size: usize| (0..size).map(|at| b'a' + u8::try_from((at * 7 + size) % 26).unwrap()).collect::<Vec<_>>();
    let mut all: Vec<_> = sizes.into_iter().map(text).collect();
    let reference = |bytes: &[u8]| Reference::new(Digest::of(bytes), bytes.len() as u64).to_value();
    let chunk = |from: usize, to: usize, all: &[Vec<u8>]| {
        let pairs: Vec<_> = (from..to).map(|at| json!([at, reference(&all[at])])).collect();
        serde_json::to_vec(&pairs).unwrap()
    };
    let chunks = [chunk(0, 5, &all), chunk(5, sizes.len(), &all)];
    let list = json!({"$list": chunks.iter().map(|chunk| reference(chunk)).collect::<Vec<_>>(), "count": sizes.len()});
    all.extend(chunks);
    let named = list.to_string().into_bytes();
    let outer = Reference::new(Digest::of(&named), named.len() as u64).as_json().to_value();
    all.push(named);
    (all, outer)
}

#[test]
fn no_damage_to_an_artifact_is_silent() {
    let began = clock::monotonic();
    let seed: u64 = std::env::var(SEED).map_or(1, |seed| seed.parse().expect("a number"));
    let (contents, outer) = contents();
    let strata = (WAYS.len() * contents.len()) as u64;
    let cases = match std::env::var(CASE) {
        Ok(told) => vec![told.split(':').map(|number| number.parse().expect("a number")).collect::<Vec<u64>>()],
        Err(_) => (0..Scale::chosen().pick(strata, 2_000, 50_000))
            .map(|number| vec![number * 31 % strata, seed.wrapping_mul(0x9E37_79B9).wrapping_add(number)])
            .collect(),
    };
    let mut counts: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    // Memory, where there is a folder in it: what is measured here is no disk.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let store = Artifacts::open(folder.path()).unwrap();
    for content in &contents {
        store.put(content).unwrap();
    }
    for case in &cases {
        let [stratum, seed] = case[..] else { panic!("{CASE} is STRATUM:SEED") };
        let replay = || format!("{CASE}={stratum}:{seed} cargo test -p headframe --lib artifacts::tests::at_scale");
        let (way, outcome) =
            tell(&store, &contents, &outer, stratum, seed).unwrap_or_else(|why| panic!("{why}\n{}", replay()));
        *counts.entry(way).or_default().entry(outcome).or_default() += 1;
    }
    note(
        "damaged artifacts",
        &[
            ("cases", json!(cases.len())),
            ("strata", json!(strata)),
            ("silent", json!(0)),
            ("by damage and outcome", json!(counts)),
            ("seed", json!(seed)),
            ("seconds", json!(began.elapsed().as_secs())),
        ],
    );
}

/// Damage one, read all, check all, store all again.
fn tell(
    store: &Artifacts,
    contents: &[Vec<u8>],
    outer: &Value,
    stratum: u64,
    seed: u64,
) -> Result<(&'static str, &'static str), String> {
    let at = |of: usize, number: u64| usize::try_from(number % of as u64).expect("below a length");
    let way = WAYS[at(WAYS.len(), stratum)];
    let (hit, mut dice) = (at(contents.len(), stratum / WAYS.len() as u64), Dice(seed));
    let hits = damage(store, contents, hit, way, &mut dice);
    let digests: Vec<_> = contents.iter().map(|content| Digest::of(content)).collect();
    for (content, digest) in contents.iter().zip(&digests) {
        let is_hit = hits.contains(digest);
        for read in [store.get(*digest), through_file(store, *digest)] {
            match read {
                Ok(bytes) if bytes == *content && !is_hit => {}
                Ok(bytes) if bytes == *content => return Err(format!("{digest} was hit, and nobody noticed")),
                Ok(_) => return Err(format!("{digest} was read as something else: {}", way.name())),
                Err(error) if is_hit && names(&error, *digest, store) => {}
                Err(error) => return Err(format!("{error}, where {digest} was to be read")),
            }
        }
    }
    // Whatever hangs together through references is whole, or refused.
    let resolved = store.resolve(outer.clone(), 1 << 30);
    if resolved.is_ok() && !hits.is_empty() {
        return Err("a list was resolved that names what was hit".to_owned());
    }
    let mut named = Named::default();
    named.read(outer.to_string().as_bytes());
    let checked = store.check(named).map_err(|error| error.to_string())?;
    let told: Vec<_> = checked.damaged.iter().chain(&checked.missing).cloned().collect();
    // What a document names that cannot be read is not known to be named.
    for digest in hits.iter().filter(|digest| store.path(**digest).exists() || hits.len() == 1) {
        if !told.contains(&digest.to_string()) || !checked.problems.iter().any(|told| told.contains(&digest.hex())) {
            return Err(format!("a check does not name {digest}: {:?}", checked.problems));
        }
    }
    if told.len() != checked.problems.len() || told.iter().any(|told| !hits.iter().any(|hit| hit.to_string() == *told))
    {
        return Err(format!("a check names what was not hit: {:?}", checked.problems));
    }
    let outcome = if checked.damaged.is_empty() { "named as missing" } else { "named as damaged" };
    repair(store, contents, &hits).map(|()| (way.name(), outcome))
}

fn through_file(store: &Artifacts, digest: Digest) -> Result<Vec<u8>, Error> {
    let (mut file, mut bytes) = (store.open_file(digest)?, Vec::new());
    file.read_to_end(&mut bytes).map_err(Error::io("read", &store.path(digest)))?;
    Ok(bytes)
}

fn names(error: &Error, digest: Digest, store: &Artifacts) -> bool {
    error.to_string().contains(&digest.hex()) || error.to_string().contains(&*store.path(digest).to_string_lossy())
}

/// Stored again everything is there again, but for a folder in the place of a file, which is somebody's to remove.
fn repair(store: &Artifacts, contents: &[Vec<u8>], hits: &[Digest]) -> Result<(), String> {
    for digest in hits.iter().filter(|digest| store.path(**digest).is_dir()) {
        fs::remove_dir_all(store.path(*digest)).unwrap();
    }
    for content in contents.iter().filter(|content| hits.contains(&Digest::of(content))) {
        let reference = store.put(content).map_err(|error| error.to_string())?;
        if store.get(reference.digest).map_err(|error| error.to_string())? != *content {
            return Err(format!("{} is not what was stored again", reference.digest));
        }
    }
    Ok(())
}

/// Do it; says which artifacts are not what they were.
fn damage(store: &Artifacts, contents: &[Vec<u8>], hit: usize, way: Way, dice: &mut Dice) -> Vec<Digest> {
    let (mut bytes, digest) = (contents[hit].clone(), Digest::of(&contents[hit]));
    let path = store.path(digest);
    let at = dice.below(bytes.len());
    match way {
        Way::Flip => bytes[at] ^= 1 << dice.below(8),
        Way::Cut => bytes.truncate(at),
        Way::Grown => bytes.push(u8::try_from(dice.below(256)).unwrap()),
        Way::Zero => {
            let page = at / PAGE * PAGE;
            let end = bytes.len().min(page + PAGE);
            bytes[page..end].fill(0);
        }
        Way::Missing => {
            fs::remove_file(&path).unwrap();
            return vec![digest];
        }
        Way::IsFolder => {
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            return vec![digest];
        }
        Way::FolderMissing => {
            let folder = path.parent().unwrap();
            fs::remove_dir_all(folder).unwrap();
            return contents.iter().map(|content| Digest::of(content)).filter(|of| is_in(store, *of, folder)).collect();
        }
        Way::Swap => {
            let other = (hit + 1 + dice.below(contents.len() - 1)) % contents.len();
            let theirs = Digest::of(&contents[other]);
            fs::write(store.path(theirs), &bytes).unwrap();
            fs::write(&path, &contents[other]).unwrap();
            return vec![digest, theirs];
        }
    }
    fs::write(&path, bytes).unwrap();
    vec![digest]
}

fn is_in(store: &Artifacts, digest: Digest, folder: &Path) -> bool {
    store.path(digest).parent() == Some(folder)
}

/// `SplitMix64`: <https://prng.di.unimi.it/splitmix64.c>.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % most as u64).unwrap()
    }
}
