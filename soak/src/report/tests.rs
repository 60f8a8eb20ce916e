//! What is flagged, what is not, and what is said.

use clap::Parser as _;

use super::*;
use crate::client::probes::Share;

fn answered(sent: u64, in_time: u64) -> Answered {
    Answered { sent, in_time, beside: Share { sent, in_time } }
}

/// All is well.
fn seen() -> Seen {
    Seen {
        answered: answered(100, 100),
        rested: Some((0, Vec::new())),
        found: Some(Found::default()),
        ..Seen::default()
    }
}

fn args() -> Args {
    Args::parse_from(["soak"])
}

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
    let report = Report::new(&samples, seen(), &args(), End::Over);
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
    let told = |seen, end| Report::new(&samples, seen, &args(), end).broken;
    let left = Seen { rested: Some((3, vec!["it died".to_owned()])), ..seen() };
    assert_eq!(told(left, End::Over), ["3 actors and calls are left over", "a message was given up: it died"]);
    let late = Seen { answered: answered(100, 98), ..seen() };
    let broken = "98.00 % of the probes were answered within 1000 ms, and the bound is 99 %";
    assert_eq!(told(late, End::Over), [broken]);
    assert_eq!(told(seen(), End::Failed("a run failed".to_owned())), ["a run failed"]);
    assert_eq!(told(seen(), End::Interrupted(130)), [""; 0]);
}

#[test]
fn people_read_the_bounds_beside_the_figures() {
    let told = report((0..100).map(|at| (at, 100_000))).to_string();
    for wanted in [
        "available: 100.00 %, 100 of 100 probes answered within 1000 ms; 100.00 % of the 100 that met no kill and no start (bound: 99 %)",
        "length: 1h 39m of 2m, 100 samples",
        "the unsticker acted 0 times; expected 0",
        "left over at the end: 0 (bound: 0)",
        "Theil-Sen",
        "verdict: within all bounds that were judged",
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
}

/// A leak looked level once its process was killed now and then: each life began small.
#[test]
fn a_leak_is_seen_although_kills_reset_it() {
    let mut samples = Samples::new();
    for at in 0..200 {
        let mut sample = Sample::at_minute(at, 100_000 + at % 50 * 20_000);
        sample.life = u32::try_from(at / 50).unwrap() + 1;
        samples.push(sample);
    }
    let report = Report::new(&samples, seen(), &args(), End::Over);
    assert!(report.broken[0].starts_with("beyond rows grows by"), "{:?}", report.broken);
}

#[test]
fn a_level_that_rises_from_life_to_life_is_seen() {
    let mut samples = Samples::new();
    for at in 0..400 {
        let mut sample = Sample::at_minute(at, 100_000 + at / 50 * 100_000 + at % 3);
        sample.life = u32::try_from(at / 50).unwrap() + 1;
        samples.push(sample);
    }
    let report = Report::new(&samples, seen(), &args(), End::Over);
    assert!(report.broken[0].contains("from life to life"), "{:?}", report.broken);
    assert_eq!(report.series[0].trend, Trend::Grows);
}

#[test]
fn an_unsticker_that_acts_where_recovery_suffices_breaks_the_verdict() {
    let mut client = crate::client::Client::new(1, None, std::time::Duration::ZERO, headframe::clock::monotonic());
    let acted = crate::wire::Said::Acted { reason: "lost-call".to_owned(), times: 2 };
    client.hear(acted, headframe::clock::monotonic()).unwrap();
    let samples = samples((0..100).map(|at| (at, 100_000)));
    let report = Report::new(&samples, Seen { stalls: client.stalls, ..seen() }, &args(), End::Over);
    assert_eq!(report.broken, ["the unsticker acted 2 times on `lost-call` where recovery alone should have sufficed"]);
    assert!(report.to_string().contains("the unsticker acted 2 times; expected 0"));
}

#[test]
fn the_page_says_what_the_table_says_and_escapes_what_it_was_told() {
    let mut told = seen();
    told.kills = vec![Kill { at_s: 60.0, up_s: Some(0.5), answered_s: Some(0.7) }];
    let samples = samples((0..100).map(|at| (at, 100_000)));
    let page = Report::new(&samples, told, &args(), End::Failed("<script>".to_owned())).page();
    for wanted in
        ["verdict: BROKEN: &lt;script&gt;", "prefers-color-scheme:dark", "<td>  beyond rows</td>", "length: 1h 39m"]
    {
        assert!(page.contains(wanted), "{wanted}");
    }
    assert!(!page.contains("<script>") && !page.contains("NaN") && page.matches("class=\"kill\"").count() == 10);
}

/// Scripts read these.
#[test]
fn json_keeps_its_names() {
    let json = serde_json::to_value(report((0..100).map(|at| (at, 100_000)))).unwrap();
    let names = |json: &serde_json::Value| json.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(
        names(&json),
        "available broken command disk_per_run end folder judges_growth kills left_over recovery runs samples samples_seen seconds seconds_asked series submissions unsticker version"
    );
    assert_eq!(
        names(&json["series"][0]),
        "bound first growth_between_lives growth_per_hour last median name slope_per_hour trend"
    );
    assert_eq!(
        names(&json["available"]),
        "in_time percent percent_beside_kills percent_min sent sent_beside_kills within_ms"
    );
    assert_eq!(json["series"][13]["name"], "journal");
}

fn samples(memory: impl Iterator<Item = (u64, u64)>) -> Samples {
    let mut samples = Samples::new();
    memory.for_each(|(at, rss_kib)| samples.push(Sample::at_minute(at, rss_kib)));
    samples
}

fn report(memory: impl Iterator<Item = (u64, u64)>) -> Report {
    Report::new(&samples(memory), seen(), &args(), End::Over)
}

#[test]
fn what_was_typed_is_told_without_where_the_program_lies() {
    let words = ["/somewhere/of/mine/headframe-soak", "--dir", "/tmp/x"].map(str::to_owned);
    assert_eq!(super::command(words.into_iter()), "headframe-soak --dir /tmp/x");
}

#[test]
fn only_a_run_that_went_wrong_leaves_its_folder() {
    let went_wrong = |seen, end| Report::new(&Samples::new(), seen, &args(), end).went_wrong();
    assert!(went_wrong(seen(), End::Failed("a run did not end".to_owned())));
    assert!(went_wrong(Seen { found: Some(Found { violations: 1, ..Found::default() }), ..seen() }, End::Over));
    assert!(
        ![End::Over, End::Interrupted(130), End::NoRoom("full".to_owned())]
            .map(|end| went_wrong(seen(), end))
            .contains(&true)
    );
}
