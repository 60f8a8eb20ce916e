//! The slope of a series that has outliers: Theil-Sen, the median of the slopes of all pairs (Sen 1968).

/// No more points than this are paired; a longer series is thinned evenly.
const POINTS_MAX: usize = 1_000;

/// The slope of `(x, y)`, in units of y per unit of x; none with fewer than two points apart.
pub(crate) fn theil_sen(points: &[(f64, f64)]) -> Option<f64> {
    let step = points.len().div_ceil(POINTS_MAX).max(1);
    let points: Vec<_> = points.iter().step_by(step).copied().collect();
    let mut slopes = Vec::new();
    for (at, (x1, y1)) in points.iter().enumerate() {
        let later = points[at + 1..].iter().filter(|(x2, _)| x2 > x1);
        slopes.extend(later.map(|(x2, y2)| (y2 - y1) / (x2 - x1)));
    }
    median(slopes)
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
    }

    #[test]
    fn one_outlier_moves_nothing() {
        let mut line: Vec<_> = (0..50).map(|x| (f64::from(x), 5.0)).collect();
        line[20].1 = 1e9;
        assert_eq!(theil_sen(&line), Some(0.0));
    }

    #[test]
    fn too_little_has_no_slope() {
        assert_eq!(theil_sen(&[]), None);
        assert_eq!(theil_sen(&[(1.0, 1.0)]), None);
        assert_eq!(theil_sen(&[(1.0, 1.0), (1.0, 2.0)]), None);
    }

    #[test]
    fn a_long_series_is_thinned() {
        let line: Vec<_> = (0..100_000).map(|x| (f64::from(x), f64::from(x))).collect();
        assert_eq!(theil_sen(&line), Some(1.0));
    }
}
