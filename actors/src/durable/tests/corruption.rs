//! Files of a store that are not what they were: each store is opened in a process of its own kind, and what came of it
//! is one of few things, of which silence is none.
//!
//! ```text
//! a store with work in flight ─► one damage ─► opened, in a child ─► unharmed │ rebuilt │ refused by name │ cut tail reported
//! ```
//! What is found is compared with what the undamaged store holds, as state and as history. The child is this binary with
//! [`opening`] as its only test and a bounded memory: it opens one store after the other, and where one of them ends the
//! process, or never comes back, the next child goes on behind it.

mod at_scale;
mod harm;

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use self::harm::Case;
use super::{killed::copy_all, *};
use crate::durable::{
    audit,
    flight::Recorder,
    id::Sequence,
    journal::{disk::RealDisk, survey::Survey},
    store::{Local, LocalOptions, Store as _},
};

const FOLDER: &str = "HEADFRAME_TEST_OPENS_IN";
/// More than this a child may not have, whatever a damaged length claims.
const MEMORY_MAX: u64 = 2 << 30;

/// What came of opening a damaged store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Outcome {
    /// All is there, and nothing was said.
    Unharmed,
    /// All is there, and what was mended is told.
    Rebuilt,
    /// It does not open, or its history is not shown; the file is named, and what to do.
    Refused,
    /// It ends earlier, behind all that was acknowledged, and says so.
    Cut,
}

/// What the child says of one case.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Told {
    case: String,
    outcome: Result<Outcome, String>,
    says: String,
}

/// The process that opens them: not a test, but what the tests run.
#[test]
#[ignore = "run by other tests, in a process of its own"]
fn opening() {
    let Some(place) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let limit = |maximum| rustix::process::Rlimit { current: Some(maximum), maximum: Some(maximum) };
    rustix::process::setrlimit(rustix::process::Resource::Core, limit(0)).unwrap();
    rustix::process::setrlimit(rustix::process::Resource::As, limit(MEMORY_MAX)).unwrap();
    let cases = fs::read_to_string(place.join("cases")).unwrap();
    let mut told = OpenOptions::new().create(true).append(true).open(place.join("told")).unwrap();
    let truths = harm::TEMPLATES.map(|template| Truth::of(&place.join(template)));
    for case in cases.lines().map(Case::parse) {
        let (outcome, says) = examine(&place, &case, &truths[case.template]);
        let line = serde_json::to_string(&Told { case: case.to_string(), outcome, says }).unwrap();
        writeln!(told, "{line}").unwrap();
    }
}

/// What an undamaged store holds.
struct Truth {
    folder: PathBuf,
    live: Live,
    last: Sequence,
    /// The last record that `HEAD` says is durable: what comes behind it may end without a trace, and nothing before.
    vouched: Sequence,
    history: Vec<Item>,
}

impl Truth {
    fn of(folder: &Path) -> Self {
        let (live, last) = Self::at(folder, None);
        let history = history(&look(folder, None).0).unwrap();
        let vouched = Survey::take(&RealDisk, folder).unwrap().floor();
        Self { folder: folder.to_path_buf(), live, last, vouched, history }
    }

    fn at(folder: &Path, cut_after: Option<Sequence>) -> (Live, Sequence) {
        let (_, live, last) = look(folder, cut_after);
        (live, last)
    }

    /// How what was found differs from it, up to a record.
    fn differs(&self, live: &Live, last: Sequence) -> Vec<String> {
        if last == self.last {
            return audit::differences(live, &self.live);
        }
        audit::differences(live, &Self::at(&self.folder, Some(last)).0)
    }
}

fn look(folder: &Path, cut_after: Option<Sequence>) -> (Ledger, Live, Sequence) {
    let options = LocalOptions { read_only: true, cut_after, ..LocalOptions::default() };
    let store = Local::open(folder, options).unwrap();
    let (live, recovered) = Live::fold(&store).unwrap();
    (ledger(Arc::new(store)), live, recovered.durable)
}

fn ledger(store: Arc<Local>) -> Ledger {
    Ledger::new(store, Registry::new().with::<Counter>())
}

