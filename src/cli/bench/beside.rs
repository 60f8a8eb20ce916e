//! Several measurements of one workload, beside each other.
//!
//! **Invariant:** the rows are the figures of the JSON, under the same names, so that one description serves both.

use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use serde_json::Value;

use super::Failed;

/// The figure by which the reports differ.
const HEAD: &str = "effect";

/// A column for each report, a row for each figure that is a number or a word.
pub(super) fn table(reports: &[impl Serialize]) -> Result<Table, Failed> {
    let columns: Vec<Value> = reports.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    let names = columns.first().and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name);
    let row = |name: &str| -> Option<Vec<String>> {
        let cells = columns.iter().map(|column| shown(&column[name]));
        [Some(name.to_owned())].into_iter().chain(cells).collect()
    };
    let mut table = super::table::plain([HEAD]);
    table.set_header(row(HEAD).unwrap_or_default());
    names.filter(|name| *name != HEAD).filter_map(|name| row(name)).for_each(|row| _ = table.add_row(row));
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    Ok(table)
}

fn shown(value: &Value) -> Option<String> {
    match value {
        Value::String(word) => Some(word.clone()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Number(number) if number.is_f64() => number.as_f64().map(|number| match number.abs() {
            large if large >= 100.0 => format!("{number:.0}"),
            _ => format!("{number:.3}"),
        }),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_stand_beside_each_other_under_the_names_of_the_json() {
        let reports = [
            json!({"effect": "idempotent", "tasks_per_s": 59_073.3, "syncs_per_task": 0.0146, "shares": {"a": 1}}),
            json!({"effect": "verify", "tasks_per_s": 50_822.0, "syncs_per_task": 0.0171, "shares": {"a": 1}}),
        ];
        let shown = table(&reports).unwrap().trim_fmt();
        let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            rows,
            [
                ["effect", "idempotent", "verify"],
                ["syncs_per_task", "0.015", "0.017"],
                ["tasks_per_s", "59073", "50822"]
            ]
        );
    }
}
