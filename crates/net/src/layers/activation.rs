//! Functions of one element: ReLU, leaky ReLU, sigmoid, tanh.

use tensor4::{Shape4, ViewMut4};

use crate::layer::{check, check_gradient};
use crate::parallel::{map_into, zip_into};
use crate::{
    Gradient, Init, Layer, LayerSpec, Misfit, Mode, NetError, NetScalar, Reads, Role, Seeds, State,
    Tail,
};
use tensor4::View4;

/// Which function.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Function {
    Relu,
    /// With the slope below 0.
    LeakyRelu(f64),
    Sigmoid,
    Tanh,
}

/// The plan of an activation; see [`relu`], [`leaky_relu`], [`sigmoid`] and [`tanh`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActivationSpec(Function);

/// `max(x, 0)`; its gradient at 0 is 0, as PyTorch's. NaN stays NaN.
#[must_use]
pub const fn relu() -> ActivationSpec {
    ActivationSpec(Function::Relu)
}

/// `x` above 0, `slope * x` elsewhere; its gradient at 0 is the slope, as PyTorch's. NaN stays NaN.
/// Maas, Hannun and Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models", 2013,
/// with a slope of 0.01.
#[must_use]
pub const fn leaky_relu(slope: f64) -> ActivationSpec {
    ActivationSpec(Function::LeakyRelu(slope))
}

/// `1 / (1 + exp(-x))`.
#[must_use]
pub const fn sigmoid() -> ActivationSpec {
    ActivationSpec(Function::Sigmoid)
}

/// The hyperbolic tangent.
#[must_use]
pub const fn tanh() -> ActivationSpec {
    ActivationSpec(Function::Tanh)
}

impl Function {
    const fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::LeakyRelu(_) => "leakyrelu",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
        }
    }
}

/// ReLU. Not `x > 0 ? x : 0`, which would turn NaN into 0.
#[inline(always)]
pub(super) fn rectified<T: NetScalar>(x: T) -> T {
    if x < T::ZERO { T::ZERO } else { x }
}

/// The gradient by the input of ReLU, which follows from its output: `dy` where that is above 0 or
/// NaN, as PyTorch's.
#[inline(always)]
pub(super) fn rectified_gradient<T: NetScalar>(y: T, dy: T) -> T {
    if y <= T::ZERO { T::ZERO } else { dy }
}

impl<T: NetScalar> LayerSpec<T> for ActivationSpec {
    fn stem(&self) -> &'static str {
        self.0.name()
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, Misfit> {
        if let Function::LeakyRelu(value) = self.0
            && !value.is_finite()
        {
            let (setting, allowed) = ("the slope below 0", "a finite number would fit");
            return Err(Misfit::Setting { setting, value, allowed });
        }
        Ok(input)
    }

    fn build(
        self: Box<Self>,
        name: String,
        _input: Shape4,
        _init: Init,
        _seeds: &mut Seeds,
    ) -> Result<Box<dyn Layer<T>>, Misfit> {
        Ok(Box::new(Activation { name, function: self.0 }))
    }
}

#[derive(Debug)]
struct Activation {
    name: String,
    function: Function,
}

impl<T: NetScalar> Layer<T> for Activation {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self) -> String {
        match self.function {
            Function::LeakyRelu(slope) => format!("leaky relu, slope {slope}"),
            function => function.name().to_owned(),
        }
    }

    fn role(&self) -> Role {
        if self.function == Function::Relu { Role::Relu } else { Role::Other }
    }

    fn reads(&self, _tail: Tail) -> Reads {
        if let Function::LeakyRelu(_) = self.function { Reads::X } else { Reads::Y }
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, NetError> {
        Ok(input)
    }

    fn forward(
        &self,
        x: View4<'_, T>,
        mut y: ViewMut4<'_, T>,
        _state: &mut State<T>,
        _mode: Mode,
    ) -> Result<(), NetError> {
        check(&self.name, "the output", y.shape(), x.shape())?;
        let (x, y) = (x.data(), y.data_mut());
        match self.function {
            Function::Relu => map_into(x, y, rectified),
            Function::LeakyRelu(slope) => {
                let slope = T::from_f64(slope);
                map_into(x, y, |x| if x > T::ZERO { x } else { slope * x });
            }
            // exp(-x) may overflow to infinity, of which the quotient is the right 0.
            Function::Sigmoid => map_into(x, y, |x| T::ONE / (T::ONE + (-x).exp())),
            Function::Tanh => map_into(x, y, T::tanh),
        }
        Ok(())
    }

    /// All but one follow from the output alone: relu' = [y > 0], sigmoid' = y (1 - y),
    /// tanh' = 1 - y^2.
    fn backward(
        &mut self,
        gradient: Gradient<'_, T>,
        dx: Option<ViewMut4<'_, T>>,
        _state: &mut State<T>,
    ) -> Result<(), NetError> {
        check_gradient(self, &gradient, dx.as_ref())?;
        let Some(mut dx) = dx else { return Ok(()) };
        let (y, dy, dx) = (gradient.y.data(), gradient.dy.data(), dx.data_mut());
        match self.function {
            Function::Relu => zip_into(y, dy, dx, rectified_gradient),
            Function::LeakyRelu(slope) => {
                // By the input: a slope below 0 would make both signs of it positive.
                let slope = T::from_f64(slope);
                let by = |x, dy| if x > T::ZERO { dy } else { slope * dy };
                zip_into(gradient.x.data(), dy, dx, by);
            }
            Function::Sigmoid => zip_into(y, dy, dx, |y, dy| dy * y * (T::ONE - y)),
            Function::Tanh => zip_into(y, dy, dx, |y, dy| dy * (T::ONE - y * y)),
        }
        Ok(())
    }
}
