//! A YAML document as a tree in which every node knows where it was written.
//!
//! **Invariant:** bounded. Depth, nodes and alias expansion have limits far below what memory or the stack could bear;
//! duplicate keys and merge keys are refused.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{
    Error, Location, Spanned, UserMessageFormatter,
    options::{DuplicateKeyPolicy, MergeKeyPolicy},
};

use super::error::{self, SpecProblem};

/// Deepest nesting of lists and maps; a JSON parser stops at 128.
const DEPTH_MAX: usize = 64;
/// Most values and keys of a document.
const NODES_MAX: usize = 1_000_000;
/// Most values that aliases may add.
const ALIASED_MAX: usize = 100_000;
/// Most characters of a line in an error, around the piece it is about.
const EXCERPT_MAX: usize = 100;

/// The text of a spec.
pub(super) struct Source<'a> {
    text: &'a str,
    /// Where each line starts, in bytes.
    lines: Vec<usize>,
}

/// A piece of the source.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Mark {
    /// From 1.
    pub(super) line: u32,
    /// In characters, from 1.
    pub(super) column: u32,
    /// In characters; may reach over several lines.
    pub(super) length: u32,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) mark: Mark,
    pub(super) tree: Tree,
}

#[derive(Debug)]
pub(super) enum Tree {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug)]
pub(super) struct Key {
    pub(super) mark: Mark,
    pub(super) name: String,
}

/// Read one document.
pub(super) fn parse(source: &Source<'_>) -> Result<Node, Box<SpecProblem>> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_events: 2 * NODES_MAX,
            max_aliases: 1_000,
            max_anchors: 1_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: ALIASED_MAX,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    };
    let document = serde_saphyr::from_str_with_options::<Node>(source.text, options);
    document.map_err(|error| Box::new(explain(source, &error)))
}

impl Node {
    /// What the node is, for a sentence.
    pub(super) fn kind(&self) -> &'static str {
        match &self.tree {
            Tree::Null => "nothing",
            Tree::Bool(_) => "a boolean",
            Tree::Number(number) if number.is_f64() => "a number",
            Tree::Number(_) => "a whole number",
            Tree::Text(_) => "text",
            Tree::List(_) => "a list",
            Tree::Map(_) => "a map",
        }
    }

    /// The value of a key.
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        self.entry(name).map(|(_, node)| node)
    }

    fn entry(&self, name: &str) -> Option<&(Key, Node)> {
        match &self.tree {
            Tree::Map(entries) => entries.iter().find(|(key, _)| key.name == name),
            _ => None,
        }
    }

    /// The node at a place such as `phases[1].with["odd key"]` with its key, or the deepest one on the way to it.
    pub(super) fn find(&self, place: &str) -> (Option<&Key>, &Node) {
        let mut found = (None, self);
        for step in steps(place) {
            let next = match (&step, &found.1.tree) {
                (Step::Key(name), _) => found.1.entry(name).map(|(key, node)| (Some(key), node)),
                (Step::Position(at), Tree::List(list)) => list.get(*at).map(|node| (None, node)),
                // A map is short for a list of one.
                (Step::Position(0), Tree::Map(_)) => Some(found),
                _ => None,
            };
            let Some(next) = next else { break };
            found = next;
        }
        found
    }

    /// The node as JSON. Depth is bounded by the parser.
    pub(super) fn value(&self) -> Value {
        match &self.tree {
            Tree::Null => Value::Null,
            Tree::Bool(value) => Value::Bool(*value),
            Tree::Number(number) => Value::Number(number.clone()),
            Tree::Text(text) => Value::String(text.clone()),
            Tree::List(list) => list.iter().map(Node::value).collect(),
            Tree::Map(entries) => {
                entries.iter().map(|(key, node)| (key.name.clone(), node.value())).collect::<Map<_, _>>().into()
            }
        }
    }
}

enum Step {
    Key(String),
    Position(usize),
}

