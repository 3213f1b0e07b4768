//! How far two results are apart.

use tensor4::Scalar;

/// The largest `|actual - expected|`, divided by the largest `|expected|` (by 1 if that is 0).
///
/// One scale for the whole result, not one per element: a sum of many terms that happens to fall
/// near zero is as inexact as its neighbours.
///
/// NaN in one and not in the other gives infinity; both NaN count as equal. Infinities must be
/// equal.
///
/// # Panics
///
/// If the lengths differ.
#[must_use]
#[track_caller]
pub fn max_relative_error<T: Scalar, U: Scalar>(actual: &[T], expected: &[U]) -> f64 {
    worst(actual, expected).0
}

/// The root mean square of `actual - expected`, divided by that of `expected` (by 1 if that is 0).
///
/// # Panics
///
/// If the lengths differ.
#[must_use]
#[track_caller]
pub fn relative_rms<T: Scalar, U: Scalar>(actual: &[T], expected: &[U]) -> f64 {
    assert_eq!(actual.len(), expected.len(), "the lengths differ");
    let (mut error, mut norm) = (0.0, 0.0);
    for (a, e) in actual.iter().zip(expected) {
        let (a, e) = (a.to_f64(), e.to_f64());
        error += (a - e) * (a - e);
        norm += e * e;
    }
    let scale = if norm > 0.0 { norm } else { 1.0 };
    (error / scale).sqrt()
}

/// Fails if [`max_relative_error`] exceeds `tolerance`, naming the worst element.
///
/// # Panics
///
/// If it does, or if the lengths differ.
#[track_caller]
pub fn assert_close<T: Scalar, U: Scalar>(
    what: &str,
    actual: &[T],
    expected: &[U],
    tolerance: f64,
) {
    let (error, at) = worst(actual, expected);
    assert!(
        error <= tolerance,
        "{what}: relative error {error:.3e} > {tolerance:.1e}; worst at {at} of {}: {} instead of {}",
        actual.len(),
        actual[at],
        expected[at],
    );
}

/// `<x, y>`, summed in f64.
///
/// # Panics
///
/// If the lengths differ.
#[must_use]
#[track_caller]
pub fn dot<T: Scalar>(x: &[T], y: &[T]) -> f64 {
    assert_eq!(x.len(), y.len(), "the lengths differ");
    x.iter().zip(y).map(|(x, y)| x.to_f64() * y.to_f64()).sum()
}

/// The largest relative error and where it is.
#[track_caller]
fn worst<T: Scalar, U: Scalar>(actual: &[T], expected: &[U]) -> (f64, usize) {
    assert_eq!(actual.len(), expected.len(), "the lengths differ");
    let finite = |x: &f64| x.is_finite();
    let largest = expected.iter().map(|e| e.to_f64().abs()).filter(finite).fold(0.0, f64::max);
    let scale = if largest > 0.0 { largest } else { 1.0 };
    let mut worst = (0.0, 0);
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        let (a, e) = (a.to_f64(), e.to_f64());
        let error = if a == e || (a.is_nan() && e.is_nan()) {
            0.0
        } else if (a - e).is_finite() {
            (a - e).abs() / scale
        } else {
            f64::INFINITY
        };
        if error > worst.0 {
            worst = (error, i);
        }
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nan_is_not_close_to_a_number() {
        assert_eq!(max_relative_error(&[f64::NAN], &[1.0]), f64::INFINITY);
        assert_eq!(max_relative_error(&[1.0], &[f64::NAN]), f64::INFINITY);
        assert_eq!(max_relative_error(&[f64::NAN], &[f64::NAN]), 0.0);
        assert_eq!(max_relative_error(&[f64::INFINITY], &[f64::INFINITY]), 0.0);
        assert_eq!(max_relative_error(&[f64::INFINITY], &[1.0]), f64::INFINITY);
    }

    #[test]
    #[should_panic(expected = "worst at 1 of 2")]
    fn the_worst_element_is_named() {
        assert_close("test", &[1.0, 2.0], &[1.0, 2.5], 0.1);
    }
}
