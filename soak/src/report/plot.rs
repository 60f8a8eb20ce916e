//! Lines over time as SVG: axes with round numbers and units, a vertical line for each kill, one stroke for each life.

use std::fmt::Write as _;

use crate::sample::Sample;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 28.0;
/// No stroke has more points.
const POINTS_MAX: usize = 720;

pub(super) type Of = fn(&Sample) -> f64;

/// What is drawn.
pub(super) struct Plot {
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    pub(super) lines: &'static [(&'static str, Of)],
}

/// Where values come to lie.
struct Frame {
    end_s: f64,
    top: f64,
}

impl Frame {
    fn x(&self, at_s: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * at_s / self.end_s
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.top
    }
}

impl Plot {
    /// The figure, with its heading and legend.
    pub(super) fn figure(&self, samples: &[Sample], kills_s: &[f64]) -> String {
        let step = samples.len().div_ceil(POINTS_MAX).max(1);
        let shown: Vec<_> = samples.iter().step_by(step).collect();
        let values = self.lines.iter().flat_map(|(_, of)| samples.iter().map(of));
        let top = values.fold(0.0, f64::max);
        let end_s = samples.last().map_or(1.0, |last| last.at.as_secs_f64()).max(1.0);
        let frame = Frame { end_s, top: if top > 0.0 { top * 1.05 } else { 1.0 } };
        let mut drawn = self.axes(&frame);
        for kill in kills_s {
            let x = frame.x(*kill);
            let _ =
                write!(drawn, r#"<line class="kill" x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{:.1}"/>"#, HEIGHT - BOTTOM);
        }
        for (number, (_, of)) in self.lines.iter().enumerate() {
            for life in shown.chunk_by(|one, other| one.life == other.life) {
                let point =
                    |sample: &&Sample| format!("{:.1},{:.1}", frame.x(sample.at.as_secs_f64()), frame.y(of(sample)));
                let points: Vec<_> = life.iter().map(point).collect();
                let _ = write!(drawn, r#"<polyline class="line c{number}" points="{}"/>"#, points.join(" "));
            }
        }
        let legend = self
            .lines
            .iter()
            .enumerate()
            .map(|(number, (name, _))| format!(r#"<span class="c{number}">{name}</span>"#));
        let legend: String = if self.lines.len() > 1 { legend.collect() } else { String::new() };
        format!(
            r#"<figure><figcaption>{} <small>{}</small> {legend}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{}">{drawn}</svg></figure>"#,
            self.title, self.unit, self.title
        )
    }

    fn axes(&self, frame: &Frame) -> String {
        let (mut drawn, floor) = (String::new(), HEIGHT - BOTTOM);
        let text = |x: f64, y: f64, anchor: &str, text: &str| {
            format!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#)
        };
        for value in ticks(frame.top, 4.0) {
            let y = frame.y(value);
            let _ =
                write!(drawn, r#"<line class="grid" x1="{LEFT}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}"/>"#, WIDTH - RIGHT);
            drawn.push_str(&text(LEFT - 6.0, y + 4.0, "end", &number(value)));
        }
        let (unit, seconds) = if frame.end_s > 7_200.0 {
            ("h", 3_600.0)
        } else if frame.end_s > 180.0 {
            ("min", 60.0)
        } else {
            ("s", 1.0)
        };
        for at in ticks(frame.end_s / seconds, 6.0) {
            let x = frame.x(at * seconds);
            let _ = write!(
                drawn,
                r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{floor:.1}" y2="{:.1}"/>"#,
                floor + 4.0
            );
            drawn.push_str(&text(x, floor + 16.0, "middle", &format!("{} {unit}", number(at))));
        }
        drawn
    }
}

/// Round numbers from 0 up to `top`, about so many.
fn ticks(top: f64, wanted: f64) -> Vec<f64> {
    let rough = top / wanted;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= rough);
    let step = step.unwrap_or(power * 10.0);
    (0..=32_u32).map(|number| f64::from(number) * step).take_while(|value| *value <= top * 1.000_1).collect()
}

fn number(value: f64) -> String {
    if value >= 10_000.0 {
        format!("{}k", value / 1_000.0)
    } else {
        let text = format!("{value:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_end_within() {
        assert_eq!(ticks(100.0, 4.0), [0.0, 50.0, 100.0]);
        assert_eq!(ticks(37.0, 4.0), [0.0, 10.0, 20.0, 30.0]);
        assert_eq!(ticks(0.9, 4.0).len(), 2);
        assert_eq!([number(12_000.0), number(0.5), number(40.0)], ["12k", "0.5", "40"]);
    }

    #[test]
    fn each_life_is_a_stroke_and_each_kill_a_line() {
        let mut samples: Vec<_> = (0..10).map(|minute| Sample::at_minute(minute, 1_000)).collect();
        samples[5..].iter_mut().for_each(|sample| sample.life = 2);
        let plot = Plot { title: "memory", unit: "KiB", lines: &[("rss", |sample| sample.rss_kib as f64)] };
        let drawn = plot.figure(&samples, &[300.0]);
        assert_eq!((drawn.matches("<polyline").count(), drawn.matches("class=\"kill\"").count()), (2, 1));
        assert!(!drawn.contains("NaN"));
        assert!(!plot.figure(&[], &[]).contains("NaN"));
    }
}
