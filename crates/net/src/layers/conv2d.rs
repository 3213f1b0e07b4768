//! The convolution layer.

use conv::{
    Algorithm, Backward, Conv2d as Convolution, Conv2dPlan, Epilogue, Options, PackedWeights,
    PooledGradients, Update,
};
use im2col::{Padding, Window};
use tensor4::{Shape4, Tensor4, View4, ViewMut4};

use super::affine::Affine;
use crate::layer::{check, misfit};
use crate::{
    Gradient, Init, Layer, LayerSpec, Misfit, Mode, NetError, NetScalar, Parameter, Reads, Seeds,
    State, Tail,
};

/// The plan of a convolution layer; see [`conv2d`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv2dSpec {
    out_channels: usize,
    window: Window,
    groups: usize,
    algorithm: Algorithm,
    same: Option<Same>,
    init: Option<Init>,
}

/// Which sides have more padding where it is odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Same {
    Upper,
    Lower,
}

/// A convolution with `out_channels` filters and a bias for each, over all channels that arrive:
/// `(N, C, H, W)` to `(N, OC, OH, OW)`.
#[must_use]
pub fn conv2d(out_channels: usize, window: Window) -> Conv2dSpec {
    let algorithm = Algorithm::default();
    Conv2dSpec { out_channels, window, groups: 1, algorithm, same: None, init: None }
}

impl Conv2dSpec {
    /// Splits the channels into groups that don't see each other.
    #[must_use]
    pub const fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// Pads so that the output is `ceil(in / stride)` in both directions, whatever arrives, as
    /// [`Window::same_upper`] says: `SAME`. Replaces the padding of the window.
    #[must_use]
    pub const fn same(self) -> Self {
        Self { same: Some(Same::Upper), ..self }
    }

    /// As [`same`](Self::same), with the odd one at the top and the left: [`Window::same_lower`].
    #[must_use]
    pub const fn same_lower(self) -> Self {
        Self { same: Some(Same::Lower), ..self }
    }

    /// Asks for an algorithm.
    #[must_use]
    pub const fn algorithm(self, algorithm: Algorithm) -> Self {
        Self { algorithm, ..self }
    }

    /// Draws the weights otherwise than the rest of the network.
    #[must_use]
    pub const fn init(self, init: Init) -> Self {
        Self { init: Some(init), ..self }
    }

    fn plan(&self, input: Shape4) -> Result<Conv2dPlan, Misfit> {
        let [_, c, h, w] = input.dims();
        let window = match self.same {
            None => self.window,
            Some(Same::Upper) => self.window.same_upper(h, w),
            Some(Same::Lower) => self.window.same_lower(h, w),
        };
        let convolution = Convolution::new(c, h, w, self.out_channels, window).groups(self.groups);
        Ok(Conv2dPlan::new(convolution, Options::with_algorithm(self.algorithm))?)
    }
}

impl<T: NetScalar> LayerSpec<T> for Conv2dSpec {
    fn stem(&self) -> &'static str {
        "conv"
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, Misfit> {
        Ok(self.plan(input)?.output_shape(input.n())?)
    }

    fn parameters(&self, input: Shape4) -> usize {
        let weights = self.plan(input).map_or(0, |plan| plan.weight_shape().len());
        weights.saturating_add(self.out_channels)
    }

    fn build(
        self: Box<Self>,
        name: String,
        input: Shape4,
        init: Init,
        seeds: &mut Seeds,
    ) -> Result<Box<dyn Layer<T>>, Misfit> {
        let plan = self.plan(input)?;
        let shape = plan.weight_shape();
        let fan_in = shape.image_len();
        let fan_out = self.out_channels / self.groups * shape.plane_len();
        let weight = Init::choose(self.init, init).draw(shape, fan_in, fan_out, seeds.draw());
        let bias = Tensor4::zeros(Shape4::matrix(self.out_channels, 1)?);
        let parameters = [
            Parameter::new(format!("{name}.weight"), weight, 4),
            Parameter::new(format!("{name}.bias"), bias, 1),
        ];
        if self.algorithm == Algorithm::Auto && sees_all_at_once(plan.desc()) {
            // As a convolution it would be a matrix product that does not know it: each weight serves
            // every image once.
            let input = input.with_n(1)?;
            return Ok(Box::new(Affine::new(name, describe(plan.desc()), input, parameters)));
        }
        Ok(Box::new(Conv2d { name, plan, parameters }))
    }
}

/// Whether the window is the whole image, without padding: an affine map of its pixels.
fn sees_all_at_once(conv: &Convolution) -> bool {
    let Convolution { in_h, in_w, window, groups, .. } = *conv;
    groups == 1
        && window.padding == Padding::default()
        && (window.kernel_h, window.kernel_w) == (in_h, in_w)
}

