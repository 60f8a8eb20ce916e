//! Where the tags of a template are, found without parsing it.
//!
//! The template parser follows chains such as `1+1+1+...` by recursion, so tags are bounded in length before it sees
//! them; and a few statements are refused whose reads its analysis does not report.
//!
//! **Invariant:** where this scan and the parser could disagree, the scan takes the tag to be longer.

use headframe_actors::plan::EvaluateError;

use super::wrong;

/// Most bytes of one tag: deep enough for anything written by hand, shallow enough for any stack.
const TAG_MAX: usize = 4_096;
/// The names of the scope, which a template must not give another meaning.
const ROOTS: [&str; 5] = ["input", "outputs", "run", "item", "index"];

/// One `{{ .. }}` or `{% .. %}`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tag<'a> {
    pub(super) is_statement: bool,
    /// What is between the braces, without the marks that trim white space.
    pub(super) body: &'a str,
    start: usize,
    end: usize,
}

/// The expression, if the text is exactly one `{{ expression }}`.
pub(super) fn single<'a>(text: &str, tags: &[Tag<'a>]) -> Option<&'a str> {
    match tags {
        [tag] if !tag.is_statement && tag.start == 0 && tag.end == text.len() => Some(tag.body),
        _ => None,
    }
}

/// Every tag in the order written.
pub(super) fn tags(text: &str) -> Result<Vec<Tag<'_>>, EvaluateError> {
    let mut tags = Vec::new();
    let mut at = 0;
    while let Some((start, mark)) = next_opening(text, at) {
        if mark == "{#" {
            at = text[start..].find("#}").map_or(text.len(), |end| start + end + 2);
            continue;
        }
        let (inside, end) = closing(text, start + 2, if mark == "{{" { "}}" } else { "%}" });
        let body = text[start + 2..inside].trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim();
        let tag = Tag { is_statement: mark == "{%", body, start, end };
        judge(tag)?;
        at = if tag.is_statement && body == "raw" { end_of_raw(text, end) } else { end };
        tags.push(tag);
    }
    Ok(tags)
}

fn next_opening(text: &str, from: usize) -> Option<(usize, &str)> {
    let braces = text[from..].match_indices('{').map(|(at, _)| from + at);
    braces.filter_map(|at| Some((at, text.get(at..at + 2)?))).find(|(_, mark)| ["{{", "{%", "{#"].contains(mark))
}

/// Where the closing mark starts and ends: strings and brackets are stepped over. The end of the text if there is none.
fn closing(text: &str, from: usize, mark: &str) -> (usize, usize) {
    let bytes = text.as_bytes();
    let mut at = from;
    let mut depth = 0_usize;
    while at < bytes.len() {
        match bytes[at] {
            _ if depth == 0 && bytes[at..].starts_with(mark.as_bytes()) => return (at, at + 2),
            quote @ (b'"' | b'\'') => at = end_of_string(bytes, at + 1, quote),
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    (text.len(), text.len())
}

/// The place of the closing quote.
fn end_of_string(bytes: &[u8], from: usize, quote: u8) -> usize {
    let mut at = from;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at
}

fn end_of_raw(text: &str, from: usize) -> usize {
    let ends = text[from..].match_indices("{%").map(|(at, _)| from + at);
    let is_end = |at: &usize| text[at + 2..].trim_start_matches(['-', '+']).trim_start().starts_with("endraw");
    ends.into_iter().find(is_end).map_or(text.len(), |at| closing(text, at + 2, "%}").1)
}

fn judge(tag: Tag<'_>) -> Result<(), EvaluateError> {
    if tag.end - tag.start > TAG_MAX {
        return Err(wrong(format!("an expression is longer than {TAG_MAX} bytes")));
    }
    let word = tag.body.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    match word {
        "filter" | "autoescape" if tag.is_statement => {
            Err(wrong(format!("`{{% {word} %}}` is not available: write `{{{{ value | filter }}}}`")))
        }
        "set" | "with" if tag.is_statement => match ROOTS.into_iter().find(|root| assigns(tag.body, root)) {
            Some(root) => Err(wrong(format!("`{root}` belongs to the scope and cannot be set: choose another name"))),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Whether a statement has `name =`, `name,` or `, name` on its left side. Too many are better than too few.
fn assigns(body: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    body.match_indices(name).any(|(at, _)| {
        let after = &body[at + name.len()..];
        let rest = after.trim_start();
        let whole = !body[..at].ends_with(is_word) && !after.starts_with(is_word);
        let assigned =
            (rest.starts_with('=') && !rest.starts_with("==")) || (rest.starts_with(',') && rest.contains('='));
        whole && (assigned || rest.is_empty() || rest.starts_with(')'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(text: &str) -> Vec<&str> {
        tags(text).unwrap().iter().map(|tag| tag.body).collect()
    }

    #[test]
    fn strings_brackets_comments_and_raw_text_hide_no_tag() {
        assert_eq!(bodies(r#"{{ "}}" + 'a\'}}' }} {% if x %}"#), [r#""}}" + 'a\'}}'"#, "if x"]);
        assert_eq!(bodies(r#"{{ {"a": {"b": 1}} }}{{- c -}}"#), [r#"{"a": {"b": 1}}"#, "c"]);
        assert_eq!(bodies(r#"{# {{ " #}{{ a }}"#), ["a"]);
        assert_eq!(bodies("{% raw %}{{ ' {% x %}{%- endraw %}{{ b }}"), ["raw", "b"]);
    }

    #[test]
    fn only_a_text_that_is_one_expression_keeps_its_type() {
        let one = |text: &'static str| single(text, &tags(text).unwrap());
        assert_eq!(one("{{ a.b }}"), Some("a.b"));
        assert_eq!(one("{{ a }} "), None);
        assert_eq!(one("{{ a }}{{ b }}"), None);
        assert_eq!(one("{% if a %}"), None);
    }

    #[test]
    fn a_template_cannot_give_names_of_the_scope_another_meaning() {
        assert!(tags("{% set item = item.x %}").is_err());
        assert!(tags("{% set a, input = b %}").is_err());
        assert!(tags("{% with outputs = 1 %}").is_err());
        assert!(tags("{% set x = item.input %}{% set y = input.index == 1 %}").is_ok());
        assert!(tags("{% set subitem = 1 %}").is_ok());
        assert!(tags("{% filter upper %}").is_err());
    }

    #[test]
    fn a_tag_is_bounded_however_it_is_dressed() {
        let long = "+1".repeat(3_000);
        for text in
            [format!("{{{{ 1{long} }}}}"), format!("{{{{ {{'a': {{'b': 1}}}}{long} }}}}"), format!("{{% if 1{long}")]
        {
            assert!(tags(&text).unwrap_err().message.contains("longer"), "{}", &text[..40]);
        }
    }

    headframe_actors::properties! {
        #[test]
        fn any_text_is_scanned(text in r#"([{}%#'"\\ a-z+-]|\PC){0,60}"#) {
            let _ = tags(&text);
        }
    }
}
