//! Local response normalisation.

use std::ops::Range;

use conv::parallel::{piece, pieces, pieces_of_both};
use conv::{MulAdd, Vectorised, vectorised};
use tensor4::{Shape4, View4, ViewMut4};

use crate::layer::{check, check_gradient};
use crate::parallel::planes_per_task;
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
    fn before(&self, c: usize, channels: usize) -> Range<usize> {
        let after = (self.spec.size - 1) / 2;
        c.saturating_sub(self.spec.size / 2)..c.saturating_add(after + 1).min(channels)
    }

    /// The channels that are divided by channel `c`: the same mirrored.
    fn behind(&self, c: usize, channels: usize) -> Range<usize> {
        let before = (self.spec.size - 1) / 2;
        c.saturating_sub(before)..c.saturating_add(self.spec.size / 2 + 1).min(channels)
    }
}

/// Pixels that are summed at a time: few enough for their sums to stay near.
const STRIP: usize = 128;

/// The sums of `term` over the planes, at some of the pixels.
#[inline(always)]
fn sums<T: NetScalar>(
    planes: &[T],
    plane_len: usize,
    pixels: Range<usize>,
    term: impl Fn(T) -> T,
) -> [T; STRIP] {
    let mut sums = [T::ZERO; STRIP];
    for plane in planes.chunks_exact(plane_len) {
        for (sum, &x) in sums.iter_mut().zip(&plane[pixels.clone()]) {
            *sum += term(x);
        }
    }
    sums
}

/// Pieces of a plane of so many pixels.
#[inline(always)]
fn strips(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(STRIP).map(move |start| start..len.min(start + STRIP))
}

/// `s^-beta`; `THREE_QUARTERS` if that is what beta is.
#[inline(always)]
fn power<T: NetScalar, const THREE_QUARTERS: bool>(s: T, beta: T) -> T {
    if THREE_QUARTERS {
        // Two square roots are vector instructions, a logarithm is a call.
        let root = s.sqrt();
        T::ONE / (root * root.sqrt())
    } else {
        (-beta * s.ln()).exp()
    }
}

/// A plane of the forward pass.
struct Forward<'a, T, const THREE_QUARTERS: bool> {
    x: &'a [T],
    /// The planes that this one is divided by.
    neighbours: &'a [T],
    s: &'a mut [T],
    y: &'a mut [T],
    alpha: T,
    beta: T,
    k: T,
}

impl<T: NetScalar, const B: bool> Vectorised for Forward<'_, T, B> {
    type Output = ();

    #[inline(always)]
    fn run<M: MulAdd>(self) {
        let Self { x, neighbours, s, y, alpha, beta, k } = self;
        for pixels in strips(x.len()) {
            let sums = sums(neighbours, x.len(), pixels.clone(), |x| x * x);
            let outputs = y[pixels.clone()].iter_mut().zip(&mut s[pixels.clone()]);
            for ((y, s), (&x, sum)) in outputs.zip(x[pixels].iter().zip(sums)) {
                *s = k + alpha * sum;
                *y = x * power::<T, B>(*s, beta);
            }
        }
    }
}

/// What a plane of the backward pass begins with.
struct Ratios<'a, T> {
    dy: &'a [T],
    y: &'a [T],
    s: &'a [T],
    ratios: &'a mut [T],
}

impl<T: NetScalar> Vectorised for Ratios<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<M: MulAdd>(self) {
        let inputs = self.dy.iter().zip(self.y).zip(self.s);
        for (ratio, ((&dy, &y), &s)) in self.ratios.iter_mut().zip(inputs) {
            *ratio = dy * y / s;
        }
    }
}

/// A plane of the backward pass.
struct Backward<'a, T, const THREE_QUARTERS: bool> {
    x: &'a [T],
    dy: &'a [T],
    s: &'a [T],
    /// `dy y / s` of the planes that are divided by this one.
    ratios: &'a [T],
    dx: &'a mut [T],
    factor: T,
    beta: T,
}

impl<T: NetScalar, const B: bool> Vectorised for Backward<'_, T, B> {
    type Output = ();

    #[inline(always)]
    fn run<M: MulAdd>(self) {
        let Self { x, dy, s, ratios, dx, factor, beta } = self;
        for pixels in strips(x.len()) {
            let sums = sums(ratios, x.len(), pixels.clone(), |ratio| ratio);
            let inputs = x[pixels.clone()].iter().zip(&dy[pixels.clone()]);
            let inputs = inputs.zip(&s[pixels.clone()]).zip(sums);
            for (dx, (((&x, &dy), &s), sum)) in dx[pixels].iter_mut().zip(inputs) {
                *dx = dy * power::<T, B>(s, beta) - factor * x * sum;
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
    fn of<'a, T>(&self, data: &'a [T], plane: usize, channels: Range<usize>) -> &'a [T] {
        let first = plane / self.channels * self.channels;
        &data[(first + channels.start) * self.len..(first + channels.end) * self.len]
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
        let (alpha, beta) = (T::from_f64(alpha), T::from_f64(self.spec.beta));
        let (y, s) = (y.into_data(), state.values_mut(shape.len()));
        let least = planes_per_task(planes.len);
        pieces_of_both((y, planes.len), (s, planes.len), least, &|plane, y, s| {
            let own = piece(x, plane, planes.len);
            let neighbours = self.before(plane % planes.channels, planes.channels);
            let neighbours = planes.of(x, plane, neighbours);
            if self.spec.beta == 0.75 {
                vectorised(Forward::<T, true> { x: own, neighbours, s, y, alpha, beta, k });
            } else {
                vectorised(Forward::<T, false> { x: own, neighbours, s, y, alpha, beta, k });
            }
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
        let (s, least) = (&*s, planes_per_task(planes.len));
        pieces(ratios, planes.len, least, &|plane, ratios| {
            let [dy, y, s] = [dy, y.data(), s].map(|all| piece(all, plane, planes.len));
            vectorised(Ratios { dy, y, s, ratios });
        });

        let ratios = &*ratios;
        let LrnSpec { size, alpha, beta, .. } = self.spec;
        let factor = T::from_f64(2.0 * alpha * beta / size as f64);
        let beta = T::from_f64(beta);
        pieces(dx.into_data(), planes.len, least, &|plane, dx| {
            let [s, x, dy] = [s, x.data(), dy].map(|all| piece(all, plane, planes.len));
            let neighbours = self.behind(plane % planes.channels, planes.channels);
            let ratios = planes.of(ratios, plane, neighbours);
            if self.spec.beta == 0.75 {
                vectorised(Backward::<T, true> { x, dy, s, ratios, dx, factor, beta });
            } else {
                vectorised(Backward::<T, false> { x, dy, s, ratios, dx, factor, beta });
            }
        });
        Ok(())
    }
}
