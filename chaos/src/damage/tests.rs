//! What counts as told.

use std::fs;

use super::*;
use crate::random::Dice;

#[test]
fn what_differs_and_was_not_told_is_silent() {
    let was = Was { last: 9, vouched: 7, ..Was::default() };
    let same = Content::default();
    let other = content(1);
    let judge = |was: &Was, started: &Started| judge(was, started, |_| None);
    let started = |content: &Content, repairs: &[&str], problems: &[&str]| Started {
        refused: None,
        repairs: repairs.iter().map(|repair| (*repair).to_owned()).collect(),
        problems: problems.iter().map(|problem| (*problem).to_owned()).collect(),
        content: Some(content.clone()),
        last: 9,
        micros: 1,
    };
    let cut = "journal/0000000001.seg: record 7 was torn, and nobody had been told of it";
    let built = "the rows were built again";
    assert_eq!(judge(&was, &started(&same, &[], &[])), Verdict::Unharmed);
    assert_eq!(judge(&was, &started(&same, &[built], &[])), Verdict::Rebuilt);
    assert_eq!(judge(&was, &started(&other, &[cut], &[])), Verdict::Cut);
    assert_eq!(judge(&was, &started(&other, &[], &["a chain does not verify"])), Verdict::Named);
    assert!(matches!(judge(&was, &started(&other, &[built], &[])), Verdict::Silent(_)));
    assert!(matches!(judge(&was, &started(&other, &[], &[])), Verdict::Silent(_)));
}

fn content(runs: u64) -> Content {
    serde_json::from_value(serde_json::json!({"runs": runs, "runs_sum": 2, "events": 3, "events_sum": 4})).unwrap()
}

/// A page of zeros over the only records of a new segment leaves what a segment looks like that has none yet. HEAD may be
/// 100 ms behind, and a client that had been told of these records was taken for a silent loss.
#[test]
fn an_end_that_nothing_vouched_for_may_go_without_a_word_and_nothing_else_may() {
    let was = Was { content: content(5), last: 9, vouched: 7 };
    let until = |last| (last == 8).then(|| content(4));
    let ends = |last, runs| Started { last, content: Some(content(runs)), ..Started::default() };
    assert_eq!(judge(&was, &ends(8, 4), until), Verdict::Unvouched);
    for (last, runs, wrong) in [(6, 4, "vouched for"), (8, 3, "not what there was then"), (9, 4, "nothing is missing")]
    {
        assert!(matches!(judge(&was, &ends(last, runs), until), Verdict::Silent(_)), "{wrong}");
    }
    let nothing = Started { last: 7, ..Started::default() };
    assert!(matches!(judge(&was, &nothing, |_| None), Verdict::Silent(_)));
}

#[test]
fn a_start_that_is_refused_must_have_a_name() {
    let refused =
        |why: &str| judge(&Was::default(), &Started { refused: Some(why.to_owned()), ..Started::default() }, |_| None);
    assert_eq!(refused("HF0003: records 3 to 4 are damaged"), Verdict::Refused("HF0003".to_owned()));
    assert!(matches!(refused("No such file or directory"), Verdict::Silent(_)));
}

#[test]
fn a_copy_can_be_damaged_and_the_folder_keeps_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copied) = (folder.path().join("data"), folder.path().join("copy"));
    fs::create_dir_all(data.join("base")).unwrap();
    let bytes: Vec<u8> = (0..9_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    for file in ["HEAD", "base/1.base"] {
        fs::write(data.join(file), &bytes).unwrap();
    }
    for seed in 0..40 {
        copy(&data, &copied).unwrap();
        let wound = choose(&copied, &mut Dice::of(seed, 1)).unwrap().unwrap();
        assert_eq!(Some(&wound), choose(&copied, &mut Dice::of(seed, 1)).unwrap().as_ref(), "a seed says which");
        wound.inflict(&copied).unwrap();
        assert_ne!(fs::read(copied.join(&wound.file)).unwrap(), bytes, "{wound}");
        assert_eq!(fs::read(data.join(&wound.file)).unwrap(), bytes, "{wound}");
        fs::remove_dir_all(&copied).unwrap();
    }
}