fn describe(conv: &Convolution) -> String {
    let Convolution { out_channels, window, groups, .. } = *conv;
    let Window { kernel_h, kernel_w, stride_h, stride_w, .. } = window;
    let mut text = format!("conv {kernel_h}x{kernel_w}, {out_channels} filters");
    if (stride_h, stride_w) != (1, 1) {
        text += &format!(", stride {stride_h}x{stride_w}");
    }
    if groups != 1 {
        text += &format!(", {groups} groups");
    }
    text
}

#[derive(Debug)]
struct Conv2d<T> {
    name: String,
    plan: Conv2dPlan,
    /// Weight `(OC, C / groups, KH, KW)` and bias `(OC)`.
    parameters: [Parameter<T>; 2],
}

impl<T: NetScalar> Layer<T> for Conv2d<T> {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self) -> String {
        describe(self.plan.desc())
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, NetError> {
        let expected = self.plan.input_shape(input.n())?;
        check(&self.name, "the input", input, expected)?;
        self.plan.output_shape(input.n()).map_err(|e| misfit(&self.name, input, e))
    }

    fn fuses(&self, tail: Tail) -> bool {
        matches!(tail, Tail::Nothing | Tail::Relu | Tail::ReluMaxPool)
    }

    fn reads(&self, tail: Tail) -> Reads {
        if tail == Tail::Nothing { Reads::X } else { Reads::BOTH }
    }

    fn pack(&self) -> Result<Option<PackedWeights<T>>, NetError> {
        Ok(Some(self.plan.pack_weights(self.parameters[0].value().view())?))
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
        mode: Mode,
    ) -> Result<(), NetError> {
        let plan = &self.plan;
        let conv = self.output_shape(x.shape())?;
        let pools = tail == Tail::ReluMaxPool;
        let expected = if pools { plan.pooled_shape(x.shape().n())? } else { conv };
        check(&self.name, "the output", y.shape(), expected)?;
        let [weight, bias] = &self.parameters;
        let (w, bias) = (weight.value().view(), Some(bias.value().data()));
        let State { workspace, taps, packed, .. } = state;
        if pools {
            let argmax = match mode {
                Mode::Train { .. } => {
                    taps.resize(taps.len().max(expected.len()), 0);
                    Some(&mut taps[..expected.len()])
                }
                Mode::Eval => None,
            };
            match packed {
                Some(w) => plan.forward_packed_relu_pool_into(x, w, bias, y, argmax, workspace),
                None => plan.forward_relu_pool_into(x, w, bias, y, argmax, workspace),
            }
        } else {
            let relu = tail == Tail::Relu;
            let epilogue = if relu { Epilogue::Relu } else { Epilogue::default() };
            match packed {
                Some(w) => plan.forward_packed_into(x, w, bias, epilogue, y, workspace),
                None => plan.forward_fused_into(x, w, bias, epilogue, y, workspace),
            }
        }?;
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
        let Gradient { x, y, dy } = gradient;
        let State { workspace, taps, gradient: own, .. } = state;
        let (dy, relu) = match tail {
            Tail::Nothing => (dy, None),
            Tail::Relu => (dy, Some(y)),
            Tail::ReluMaxPool if dx.is_none() => {
                let argmax = &taps[..y.shape().len()];
                let given = PooledGradients { x, dy, y, argmax, update: Update::Overwrite };
                let [weight, bias] = &mut self.parameters;
                let (dw, db) = (weight.grad_mut().view_mut(), bias.grad_mut().data_mut());
                let plan = &self.plan;
                return Ok(plan.backward_relu_pool_weights_into(
                    &given,
                    dw,
                    Some(db),
                    workspace,
                )?);
            }
            Tail::ReluMaxPool => {
                let conv = self.output_shape(x.shape())?;
                let own = State::grown(own, conv.len());
                let (argmax, to) = (&taps[..y.shape().len()], ViewMut4::new(conv, own)?);
                self.plan.backward_relu_pool_into(dy, y, argmax, to)?;
                (View4::new(conv, own)?, None)
            }
        };
        let [weight, bias] = &mut self.parameters;
        let (w, dw) = weight.value_and_grad_mut();
        let given = Backward { x, w: w.view(), dy, relu, update: Update::Overwrite };
        let db = Some(bias.grad_mut().data_mut());
        Ok(self.plan.backward_into(&given, dx, dw.view_mut(), db, workspace)?)
    }

    fn parameters(&self) -> &[Parameter<T>] {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut [Parameter<T>] {
        &mut self.parameters
    }

    fn multiply_adds(&self, input: Shape4) -> u64 {
        self.plan.multiply_adds(input.n())
    }
}
