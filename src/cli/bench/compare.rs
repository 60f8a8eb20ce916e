//! What became of figures since an earlier measurement.
//!
//! **Invariants:** only measurements of the same thing are compared: the same workload, with the same arguments. What is
//! judged are shares of the disk's limit, each measured in its own run, because disks and machines change from hour to hour.

use std::{fmt, path::Path};

use serde::Serialize;
use serde_json::Value;

use super::super::exit::Error;

/// What a measurement was asked for; what else it says is what it found.
const ASKED: [&str; 9] =
    ["workload", "concurrency", "effect", "payload_bytes", "items", "state", "rebuild", "workers", "aged_runs"];

/// The figure that is judged.
const JUDGED: &str = "of_limit";

/// Figures of one measurement, then and now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Compared {
    /// What was asked for.
    pub(super) of: String,
    /// Each figure of both.
    pub(super) figures: Vec<Figure>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Figure {
    /// Its place in the JSON.
    pub(super) name: String,
    pub(super) before: f64,
    pub(super) now: f64,
    /// Now over before; nothing over zero.
    pub(super) ratio: Option<f64>,
}

impl Compared {
    /// How the share of the limit changed, if the workload has one.
    pub(super) fn judged(&self) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == JUDGED)?.ratio
    }
}

/// Measurements that `bench -o json` or `-o jsonl` wrote.
///
/// # Errors
/// If the file cannot be read, or holds something else.
pub(super) fn read(file: &Path) -> Result<Vec<Value>, Error> {
    let told = |why: String| Error::Usage(format!("--compare {}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| told(error.to_string()))?;
    let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&text).into_iter().collect();
    let values = values.map_err(|error| told(format!("it is no JSON: {error}")))?;
    let reports = values.into_iter().flat_map(|value| match value {
        Value::Array(reports) => reports,
        report => vec![report],
    });
    let reports: Vec<_> = reports.collect();
    if reports.is_empty() || reports.iter().any(|report| !report["workload"].is_string()) {
        return Err(told("it is not what `headframe bench -o json` writes".to_owned()));
    }
    Ok(reports)
}

/// What both measured, figure by figure.
pub(super) fn compare(before: &[Value], now: &[Value]) -> Vec<Compared> {
    let pair = |now: &Value| {
        let before = before.iter().find(|before| asked(before) == asked(now))?;
        let (mut earlier, mut later) = (Vec::new(), Vec::new());
        numbers("", before, &mut earlier);
        numbers("", now, &mut later);
        let figure = |(name, now): &(String, f64)| {
            let before = earlier.iter().find(|(known, _)| known == name)?.1;
            let ratio = (before != 0.0).then(|| now / before);
            Some(Figure { name: name.clone(), before, now: *now, ratio })
        };
        let figures = later.iter().filter(|(name, _)| !ASKED.contains(&name.as_str())).filter_map(figure);
        Some(Compared { of: asked(now), figures: figures.collect() })
    };
    now.iter().filter_map(pair).collect()
}

fn asked(report: &Value) -> String {
    let known = ASKED.iter().filter(|name| !report[**name].is_null());
    let words = known.map(|name| match &report[*name] {
        Value::String(word) => word.clone(),
        other => format!("{name} {other}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn numbers(place: &str, value: &Value, found: &mut Vec<(String, f64)>) {
    let inside = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    match value {
        Value::Number(number) => found.extend(number.as_f64().map(|number| (place.to_owned(), number))),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| numbers(&inside(name), value, found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| numbers(&inside(&at.to_string()), value, found));
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.of)?;
        let width = self.figures.iter().map(|figure| figure.name.len()).max().unwrap_or_default();
        write!(f, "  {:<width$}  {:>14}  {:>14}  {:>7}", "", "before", "now", "ratio")?;
        for Figure { name, before, now, ratio } in &self.figures {
            write!(f, "\n  {name:<width$}  {:>14}  {:>14}", shown(*before), shown(*now))?;
            if let Some(ratio) = ratio {
                write!(f, "  {ratio:>7.2}")?;
            }
        }
        Ok(())
    }
}

fn shown(number: f64) -> String {
    if number.abs() >= 100.0 { format!("{number:.0}") } else { format!("{number:.3}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_measurement_is_compared_figure_by_figure() {
        let before = [
            json!({"workload": "w1", "concurrency": 1, "tasks_per_s": 10.0, "of_limit": 0.5}),
            json!({"workload": "w1", "concurrency": 100, "tasks_per_s": 40.0, "of_limit": 0.4, "shares": {"a": 0.0}}),
        ];
        let now = [
            json!({"workload": "w1", "concurrency": 100, "tasks_per_s": 60.0, "of_limit": 0.2, "shares": {"a": 0.5}}),
            json!({"workload": "w5", "p50_ms": 1.0}),
        ];
        let compared = compare(&before, &now);
        assert_eq!(compared.len(), 1, "nobody measured w5 before");
        assert_eq!((&*compared[0].of, compared[0].judged()), ("w1, concurrency 100", Some(0.5)));
        let of = |name: &str| compared[0].figures.iter().find(|figure| figure.name == name).unwrap().ratio;
        assert_eq!((of("tasks_per_s"), of("shares.a")), (Some(1.5), None));
        assert!(!compared[0].figures.iter().any(|figure| figure.name == "concurrency"));
    }

    #[test]
    fn another_payload_is_another_measurement() {
        let report = |bytes: u32| [json!({"workload": "w5", "payload_bytes": bytes, "p50_ms": 1.0})];
        assert_eq!(compare(&report(32), &report(4_096)), []);
    }
}
