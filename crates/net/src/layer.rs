//! What a layer is.

use std::sync::Arc;

use conv::{PackedWeights, Workspace};
use tensor4::{Shape4, View4, ViewMut4};

use crate::{Misfit, NetError, NetScalar, Parameter, Reads, Role, Seeds, Tail};

/// Why a forward pass runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To be followed by a backward pass; dropout drops.
    Train {
        /// The step of the training. It alone decides, with the seed of a layer, what random
        /// layers draw, so that a run can be repeated or resumed.
        step: u64,
    },
    /// To evaluate; nothing is random.
    Eval,
}

/// What one layer keeps from the forward to the backward pass, beside its input and output, and
/// its scratch memory. It belongs to a [`Tape`](crate::Tape), not to the layer, so that one
/// network can run several batches at a time.
#[derive(Debug, Default)]
pub struct State<T> {
    /// Scratch memory of convolutions.
    pub workspace: Workspace<T>,
    /// Which pixel of its window each maximum of a pool is.
    pub taps: Vec<u8>,
    /// The layer's [packed](Layer::pack) weights, if they don't change.
    pub packed: Option<Arc<PackedWeights<T>>>,
    /// The gradient by what the layer computes before its [tail](Tail).
    pub gradient: Vec<T>,
    /// The mode of the last forward pass, for layers that differ by it.
    pub step: Option<u64>,
    /// Numbers of the forward pass that the backward pass needs again, such as the mean of a
    /// batch.
    pub values: Vec<T>,
    /// Whether the last forward pass has yet to be counted in a running statistic.
    pub pending: bool,
}

impl<T: NetScalar> State<T> {
    /// An empty state.
    #[must_use]
    pub fn new() -> Self {
        Self {
            workspace: Workspace::new(),
            taps: Vec::new(),
            packed: None,
            gradient: Vec::new(),
            step: None,
            values: Vec::new(),
            pending: false,
        }
    }

    /// The first `len` of the [`values`](Self::values), as many as that if there were fewer.
    pub(crate) fn values_mut(&mut self, len: usize) -> &mut [T] {
        Self::grown(&mut self.values, len)
    }

    /// As [`values_mut`](Self::values_mut), to be used beside other parts of a state.
    pub(crate) fn grown(values: &mut Vec<T>, len: usize) -> &mut [T] {
        if values.len() < len {
            values.resize(len, T::ZERO);
        }
        &mut values[..len]
    }
}

/// What a backward pass starts from: input and output of the forward pass, and the gradient of
/// the loss by the output.
#[derive(Debug, Clone, Copy)]
pub struct Gradient<'a, T> {
    /// The input of the forward pass.
    pub x: View4<'a, T>,
    /// Its output.
    pub y: View4<'a, T>,
    /// The gradient of the loss by the output, in its shape.
    pub dy: View4<'a, T>,
}

/// One layer of a network.
///
/// A layer knows the shape of the images that it takes, not their number: every call may have
/// another batch size.
pub trait Layer<T: NetScalar>: Send + Sync {
    /// The name within its network, such as `conv1`.
    fn name(&self) -> &str;

    /// What it is, for tables, such as `conv 5x5, 30 filters`.
    fn describe(&self) -> String;

    /// The shape of the output for an input of the given shape.
    ///
    /// # Errors
    ///
    /// [`NetError::Layer`] if the layer does not take such images.
    fn output_shape(&self, input: Shape4) -> Result<Shape4, NetError>;

    /// Computes the output; overwrites `y`.
    ///
    /// # Errors
    ///
    /// If `x` is not of a shape that the layer takes, or `y` not of the shape that follows.
    fn forward(
        &self,
        x: View4<'_, T>,
        y: ViewMut4<'_, T>,
        state: &mut State<T>,
        mode: Mode,
    ) -> Result<(), NetError>;

    /// Computes the gradients of the loss: by the input into `dx`, if it is given, by the
    /// parameters into their `grad`. Overwrites both. The state is that of the forward pass in
    /// training mode with the same input.
    ///
    /// # Errors
    ///
    /// If a shape does not fit.
    fn backward(
        &mut self,
        gradient: Gradient<'_, T>,
        dx: Option<ViewMut4<'_, T>>,
        state: &mut State<T>,
    ) -> Result<(), NetError>;

    /// What the layer before it may do in its stead.
    fn role(&self) -> Role {
        Role::Other
    }

    /// Whether it can compute the layers of `tail` in its own pass.
    fn fuses(&self, tail: Tail) -> bool {
        tail == Tail::Nothing
    }

