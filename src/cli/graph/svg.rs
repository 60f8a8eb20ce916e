//! Cards and arrows as a picture, laid out by `layout-rs`.

use layout::core::style::LineStyleKind;
use layout::{
    backends::svg::SVGWriter,
    core::{base::Orientation, color::Color, geometry::Point, style::StyleAttr},
    std_shapes::shapes::{Arrow, Element, LineEndKind, ShapeKind},
    topo::layout::VisualGraph,
};

use super::{Card, text::arrows};
use crate::cli::exit::Error;

/// Placing boxes so that few arrows cross takes time that grows faster than their number.
const PHASES_MAX: usize = 300;
const ARROWS_MAX: usize = 3_000;
const FONT: usize = 14;
const CORNER: usize = 6;

/// The picture; the arrows to a phase that may be skipped are dashed.
pub(super) fn draw(cards: &[Card]) -> Result<String, Error> {
    let wanted = (cards.len(), arrows(cards).count());
    if wanted.0 > PHASES_MAX || wanted.1 > ARROWS_MAX {
        let (phases, needs) = wanted;
        return Err(Error::Usage(format!(
            "{phases} phases with {needs} needs are too many for a picture (at most {PHASES_MAX} and {ARROWS_MAX}): \
             write `-o dot` and let Graphviz draw them"
        )));
    }
    let mut graph = VisualGraph::new(Orientation::TopToBottom);
    let look = StyleAttr::new(Color::fast("black"), 1, Some(Color::fast("white")), CORNER, FONT);
    let nodes: Vec<_> = cards
        .iter()
        .map(|card| {
            let shape = ShapeKind::new_box(&label(card));
            graph.add_node(Element::create(shape, look.clone(), Orientation::TopToBottom, Point::zero()))
        })
        .collect();
    for (from, to) in arrows(cards) {
        let line = if cards[to].conditional { LineStyleKind::Dashed } else { LineStyleKind::Normal };
        let arrow = Arrow::new(LineEndKind::None, LineEndKind::Arrow, line, "", &look, &None, &None);
        graph.add_edge(arrow, nodes[from as usize], nodes[to]);
    }
    let mut picture = SVGWriter::new();
    graph.do_it(false, false, false, &mut picture);
    Ok(picture.finalize())
}

fn label(card: &Card) -> String {
    let lines: Vec<_> = std::iter::once(&card.phase).chain(&card.lines).map(String::as_str).collect();
    lines.join("\n").chars().map(|letter| if letter.is_control() && letter != '\n' { ' ' } else { letter }).collect()
}
