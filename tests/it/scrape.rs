//! The text format of Prometheus, read strictly: nothing is told twice, and everything has its help and its type.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use headframe::metrics::{Family, Kind};

/// How the document lists a family.
pub(crate) fn line(family: &Family) -> String {
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    };
    let labels = family.labels.iter().copied().collect();
    listed(family.name, kind, family.unit().unwrap_or_default(), &labels, family.help)
}

fn listed(name: &str, kind: &str, unit: &str, labels: &BTreeSet<&str>, help: &str) -> String {
    let mut told = String::new();
    for label in labels {
        let comma = if told.is_empty() { "" } else { ", " };
        write!(told, "{comma}`{label}`").unwrap();
    }
    format!("| `{name}` | {kind} | {unit} | {told} | {help} |")
}

/// What was told to whoever reads metrics.
pub(crate) struct Scrape {
    pub(crate) text: String,
    /// Value by name and labels, as they stand there.
    pub(crate) series: BTreeMap<String, f64>,
    pub(crate) labels: BTreeSet<(String, String)>,
    pub(crate) families: BTreeMap<String, Told>,
}

/// A family as it was told.
#[derive(Default)]
pub(crate) struct Told {
    help: String,
    kind: String,
    labels: BTreeSet<String>,
}

impl Told {
    pub(crate) fn line(&self, name: &str) -> String {
        let bare = name.strip_suffix("_total").unwrap_or(name);
        let unit = ["seconds", "bytes"].into_iter().find(|unit| bare.ends_with(&format!("_{unit}")));
        let labels = self.labels.iter().map(String::as_str).collect();
        listed(name, &self.kind, unit.unwrap_or_default(), &labels, &self.help)
    }
}

impl Scrape {
    pub(crate) fn read(text: &str) -> Self {
        let mut scrape =
            Self { text: String::new(), series: BTreeMap::new(), labels: BTreeSet::new(), families: BTreeMap::new() };
        let mut family = String::new();
        for line in text.lines() {
            if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
                name.clone_into(&mut family);
                let told = Told { help: help.to_owned(), ..Told::default() };
                assert!(scrape.families.insert(family.clone(), told).is_none(), "{name} is told twice");
            } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                let told = scrape.families.get_mut(name).unwrap_or_else(|| panic!("{name} has no help"));
                kind.clone_into(&mut told.kind);
            } else {
                scrape.sample(&family, line);
            }
        }
        Self { text: text.to_owned(), ..scrape }
    }

    fn sample(&mut self, family: &str, line: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
        assert!(self.series.insert(series.to_owned(), value.parse().unwrap()).is_none(), "{series} is told twice");
        let (name, labels) =
            series.split_once('{').map_or((series, ""), |(name, rest)| (name, &rest[..rest.len() - 1]));
        assert!(name.starts_with(family), "{name} is told among {family}");
        let told = self.families.get_mut(family).unwrap();
        for label in labels.split("\",").filter(|label| !label.is_empty()) {
            let (name, value) = label.trim_end_matches('"').split_once("=\"").unwrap();
            self.labels.insert((name.to_owned(), value.to_owned()));
            if name != "le" {
                told.labels.insert(name.to_owned());
            }
        }
    }
}
