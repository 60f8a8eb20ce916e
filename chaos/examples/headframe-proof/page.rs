//! The page, in Markdown.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::{
    note::Note,
    suites::{SUITES, Suite},
};

/// What was proved, and where.
pub(crate) struct About {
    /// The commit.
    pub(crate) commit: Option<String>,
    /// The version of the programs.
    pub(crate) version: &'static str,
    /// How many cores the machine has.
    pub(crate) cores: usize,
}

/// All of it.
pub(crate) fn page(about: &About, notes: &[Note]) -> String {
    let mut page = String::from(
        "# What was proved\n\n\
         This page is written by `headframe-proof` from what the suites noted; no figure in it is written by hand. `bash .ci/run proof` makes it anew.\n\
         What is promised, and which test proves it, says [SEMANTICS.md](SEMANTICS.md).\n\n",
    );
    let commit = about.commit.as_deref().unwrap_or("not given");
    _ = writeln!(page, "Headframe {}, commit `{commit}`, a machine with {} cores.\n", about.version, about.cores);
    for suite in SUITES {
        write_suite(&mut page, suite, notes);
    }
    for note in notes.iter().filter(|note| SUITES.iter().all(|suite| suite.name != note.suite)) {
        _ = writeln!(page, "## {}\n", title(&note.suite));
        write_note(&mut page, note);
    }
    let end = page.trim_end().len();
    page.truncate(end);
    page.push('\n');
    page
}

fn write_suite(page: &mut String, suite: &Suite, notes: &[Note]) {
    _ = writeln!(page, "## {}\n\n{}\n\n`{}`\n", title(suite.name), suite.about, suite.command);
    let mut ran = notes.iter().filter(|note| note.suite == suite.name).peekable();
    if ran.peek().is_none() {
        page.push_str("It did not run for this page.\n\n");
    }
    ran.for_each(|note| write_note(page, note));
}

fn write_note(page: &mut String, note: &Note) {
    let (tables, words): (Vec<_>, Vec<_>) = note.figures.iter().partition(|(_, value)| is_table(value));
    _ = writeln!(page, "| scale | {} |\n|---|---|", note.scale);
    for (name, value) in words {
        _ = writeln!(page, "| {} | {} |", cell(name), word(value));
    }
    page.push('\n');
    for (name, value) in tables {
        write_table(page, name, value);
    }
}

fn is_table(value: &Value) -> bool {
    match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => items.iter().any(Value::is_object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn write_table(page: &mut String, name: &str, value: &Value) {
    match value {
        Value::Object(fields) if fields.values().all(Value::is_object) => {
            write_rows(page, name, fields.iter().map(|(name, row)| (Some(name.as_str()), row)));
        }
        Value::Object(fields) => {
            _ = writeln!(page, "| {} | |\n|---|---|", cell(name));
            for (name, value) in fields {
                _ = writeln!(page, "| {} | {} |", cell(name), word(value));
            }
            page.push('\n');
        }
        Value::Array(items) => write_rows(page, name, items.iter().map(|row| (None, row))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Rows with the same columns, which may have a name each.
fn write_rows<'a>(page: &mut String, name: &str, rows: impl Iterator<Item = (Option<&'a str>, &'a Value)>) {
    let none = Map::new();
    let rows: Vec<_> = rows.map(|(name, row)| (name, row.as_object().unwrap_or(&none))).collect();
    let mut columns: Vec<&str> = Vec::new();
    for column in rows.iter().flat_map(|(_, row)| row.keys()) {
        if !columns.contains(&column.as_str()) {
            columns.push(column);
        }
    }
    let is_named = rows.iter().any(|(name, _)| name.is_some());
    let heads = is_named.then_some(name).into_iter().chain(columns.iter().copied()).map(cell);
    let heads: Vec<_> = heads.collect();
    if !is_named {
        _ = writeln!(page, "{}:\n", cell(name));
    }
    _ = writeln!(page, "| {} |\n|{}", heads.join(" | "), "---|".repeat(heads.len()));
    for (name, row) in rows {
        let cells = columns.iter().map(|column| row.get(*column).map_or_else(String::new, word));
        let cells: Vec<_> = name.into_iter().map(cell).chain(cells).collect();
        _ = writeln!(page, "| {} |", cells.join(" | "));
    }
    page.push('\n');
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => cell(text),
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), grouped),
        Value::Array(items) => items.iter().map(word).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Object(_) => cell(&value.to_string()),
    }
}

/// 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What would end a cell does not.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|").replace('_', " ")
}

fn title(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        About { commit: Some("abc".to_owned()), version: "1.0.0", cores: 2 }
    }

    #[test]
    fn every_suite_is_told_with_its_figures_or_as_one_that_did_not_run() {
        let line = r#"{"suite": "kill loop", "scale": "prove", "kills": 3000, "faults": {"sigkill": {"struck": 7}, "hang": {"struck": 8, "p99": "1 ms"}}}"#;
        let page = page(&about(), &[Note::read(line).unwrap()]);
        assert!(page.contains("commit `abc`") && page.contains("| kills | 3,000 |"), "{page}");
        assert!(
            page.contains("| faults | p99 | struck |\n|---|---|---|\n| hang | 1 ms | 8 |\n| sigkill |  | 7 |"),
            "{page}"
        );
        assert_eq!(page.matches("It did not run for this page.").count(), SUITES.len() - 1);
    }

    #[test]
    fn a_suite_that_nobody_knows_is_told_too() {
        let line = r#"{"suite": "weather", "seen": [{"at": "noon", "is": "fair|dry"}], "names": ["a", "b"]}"#;
        let page = page(&about(), &[Note::read(line).unwrap()]);
        assert!(page.contains("## Weather") && page.contains("| names | a, b |"), "{page}");
        assert!(page.contains("seen:\n\n| at | is |\n|---|---|\n| noon | fair\\|dry |\n"), "{page}");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 12, 999, 1_000, 1_234_567].map(grouped), ["0", "12", "999", "1,000", "1,234,567"]);
    }
}
