//! What is flagged, what is not, and what is said.

use std::time::Duration;

use super::*;

const BOUNDS: Bounds = Bounds { growth_max: 20.0, available_min: 99.0, within: Duration::from_secs(1) };
const ALL: Answered = Answered { sent: 100, in_time: 100 };

#[test]
fn growth_breaks_the_bound_and_what_is_level_does_not() {
    assert!(report((0..100).map(|at| (at, 100_000))).is_good());
    let growing = report((0..100).map(|at| (at, 100_000 + at * 10_000)));
    assert_eq!(growing.broken.len(), 1);
    assert!(growing.broken[0].starts_with("beyond rows grows by 8"), "{:?}", growing.broken);
    assert!(growing.broken[0].ends_with("and the bound is 20 %"));
}

#[test]
fn a_saw_that_falls_back_is_level() {
    assert!(report((0..100).map(|at| (at, 100_000 + at % 9 * 4_000))).is_good());
}

/// A soak of two minutes called what grew with the rows a leak.
#[test]
fn memory_that_rows_account_for_is_told_and_is_no_leak() {
    let mut samples = Samples::new();
    for at in 0..100 {
        let mut sample = Sample::at_minute(at, 100_000 + at * 10_000);
        sample.disk.rows = at * 5_000 * 1_024;
        samples.push(sample);
    }
    let report = Report::new(&samples, ALL, Some(0), &BOUNDS, End::Over);
    assert!(report.is_good());
    assert_eq!(report.series[0].trend, Trend::Grows);
}

#[test]
fn a_rise_within_the_noise_that_is_granted_is_no_leak() {
    // 12 % in 100 minutes is much in an hour, and 12 MiB is little.
    assert!(report((0..100).map(|at| (at, 100_000 + at * 120))).is_good());
}

#[test]
fn warming_up_is_no_growth() {
    assert!(report((0..100).map(|at| (at, if at < 20 { 50_000 + at * 2_500 } else { 100_000 }))).is_good());
}

#[test]
fn a_short_soak_is_not_judged_by_its_slopes_and_says_so() {
    let short = report((0..2).map(|at| (at, 100_000 + at * 1_000_000)));
    assert!(short.is_good());
    assert!(short.to_string().contains("growth was not judged"));
    assert!(report(std::iter::empty()).to_string().contains("growth was not judged"));
}

#[test]
fn what_is_left_over_or_late_or_failed_breaks_the_verdict() {
    let samples = samples((0..100).map(|at| (at, 100_000)));
    let told = |answered, left_over, end| Report::new(&samples, answered, Some(left_over), &BOUNDS, end).broken;
    assert_eq!(told(ALL, 3, End::Over), ["3 actors and calls are left over"]);
    let late = Answered { sent: 100, in_time: 98 };
    let broken = "98.00 % of the probes were answered within 1000 ms, and the bound is 99 %";
    assert_eq!(told(late, 0, End::Over), [broken]);
    assert_eq!(told(ALL, 0, End::Failed("a run failed".to_owned())), ["a run failed"]);
    assert_eq!(told(ALL, 0, End::Interrupted(130)), [""; 0]);
}

#[test]
fn people_read_the_bounds_beside_the_figures() {
    let told = report((0..100).map(|at| (at, 100_000))).to_string();
    for wanted in [
        "available: 100.00 %, 100 of 100 probes answered within 1000 ms (bound: 99 %)",
        "left over at the end: 0 (bound: 0)",
        "Theil-Sen",
        "verdict: within all bounds that were judged",
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
}

/// Scripts read these.
#[test]
fn json_keeps_its_names() {
    let json = serde_json::to_value(report((0..100).map(|at| (at, 100_000)))).unwrap();
    let names = |json: &serde_json::Value| json.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(
        names(&json),
        "available broken disk_per_run end judges_growth left_over memory_per_run runs samples samples_seen seconds series"
    );
    assert_eq!(names(&json["series"][0]), "bound first growth_per_hour last median name slope_per_hour trend");
    assert_eq!(names(&json["available"]), "in_time percent percent_min sent within_ms");
    assert_eq!(json["series"][13]["name"], "journal");
}

fn samples(memory: impl Iterator<Item = (u64, u64)>) -> Samples {
    let mut samples = Samples::new();
    memory.for_each(|(at, rss_kib)| samples.push(Sample::at_minute(at, rss_kib)));
    samples
}

fn report(memory: impl Iterator<Item = (u64, u64)>) -> Report {
    Report::new(&samples(memory), ALL, Some(0), &BOUNDS, End::Over)
}
