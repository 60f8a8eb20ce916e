//! What counts as told.

use std::fs;

use super::*;
use crate::random::Random;

#[test]
fn what_differs_and_was_not_told_is_silent() {
    let was = Content::default();
    let other: Content =
        serde_json::from_value(serde_json::json!({"runs": 1, "runs_sum": 2, "events": 3, "events_sum": 4})).unwrap();
    let started = |content: &Content, repairs: &[&str], problems: &[&str]| Started {
        refused: None,
        repairs: repairs.iter().map(|repair| (*repair).to_owned()).collect(),
        problems: problems.iter().map(|problem| (*problem).to_owned()).collect(),
        content: Some(content.clone()),
        micros: 1,
    };
    let cut = "journal/0000000001.seg: record 7 was torn, and nobody had been told of it";
    let built = "the rows were built again";
    assert_eq!(judge(&was, &started(&was, &[], &[])), Verdict::Unharmed);
    assert_eq!(judge(&was, &started(&was, &[built], &[])), Verdict::Rebuilt);
    assert_eq!(judge(&was, &started(&other, &[cut], &[])), Verdict::Cut);
    assert_eq!(judge(&was, &started(&other, &[], &["a chain does not verify"])), Verdict::Named);
    assert!(matches!(judge(&was, &started(&other, &[built], &[])), Verdict::Silent(_)));
    assert!(matches!(judge(&was, &started(&other, &[], &[])), Verdict::Silent(_)));
}

#[test]
fn a_start_that_is_refused_must_have_a_name() {
    let refused = |why: &str| {
        let why = Some(why.to_owned());
        judge(
            &Content::default(),
            &Started { refused: why, repairs: vec![], problems: vec![], content: None, micros: 1 },
        )
    };
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
        let wound = choose(&copied, &mut Random::of(seed, 1)).unwrap().unwrap();
        assert_eq!(Some(&wound), choose(&copied, &mut Random::of(seed, 1)).unwrap().as_ref(), "a seed says which");
        wound.inflict(&copied).unwrap();
        assert_ne!(fs::read(copied.join(&wound.file)).unwrap(), bytes, "{wound}");
        assert_eq!(fs::read(data.join(&wound.file)).unwrap(), bytes, "{wound}");
        fs::remove_dir_all(&copied).unwrap();
    }
}
