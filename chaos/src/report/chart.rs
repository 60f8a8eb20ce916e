//! Two pictures of a run: what struck when, and how long it took to get over it.
//!
//! **Invariant:** a picture has a bounded number of shapes, however long the run was: what falls on the same place is one
//! shape that says how many it stands for.

use serde::Serialize;

use super::faults::Struck;
use crate::{
    fault::Fault,
    parent::{Figures, Kind, Mark},
};

/// Width of the drawing, in its own units.
const WIDTH: f64 = 1_000.0;
/// Shapes closer than this are one.
const CLOSE: f64 = 0.9;
/// A shape that lasts for nothing is still seen.
const THIN: f64 = 1.1;
/// Bounds of the second picture, in milliseconds, and how finely each decade is divided.
const RECOVERY: (f64, f64) = (0.1, 100_000.0);
const PARTS: f64 = 12.0;

/// One fault's row in the first picture.
#[derive(Debug, Serialize)]
pub(super) struct Lane {
    fault: Fault,
    what: &'static str,
    strikes: Vec<Shape>,
    recoveries: Vec<Shape>,
}

/// One fault's row in the second.
#[derive(Debug, Serialize)]
pub(super) struct Spread {
    fault: Fault,
    what: &'static str,
    is: &'static str,
    bars: Vec<Shape>,
    p50: Option<Place>,
    p99: Option<Place>,
}

/// A value where it stands.
#[derive(Debug, Serialize)]
struct Place {
    x: f64,
    told: String,
}

/// A rectangle with what it says.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Shape {
    x: f64,
    width: f64,
    /// From 0 to 1.
    height: f64,
    told: String,
}

/// A line with its label.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Tick {
    x: f64,
    told: String,
}

/// What struck when; for faults that were chosen.
pub(super) fn lanes(faults: &[Struck], marks: &[Mark], seconds: f64) -> Vec<Lane> {
    let scale = WIDTH / (seconds * 1_000.0).max(1.0);
    let lane = |struck: &Struck| {
        let of = |kind: Kind| marks.iter().filter(move |mark| mark.fault == struck.fault && mark.kind == kind);
        Lane {
            fault: struck.fault,
            what: struck.what,
            strikes: shapes(of(Kind::Strike), scale),
            recoveries: shapes(of(Kind::Recovery), scale),
        }
    };
    faults.iter().filter(|struck| struck.chosen).map(lane).collect()
}

/// Marks that fall together are one shape.
fn shapes<'a>(marks: impl Iterator<Item = &'a Mark>, scale: f64) -> Vec<Shape> {
    let mut marks: Vec<_> = marks.collect();
    marks.sort_by(|one, other| one.at_ms.total_cmp(&other.at_ms));
    let mut shapes: Vec<(Shape, u64, f64)> = Vec::new();
    for mark in marks {
        let (x, width) = (mark.at_ms * scale, (mark.lasted_ms * scale).max(THIN));
        match shapes.last_mut() {
            Some((shape, count, longest)) if x - shape.x < CLOSE => {
                (*count, *longest) = (*count + 1, longest.max(mark.lasted_ms));
                shape.width = shape.width.max(x + width - shape.x);
                let lasted = if *longest > 0.0 { format!(", longest {}", time(*longest)) } else { String::new() };
                shape.told = format!("{}: {count} times{lasted}", time(shape.x / scale));
            }
            _ => {
                let lasted = if mark.lasted_ms > 0.0 { format!(", {}", time(mark.lasted_ms)) } else { String::new() };
                let told = format!("{}: {}{lasted}", time(mark.at_ms), mark.what);
                shapes.push((Shape { x, width, height: 1.0, told }, 1, mark.lasted_ms));
            }
        }
    }
    shapes.into_iter().map(|(shape, ..)| shape).map(Shape::rounded).collect()
}

/// How long recoveries took, on a logarithmic scale.
pub(super) fn spreads(faults: &[Struck], figures: impl Fn(Fault) -> Figures) -> Vec<Spread> {
    let spread = |struck: &Struck| {
        let place = |ms: f64| Place { x: round(log(ms)), told: time(ms) };
        Spread {
            fault: struck.fault,
            what: struck.what,
            is: struck.recovery_is,
            bars: bars(&figures(struck.fault)),
            p50: struck.recovery_p50_ms.map(place),
            p99: struck.recovery_p99_ms.map(place),
        }
    };
    faults.iter().filter(|struck| struck.chosen).map(spread).collect()
}

