//! Exponential functions of `f32` in arithmetic that a loop over them is vectorised with: no
//! branches, no tables, no calls.

use core::f32::consts::LOG2_E;

/// 1.5 * 2^23: beside it an `f32` has no place for a fraction.
const SHIFT: f32 = 12_582_912.0;
/// ln 2 in two parts: multiples of the first, of few bits, are exact.
const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];

/// `n` and `r` of `x = n ln 2 + r`, with `r` from `-ln 2 / 2` to `ln 2 / 2`.
#[inline(always)]
fn reduce(x: f32) -> (i32, f32) {
    let shifted = x * LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let whole = (shifted.to_bits() as i32).wrapping_sub(SHIFT.to_bits() as i32);
    (whole, x - n * LN_2[0] - n * LN_2[1])
}

/// `e^r - 1` by Taylor's series, of which the first term left out is below 2^-27 of the sum.
#[inline(always)]
fn expm1_near_0(r: f32) -> f32 {
    const TERMS: [f32; 7] =
        [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0];
    let mut sum = 0.0;
    for term in TERMS {
        sum = sum * r + term;
    }
    sum * r
}

/// 2^n for n from -126 to 127.
#[inline(always)]
fn power_of_2(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) << 23) as u32)
}

/// e^x, to within two units in the last place.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Beyond these it is infinite or 0. NaN stays NaN.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let (n, r) = reduce(x);
    // In two factors, for 2^n alone may be too large or too small for an f32.
    let half = n >> 1;
    (1.0 + expm1_near_0(r)) * power_of_2(half) * power_of_2(n.wrapping_sub(half))
}

/// tanh(x), to within three units in the last place: `(e^2x - 1) / (e^2x + 1)`, where what is
/// subtracted from is not rounded before.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    // Beyond it is 1. NaN stays NaN.
    let positive = if x.abs() > 10.0 { 10.0 } else { x.abs() };
    let (n, r) = reduce(2.0 * positive);
    let scale = power_of_2(n);
    let expm1 = scale * expm1_near_0(r) + (scale - 1.0);
    (expm1 / (expm1 + 2.0)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The greatest error over many arguments, in units in the last place of the right result.
    fn greatest_error(f: fn(f32) -> f32, right: fn(f64) -> f64, range: f64) -> f64 {
        let mut greatest: f64 = 0.0;
        for i in -200_000..=200_000 {
            let x = (f64::from(i) / 200_000.0 * range) as f32;
            let right = right(f64::from(x));
            let near = (right as f32).abs().max(f32::MIN_POSITIVE);
            let unit = f64::from(f32::from_bits(near.to_bits() + 1)) - f64::from(near);
            greatest = greatest.max((f64::from(f(x)) - right).abs() / unit);
        }
        greatest
    }

    #[test]
    fn errors_are_a_few_units_in_the_last_place() {
        for range in [87.9, 10.0, 1.0, 1e-3] {
            let (e, t) =
                (greatest_error(exp, f64::exp, range), greatest_error(tanh, f64::tanh, range));
            assert!(e < 2.0 && t < 3.0, "up to {range}: {e} and {t}");
        }
    }

    #[test]
    fn the_edges_are_right() {
        assert_eq!((exp(0.0), exp(-0.0)), (1.0, 1.0));
        assert_eq!(
            (exp(f32::INFINITY), exp(89.0), exp(1e30)),
            (f32::INFINITY, f32::INFINITY, f32::INFINITY)
        );
        assert_eq!((exp(f32::NEG_INFINITY), exp(-104.0), exp(-1e30)), (0.0, 0.0, 0.0));
        assert!(exp(f32::NAN).is_nan() && exp(-f32::NAN).is_nan());
        assert!(tanh(f32::NAN).is_nan() && tanh(-f32::NAN).is_nan());
        // What is below the normal numbers is not lost.
        let small = exp(-100.0);
        assert!((f64::from(small) / (-100.0_f64).exp() - 1.0).abs() < 0.02, "{small}");
        assert_eq!((tanh(f32::INFINITY), tanh(-20.0)), (1.0, -1.0));
        assert_eq!((tanh(-0.0).to_bits(), tanh(1e-30)), ((-0.0_f32).to_bits(), 1e-30));
    }
}
