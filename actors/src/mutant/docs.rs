//! The table as `docs/MUTANTS.md` shows it.

use std::fmt::Write as _;

use super::Mutant;

/// What the table is preceded by, in the document.
pub(super) const BEGINS: &str = "| mutant | rule | what it does | caught by |\n|---|---|---|---|\n";

/// The table, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut table = BEGINS.to_owned();
    for about in Mutant::ALL.iter().map(|mutant| mutant.about()) {
        let tests: Vec<_> = about.caught_by.iter().map(|test| format!("`{test}`")).collect();
        let (name, rule, bug) = (about.name, about.rule, about.bug);
        writeln!(table, "| `{name}` | {rule} | {bug} | {} |", tests.join(", "))
            .expect("text takes whatever is written");
    }
    table
}
