//! Local response normalisation.

use rayon::prelude::*;
use tensor4::{Shape4, View4, ViewMut4};

use crate::layer::{check, check_gradient};
use crate::parallel::{planes_per_task, update, zip_into};
use crate::{Gradient, Init, Layer, LayerSpec, Misfit, Mode, NetError, NetScalar, Seeds, State};

/// The plan of a local response normalisation; see [`local_response_norm`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LrnSpec {
    size: usize,
    alpha: f64,
    beta: f64,
    k: f64,
}

/// Divides each pixel by what `size` neighbouring channels have at its place:
/// `y[c] = x[c] / (k + alpha / size * sum of x[i]^2)^beta`, the sum over the channels `i` from
/// `c - size / 2` to `c + (size - 1) / 2` that there are. PyTorch's definition, and its defaults:
/// alpha 1e-4, beta 0.75, k 1.
///
/// Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural
/// Networks", 2012, section 3.3, do not divide alpha by the size: their alpha of 1e-4 over 5
/// channels is 5e-4 here.
#[must_use]
pub const fn local_response_norm(size: usize) -> LrnSpec {
    LrnSpec { size, alpha: 1e-4, beta: 0.75, k: 1.0 }
}

impl LrnSpec {
    /// What the mean of the squares is multiplied by.
    #[must_use]
    pub const fn alpha(self, alpha: f64) -> Self {
        Self { alpha, ..self }
    }

    /// The exponent.
    #[must_use]
    pub const fn beta(self, beta: f64) -> Self {
        Self { beta, ..self }
    }

    /// What is added to the squares.
    #[must_use]
    pub const fn k(self, k: f64) -> Self {
        Self { k, ..self }
    }
}

impl<T: NetScalar> LayerSpec<T> for LrnSpec {
    fn stem(&self) -> &'static str {
        "lrn"
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, Misfit> {
        let setting = |setting, value, allowed| Err(Misfit::Setting { setting, value, allowed });
        if self.size == 0 {
            return setting("the size of the normalisation", 0.0, "at least 1 would fit");
        }
        for (name, value) in [("alpha", self.alpha), ("beta", self.beta)] {
            if !(value >= 0.0 && value.is_finite()) {
                return setting(name, value, "a finite number of at least 0 would fit");
            }
        }
        // Otherwise channels of zeros would be divided by 0.
        if !(self.k > 0.0 && self.k.is_finite()) {
            return setting("k", self.k, "a finite number above 0 would fit");
        }
        Ok(input)
    }

    fn build(
        self: Box<Self>,
        name: String,
        input: Shape4,
        _init: Init,
        _seeds: &mut Seeds,
    ) -> Result<Box<dyn Layer<T>>, Misfit> {
        LayerSpec::<T>::output_shape(&*self, input)?;
        Ok(Box::new(Lrn { name, spec: *self }))
    }
}

#[derive(Debug)]
struct Lrn {
    name: String,
    spec: LrnSpec,
}

impl Lrn {
    /// The channels that channel `c` of so many is divided by.
    fn before(&self, c: usize, channels: usize) -> std::ops::Range<usize> {
        let after = (self.spec.size - 1) / 2;
        c.saturating_sub(self.spec.size / 2)..c.saturating_add(after + 1).min(channels)
    }

    /// The channels that are divided by channel `c`: the same mirrored.
    fn behind(&self, c: usize, channels: usize) -> std::ops::Range<usize> {
        let before = (self.spec.size - 1) / 2;
        c.saturating_sub(before)..c.saturating_add(self.spec.size / 2 + 1).min(channels)
    }

    /// Replaces each `y` by `f(x, s^-beta, y)` of the elements at the same place.
    fn with_powers<T: NetScalar>(&self, x: &[T], s: &[T], y: &mut [T], f: impl Fn(T, T, T) -> T) {
        if self.spec.beta == 0.75 {
            // Two square roots are vector instructions, logarithm and exponential are calls.
            for ((y, &x), &s) in y.iter_mut().zip(x).zip(s) {
                let root = s.sqrt();
                *y = f(x, T::ONE / (root * root.sqrt()), *y);
            }
        } else {
            let beta = T::from_f64(self.spec.beta);
            for ((y, &x), &s) in y.iter_mut().zip(x).zip(s) {
                *y = f(x, (-beta * s.ln()).exp(), *y);
            }
        }
    }
}

