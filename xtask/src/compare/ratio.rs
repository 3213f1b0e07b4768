//! What the rounds of the timers say about each other.

use super::row::Numbers;

/// The middle of the sorted values, or the mean of the two middle ones; nothing of nothing.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        count if count % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// The medians of time and speed, and the largest error. Nothing if any round has no numbers.
pub(super) fn of_rounds(rounds: &[Option<Numbers>]) -> Option<Numbers> {
    let rounds: Vec<Numbers> = rounds.iter().copied().collect::<Option<_>>()?;
    // Not `f64::max`, which would drop a NaN.
    let worse = |a: f64, b: f64| if a >= b || a.is_nan() { a } else { b };
    Some(Numbers {
        median_ms: median(rounds.iter().map(|round| round.median_ms))?,
        gflops: median(rounds.iter().map(|round| round.gflops))?,
        error: rounds.iter().map(|round| round.error).fold(0.0, worse),
    })
}

/// How many times as fast as theirs ours is: the median of the ratios of each round, whose two
/// times were taken one after the other. What slows the whole machine down for a while falls out.
pub(super) fn speed(ours: &[Option<Numbers>], theirs: &[Option<Numbers>]) -> Option<f64> {
    let pairs = ours.iter().zip(theirs);
    let ratios: Option<Vec<f64>> = pairs
        .map(|(ours, theirs)| Some(theirs.as_ref()?.median_ms / ours.as_ref()?.median_ms))
        .collect();
    median(ratios?)
}

/// The geometric mean of numbers above zero; nothing of nothing.
pub(super) fn geometric_mean(values: &[f64]) -> Option<f64> {
    let logarithms: f64 = values.iter().map(|value| value.ln()).sum();
    (!values.is_empty()).then(|| (logarithms / values.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::{Numbers, geometric_mean, median, of_rounds, speed};

    fn rounds(times: &[f64]) -> Vec<Option<Numbers>> {
        let of = |&median_ms: &f64| Numbers { median_ms, gflops: 60.0 / median_ms, error: 1e-7 };
        times.iter().map(of).map(Some).collect()
    }

    #[test]
    fn medians() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0]), Some(3.0));
        assert_eq!(median([9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([8.0, 1.0, 2.0, 4.0]), Some(3.0));
    }

    #[test]
    fn rounds_become_one() {
        let mut three = rounds(&[2.0, 6.0, 3.0]);
        let numbers = of_rounds(&three).expect("all have numbers");
        assert_eq!((numbers.median_ms, numbers.gflops), (3.0, 20.0));
        three[1].as_mut().expect("it has numbers").error = f64::NAN;
        assert!(of_rounds(&three).is_some_and(|numbers| !numbers.is_right()));
        three[0] = None;
        assert_eq!(of_rounds(&three), None);
        assert_eq!(of_rounds(&[]), None);
    }

    #[test]
    fn a_slow_round_falls_out() {
        // The machine took three times as long in the second round, for both.
        let (ours, theirs) = (rounds(&[2.0, 6.0, 2.0]), rounds(&[3.0, 9.0, 3.2]));
        assert_eq!(speed(&ours, &theirs), Some(1.5));
        assert_eq!(speed(&theirs, &ours), Some(2.0 / 3.0));
        assert_eq!(speed(&ours, &[None, None, None]), None);
        assert_eq!(speed(&[], &[]), None);
    }

    #[test]
    fn geometric_means() {
        let mean = geometric_mean(&[1.0, 4.0]).expect("of two");
        assert!((mean - 2.0).abs() < 1e-12, "{mean}");
        let mean = geometric_mean(&[0.5, 2.0, 3.0, 1.0 / 3.0]).expect("of four");
        assert!((mean - 1.0).abs() < 1e-12, "{mean}");
        assert_eq!(geometric_mean(&[]), None);
    }
}