    /// As [`forward`](Self::forward), with the layers of a tail that it [fuses](Self::fuses): `y`
    /// is the output of the last of them. The result is that of the layers one by one.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward).
    fn forward_fused(
        &self,
        tail: Tail,
        x: View4<'_, T>,
        y: ViewMut4<'_, T>,
        state: &mut State<T>,
        mode: Mode,
    ) -> Result<(), NetError> {
        debug_assert_eq!(tail, Tail::Nothing, "{} computes no other layer", self.name());
        self.forward(x, y, state, mode)
    }

    /// As [`backward`](Self::backward), after [`forward_fused`](Self::forward_fused) with the same
    /// tail: `gradient.y` is the output of the last layer of the tail, and `gradient.dy` the
    /// gradient by it.
    ///
    /// # Errors
    ///
    /// As [`backward`](Self::backward).
    fn backward_fused(
        &mut self,
        tail: Tail,
        gradient: Gradient<'_, T>,
        dx: Option<ViewMut4<'_, T>>,
        state: &mut State<T>,
    ) -> Result<(), NetError> {
        debug_assert_eq!(tail, Tail::Nothing, "{} computes no other layer", self.name());
        self.backward(gradient, dx, state)
    }

    /// What the backward pass, with the layers of a tail, reads of the [`Gradient`] beside `dy`.
    /// The elements of what it does not read may be anything.
    fn reads(&self, _tail: Tail) -> Reads {
        Reads::BOTH
    }

    /// Whether the elements of the output are those of the input, in training or else in
    /// evaluation. Such a layer need not run, and the gradient passes it unchanged.
    fn is_identity(&self, _training: bool) -> bool {
        false
    }

    /// Its weights, packed for a forward pass that finds them in [`State::packed`]; if that saves
    /// time.
    ///
    /// # Errors
    ///
    /// If they can't be packed.
    fn pack(&self) -> Result<Option<PackedWeights<T>>, NetError> {
        Ok(None)
    }

    /// What belongs to the layer's weights, if anything: weight, then bias, then statistics that
    /// are [not trained](Parameter::is_trained).
    fn parameters(&self) -> &[Parameter<T>] {
        &[]
    }

    /// As [`parameters`](Self::parameters), to be changed.
    fn parameters_mut(&mut self) -> &mut [Parameter<T>] {
        &mut []
    }

    /// Multiplications (each with an addition) of a forward pass; 0 where there are none to
    /// speak of.
    fn multiply_adds(&self, _input: Shape4) -> u64 {
        0
    }
}

/// The plan of a layer, before it has a name, an input and weights.
///
/// [`Builder`](crate::Builder) asks every plan of a network for its output shape before it makes
/// the first weight.
pub trait LayerSpec<T: NetScalar>: Send {
    /// The stem of the layer's name, such as `conv`, to which the builder adds a number.
    fn stem(&self) -> &'static str;

    /// The shape of the output for an input of the given shape.
    ///
    /// # Errors
    ///
    /// What does not fit.
    fn output_shape(&self, input: Shape4) -> Result<Shape4, Misfit>;

    /// How many numbers its parameters hold at least, for images of the given shape; 0 unless the layer says
    /// otherwise. Saturates.
    fn parameters(&self, input: Shape4) -> usize {
        let _ = input;
        0
    }

    /// Makes the layer, with weights drawn by `init` (where the layer has none of its own) and
    /// the given seeds, for images of the given shape.
    ///
    /// # Errors
    ///
    /// What does not fit.
    fn build(
        self: Box<Self>,
        name: String,
        input: Shape4,
        init: crate::Init,
        seeds: &mut Seeds,
    ) -> Result<Box<dyn Layer<T>>, Misfit>;
}

/// The error of a layer that does not fit its input.
pub(crate) fn misfit(layer: &str, input: Shape4, reason: impl Into<Misfit>) -> NetError {
    let [_, in_c, in_h, in_w] = input.dims();
    let reason = Box::new(reason.into());
    NetError::Layer { layer: layer.to_owned(), in_c, in_h, in_w, reason }
}

/// Whether a tensor has the shape that it must have.
pub(crate) fn check(
    layer: &str,
    what: &'static str,
    actual: Shape4,
    expected: Shape4,
) -> Result<(), NetError> {
    if actual == expected {
        Ok(())
    } else {
        Err(NetError::Shape { operation: layer.to_owned(), what, actual, expected })
    }
}

/// Checks the tensors of a backward pass against each other.
pub(crate) fn check_gradient<T: NetScalar>(
    layer: &impl Layer<T>,
    gradient: &Gradient<'_, T>,
    dx: Option<&ViewMut4<'_, T>>,
) -> Result<(), NetError> {
    let Gradient { x, y, dy } = gradient;
    check(layer.name(), "the output", y.shape(), layer.output_shape(x.shape())?)?;
    check(layer.name(), "dy", dy.shape(), y.shape())?;
    match dx {
        Some(dx) => check(layer.name(), "dx", dx.shape(), x.shape()),
        None => Ok(()),
    }
}
