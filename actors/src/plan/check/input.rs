//! What a run is given, against what the plan asks for.

use serde_json::{Map, Value};

use super::{Plan, nearest};
use crate::{
    json::Json,
    plan::{Input, InputKind, fan_out::kind},
};

/// Fill in defaults; refuse what is missing, unknown or of the wrong type.
pub(in crate::plan) fn take_input(plan: &Plan, given: &Json) -> Result<Json, Vec<String>> {
    let mut given = match given.value() {
        Value::Object(given) => given,
        Value::Null => Map::new(),
        other => {
            return Err(vec![format!("the input must be a map of names to values, and is {}", kind(&other))]);
        }
    };
    let mut taken = Map::new();
    let mut wrong = Vec::new();
    for input in &plan.inputs {
        match take(input, given.remove(&input.name)) {
            Ok(value) => drop(taken.insert(input.name.clone(), value)),
            Err(sentence) => wrong.push(sentence),
        }
    }
    wrong.extend(given.keys().map(|name| unknown(plan, name)));
    if wrong.is_empty() { Ok(Json::from(super::canonical(Value::Object(taken)))) } else { Err(wrong) }
}

fn take(input: &Input, given: Option<Value>) -> Result<Value, String> {
    match (given, &input.default) {
        (Some(value), _) => match misfit(input.kind, &value) {
            None => Ok(value),
            Some(misfit) => Err(format!("input `{}` does not fit: {misfit}", input.name)),
        },
        (None, Some(default)) => Ok(default.value()),
        (None, None) => Err(format!("input `{}` is missing: it has no default", input.name)),
    }
}

fn unknown(plan: &Plan, name: &str) -> String {
    let names = || plan.inputs.iter().map(|input| input.name.as_str());
    let hint = match nearest(name, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the inputs are: {}", super::graph::list(names())),
    };
    format!("input `{name}` is unknown to workflow `{}`; {hint}", plan.name)
}

/// How a value falls short of a kind; nothing if it fits.
pub(super) fn misfit(wanted: InputKind, value: &Value) -> Option<String> {
    let (fits, name) = match wanted {
        InputKind::Any => (true, "anything"),
        InputKind::String => (value.is_string(), "text"),
        InputKind::Number => (value.is_number(), "a number"),
        InputKind::Integer => (is_whole(value), "a whole number"),
        InputKind::Boolean => (value.is_boolean(), "a boolean"),
        InputKind::Array => (value.is_array(), "a list"),
        InputKind::Object => (value.is_object(), "a map"),
    };
    (!fits).then(|| format!("it must be {name}, and is {}", kind(value)))
}

/// JSON Schema counts 1.0 as an integer, and so do we.
fn is_whole(value: &Value) -> bool {
    value.is_i64()
        || value.is_u64()
        || value.as_f64().is_some_and(|number| number.fract() == 0.0 && number.abs() < 9e15)
}