fn steps(place: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = place;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("[\"") {
            let end = quoted.find("\"]").unwrap_or(quoted.len());
            steps.push(Step::Key(quoted[..end].replace("\\\"", "\"").replace("\\\\", "\\")));
            rest = quoted.get(end + 2..).unwrap_or_default();
        } else if let Some(position) = rest.strip_prefix('[') {
            let end = position.find(']').unwrap_or(position.len());
            steps.push(Step::Position(position[..end].parse().unwrap_or(usize::MAX)));
            rest = position.get(end + 1..).unwrap_or_default();
        } else {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            steps.push(Step::Key(rest[..end].to_owned()));
            rest = &rest[end..];
        }
    }
    steps
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, lines }
    }

    fn line(&self, line: u32) -> &'a str {
        let at = (line as usize).saturating_sub(1);
        let start = self.lines.get(at).copied().unwrap_or(self.text.len());
        let end = self.lines.get(at + 1).copied().unwrap_or(self.text.len());
        self.text[start..end].trim_end_matches(['\n', '\r'])
    }

    /// The text that a mark covers.
    pub(super) fn piece(&self, mark: Mark) -> &'a str {
        let start = self.lines.get((mark.line as usize).saturating_sub(1)).copied().unwrap_or(self.text.len());
        let from = skip(&self.text[start..], mark.column.saturating_sub(1));
        &from[..from.len() - skip(from, mark.length).len()]
    }

    /// Where the words of a problem stand inside the node it is about.
    pub(super) fn search(&self, node: &Node, words: &str) -> Option<Mark> {
        if words.is_empty() || !matches!(node.tree, Tree::Text(_)) {
            return None;
        }
        let piece = self.piece(node.mark);
        let at = piece.find(words)?;
        let before = &piece[..at];
        let line = node.mark.line + count(before.matches('\n').count());
        let column = match before.rfind('\n') {
            Some(end) => 1 + count(before[end + 1..].chars().count()),
            None => node.mark.column + count(before.chars().count()),
        };
        Some(Mark { line, column, length: count(words.chars().count()) })
    }

    /// A line cut to a readable width, and where the mark is in it.
    pub(super) fn excerpt(&self, mark: Mark) -> (String, (usize, usize)) {
        let shown = |c: char| if c.is_control() { ' ' } else { c };
        let line: Vec<char> = self.line(mark.line).chars().map(shown).collect();
        let column = (mark.column.saturating_sub(1) as usize).min(line.len());
        let length = (mark.length as usize).min(line.len() - column);
        let from = if line.len() <= EXCERPT_MAX { 0 } else { column.saturating_sub(EXCERPT_MAX / 2) };
        let to = line.len().min(from + EXCERPT_MAX);
        let (before, after) = (if from > 0 { "..." } else { "" }, if to < line.len() { "..." } else { "" });
        let text = format!("{before}{}{after}", line[from..to].iter().collect::<String>());
        (text, (column - from + before.len(), length.min(to - column)))
    }
}

fn skip(text: &str, characters: u32) -> &str {
    text.char_indices().nth(characters as usize).map_or("", |(at, _)| &text[at..])
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl From<Location> for Mark {
    fn from(location: Location) -> Self {
        let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let length = narrow(location.span().len());
        Self { line: narrow(location.line()).max(1), column: narrow(location.column()).max(1), length }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Tree>::deserialize(deserializer)?;
        Ok(Self { mark: spanned.referenced.into(), tree: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Tree, E> {
        Number::from_f64(value).map(Tree::Number).ok_or_else(|| E::custom("the number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Tree::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let key = Key { mark: key.referenced.into(), name: key.value };
            if key.name.len() > 1_000 {
                return Err(A::Error::custom("the key is longer than 1000 bytes"));
            }
            entries.push((key, map.next_value()?));
        }
        Ok(Tree::Map(entries))
    }
}

fn explain(source: &Source<'_>, error: &Error) -> SpecProblem {
    let mark = error.location().map_or(Mark { line: 1, column: 1, length: 0 }, Mark::from);
    let problem = |code, message: String| SpecProblem::new(code, source, mark, message);
    let mut cause = error.without_snippet();
    while let Error::AliasError { error, .. } = cause {
        cause = error;
    }
    match cause {
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().map_or_else(|| "a key".to_owned(), |key| format!("the key `{key}`"));
            problem(error::DUPLICATE, format!("{key} is written twice in one map")).help("take one of the two out")
        }
        Error::MergeKeyNotAllowed { .. } => {
            problem(error::SYNTAX, "merge keys (`<<`) are not supported".to_owned()).help("write the keys out")
        }
        Error::MultipleDocuments { .. } => problem(error::SYNTAX, "the file holds more than one document".to_owned())
            .help("a spec is one workflow: take out the `---`"),
        Error::Budget { .. } => {
            limit(problem, &format!("the document is too large or nested more than {DEPTH_MAX} deep"))
        }
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => {
            limit(problem, &format!("aliases (`*name`) add more than {ALIASED_MAX} values"))
        }
        other => syntax(source, mark, &other.render_with_formatter(&UserMessageFormatter)),
    }
}

fn limit(problem: impl Fn(&'static str, String) -> SpecProblem, message: &str) -> SpecProblem {
    problem(error::LIMIT, message.to_owned()).help("keep data out of the spec: give it as input, or let a task read it")
}

fn syntax(source: &Source<'_>, mark: Mark, message: &str) -> SpecProblem {
    let message = message.rfind(" at line ").map_or(message, |end| &message[..end]);
    let line = source.line(mark.line);
    if message.contains("recursion limit") {
        return limit(
            |code, message| SpecProblem::new(code, source, mark, message),
            &format!("the document is nested more than {DEPTH_MAX} deep"),
        );
    }
    let problem = SpecProblem::new(error::SYNTAX, source, mark, format!("this is not YAML: {message}"));
    // To YAML an unquoted template is a map in a map, which it then refuses in words that help nobody.
    if line.contains(": {{") || line.contains("- {{") || line.contains("[{{") || line.contains(", {{") {
        return problem.help("a value that starts with `{{` must be quoted: \"{{ ... }}\"");
    }
    if line.starts_with('\t') || line.trim_start_matches(' ').starts_with('\t') {
        return problem.help("indent with spaces: YAML does not take tabs");
    }
    problem
}
