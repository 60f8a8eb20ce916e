//! A line for the page on which every suite says what it found out.

use headframe::testing::note;
use serde_json::{Map, Value, json};

use super::{Report, faults::Struck};

/// Write it, where `HEADFRAME_PROOF` names a file.
pub(crate) fn write(report: &Report) {
    note("kill loop", &figures(report));
}

fn figures(report: &Report) -> [(&'static str, Value); 15] {
    let faults = report.faults.iter().filter(|struck| struck.chosen);
    let faults: Map<_, _> = faults.map(|struck| (struck.fault.name().to_owned(), fault(struck))).collect();
    let tested = report.checked.iter().map(|checked| (checked.invariant.to_string(), json!(checked.tested)));
    [
        ("kills", json!(report.kills)),
        ("seed", json!(report.seed)),
        ("seconds", json!(report.seconds)),
        ("runs acknowledged", json!(report.runs_acknowledged)),
        ("runs ended", json!(report.runs_ended)),
        ("calls", json!(report.calls)),
        ("effects", json!(report.effects)),
        ("lost", json!(report.lost)),
        ("duplicated", json!(report.duplicated)),
        ("in doubt, each decided", json!(report.in_doubt)),
        ("promises broken", json!(report.violations.len())),
        ("recovery p50 ms", json!(report.recovery_p50_ms)),
        ("recovery p99 ms", json!(report.recovery_p99_ms)),
        ("faults", Value::Object(faults)),
        ("tested", Value::Object(tested.collect())),
    ]
}

fn fault(struck: &Struck) -> Value {
    let mut told = json!({ "strikes": struck.strikes, "recoveries": struck.recoveries });
    for (name, ms) in [("p50 ms", struck.recovery_p50_ms), ("p99 ms", struck.recovery_p99_ms)] {
        if let Some(ms) = ms {
            told[name] = json!(ms);
        }
    }
    if let Some(why) = &struck.skipped {
        told["skipped"] = json!(why);
    }
    told
}