/// The images of a batch, as channels of planes, side by side in one slice.
struct Planes {
    channels: usize,
    len: usize,
}

impl Planes {
    /// The planes of some channels of the image that plane number `plane` belongs to.
    fn of<'a, T>(
        &self,
        data: &'a [T],
        plane: usize,
        channels: std::ops::Range<usize>,
    ) -> impl Iterator<Item = &'a [T]> {
        let first = plane / self.channels * self.channels;
        data[(first + channels.start) * self.len..(first + channels.end) * self.len]
            .chunks_exact(self.len)
    }
}

impl<T: NetScalar> Layer<T> for Lrn {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self) -> String {
        format!("local response norm over {} channels", self.spec.size)
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, NetError> {
        Ok(input)
    }

    /// The sums, `s = k + alpha / size * sum of x^2`, stay in the state.
    fn forward(
        &self,
        x: View4<'_, T>,
        y: ViewMut4<'_, T>,
        state: &mut State<T>,
        _mode: Mode,
    ) -> Result<(), NetError> {
        check(&self.name, "the output", y.shape(), x.shape())?;
        let (shape, x) = (x.shape(), x.data());
        if shape.is_empty() {
            return Ok(());
        }
        let planes = Planes { channels: shape.c(), len: shape.plane_len() };
        let (alpha, k) = (self.spec.alpha / self.spec.size as f64, T::from_f64(self.spec.k));
        let alpha = T::from_f64(alpha);
        y.into_data()
            .par_chunks_exact_mut(planes.len)
            .zip(state.values_mut(shape.len()).par_chunks_exact_mut(planes.len))
            .zip(x.par_chunks_exact(planes.len))
            .with_min_len(planes_per_task(planes.len))
            .enumerate()
            .for_each(|(plane, ((y, s), own))| {
                s.fill(T::ZERO);
                let neighbours = self.before(plane % planes.channels, planes.channels);
                for x in planes.of(x, plane, neighbours) {
                    for (s, &x) in s.iter_mut().zip(x) {
                        *s += x * x;
                    }
                }
                for s in &mut *s {
                    *s = k + alpha * *s;
                }
                self.with_powers(own, s, y, |x, power, _| x * power);
            });
        Ok(())
    }

    /// `dx[c] = dy[c] s[c]^-beta - 2 alpha beta / size x[c] * sum of dy[i] y[i] / s[i]`, the sum
    /// over the channels `i` that `x[c]` is a neighbour of.
    fn backward(
        &mut self,
        gradient: Gradient<'_, T>,
        dx: Option<ViewMut4<'_, T>>,
        state: &mut State<T>,
    ) -> Result<(), NetError> {
        check_gradient(self, &gradient, dx.as_ref())?;
        let Gradient { x, y, dy } = gradient;
        let (shape, dy) = (x.shape(), dy.data());
        let Some(dx) = dx.filter(|_| !shape.is_empty()) else { return Ok(()) };
        let planes = Planes { channels: shape.c(), len: shape.plane_len() };
        let (s, ratios) = state.values_mut(2 * shape.len()).split_at_mut(shape.len());
        zip_into(dy, y.data(), ratios, |dy, y| dy * y);
        update(ratios, s, |ratio, s| *ratio /= s);

        let (s, ratios) = (&*s, &*ratios);
        let LrnSpec { size, alpha, beta, .. } = self.spec;
        let factor = T::from_f64(2.0 * alpha * beta / size as f64);
        dx.into_data()
            .par_chunks_exact_mut(planes.len)
            .zip(s.par_chunks_exact(planes.len))
            .zip(x.data().par_chunks_exact(planes.len))
            .zip(dy.par_chunks_exact(planes.len))
            .with_min_len(planes_per_task(planes.len))
            .enumerate()
            .for_each(|(plane, (((dx, s), x), dy))| {
                dx.fill(T::ZERO);
                let neighbours = self.behind(plane % planes.channels, planes.channels);
                for ratios in planes.of(ratios, plane, neighbours) {
                    for (sum, &ratio) in dx.iter_mut().zip(ratios) {
                        *sum += ratio;
                    }
                }
                for (dx, &x) in dx.iter_mut().zip(x) {
                    *dx = -factor * x * *dx;
                }
                self.with_powers(dy, s, dx, |dy, power, dx| dx + dy * power);
            });
        Ok(())
    }
}
