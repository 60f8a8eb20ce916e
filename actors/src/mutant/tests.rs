//! The table, its document and its hooks are in step.

use std::{collections::BTreeSet, fs, path::Path};

use super::{Mutant, markdown};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

#[test]
fn the_document_says_of_every_mutant_what_it_does_and_which_test_catches_it() {
    let document = fs::read_to_string(root().join("docs/MUTANTS.md")).unwrap();
    let table = markdown();
    assert!(
        document.contains(&table),
        "put this into docs/MUTANTS.md (`cargo run -p headframe-actors --features mutants --example mutants -- --table`):\n{table}"
    );
}

#[test]
fn every_mutant_has_a_name_of_its_own_a_rule_and_a_test_that_catches_it() {
    let mut names = BTreeSet::new();
    for mutant in Mutant::ALL {
        let about = mutant.about();
        assert!(names.insert(about.name), "{} is there twice", about.name);
        assert!((1..=38).contains(&about.rule), "{}: there is no rule {}", about.name, about.rule);
        assert!(!about.caught_by.is_empty(), "{} is caught by no test: write one", about.name);
        assert!(about.bug.ends_with('.'), "{}: what it does is a sentence", about.name);
    }
}

/// A mutant that nobody reads is caught by nothing, or by a test that fails anyway.
#[test]
fn every_mutant_has_a_hook() {
    let mut sources = String::new();
    for folder in ["actors/src", "src"] {
        read_all(&root().join(folder), &mut sources);
    }
    for mutant in Mutant::ALL {
        assert!(sources.contains(&format!("Mutant::{mutant:?}.is_chosen()")), "nobody reads {mutant:?}");
    }
}

fn read_all(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            read_all(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}
