//! The logarithm of softmax.

use conv::parallel::pieces;
use tensor4::{Shape4, View4, ViewMut4};

use crate::layer::{check, check_gradient};
use crate::{Gradient, Init, Layer, LayerSpec, Misfit, Mode, NetError, NetScalar, Seeds, State};

/// The plan of a log-softmax layer; see [`log_softmax`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSoftmaxSpec;

/// `x[c] - ln(sum of exp(x[i]))` over the channels `i`, at each place: the logarithms of
/// probabilities. Shifted by the largest channel, so that no exponential overflows.
///
/// [`SoftmaxCrossEntropy`](crate::SoftmaxCrossEntropy) has it within; this layer is for networks
/// whose output shall be log-probabilities. Applied twice it is the same as once, so that the loss
/// stays right behind it.
#[must_use]
pub const fn log_softmax() -> LogSoftmaxSpec {
    LogSoftmaxSpec
}

impl<T: NetScalar> LayerSpec<T> for LogSoftmaxSpec {
    fn stem(&self) -> &'static str {
        "logsoftmax"
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, Misfit> {
        Ok(input)
    }

    fn build(
        self: Box<Self>,
        name: String,
        _input: Shape4,
        _init: Init,
        _seeds: &mut Seeds,
    ) -> Result<Box<dyn Layer<T>>, Misfit> {
        Ok(Box::new(LogSoftmax { name }))
    }
}

#[derive(Debug)]
struct LogSoftmax {
    name: String,
}

/// The channels at one place of an image.
fn channels<T: NetScalar>(
    image: &[T],
    place: usize,
    plane_len: usize,
) -> impl Iterator<Item = T> + Clone {
    image[place..].iter().step_by(plane_len).copied()
}

impl<T: NetScalar> Layer<T> for LogSoftmax {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self) -> String {
        "log-softmax".to_owned()
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, NetError> {
        Ok(input)
    }

    fn forward(
        &self,
        x: View4<'_, T>,
        y: ViewMut4<'_, T>,
        _state: &mut State<T>,
        _mode: Mode,
    ) -> Result<(), NetError> {
        check(&self.name, "the output", y.shape(), x.shape())?;
        let (image_len, plane_len) = (x.shape().image_len(), x.shape().plane_len());
        if x.shape().is_empty() {
            return Ok(());
        }
        pieces(y.into_data(), image_len, 1, &|image, y| {
            let x = x.image(image);
            for place in 0..plane_len {
                let x = channels(x, place, plane_len);
                // A NaN wins, and makes the whole place NaN.
                let greater = |max: T, x: T| if x > max || x.is_nan() { x } else { max };
                let max = x.clone().fold(T::NEG_INFINITY, greater);
                let sum: T = x.clone().map(|x| (x - max).exp()).sum();
                let ln = sum.ln();
                for (y, x) in y[place..].iter_mut().step_by(plane_len).zip(x) {
                    *y = x - max - ln;
                }
            }
        });
        Ok(())
    }

    /// `dx[c] = dy[c] - exp(y[c]) * sum of dy`.
    fn backward(
        &mut self,
        gradient: Gradient<'_, T>,
        dx: Option<ViewMut4<'_, T>>,
        _state: &mut State<T>,
    ) -> Result<(), NetError> {
        check_gradient(self, &gradient, dx.as_ref())?;
        let Gradient { y, dy, .. } = gradient;
        let (image_len, plane_len) = (y.shape().image_len(), y.shape().plane_len());
        let Some(dx) = dx.filter(|dx| !dx.shape().is_empty()) else { return Ok(()) };
        pieces(dx.into_data(), image_len, 1, &|image, dx| {
            for place in 0..plane_len {
                let [y, dy] = [y, dy].map(|all| channels(all.image(image), place, plane_len));
                let sum: T = dy.clone().sum();
                for (dx, (y, dy)) in dx[place..].iter_mut().step_by(plane_len).zip(y.zip(dy)) {
                    *dx = dy - y.exp() * sum;
                }
            }
        });
        Ok(())
    }
}
