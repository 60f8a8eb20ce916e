//! A tree of JSON with its templates compiled.
//!
//! **Invariant:** undefined is an error; a rendering is bounded in steps (fuel) and in bytes.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    sync::LazyLock,
};

use headframe_actors::{
    json::Json,
    plan::{EvaluateError, Reference},
};
use minijinja::{Environment, Error, ErrorKind, Expression, UndefinedBehavior, syntax::SyntaxConfig, value::Kwargs};
use serde_json::{Map, Value};

use super::{
    tags,
    wanted::{Target, Wanted},
    wrong,
};

/// Most steps of one rendering; a step takes some tens of nanoseconds.
const FUEL: u64 = 5_000_000;
/// Most bytes of one rendered text.
const TEXT_MAX: usize = 16 * 1024 * 1024;

/// The language: the same for every engine of the process, and never changed.
static LANGUAGE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut language = Environment::new();
    language.set_undefined_behavior(UndefinedBehavior::Strict);
    language.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    language.set_fuel(Some(FUEL));
    let mut syntax = SyntaxConfig::builder();
    syntax.keep_trailing_newline(true);
    language.set_syntax(syntax.build().expect("the default syntax is sound"));
    // With debug information an error knows which piece of the expression it is about.
    language.set_debug(true);
    // It would show the whole scope.
    language.remove_global("debug");
    language.add_filter("basename", basename);
    language.add_filter("fromjson", from_json);
    language.add_filter("tojson", to_json);
    language
});

/// Compiled strings in the shape of the tree they stand in.
pub(super) struct Tree {
    root: Branch,
    /// Owns the templates that [`Branch::Text`] names.
    texts: Environment<'static>,
    references: Vec<Reference>,
    wanted: Wanted,
}

enum Branch {
    Fixed(Value),
    /// A string that is one expression, and keeps its type; with the expression as written.
    Expression(Expression<'static, 'static>, String),
    /// Any other string with tags, by the name of its template.
    Text(String),
    List(Vec<Branch>),
    Map(Vec<(String, Branch)>),
}

impl Tree {
    pub(super) fn compile(tree: &Json) -> Result<Self, EvaluateError> {
        let tree: Value = tree.parse().map_err(|error| wrong(format!("the value cannot be read: {error}")))?;
        let mut compiler = Compiler { texts: None, count: 0, names: BTreeSet::new() };
        let root = compiler.branch(tree)?;
        let texts = compiler.texts.unwrap_or_else(Environment::empty);
        let references = references(compiler.names);
        Ok(Self { root, texts, wanted: Wanted::of(&references), references })
    }

    pub(super) fn into_references(self) -> Vec<Reference> {
        self.references
    }

    pub(super) fn render(&self, scope: &Value) -> Result<Value, EvaluateError> {
        let scope: minijinja::Value = self.wanted.take(scope);
        self.branch(&self.root, &scope)
    }

    fn branch(&self, branch: &Branch, scope: &minijinja::Value) -> Result<Value, EvaluateError> {
        match branch {
            Branch::Fixed(value) => Ok(value.clone()),
            Branch::Expression(expression, text) => {
                let value = expression.eval(scope.clone()).map_err(|error| explain(&error))?;
                if value.is_undefined() { Err(wrong(format!("`{text}` is undefined"))) } else { plain(&value) }
            }
            Branch::Text(name) => self.text(name, scope).map(Value::from),
            Branch::List(list) => list.iter().map(|branch| self.branch(branch, scope)).collect(),
            Branch::Map(map) => {
                let entries = map.iter().map(|(key, branch)| Ok((key.clone(), self.branch(branch, scope)?)));
                entries.collect::<Result<Map<_, _>, _>>().map(Value::Object)
            }
        }
    }

    fn text(&self, name: &str, scope: &minijinja::Value) -> Result<String, EvaluateError> {
        let template = self.texts.get_template(name).map_err(|error| explain(&error))?;
        let mut text = Bounded(Vec::new());
        template.render_captured_to(scope.clone(), &mut text).map_err(|error| explain(&error))?;
        String::from_utf8(text.0).map_err(|_| wrong("the text is not UTF-8"))
    }
}

struct Compiler {
    /// A copy of the language, made for the first text that needs it.
    texts: Option<Environment<'static>>,
    count: usize,
    /// Dotted names, as the library reports them.
    names: BTreeSet<String>,
}

impl Compiler {
    fn branch(&mut self, tree: Value) -> Result<Branch, EvaluateError> {
        match tree {
            Value::String(text) if text.contains("{{") || text.contains("{%") => self.string(text),
            Value::Array(list) => {
                list.into_iter().map(|value| self.branch(value)).collect::<Result<_, _>>().map(Branch::List)
            }
            Value::Object(map) => {
                let entries = map.into_iter().map(|(key, value)| Ok((key, self.branch(value)?)));
                entries.collect::<Result<_, _>>().map(Branch::Map)
            }
            fixed => Ok(Branch::Fixed(fixed)),
        }
    }

