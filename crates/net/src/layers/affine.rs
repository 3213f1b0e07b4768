//! The affine (fully connected) layer.

use conv::Affine as Map;
use tensor4::{Shape4, Tensor4, View4, ViewMut4};

use super::activation::{rectified, rectified_gradient};
use crate::layer::{check, check_gradient, misfit};
use crate::parallel::{update, zip_into};
use crate::{
    Gradient, Init, Layer, LayerSpec, Misfit, Mode, NetError, NetScalar, Parameter, Reads, Seeds,
    State, Tail,
};

/// The plan of an affine layer; see [`affine`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AffineSpec {
    out_features: usize,
    in_features: Option<usize>,
    init: Option<Init>,
}

/// `y = x W^T + b`, with each image taken as one row of `x`: `(N, C, H, W)` counts as the matrix
/// `(N, C * H * W)`. `W` is `(out, in)`, as PyTorch's; `y` is the matrix `(N, out)`.
#[must_use]
pub const fn affine(out_features: usize) -> AffineSpec {
    AffineSpec { out_features, in_features: None, init: None }
}

impl AffineSpec {
    /// Refuses to be built for another number of input features.
    #[must_use]
    pub const fn in_features(self, in_features: usize) -> Self {
        Self { in_features: Some(in_features), ..self }
    }

    /// Draws the weights otherwise than the rest of the network.
    #[must_use]
    pub const fn init(self, init: Init) -> Self {
        Self { init: Some(init), ..self }
    }
}

impl<T: NetScalar> LayerSpec<T> for AffineSpec {
    fn stem(&self) -> &'static str {
        "affine"
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, Misfit> {
        let actual = input.image_len();
        match self.in_features {
            Some(expected) if expected != actual => Err(Misfit::Features { actual, expected }),
            _ => {
                Shape4::matrix(self.out_features, actual)?;
                Ok(Shape4::matrix(input.n(), self.out_features)?)
            }
        }
    }

    fn parameters(&self, input: Shape4) -> usize {
        self.out_features.saturating_mul(input.image_len().saturating_add(1))
    }

    fn build(
        self: Box<Self>,
        name: String,
        input: Shape4,
        init: Init,
        seeds: &mut Seeds,
    ) -> Result<Box<dyn Layer<T>>, Misfit> {
        let (fan_out, fan_in) = (self.out_features, input.image_len());
        let shape = Shape4::matrix(fan_out, fan_in)?;
        let weight = Init::choose(self.init, init).draw(shape, fan_in, fan_out, seeds.draw());
        let bias = Tensor4::zeros(Shape4::matrix(fan_out, 1)?);
        let parameters = [
            Parameter::new(format!("{name}.weight"), weight, 2),
            Parameter::new(format!("{name}.bias"), bias, 1),
        ];
        let description = format!("affine {fan_in} -> {fan_out}");
        let map = Map::new(fan_in, fan_out);
        Ok(Box::new(Affine { name, description, map, input: None, parameters }))
    }
}

/// Also the layer of a convolution whose window is the whole image.
#[derive(Debug)]
pub(super) struct Affine<T> {
    name: String,
    description: String,
    map: Map,
    /// The only images that it takes, if not all of so many pixels.
    input: Option<Shape4>,
    /// Weight `(out, in)`, or `(out, C, H, W)` of a convolution, and bias `(out)`.
    parameters: [Parameter<T>; 2],
}

impl<T: NetScalar> Affine<T> {
    /// A layer for images of the shape of `input` alone, with parameters that are there already.
    pub(super) fn new(
        name: String,
        description: String,
        input: Shape4,
        parameters: [Parameter<T>; 2],
    ) -> Self {
        let shape = parameters[0].shape();
        let map = Map::new(shape.image_len(), shape.n());
        Self { name, description, map, input: Some(input), parameters }
    }

    /// `(out, in)`.
    fn features(&self) -> (usize, usize) {
        let shape = self.parameters[0].shape();
        (shape.n(), shape.image_len())
    }
}

impl<T: NetScalar> Layer<T> for Affine<T> {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self) -> String {
        self.description.clone()
    }

    fn fuses(&self, tail: Tail) -> bool {
        matches!(tail, Tail::Nothing | Tail::Relu)
    }

    fn reads(&self, tail: Tail) -> Reads {
        if tail == Tail::Nothing { Reads::X } else { Reads::BOTH }
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, NetError> {
        let (out_features, expected) = self.features();
        if let Some(fits) = self.input {
            check(&self.name, "the input", input, fits.with_n(input.n())?)?;
        }
        let actual = input.image_len();
        if actual != expected {
            return Err(misfit(&self.name, input, Misfit::Features { actual, expected }));
        }
        Ok(Shape4::matrix(input.n(), out_features)?)
    }

    fn forward(
        &self,
        x: View4<'_, T>,
        y: ViewMut4<'_, T>,
        state: &mut State<T>,
        mode: Mode,
    ) -> Result<(), NetError> {
        self.forward_fused(Tail::Nothing, x, y, state, mode)
    }

    fn forward_fused(
        &self,
        tail: Tail,
        x: View4<'_, T>,
        y: ViewMut4<'_, T>,
        state: &mut State<T>,
        _mode: Mode,
    ) -> Result<(), NetError> {
        check(&self.name, "the output", y.shape(), self.output_shape(x.shape())?)?;
        let [weight, bias] = self.parameters.each_ref().map(|p| p.value().data());
        let y = y.into_data();
        self.map.forward(x.data(), weight, bias, y, &mut state.values);
        if tail == Tail::Relu {
            y.iter_mut().for_each(|y| *y = rectified(*y));
        }
        Ok(())
    }

    fn backward(
        &mut self,
        gradient: Gradient<'_, T>,
        dx: Option<ViewMut4<'_, T>>,
        state: &mut State<T>,
    ) -> Result<(), NetError> {
        self.backward_fused(Tail::Nothing, gradient, dx, state)
    }

    fn backward_fused(
        &mut self,
        tail: Tail,
        gradient: Gradient<'_, T>,
        dx: Option<ViewMut4<'_, T>>,
        state: &mut State<T>,
    ) -> Result<(), NetError> {
        check_gradient(self, &gradient, dx.as_ref())?;
        let Gradient { x, y, dy } = gradient;
        let dy = match tail {
            Tail::Relu => {
                let own = State::grown(&mut state.gradient, dy.shape().len());
                zip_into(y.data(), dy.data(), own, rectified_gradient);
                &*own
            }
            Tail::Nothing | Tail::ReluMaxPool => dy.data(),
        };
        let (out_features, _) = self.features();
        let [weight, bias] = &mut self.parameters;
        self.map.backward_weights(x.data(), dy, weight.grad_mut().data_mut());

        // The sum over the batch, in its order.
        let db = bias.grad_mut().data_mut();
        db.fill(T::ZERO);
        for dy in dy.chunks_exact(out_features.max(1)) {
            update(db, dy, |db, dy| *db += dy);
        }

        if let Some(dx) = dx {
            let weight = weight.value().data();
            self.map.backward_data(weight, dy, dx.into_data(), &mut state.values);
        }
        Ok(())
    }

    fn parameters(&self) -> &[Parameter<T>] {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut [Parameter<T>] {
        &mut self.parameters
    }

    fn multiply_adds(&self, input: Shape4) -> u64 {
        let (out_features, in_features) = self.features();
        (input.n() as u64).saturating_mul((out_features * in_features) as u64)
    }
}
