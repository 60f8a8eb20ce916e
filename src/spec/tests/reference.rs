//! What `docs/WORKFLOWS.md` says of the keys is complete.

use super::super::{read, task};

const REFERENCE: &str = include_str!("../../../docs/WORKFLOWS.md");

/// The section under a heading.
fn section(heading: &str) -> &'static str {
    let (_, rest) =
        REFERENCE.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    rest.split("\n## ").next().unwrap()
}

#[test]
fn the_reference_names_every_key_of_a_workflow() {
    for (heading, keys) in [
        ("The file", &read::WORKFLOW[..]),
        ("The file", &read::INPUT[..]),
        ("A phase", &read::PHASE[..]),
        ("A task", &task::TASK[..]),
        ("A task", &task::FOR_EACH[..]),
        ("A task", &task::RETRY[..]),
    ] {
        for key in keys {
            let named = [format!("`{key}`"), format!("{{{key},"), format!(" {key},"), format!(" {key}}}")];
            assert!(named.iter().any(|name| section(heading).contains(name)), "`{key}` is missing in {heading}");
        }
    }
}

#[test]
fn the_example_in_the_reference_is_the_one_to_run() {
    let (_, rest) = REFERENCE.split_once("```yaml\n").unwrap();
    let (shown, _) = rest.split_once("```").unwrap();
    let example = include_str!("../../../examples/site-check.yaml");
    let workflow: String =
        example.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    assert_eq!(workflow, shown);
}