    fn string(&mut self, text: String) -> Result<Branch, EvaluateError> {
        let tags = tags::tags(&text)?;
        if let Some(expression) = tags::single(&text, &tags) {
            let text = expression.to_owned();
            let expression = LANGUAGE.compile_expression_owned(text.clone()).map_err(|error| explain(&error))?;
            self.names.extend(expression.undeclared_variables(true));
            return Ok(Branch::Expression(expression, text));
        }
        let name = self.count.to_string();
        self.count += 1;
        let texts = self.texts.get_or_insert_with(|| LANGUAGE.clone());
        texts.add_template_owned(name.clone(), text).map_err(|error| explain(&error))?;
        let template = texts.get_template(&name).map_err(|error| explain(&error))?;
        self.names.extend(template.undeclared_variables(true));
        Ok(Branch::Text(name))
    }
}

/// Names that the language itself defines are no references.
fn references(names: BTreeSet<String>) -> Vec<Reference> {
    let paths = names.iter().map(|name| name.split('.').map(str::to_owned).collect::<Reference>());
    paths.filter(|path| !LANGUAGE.globals().any(|(global, _)| global == path[0])).collect()
}

impl Target for minijinja::Value {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => minijinja::Value::from(()),
            Value::Bool(value) => minijinja::Value::from(*value),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => minijinja::Value::from(number),
                (None, Some(number)) => minijinja::Value::from(number),
                (None, None) => minijinja::Value::from(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => minijinja::Value::from(text.as_str()),
            Value::Array(list) => list.iter().map(Self::of).collect(),
            Value::Object(map) => {
                minijinja::Value::from_pairs(map.iter().map(|(key, value)| (key.as_str(), Self::of(value))))
            }
        }
    }

    fn of_parts(parts: Vec<(&str, Self)>) -> Self {
        minijinja::Value::from_pairs(parts)
    }
}

/// The JSON of an expression's value.
fn plain(value: &minijinja::Value) -> Result<Value, EvaluateError> {
    let json = serde_json::to_value(value).map_err(|error| wrong(format!("the value is not JSON: {error}")))?;
    // JSON has no word for what is not a number, and `null` would hide that something went wrong.
    if json.is_null() && !value.is_none() {
        return Err(wrong(format!("the value is not JSON: {value}")));
    }
    if json.as_str().is_some_and(|text| text.len() > TEXT_MAX) { Err(too_long()) } else { Ok(json) }
}

/// The library's words, with the piece of the expression they are about.
fn explain(error: &Error) -> EvaluateError {
    if error.kind() == ErrorKind::OutOfFuel {
        return wrong("the template takes too many steps: is there a loop over too much?");
    }
    if std::error::Error::source(error).is_some_and(|source| source.is::<io::Error>()) {
        return too_long();
    }
    let piece = error.range().and_then(|range| Some(error.template_source()?.get(range)?.trim().to_owned()));
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let line =
        error.line().filter(|line| *line > 1).map(|line| format!(" (line {line} of the text)")).unwrap_or_default();
    match (error.kind(), piece) {
        (ErrorKind::UndefinedError, Some(piece)) if !piece.is_empty() => wrong(format!("`{piece}` is undefined{line}")),
        (ErrorKind::SyntaxError, _) => wrong(format!("the template does not parse: {detail}{line}")),
        (_, Some(piece)) if !piece.is_empty() => wrong(format!("`{piece}`: {detail}{line}")),
        _ => wrong(format!("{detail}{line}")),
    }
}

fn too_long() -> EvaluateError {
    wrong(format!("the text is longer than {TEXT_MAX} bytes"))
}

struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > TEXT_MAX {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The last part of a path, as coreutils' `basename` gives it.
fn basename(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        path.chars().take(1).collect()
    } else {
        trimmed.rsplit('/').next().unwrap_or(trimmed).to_owned()
    }
}

fn from_json(text: &str) -> Result<minijinja::Value, Error> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("the text is not JSON: {error}")))?;
    Ok(minijinja::Value::of(&value))
}

/// The library's own filter escapes `<`, `>`, `&` and `'` for HTML, which these templates are not.
fn to_json(value: &minijinja::Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<bool> = options.get("indent")?;
    options.assert_all_used()?;
    let text = match indent {
        Some(true) => serde_json::to_string_pretty(value),
        _ => serde_json::to_string(value),
    };
    text.map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}
