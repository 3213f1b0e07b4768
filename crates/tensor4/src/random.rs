//! Seeded random fills.

use alloc::vec::Vec;

use rand::SeedableRng;
use rand::distr::Distribution;
use rand::rngs::Xoshiro256PlusPlus;
use rand_distr::{StandardNormal, StandardUniform};

use crate::{Scalar, Shape4, Tensor4};

impl<T: Scalar> Tensor4<T> {
    /// Elements drawn uniformly from `[low, high)`, the same for the same seed on every machine.
    ///
    /// Drawn as `f64` and rounded, so that an `f32` tensor is the rounded `f64` one.
    #[must_use]
    pub fn uniform(shape: Shape4, low: f64, high: f64, seed: u64) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let draw = || {
            let unit: f64 = StandardUniform.sample(&mut rng);
            T::from_f64(low + (high - low) * unit)
        };
        Self::from_parts(shape, core::iter::repeat_with(draw).take(shape.len()).collect())
    }

    /// Elements drawn from the normal distribution, the same for the same seed on every machine.
    ///
    /// Drawn as `f64` and rounded, so that an `f32` tensor is the rounded `f64` one.
    #[must_use]
    pub fn normal(shape: Shape4, mean: f64, std: f64, seed: u64) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let draw = || {
            let unit: f64 = StandardNormal.sample(&mut rng);
            T::from_f64(mean + std * unit)
        };
        let data: Vec<T> = core::iter::repeat_with(draw).take(shape.len()).collect();
        Self::from_parts(shape, data)
    }
}