fn history(ledger: &Ledger) -> Result<Vec<Item>, store::Error> {
    let mut items = Vec::new();
    ledger.all(&mut |item| {
        items.push(item);
        true
    })?;
    items.sort_by_key(|item| (item.stream, item.number));
    Ok(items)
}

/// Damage a copy and open it: what came of it, or in which way it was silent; and what was said.
fn examine(place: &Path, case: &Case, truth: &Truth) -> (Result<Outcome, String>, String) {
    let copy = tempfile::tempdir_in(place).unwrap();
    let data = copy.path().join("data");
    copy_all(&truth.folder, &data);
    case.damage(&data, &place.join(harm::MOMENTS_IN));
    // A recorder that cannot be opened is gone without; it must only never end the start.
    let recorder = Recorder::open(&data.join("flight")).map(drop);
    let mut said = recorder.err().map(|error| error.to_string()).into_iter().collect::<Vec<_>>();
    let mut again = false;
    let outcome = loop {
        match open(&data) {
            // Rows that turn out to be of no use while they are read are built again by the next start.
            Err(error @ (store::Error::Rows { .. } | store::Error::BadRow { .. })) if !again => {
                said.push(error.to_string());
                again = true;
            }
            Err(error) => {
                said.push(error.to_string());
                let is_named = error.to_string().starts_with("HF00");
                break if !is_named {
                    Err("it is refused without a name".to_owned())
                } else if case.must_open() {
                    Err("it must open".to_owned())
                } else {
                    Ok(Outcome::Refused)
                };
            }
            Ok(opened) => break opened.judge(truth, &mut said),
        }
    };
    (outcome, said.join(" | "))
}

struct Opened {
    store: Arc<Local>,
    live: Live,
    last: Sequence,
    repairs: Vec<String>,
}

fn open(data: &Path) -> Result<Opened, store::Error> {
    // Nothing goes on in the background: what is read is what the start made of it.
    let day = Duration::from_secs(86_400);
    let options = LocalOptions { segment_bytes: 64 * 1024, base_every: day, ..LocalOptions::default() };
    let store = Arc::new(Local::open(data, options)?);
    let opened = store.open()?;
    let (live, recovered) = Live::fold_over(&*store, &opened).inspect_err(|error| {
        if matches!(error, store::Error::Rows { .. } | store::Error::BadRow { .. }) {
            store.condemn(&error.to_string());
        }
        store.release();
    })?;
    let repairs = opened.repairs.into_iter().chain(recovered.repairs).collect();
    Ok(Opened { store, live, last: recovered.durable, repairs })
}

impl Opened {
    fn judge(self, truth: &Truth, said: &mut Vec<String>) -> Result<Outcome, String> {
        let Self { store, live, last, repairs } = self;
        let told = !repairs.is_empty() || !said.is_empty();
        said.extend(repairs);
        let wrong = truth.differs(&live, last);
        if !wrong.is_empty() {
            return Err(format!("the state is another: {}", wrong.join("; ")));
        }
        if last < truth.vouched {
            return Err(format!("it ends at {last}, and HEAD vouched for {}", truth.vouched));
        }
        if last < truth.last && !told {
            return Err(format!("it ends at {last} of {} and says nothing", truth.last));
        }
        let ledger = ledger(store.clone());
        let verified = ledger.verify().map(|verified| verified.problems.join("; "));
        let past = match (verified, history(&ledger)) {
            (Ok(problems), Ok(items)) if problems.is_empty() => Ok(items),
            (Ok(problems), _) if !problems.is_empty() => Err(problems),
            (Err(error), _) | (_, Err(error)) => Err(error.to_string()),
            (Ok(_), Ok(items)) => Ok(items),
        };
        store.release();
        match past {
            Err(named) => {
                said.push(named);
                Ok(Outcome::Refused)
            }
            Ok(items) => {
                let wanted: Vec<_> = truth.history.iter().filter(|item| item.record <= last.0).collect();
                if !items.iter().eq(wanted.iter().copied()) {
                    return Err(format!("its history is another: {} events of {}", items.len(), wanted.len()));
                }
                Ok(if last < truth.last {
                    Outcome::Cut
                } else if told {
                    Outcome::Rebuilt
                } else {
                    Outcome::Unharmed
                })
            }
        }
    }
}
