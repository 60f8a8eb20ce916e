//! What the journal keeps, on a disk that loses all it may.

mod crashes;
mod damage;
mod failures;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{frame, head, segment, sim::SimDisk};
use crate::durable::{
    id::Sequence,
    store::{Durability, Error, Local, LocalOptions, Recovered, Store, Tuning},
};

const FOLDER: &str = "data";

/// How a test opens its store.
#[derive(Clone, Copy, Debug)]
struct Mode {
    durability: Durability,
    /// Whether HEAD is written with each record, or only when asked for.
    head_each: bool,
    segment_bytes: u64,
    cut_after: Option<u64>,
}

impl Default for Mode {
    fn default() -> Self {
        Self { durability: Durability::Power, head_each: false, segment_bytes: 12 * 1024, cut_after: None }
    }
}

fn open(disk: &SimDisk, mode: Mode) -> Result<Local, Error> {
    let options = LocalOptions {
        rows: false,
        durability: mode.durability,
        segment_bytes: mode.segment_bytes,
        cut_after: mode.cut_after.map(Sequence),
        ..LocalOptions::default()
    };
    let head_every = if mode.head_each { Duration::ZERO } else { Duration::MAX };
    Local::open_on(Arc::new(disk.clone()), Path::new(FOLDER), options, Tuning { head_every, background: false })
}

/// A store and what a recovery said.
struct Opened {
    store: Local,
    recovered: Recovered,
    records: Vec<Vec<u8>>,
}

fn recover(disk: &SimDisk, mode: Mode) -> Result<Opened, Error> {
    let store = open(disk, mode)?;
    let mut records = Vec::new();
    let recovered = store.recover(&mut |sequence, payload| {
        records.push(payload.to_vec());
        assert_eq!(sequence, Sequence(records.len() as u64), "records come in order, each once");
        Ok(())
    })?;
    assert_eq!(recovered.durable, Sequence(records.len() as u64));
    Ok(Opened { store, recovered, records })
}

impl Opened {
    fn append(&mut self, payload: &[u8]) -> Result<(), Error> {
        let sequence = Sequence(self.records.len() as u64 + 1);
        self.store.append(self.recovered.fence, sequence, payload)?;
        self.records.push(payload.to_vec());
        Ok(())
    }

    fn append_all(&mut self, payloads: &[&str]) {
        for payload in payloads {
            self.append(payload.as_bytes()).unwrap();
        }
    }

    /// Die without a word.
    fn killed(self, disk: &SimDisk) -> SimDisk {
        disk.killed()
    }
}

/// A store that holds these records, all below HEAD, and was closed well.
fn closed(payloads: &[&str], mode: Mode) -> SimDisk {
    let disk = SimDisk::default();
    recover(&disk, mode).unwrap().append_all(payloads);
    disk
}

/// The records of a store, as text.
fn texts(opened: &Opened) -> Vec<String> {
    opened.records.iter().map(|record| String::from_utf8_lossy(record).into_owned()).collect()
}

fn segment(number: u64) -> PathBuf {
    segment::path(&Path::new(FOLDER).join(segment::FOLDER), number)
}

fn head() -> PathBuf {
    Path::new(FOLDER).join(head::NAME)
}

/// Where each record of a segment begins and ends.
fn extents(disk: &SimDisk, number: u64) -> Vec<(usize, usize)> {
    let bytes = disk.bytes(&segment(number));
    let (mut at, mut extents) = (usize::try_from(segment::HEADER).unwrap(), Vec::new());
    while let Some(frame) = frame::open(&bytes[at..]) {
        extents.push((at, at + frame.size()));
        at += frame.size();
    }
    extents
}

fn check(disk: &SimDisk) -> Result<crate::durable::store::Checked, Error> {
    crate::durable::store::check(disk, Path::new(FOLDER))
}
