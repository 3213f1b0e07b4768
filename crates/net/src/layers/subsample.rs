//! LeNet's subsampling: an average with a weight and a bias.

use conv::parallel::{piece, pieces, pieces_of_both};
use im2col::Window;
use tensor4::{Shape4, Tensor4, View4, ViewMut4};

use super::avg_pool::Averages;
use super::windows::Windows;
use crate::layer::{check, check_gradient};
use crate::parallel::{planes_per_task, sum_of, sum_of_pairs};
use crate::{
    Gradient, Init, Layer, LayerSpec, Misfit, Mode, NetError, NetScalar, Parameter, Seeds, State,
};

/// The plan of a subsampling layer; see [`subsample2d`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Subsample2dSpec {
    window: Window,
    coefficient: f64,
}

/// The average under the window, times a coefficient of the channel, plus a bias of the channel:
/// `(N, C, H, W)` to `(N, C, OH, OW)`. Training changes both. LeCun, Bottou, Bengio and Haffner,
/// "Gradient-Based Learning Applied to Document Recognition", 1998, where a sigmoid follows
/// (that is [`sigmoid`](super::sigmoid), added after this layer) and the window is 2x2 with
/// stride 2.
///
/// The paper multiplies the sum of the pixels, so that its coefficients are those of this layer
/// over the pixels of the window. Coefficients begin at 1, biases at 0.
#[must_use]
pub const fn subsample2d(window: Window) -> Subsample2dSpec {
    Subsample2dSpec { window, coefficient: 1.0 }
}

impl Subsample2dSpec {
    /// What the coefficients begin with.
    #[must_use]
    pub const fn coefficient(self, coefficient: f64) -> Self {
        Self { coefficient, ..self }
    }
}

impl<T: NetScalar> LayerSpec<T> for Subsample2dSpec {
    fn stem(&self) -> &'static str {
        "subsample"
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, Misfit> {
        Windows::new(input, self.window, false)?.output_shape(input)
    }

    fn parameters(&self, input: Shape4) -> usize {
        2 * input.c()
    }

    fn build(
        self: Box<Self>,
        name: String,
        input: Shape4,
        init: Init,
        _seeds: &mut Seeds,
    ) -> Result<Box<dyn Layer<T>>, Misfit> {
        let windows = Windows::new(input, self.window, false)?;
        let shape = Shape4::matrix(input.c(), 1)?;
        let coefficient = if init == Init::Zeros { 0.0 } else { self.coefficient };
        let weight = Tensor4::full(shape, T::from_f64(coefficient));
        let parameters = [
            Parameter::new(format!("{name}.weight"), weight, 1),
            Parameter::new(format!("{name}.bias"), Tensor4::zeros(shape), 1),
        ];
        let averages = Averages { windows, count_include_pad: true };
        Ok(Box::new(Subsample2d { name, averages, parameters }))
    }
}

#[derive(Debug)]
struct Subsample2d<T> {
    name: String,
    averages: Averages,
    /// Coefficient and bias, `(C)` each.
    parameters: [Parameter<T>; 2],
}

impl<T: NetScalar> Layer<T> for Subsample2d<T> {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self) -> String {
        self.averages.windows.describe("subsample")
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, NetError> {
        let Windows { in_h, in_w, .. } = self.averages.windows;
        let channels = self.parameters[0].shape().n();
        let expected = Shape4::new(input.n(), channels, in_h, in_w)?;
        check(&self.name, "the input", input, expected)?;
        self.averages.windows.expected_output(&self.name, input)
    }

    /// The averages stay in the state: the gradient by the coefficients needs them.
    fn forward(
        &self,
        x: View4<'_, T>,
        y: ViewMut4<'_, T>,
        state: &mut State<T>,
        _mode: Mode,
    ) -> Result<(), NetError> {
        let output = self.output_shape(x.shape())?;
        check(&self.name, "the output", y.shape(), output)?;
        if output.is_empty() {
            return Ok(());
        }
        let (in_len, out_len) = (self.averages.windows.in_len(), self.averages.windows.out_len());
        let [weight, bias] = self.parameters.each_ref().map(|p| p.value().data());
        let (y, averages) = (y.into_data(), state.values_mut(output.len()));
        let least = planes_per_task(in_len);
        pieces_of_both((y, out_len), (averages, out_len), least, &|plane, y, averages| {
            let channel = plane % weight.len();
            self.averages.forward_planes(piece(x.data(), plane, in_len), averages);
            for (y, &average) in y.iter_mut().zip(&*averages) {
                *y = average * weight[channel] + bias[channel];
            }
        });
        Ok(())
    }

    fn backward(
        &mut self,
        gradient: Gradient<'_, T>,
        dx: Option<ViewMut4<'_, T>>,
        state: &mut State<T>,
    ) -> Result<(), NetError> {
        check_gradient(self, &gradient, dx.as_ref())?;
        let Gradient { x, dy, .. } = gradient;
        let (n, len) = (x.shape().n(), dy.shape().len());
        let (in_len, out_len) = (self.averages.windows.in_len(), self.averages.windows.out_len());
        let [weight, bias] = &mut self.parameters;
        let channels = weight.shape().n();
        let averages = View4::new(dy.shape(), state.values_mut(len))?;
        let sum = |f: &dyn Fn(usize) -> f64| T::from_f64((0..n).map(f).sum());
        let (dw, db) = (weight.grad_mut().data_mut(), bias.grad_mut().data_mut());
        pieces_of_both((dw, 1), (db, 1), 1, &|c, dw, db| {
            dw[0] = sum(&|i| sum_of_pairs(averages.plane(i, c), dy.plane(i, c), |a, dy| a * dy));
            db[0] = sum(&|i| sum_of(dy.plane(i, c), |dy| dy));
        });
        let Some(dx) = dx.filter(|dx| !dx.shape().is_empty()) else { return Ok(()) };
        let (averages, weight) = (&self.averages, weight.value().data());
        pieces(dx.into_data(), in_len, planes_per_task(in_len), &|plane, dx| {
            let dy = piece(dy.data(), plane, out_len);
            averages.backward_planes(dy, weight[plane % channels], dx);
        });
        Ok(())
    }

    fn parameters(&self) -> &[Parameter<T>] {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut [Parameter<T>] {
        &mut self.parameters
    }
}
