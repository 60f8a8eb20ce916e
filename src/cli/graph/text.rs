//! Cards and arrows in the two languages that draw themselves elsewhere.
//!
//! **Invariant:** no text of a workflow can end a label or become markup.

use std::fmt::Write as _;

use super::Card;

/// A flowchart for Mermaid: <https://mermaid.js.org/syntax/flowchart.html>.
pub(super) fn mermaid(cards: &[Card]) -> String {
    let mut text = String::from("flowchart TD\n");
    for (at, card) in cards.iter().enumerate() {
        let lines: String = card.lines.iter().map(|line| format!("<br/>{}", entities(line))).collect();
        let class = if card.conditional { ":::conditional" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    p{at}[\"<b>{}</b>{lines}\"]{class}", entities(&card.phase));
    }
    for (from, to) in arrows(cards) {
        let _ = writeln!(text, "    p{from} --> p{to}");
    }
    if cards.iter().any(|card| card.conditional) {
        text.push_str("    classDef conditional stroke-dasharray: 5 5\n");
    }
    text
}

/// A digraph for Graphviz: <https://graphviz.org/doc/info/lang.html>.
pub(super) fn dot(name: &str, cards: &[Card]) -> String {
    let mut text = format!("digraph {} {{\n    node [shape=box, fontname=\"sans-serif\"];\n", quoted(name));
    for (at, card) in cards.iter().enumerate() {
        let label: Vec<_> = std::iter::once(&card.phase).chain(&card.lines).map(String::as_str).collect();
        let style = if card.conditional { ", style=dashed" } else { "" };
        let _ = writeln!(text, "    p{at} [label={}{style}];", quoted(&label.join("\n")));
    }
    for (from, to) in arrows(cards) {
        let _ = writeln!(text, "    p{from} -> p{to};");
    }
    text.push_str("}\n");
    text
}

/// From a phase to each that needs it.
pub(super) fn arrows(cards: &[Card]) -> impl Iterator<Item = (u32, usize)> {
    cards.iter().enumerate().flat_map(|(to, card)| card.needs.iter().map(move |from| (*from, to)))
}

/// Mermaid writes characters by number: `#35;` is `#`.
fn entities(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' | '#' | '&' | '<' | '>' | '`' | ';' | '\\' => _ = write!(written, "#{};", u32::from(letter)),
            letter if letter.is_control() => written.push(' '),
            letter => written.push(letter),
        }
    }
    written
}

fn quoted(text: &str) -> String {
    let mut written = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => written.extend(['\\', letter]),
            '\n' => written.push_str("\\n"),
            letter if letter.is_control() => written.push(' '),
            letter => written.push(letter),
        }
    }
    written.push('"');
    written
}
