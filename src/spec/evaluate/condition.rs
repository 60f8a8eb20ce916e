//! A condition in CEL, compiled.
//!
//! **Invariant:** fails closed. An undefined name, another type than a boolean, or too much work is an error, which the
//! caller must not take for `false`.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use cel::{
    Context, Program,
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators},
    objects::{Key, Map},
};
use headframe_actors::plan::{EvaluateError, Reference, nearest};
use serde_json::Value;

use super::{
    wanted::{Target, Wanted},
    with_room, wrong,
};

/// Most bytes of a condition; the library parses and drops its tree by recursion.
const TEXT_MAX: usize = 2_048;
/// Deepest nesting; the library evaluates by recursion.
const DEPTH_MAX: usize = 128;
/// What is deeper is evaluated where there is room: a level takes up to 40 KiB in a build without optimization.
const DEPTH_HERE_MAX: usize = 16;
/// Deepest nesting of `all`, `exists`, `map` and `filter`, each of which multiplies the work.
const LOOPS_MAX: usize = 2;
/// Most values in scope of a condition whose loops are nested.
const NESTED_VALUES_MAX: usize = 2_000;
/// What can be called; the library would only notice another name when it gets there.
const FUNCTIONS: [&str; 12] =
    ["size", "contains", "startsWith", "endsWith", "string", "int", "uint", "double", "bytes", "bool", "dyn", "type"];

pub(super) struct Condition {
    program: Program,
    references: Vec<Reference>,
    wanted: Wanted,
    loops: usize,
    depth: usize,
}

impl Condition {
    pub(super) fn compile(text: &str) -> Result<Self, EvaluateError> {
        if text.len() > TEXT_MAX {
            return Err(wrong(format!("the condition is longer than {TEXT_MAX} bytes")));
        }
        let program = Program::compile(text).map_err(|errors| explain(text, &errors))?;
        let depth = depth(program.expression());
        if depth > DEPTH_MAX {
            return Err(wrong(format!("the condition is nested more than {DEPTH_MAX} deep")));
        }
        let mut walk = Walk::default();
        walk.expression(program.expression());
        if let Some(problem) = walk.problem {
            return Err(wrong(problem));
        }
        let (loops, references) = (walk.loops_max, walk.references.into_iter().collect::<Vec<Reference>>());
        Ok(Self { wanted: Wanted::of(&references), program, references, loops, depth })
    }

    pub(super) fn into_references(self) -> Vec<Reference> {
        self.references
    }

    pub(super) fn test(&self, scope: &Value) -> Result<bool, EvaluateError> {
        let mut context = Context::default();
        let mut count = 0;
        for (name, value) in self.wanted.roots::<cel::Value>(scope) {
            count += if self.loops > 1 { size(&value) } else { 0 };
            context.add_variable_from_value(name, value);
        }
        if count > NESTED_VALUES_MAX {
            return Err(wrong(format!("nested loops over {count} values are too much work")));
        }
        let execute = || self.program.execute(&context);
        match if self.depth > DEPTH_HERE_MAX { with_room(execute) } else { execute() } {
            Ok(cel::Value::Bool(decision)) => Ok(decision),
            Ok(other) => Err(wrong(format!("the condition must be true or false, and is of type {}", other.type_of()))),
            Err(error) => Err(wrong(format!("the condition has no value: {error}"))),
        }
    }
}

/// The library's words without its picture: the spec's errors draw their own.
fn explain(text: &str, errors: &cel::ParseErrors) -> EvaluateError {
    if text.trim().is_empty() {
        return wrong("the condition is empty");
    }
    let Some(error) = errors.errors.first() else {
        return wrong("the condition does not parse");
    };
    let message = error.msg.lines().next().unwrap_or_default();
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    if message.contains("Recursion limit") {
        return wrong("the condition is nested too deeply");
    }
    let message = message.split(" expecting {").next().unwrap_or(message);
    let message = message.replace("mismatched input", "unexpected").replace("'<EOF>'", "end");
    wrong(format!("the condition does not parse at its column {}: {message}", error.pos.1.max(1)))
}

/// How many levels there are, as far as the limit and one more. Without recursion, because that is what it protects.
fn depth(root: &IdedExpr) -> usize {
    let mut level = vec![root];
    let mut depth = 0;
    while !level.is_empty() && depth <= DEPTH_MAX {
        level = level.into_iter().flat_map(children).collect();
        depth += 1;
    }
    depth
}

