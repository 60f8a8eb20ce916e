//! The slope of a series that has outliers: Theil-Sen, the median of the slopes of all pairs (Sen 1968); and whether it
//! is more than chance: Mann-Kendall (Kendall 1975).
//!
//! A series may come in blocks, one for each life of a process. Then only points of one block are paired, and scores and
//! variances are added up: the seasonal test of Hirsch and Slack (1984). What a restart resets is so no fall, and no rise.

/// No more points than this are paired; a longer series is thinned evenly.
const POINTS_MAX: usize = 1_000;
/// Beyond so many standard deviations a trend is no chance: one in a hundred, on both sides.
const SIGNIFICANT: f64 = 2.576;

/// Points in order of x.
pub(crate) type Block = Vec<(f64, f64)>;

/// The slope within the blocks, in units of y per unit of x; none with fewer than two points apart.
pub(crate) fn theil_sen(blocks: &[Block]) -> Option<f64> {
    let mut slopes = Vec::new();
    for block in thinned(blocks) {
        for (at, (x1, y1)) in block.iter().enumerate() {
            let later = block[at + 1..].iter().filter(|(x2, _)| x2 > x1);
            slopes.extend(later.map(|(x2, y2)| (y2 - y1) / (x2 - x1)));
        }
    }
    median(slopes)
}

/// Whether there is a trend within the blocks, up or down, that is more than chance.
pub(crate) fn has_trend(blocks: &[Block]) -> bool {
    let (mut score, mut scatter) = (0_i64, 0.0);
    for block in thinned(blocks) {
        let values: Vec<_> = block.into_iter().map(|(_, value)| value).collect();
        for (at, former) in values.iter().enumerate() {
            let later = values[at + 1..].iter();
            score += later.map(|later| later.partial_cmp(former).map_or(0, |order| order as i64)).sum::<i64>();
        }
        scatter += variance(values);
    }
    // The correction for continuity: one off, towards none.
    let distance = (score.unsigned_abs() as f64 - 1.0).max(0.0);
    scatter > 0.0 && distance / scatter.sqrt() > SIGNIFICANT
}

/// That of the score, of a series without a trend; groups of equal values make it smaller.
fn variance(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let term = |count: usize| (count as f64) * (count as f64 - 1.0) * (2.0 * count as f64 + 5.0);
    let ties: f64 = values.chunk_by(|one, other| one == other).map(|group| term(group.len())).sum();
    (term(values.len()) - ties) / 18.0
}

fn thinned(blocks: &[Block]) -> Vec<Block> {
    let points: usize = blocks.iter().map(Vec::len).sum();
    let step = points.div_ceil(POINTS_MAX).max(1);
    blocks.iter().map(|block| block.iter().step_by(step).copied().collect()).collect()
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
        let line = [(0..50).map(|x| (f64::from(x), 3.0 * f64::from(x) + 7.0)).collect()];
        assert_eq!(theil_sen(&line), Some(3.0));
        assert!(has_trend(&line));
    }

    #[test]
    fn one_outlier_moves_nothing() {
        let mut line: Block = (0..50).map(|x| (f64::from(x), 5.0)).collect();
        line[20].1 = 1e9;
        assert_eq!(theil_sen(&[line.clone()]), Some(0.0));
        assert!(!has_trend(&[line]));
    }

    #[test]
    fn a_saw_has_no_trend_and_a_saw_on_a_slope_has_one() {
        let saw = |slope: f64| -> [Block; 1] {
            [(0..100).map(|x| (f64::from(x), f64::from(x % 7) + slope * f64::from(x))).collect()]
        };
        assert!(!has_trend(&saw(0.0)));
        assert!(has_trend(&saw(0.1)));
        assert!(has_trend(&saw(-0.1)));
    }

    /// A leak of a process that is killed again and again looked level, because each life began small.
    #[test]
    fn what_each_life_leaks_is_seen_although_each_begins_anew() {
        let life = |number: i32| -> Block {
            (0..20).map(|x| (f64::from(number * 20 + x), 100.0 + 2.0 * f64::from(x) + f64::from(x % 3))).collect()
        };
        let lives: Vec<_> = (0..6).map(life).collect();
        assert!((theil_sen(&lives).unwrap() - 2.0).abs() < 0.1);
        assert!(has_trend(&lives));
        assert!(!has_trend(&[lives.concat()]), "as one series it is a saw");
    }

    #[test]
    fn lives_that_begin_higher_and_stay_level_have_no_slope_within() {
        let life = |number: i32| -> Block { (0..20).map(|x| (f64::from(x), f64::from(number * 50))).collect() };
        let lives: Vec<_> = (0..6).map(life).collect();
        assert_eq!((theil_sen(&lives), has_trend(&lives)), (Some(0.0), false));
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
        assert_eq!(theil_sen(&[vec![(1.0, 1.0)], vec![(2.0, 2.0)]]), None);
        assert_eq!(theil_sen(&[vec![(1.0, 1.0), (1.0, 2.0)]]), None);
        assert!(!has_trend(&[vec![(1.0, 1.0), (2.0, 2.0)]]));
    }

    #[test]
    fn a_long_series_is_thinned() {
        let line: [Block; 1] = [(0..100_000).map(|x| (f64::from(x), f64::from(x))).collect()];
        assert_eq!(theil_sen(&line), Some(1.0));
        assert!(has_trend(&line));
    }
}
