//! The slope of a series that has outliers: Theil-Sen, the median of the slopes of all pairs (Sen 1968); and whether it
//! is more than chance: Mann-Kendall (Kendall 1975).

/// No more points than this are paired; a longer series is thinned evenly.
const POINTS_MAX: usize = 1_000;
/// Beyond so many standard deviations a trend is no chance: one in a hundred, on both sides.
const SIGNIFICANT: f64 = 2.576;

/// The slope of `(x, y)`, in units of y per unit of x; none with fewer than two points apart.
pub(crate) fn theil_sen(points: &[(f64, f64)]) -> Option<f64> {
    let points = thinned(points);
    let mut slopes = Vec::new();
    for (at, (x1, y1)) in points.iter().enumerate() {
        let later = points[at + 1..].iter().filter(|(x2, _)| x2 > x1);
        slopes.extend(later.map(|(x2, y2)| (y2 - y1) / (x2 - x1)));
    }
    median(slopes)
}

/// Whether a series in order of time has a trend, up or down, that is more than chance.
pub(crate) fn has_trend(points: &[(f64, f64)]) -> bool {
    let values: Vec<_> = thinned(points).into_iter().map(|(_, value)| value).collect();
    let mut score = 0_i64;
    for (at, former) in values.iter().enumerate() {
        score +=
            values[at + 1..].iter().map(|later| later.partial_cmp(former).map_or(0, |order| order as i64)).sum::<i64>();
    }
    let variance = variance(values);
    // The correction for continuity: one off, towards none.
    let distance = (score.unsigned_abs() as f64 - 1.0).max(0.0);
    variance > 0.0 && distance / variance.sqrt() > SIGNIFICANT
}

/// That of the score, of a series without a trend; groups of equal values make it smaller.
fn variance(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let term = |count: usize| (count as f64) * (count as f64 - 1.0) * (2.0 * count as f64 + 5.0);
    let ties: f64 = values.chunk_by(|one, other| one == other).map(|group| term(group.len())).sum();
    (term(values.len()) - ties) / 18.0
}

fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let step = points.len().div_ceil(POINTS_MAX).max(1);
    points.iter().step_by(step).copied().collect()
}

/// The middle of some numbers.
pub(crate) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let (low, high) = (numbers.get(numbers.len().checked_sub(1)? / 2)?, numbers.get(numbers.len() / 2)?);
    Some((low + high) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope() {
        let line: Vec<_> = (0..50).map(|x| (f64::from(x), 3.0 * f64::from(x) + 7.0)).collect();
        assert_eq!(theil_sen(&line), Some(3.0));
        assert!(has_trend(&line));
    }

    #[test]
    fn one_outlier_moves_nothing() {
        let mut line: Vec<_> = (0..50).map(|x| (f64::from(x), 5.0)).collect();
        line[20].1 = 1e9;
        assert_eq!(theil_sen(&line), Some(0.0));
        assert!(!has_trend(&line));
    }

    #[test]
    fn a_saw_has_no_trend_and_a_saw_on_a_slope_has_one() {
        let saw = |slope: f64| -> Vec<_> {
            (0..100).map(|x| (f64::from(x), f64::from(x % 7) + slope * f64::from(x))).collect()
        };
        assert!(!has_trend(&saw(0.0)));
        assert!(has_trend(&saw(0.1)));
        assert!(has_trend(&saw(-0.1)));
    }

    #[test]
    fn the_score_varies_as_the_book_says() {
        // Kendall's example of ten values without ties: 10 * 9 * 25 / 18.
        assert_eq!(variance((0..10).map(f64::from).collect()), 125.0);
        assert_eq!(variance(vec![1.0; 10]), 0.0);
    }

    #[test]
    fn too_little_has_no_slope() {
        assert_eq!(theil_sen(&[]), None);
        assert_eq!(theil_sen(&[(1.0, 1.0)]), None);
        assert_eq!(theil_sen(&[(1.0, 1.0), (1.0, 2.0)]), None);
        assert!(!has_trend(&[(1.0, 1.0), (2.0, 2.0)]));
    }

    #[test]
    fn a_long_series_is_thinned() {
        let line: Vec<_> = (0..100_000).map(|x| (f64::from(x), f64::from(x))).collect();
        assert_eq!(theil_sen(&line), Some(1.0));
        assert!(has_trend(&line));
    }
}
