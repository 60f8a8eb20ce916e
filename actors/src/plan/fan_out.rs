//! Data into items: what a `for_each` runs over.
//!
//! Text is the lossless text of [`super::text`], so a file name that is not UTF-8 stays one item and comes back as the
//! same bytes.
//!
//! **Invariant:** pure, and all or nothing: either every item of the data is there, in order, or none.

use serde_json::Value;

use super::Items;

/// Cut data into items. An object with `stdout` (what a process answers) stands for its text.
///
/// # Errors
/// One sentence if the data has another shape, or holds more than `max` items.
pub fn split(items: Items, data: &Value, max: u32) -> Result<Vec<Value>, String> {
    let data = data.get("stdout").unwrap_or(data);
    match (items, data) {
        (Items::Json, Value::Array(list)) => bounded(list.len(), max).map(|()| list.clone()),
        (Items::Json, Value::String(text)) => parsed(text, max),
        (Items::Lines, Value::String(text)) => collect(lines(text), max),
        (Items::Nul, Value::String(text)) => collect(records(text), max),
        (Items::Json, other) => {
            Err(format!("`for_each` wants a list, or text that holds one, and got {}", kind(other)))
        }
        (_, Value::Array(_)) => Err("`for_each` got a list, which `items: json` takes as it is".to_owned()),
        (_, other) => Err(format!("`for_each` wants text to cut into items, and got {}", kind(other))),
    }
}

/// What a value is, for a sentence.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number",
        Value::Number(_) => "a whole number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn parsed(text: &str, max: u32) -> Result<Vec<Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Array(list)) => bounded(list.len(), max).map(|()| list),
        Ok(other) => Err(format!("`for_each` wants text that holds a JSON list, and it holds {}", kind(&other))),
        Err(error) => Err(format!("`for_each` wants text that holds a JSON list (or set `items: lines`): {error}")),
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> + Clone {
    text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).filter(|line| !line.is_empty())
}

/// Each record ends with a NUL; the last one may lack it.
fn records(text: &str) -> impl Iterator<Item = &str> + Clone {
    let body = text.strip_suffix('\0').unwrap_or(text);
    let some = if text.is_empty() { None } else { Some(body.split('\0')) };
    some.into_iter().flatten()
}

fn collect<'a>(parts: impl Iterator<Item = &'a str> + Clone, max: u32) -> Result<Vec<Value>, String> {
    bounded(parts.clone().count(), max)?;
    Ok(parts.map(Value::from).collect())
}

fn bounded(count: usize, max: u32) -> Result<(), String> {
    if count as u64 <= u64::from(max) {
        return Ok(());
    }
    Err(format!("`for_each` got {count} items and takes at most {max}; raise `max_items` or narrow the data"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::plan::text;

    #[test]
    fn lines_lose_their_ends_and_empty_ones_are_dropped() {
        assert_eq!(split(Items::Lines, &json!("a\r\n\n b\nc"), 9).unwrap(), [json!("a"), json!(" b"), json!("c")]);
        assert_eq!(split(Items::Lines, &json!(""), 9).unwrap(), [] as [Value; 0]);
    }

    #[test]
    fn the_output_of_a_process_stands_for_its_text() {
        let output = json!({"status": 0, "stdout": "a b\0c\nd\0"});
        assert_eq!(split(Items::Nul, &output, 9).unwrap(), [json!("a b"), json!("c\nd")]);
        assert_eq!(split(Items::Json, &json!({"stdout": "[1, {}]"}), 9).unwrap(), [json!(1), json!({})]);
    }

    #[test]
    fn too_many_items_are_refused_with_their_count() {
        let error = split(Items::Json, &json!([1, 2, 3]), 2).unwrap_err();
        assert_eq!(error, "`for_each` got 3 items and takes at most 2; raise `max_items` or narrow the data");
        assert!(split(Items::Lines, &json!("a\nb\nc"), 2).is_err());
        assert!(split(Items::Lines, &json!("a\nb\n\n"), 2).is_ok());
    }

    #[test]
    fn another_shape_is_refused_by_name() {
        assert!(split(Items::Json, &Value::Null, 9).unwrap_err().ends_with("got null"));
        assert!(split(Items::Lines, &json!(["a"]), 9).unwrap_err().contains("items: json"));
        assert!(split(Items::Json, &json!("a\nb"), 9).unwrap_err().contains("items: lines"));
    }

    crate::properties! {
        /// File names are any bytes but NUL; `find -print0` ends each with one.
        #[test]
        fn names_of_any_bytes_come_back(names in proptest::collection::vec(proptest::collection::vec(1..=255_u8, 1..20), 0..20)) {
            let listing: Vec<u8> = names.iter().flat_map(|name| name.iter().copied().chain([0])).collect();
            let items = split(Items::Nul, &json!({"stdout": text::from_bytes(&listing)}), 100).unwrap();
            let back: Vec<Vec<u8>> = items.iter().map(|item| text::to_bytes(item.as_str().unwrap())).collect();
            prop_assert_eq!(back, names);
        }
    }
}
