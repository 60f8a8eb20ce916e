//! What the disk allows: appenders under group commit, and nothing else.
//!
//! Each appender appends its bytes and waits until they are synced; one thread writes all that is pending and calls
//! `fdatasync`. A durable step cannot be faster than this.

use std::{
    fmt,
    fs::File,
    io::{Seek, SeekFrom, Write},
    path::Path,
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use hdrhistogram::Histogram;
use headframe::clock::monotonic;
use parking_lot::{Condvar, Mutex};
use serde::Serialize;
use tokio::sync::oneshot;

use super::Failed;

/// The file is zero-filled to this size and written round and round, so that no write extends it.
const FILE_BYTES: u64 = 16 * 1024 * 1024;

/// For how long it is measured.
const LENGTH: Duration = Duration::from_secs(1);
/// About so many bytes a step takes; what it really took is known only afterwards.
pub(super) const GUESS_BYTES: f64 = 400.0;

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    appends_per_s: f64,
    fdatasync_p50_us: f64,
}

/// What was measured before and after the work.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Limits {
    /// Appends per second that the disk allows with as many appenders: the lower of before and after.
    pub(super) limit_per_s: f64,
    /// The limit before.
    limit_before_per_s: f64,
    /// The limit after, with the bytes that a step of the work took.
    limit_after_per_s: f64,
    /// Half of the syncs took no longer, before and after.
    pub(super) fdatasync_p50_us: [f64; 2],
    /// Whether the limit stayed within half of itself: only then is the run to be trusted.
    quiet: bool,
    #[serde(skip)]
    appenders: u32,
}

impl Limits {
    pub(super) fn new(before: Limit, after: Limit, appenders: u32) -> Self {
        let (low, high) =
            (before.appends_per_s.min(after.appends_per_s), before.appends_per_s.max(after.appends_per_s));
        Self {
            limit_per_s: low,
            limit_before_per_s: before.appends_per_s,
            limit_after_per_s: after.appends_per_s,
            fdatasync_p50_us: [before.fdatasync_p50_us, after.fdatasync_p50_us],
            quiet: high < low * 1.5,
            appenders,
        }
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = self.fdatasync_p50_us;
        let Self { limit_per_s, appenders, quiet, .. } = self;
        writeln!(f, "  fdatasync p50      {before:>12.0} us before, {after:.0} us after")?;
        write!(f, "  limit of this disk {limit_per_s:>12.0} appends/s by {appenders} appenders")?;
        if *quiet { Ok(()) } else { write!(f, "\n  the limit moved during the run: the machine was not quiet") }
    }
}

#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    waiters: Vec<oneshot::Sender<()>>,
    stopping: bool,
}

type Shared = Arc<(Mutex<Pending>, Condvar)>;

/// Measure in a folder, with so many bytes an append.
pub(super) async fn measure(folder: &Path, appenders: u32, bytes: f64) -> Result<Limit, Failed> {
    let path = folder.join("limit");
    let measured = measure_on(&path, appenders, bytes.max(1.0) as usize).await;
    measured.map_err(|error| format!("the limit of the disk, in {}: {error}", folder.display()).into())
}

async fn measure_on(path: &Path, appenders: u32, bytes: usize) -> std::io::Result<Limit> {
    let mut file = File::create(path)?;
    file.write_all(&vec![0; usize::try_from(FILE_BYTES).unwrap_or(0)])?;
    file.sync_all()?;
    let shared: Shared = Arc::default();
    let committer = committer(file, shared.clone())?;
    let end = monotonic() + LENGTH;
    let began = monotonic();
    let tasks = (0..appenders).map(|_| append(shared.clone(), bytes, end));
    let mut set = tokio::task::JoinSet::new();
    for task in tasks {
        set.spawn(task);
    }
    let appends: u64 = set.join_all().await.iter().sum();
    let elapsed = began.elapsed();
    shared.0.lock().stopping = true;
    shared.1.notify_one();
    let syncs = committer.join().map_err(|_| std::io::Error::other("the thread that syncs panicked"))??;
    std::fs::remove_file(path)?;
    Ok(Limit {
        appends_per_s: appends as f64 / elapsed.as_secs_f64(),
        fdatasync_p50_us: syncs.value_at_quantile(0.5) as f64 / 1_000.0,
    })
}

#[expect(clippy::disallowed_methods, reason = "the one who measures owns the thread and waits for its end")]
fn committer(file: File, shared: Shared) -> std::io::Result<JoinHandle<std::io::Result<Histogram<u64>>>> {
    std::thread::Builder::new().name("bench-limit".to_owned()).spawn(move || commit(file, &shared))
}

async fn append(shared: Shared, bytes: usize, end: std::time::Instant) -> u64 {
    let payload = vec![7_u8; bytes];
    let mut appends = 0;
    while monotonic() < end {
        let (sender, synced) = oneshot::channel();
        {
            let mut pending = shared.0.lock();
            pending.bytes.extend_from_slice(&payload);
            pending.waiters.push(sender);
        }
        shared.1.notify_one();
        if synced.await.is_err() {
            break;
        }
        appends += 1;
    }
    appends
}

fn commit(mut file: File, shared: &Shared) -> std::io::Result<Histogram<u64>> {
    let mut syncs = Histogram::new(3).map_err(std::io::Error::other)?;
    let mut at = 0;
    loop {
        let (bytes, waiters) = {
            let mut pending = shared.0.lock();
            while pending.waiters.is_empty() {
                if pending.stopping {
                    return Ok(syncs);
                }
                shared.1.wait(&mut pending);
            }
            (std::mem::take(&mut pending.bytes), std::mem::take(&mut pending.waiters))
        };
        if at + bytes.len() as u64 > FILE_BYTES {
            at = 0;
        }
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&bytes)?;
        at += bytes.len() as u64;
        let began = monotonic();
        file.sync_data()?;
        syncs.record(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)).map_err(std::io::Error::other)?;
        for waiter in waiters {
            // An appender that has left is not waiting.
            let _ = waiter.send(());
        }
    }
}
