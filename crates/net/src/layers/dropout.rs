//! Dropout.

use tensor4::{Shape4, View4, ViewMut4};

use crate::init::mix;
use crate::layer::{check, check_gradient};
use crate::parallel::map_indexed_into;
use crate::{
    Gradient, Init, Layer, LayerSpec, Misfit, Mode, NetError, NetScalar, Reads, Seeds, State, Tail,
};

/// The plan of a dropout layer; see [`dropout`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DropoutSpec {
    rate: f64,
}

/// In training, sets each element to 0 with probability `rate` and divides the others by
/// `1 - rate` (inverted dropout, as PyTorch); in evaluation, changes nothing. Srivastava et al.,
/// "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014.
///
/// `rate` is at least 0 and below 1. What is dropped depends on the seed of the network, the step
/// of the training and the place of the element alone.
#[must_use]
pub const fn dropout(rate: f64) -> DropoutSpec {
    DropoutSpec { rate }
}

impl<T: NetScalar> LayerSpec<T> for DropoutSpec {
    fn stem(&self) -> &'static str {
        "dropout"
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, Misfit> {
        if (0.0..1.0).contains(&self.rate) {
            Ok(input)
        } else {
            Err(Misfit::Setting {
                setting: "the rate of dropout",
                value: self.rate,
                allowed: "at least 0 and less than 1 would fit",
            })
        }
    }

    fn build(
        self: Box<Self>,
        name: String,
        _input: Shape4,
        _init: Init,
        seeds: &mut Seeds,
    ) -> Result<Box<dyn Layer<T>>, Misfit> {
        Ok(Box::new(Dropout { name, rate: self.rate, seed: seeds.draw() }))
    }
}

#[derive(Debug)]
struct Dropout {
    name: String,
    rate: f64,
    seed: u64,
}

impl Dropout {
    /// The factor of each element in a step: 0 or `1 / (1 - rate)`. A function of its place and
    /// the step, so that neither threads nor a resumed run change it, and nothing is stored.
    fn mask<T: NetScalar>(&self, step: u64) -> impl Fn(usize) -> T + Sync + use<T> {
        let kept = T::from_f64(1.0 / (1.0 - self.rate));
        // 2^53 values of equal probability, as many as an f64 in [0, 1) can tell apart.
        let threshold = (self.rate * (1_u64 << 53) as f64) as u64;
        let stream = mix(self.seed ^ mix(step));
        move |i| {
            let random = mix(stream.wrapping_add((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            if random >> 11 < threshold { T::ZERO } else { kept }
        }
    }
}

impl<T: NetScalar> Layer<T> for Dropout {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self) -> String {
        format!("dropout {}", self.rate)
    }

    fn is_identity(&self, training: bool) -> bool {
        !training
    }

    fn reads(&self, _tail: Tail) -> Reads {
        Reads::NEITHER
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, NetError> {
        Ok(input)
    }

    fn forward(
        &self,
        x: View4<'_, T>,
        mut y: ViewMut4<'_, T>,
        state: &mut State<T>,
        mode: Mode,
    ) -> Result<(), NetError> {
        check(&self.name, "the output", y.shape(), x.shape())?;
        match mode {
            Mode::Train { step } => {
                state.step = Some(step);
                let mask = self.mask::<T>(step);
                map_indexed_into(x.data(), y.data_mut(), |i, x| x * mask(i));
            }
            Mode::Eval => {
                state.step = None;
                y.data_mut().copy_from_slice(x.data());
            }
        }
        Ok(())
    }

    fn backward(
        &mut self,
        gradient: Gradient<'_, T>,
        dx: Option<ViewMut4<'_, T>>,
        state: &mut State<T>,
    ) -> Result<(), NetError> {
        check_gradient(self, &gradient, dx.as_ref())?;
        let Some(mut dx) = dx else { return Ok(()) };
        match state.step {
            Some(step) => {
                let mask = self.mask::<T>(step);
                map_indexed_into(gradient.dy.data(), dx.data_mut(), |i, dy| dy * mask(i));
            }
            None => dx.data_mut().copy_from_slice(gradient.dy.data()),
        }
        Ok(())
    }
}