fn children(expression: &IdedExpr) -> Vec<&IdedExpr> {
    match &expression.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(each) => {
            vec![&each.iter_range, &each.accu_init, &each.loop_cond, &each.loop_step, &each.result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| parts(&entry.expr)).collect(),
        Expr::Struct(made) => made.entries.iter().flat_map(|entry| parts(&entry.expr)).collect(),
        Expr::Select(select) => vec![&*select.operand],
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
    }
}

fn parts(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

/// Collects what is read. Variables of loops are not.
#[derive(Default)]
struct Walk<'a> {
    bound: Vec<&'a str>,
    references: BTreeSet<Reference>,
    loops: usize,
    loops_max: usize,
    problem: Option<String>,
}

impl<'a> Walk<'a> {
    fn expression(&mut self, expression: &'a IdedExpr) {
        if let Some(path) = path(expression) {
            if !self.bound.contains(&path[0]) {
                self.references.insert(path.into_iter().map(str::to_owned).collect());
            }
            return;
        }
        match &expression.expr {
            Expr::Comprehension(each) => self.comprehension(each),
            Expr::Call(call) => {
                self.function(call);
                children(expression).into_iter().for_each(|child| self.expression(child));
            }
            Expr::Struct(made) => {
                self.problem = Some(format!("`{}` is not a type that can be made here", made.type_name))
            }
            _ => children(expression).into_iter().for_each(|child| self.expression(child)),
        }
    }

    fn comprehension(&mut self, each: &'a ComprehensionExpr) {
        self.expression(&each.iter_range);
        self.expression(&each.accu_init);
        let bound = self.bound.len();
        self.bound.extend([each.iter_var.as_str(), each.accu_var.as_str()]);
        self.bound.extend(each.iter_var2.as_deref());
        self.loops += 1;
        self.loops_max = self.loops_max.max(self.loops);
        if self.loops > LOOPS_MAX {
            self.problem = Some(format!("loops are nested more than {LOOPS_MAX} deep"));
        }
        [&each.loop_cond, &each.loop_step, &each.result].into_iter().for_each(|part| self.expression(part));
        self.loops -= 1;
        self.bound.truncate(bound);
    }

    fn function(&mut self, call: &CallExpr) {
        let name = call.func_name.as_str();
        // Operators are functions with names that nobody can write.
        let is_word = name.starts_with(|c: char| c.is_ascii_alphabetic());
        if is_word && !FUNCTIONS.contains(&name) {
            let hint = nearest(name, FUNCTIONS).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            self.problem = Some(format!("there is no function `{name}`{hint}"));
        }
    }
}

/// The names of `a.b["c"]`, as far as they are constant; none if it does not start with a name or takes a turn.
fn path(expression: &IdedExpr) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    let mut here = &expression.expr;
    loop {
        match here {
            Expr::Ident(name) => {
                names.push(name.as_str());
                names.reverse();
                return Some(names);
            }
            Expr::Select(select) => {
                names.push(select.field.as_str());
                here = &select.operand.expr;
            }
            Expr::Call(CallExpr { func_name, args, .. }) if func_name == operators::INDEX => match args.as_slice() {
                [of, IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. }] => {
                    names.push(name.inner());
                    here = &of.expr;
                }
                _ => return None,
            },
            _ => return None,
        }
    }
}

impl Target for cel::Value {
    /// Whole numbers are `int`: taken as `uint`, as serde would have it, `input.n + 1` would have no overload.
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => cel::Value::Null,
            Value::Bool(value) => cel::Value::Bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => cel::Value::Int(number),
                (None, Some(number)) => cel::Value::UInt(number),
                (None, None) => cel::Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => cel::Value::String(Arc::new(text.clone())),
            Value::Array(list) => cel::Value::List(Arc::new(list.iter().map(Self::of).collect())),
            Value::Object(map) => {
                Self::of_parts(map.iter().map(|(key, value)| (key.as_str(), Self::of(value))).collect())
            }
        }
    }

    fn of_parts(parts: Vec<(&str, Self)>) -> Self {
        let entries = parts.into_iter().map(|(key, value)| (Key::String(Arc::new(key.to_owned())), value));
        cel::Value::Map(Map { map: Arc::new(entries.collect::<HashMap<_, _>>()) })
    }
}

fn size(value: &cel::Value) -> usize {
    match value {
        cel::Value::List(list) => 1 + list.iter().map(size).sum::<usize>(),
        cel::Value::Map(map) => 1 + map.map.values().map(size).sum::<usize>(),
        _ => 1,
    }
}