fn bars(figures: &Figures) -> Vec<Shape> {
    let mut bins = std::collections::BTreeMap::<i64, u64>::new();
    for value in figures.recoveries.iter_recorded() {
        let bin = ((value.value_iterated_to() as f64 / 1_000.0).log10() * PARTS).floor();
        *bins.entry(bin as i64).or_default() += value.count_at_value();
    }
    let most = bins.values().copied().max().unwrap_or(1) as f64;
    let bar = |(bin, count): (i64, u64)| {
        let [from, to] = [bin, bin + 1].map(|bin| 10_f64.powf(bin as f64 / PARTS));
        let told = format!("{} to {}: {count}", time(from), time(to));
        Shape { x: log(from), width: log(to) - log(from) - 1.0, height: (count as f64 / most).sqrt(), told }.rounded()
    };
    bins.into_iter().map(bar).collect()
}

/// Where a time stands on the logarithmic scale.
fn log(ms: f64) -> f64 {
    let (from, to) = RECOVERY;
    WIDTH * (ms.clamp(from, to) / from).log10() / (to / from).log10()
}

/// Decades of the second picture.
pub(super) fn decades() -> Vec<Tick> {
    (-1..=5).map(|power| 10_f64.powi(power)).map(|ms| Tick { x: round(log(ms)), told: time(ms) }).collect()
}

/// Round times of the first: about eight of them.
pub(super) fn ticks(seconds: f64) -> Vec<Tick> {
    let steps =
        [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0, 86_400.0];
    let step = steps.into_iter().find(|step| seconds / step <= 9.0).unwrap_or(86_400.0);
    let count = (seconds / step).floor() as u32;
    let tick = |at: f64| Tick { x: round(WIDTH * at / seconds.max(0.001)), told: time(at * 1_000.0) };
    (0..=count).map(|number| tick(f64::from(number) * step)).collect()
}

impl Shape {
    fn rounded(self) -> Self {
        Self { x: round(self.x), width: round(self.width), height: round(self.height), ..self }
    }
}

fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// A time for people.
pub(super) fn time(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{} ms", (ms * 10.0).round() / 10.0),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms if ms < 120_000.0 => format!("{} s", (ms / 100.0).round() / 10.0),
        ms => {
            let seconds = (ms / 1_000.0).round();
            let (hours, minutes, seconds) =
                ((seconds / 3_600.0).floor(), (seconds / 60.0).floor() % 60.0, seconds % 60.0);
            if hours > 0.0 { format!("{hours} h {minutes} min") } else { format!("{minutes} min {seconds} s") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(at_ms: f64, lasted_ms: f64) -> Mark {
        Mark { fault: Fault::Stop, at_ms, lasted_ms, kind: Kind::Strike, what: "stopped".into() }
    }

    #[test]
    fn what_falls_on_the_same_place_is_one_shape_that_says_how_many() {
        let marks: Vec<_> = (0..100_000).map(|at| mark(f64::from(at) * 0.8, 0.0)).collect();
        let shapes = shapes(marks.iter(), WIDTH / 80_000.0);
        assert!(shapes.len() <= 1_200, "{}", shapes.len());
        assert_eq!(shapes[0].told, "0 ms: 90 times");
    }

    #[test]
    fn a_shape_is_as_wide_as_it_lasted_and_says_so() {
        let marks = [mark(1_000.0, 0.0), mark(5_000.0, 2_000.0)];
        let shapes = shapes(marks.iter(), WIDTH / 10_000.0);
        assert_eq!((shapes[0].x, shapes[0].width), (100.0, THIN));
        assert_eq!((shapes[1].x, shapes[1].width, &*shapes[1].told), (500.0, 200.0, "5 s: stopped, 2 s"));
    }

    #[test]
    fn times_are_told_as_people_say_them() {
        let told = [0.25, 17.0, 950.0, 12_340.0, 600_000.0, 7_260_000.0].map(time);
        assert_eq!(told, ["0.3 ms", "17 ms", "950 ms", "12.3 s", "10 min 0 s", "2 h 1 min"]);
        assert_eq!(ticks(80.0).len(), 9);
        assert_eq!(decades().iter().map(|tick| tick.x).next_back(), Some(WIDTH));
    }
}
