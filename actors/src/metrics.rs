//! What is measured: families by name, and where they are registered.
//!
//! A [`Family`] is declared once, in a table, with its labels and its help. [`Instruments`] registers handles for it with
//! the recorder that the embedder chose, once; from then on counting is one atomic operation, or nothing at all where no
//! recorder was chosen.
//!
//! **Invariants:** nothing here is global, and no exporter is known here. Labels are bounded: they are words of the code,
//! or come from a [`Known`] set, in which whatever is too much is called `other`.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt, sync::Arc};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder, Unit};

/// What whatever is too much is called.
pub const OTHER: &str = "other";

/// What a family counts in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often it was at most so much; these are its buckets.
    Histogram(&'static [f64]),
}

/// A family of metrics: all that share a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Family {
    /// Its name, with the unit at the end.
    pub name: &'static str,
    /// What it counts in.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence for people.
    pub help: &'static str,
}

impl Family {
    /// A counter.
    #[must_use]
    pub const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: Kind::Counter, labels, help }
    }

    /// A gauge.
    #[must_use]
    pub const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, labels, help }
    }

    /// A histogram with these buckets.
    #[must_use]
    pub const fn histogram(
        name: &'static str,
        buckets: &'static [f64],
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Histogram(buckets), labels, help }
    }

    /// The unit that its name ends with, if it has one.
    #[must_use]
    pub fn unit(&self) -> Option<&'static str> {
        let bare = self.name.strip_suffix("_total").unwrap_or(self.name);
        ["seconds", "bytes"].into_iter().find(|unit| bare.ends_with(&format!("_{unit}")))
    }
}

/// Buckets for what takes as long as a write to a disk: 20 us to 1 s.
pub const SYNC_SECONDS: &[f64] =
    &[0.000_02, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
/// Buckets for what takes as long as a call: 1 ms to 10 min.
pub const CALL_SECONDS: &[f64] =
    &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0];
/// Buckets for what takes as long as a run: 5 ms to a week.
pub const RUN_SECONDS: &[f64] = &[
    0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0, 259_200.0,
    604_800.0,
];
/// Buckets for what is written together: 1 to 16,384.
pub const BATCH: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0, 4_096.0, 16_384.0];

/// A set of names that may be labels: the first so many of them.
#[derive(Clone, Debug, Default)]
pub struct Known(BTreeSet<String>);

impl Known {
    /// The first `most` of these names, in the order of the alphabet.
    pub fn of(names: impl IntoIterator<Item = String>, most: usize) -> Self {
        Self(names.into_iter().collect::<BTreeSet<_>>().into_iter().take(most).collect())
    }

    /// The name, or what whatever is too much is called.
    #[must_use]
    pub fn label<'a>(&self, name: &'a str) -> &'a str {
        if self.0.contains(name) { name } else { OTHER }
    }
}

/// A counter that follows a figure which only grows. Another one may go on with the same counter from 0: what is counted
/// in a process outlives what is counted in it.
#[derive(Debug)]
pub struct Growing {
    counter: Counter,
    last: u64,
}

impl Growing {
    /// Follow a figure that is 0 now.
    #[must_use]
    pub fn new(counter: Counter) -> Self {
        Self { counter, last: 0 }
    }

    /// The figure is so much now. One that was read earlier, and comes later, counts nothing.
    pub fn grow_to(&mut self, now: u64) {
        self.counter.increment(now.saturating_sub(self.last));
        self.last = self.last.max(now);
    }
}

/// Where families are registered: with a recorder of one's own, or with the one that is installed when they are.
#[derive(Clone, Default)]
pub struct Instruments(Option<Arc<dyn Recorder + Send + Sync>>);

impl fmt::Debug for Instruments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Instruments").field(&self.0.as_ref().map(|_| "own")).finish()
    }
}

impl Instruments {
    /// Register with this recorder, whatever is installed.
    #[must_use]
    pub fn with(recorder: Arc<dyn Recorder + Send + Sync>) -> Self {
        Self(Some(recorder))
    }

    /// Do something with the recorder.
    fn ask<T>(&self, ask: impl FnOnce(&dyn Recorder) -> T) -> T {
        match &self.0 {
            Some(recorder) => ask(&**recorder),
            None => metrics::with_recorder(ask),
        }
    }

    /// Say what these families are about.
    pub fn describe(&self, families: &[Family]) {
        for family in families {
            let name = KeyName::from_const_str(family.name);
            let unit = match family.unit() {
                Some("seconds") => Some(Unit::Seconds),
                Some("bytes") => Some(Unit::Bytes),
                _ => None,
            };
            self.ask(|recorder| match family.kind {
                Kind::Counter => recorder.describe_counter(name, unit, family.help.into()),
                Kind::Gauge => recorder.describe_gauge(name, unit, family.help.into()),
                Kind::Histogram(_) => recorder.describe_histogram(name, unit, family.help.into()),
            });
        }
    }

    /// A counter of a family.
    pub fn counter(&self, family: &Family, values: &[&str]) -> Counter {
        debug_assert_eq!(family.kind, Kind::Counter, "{}", family.name);
        self.ask(|recorder| recorder.register_counter(&key(family, values), &METADATA))
    }

    /// A gauge of a family.
    pub fn gauge(&self, family: &Family, values: &[&str]) -> Gauge {
        debug_assert_eq!(family.kind, Kind::Gauge, "{}", family.name);
        self.ask(|recorder| recorder.register_gauge(&key(family, values), &METADATA))
    }

    /// A histogram of a family.
    pub fn histogram(&self, family: &Family, values: &[&str]) -> Histogram {
        debug_assert!(matches!(family.kind, Kind::Histogram(_)), "{}", family.name);
        self.ask(|recorder| recorder.register_histogram(&key(family, values), &METADATA))
    }
}

/// Which code registers; some recorders filter by it.
static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

fn key(family: &Family, values: &[&str]) -> Key {
    debug_assert_eq!(family.labels.len(), values.len(), "{} has a value for each label", family.name);
    let labels = family.labels.iter().zip(values).map(|(name, value)| Label::new(*name, (*value).to_owned()));
    Key::from_parts(family.name, labels.collect::<Vec<_>>())
}
