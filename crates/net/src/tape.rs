//! What a pass through a network leaves behind.

use tensor4::{Shape4, Tensor4};

use crate::clock::Clock;
use crate::{LayerTime, NetScalar, State};

/// The activations of one batch, the states of the layers and the gradients between them.
///
/// It belongs to whoever runs the network, so that one network can serve several batches at a
/// time, each with a tape of its own. It starts empty, grows to the largest batch that it has
/// seen, and is reused from call to call.
#[derive(Debug, Default)]
pub struct Tape<T> {
    /// The input, then the output of each layer.
    pub(crate) activations: Vec<Buffer<T>>,
    /// The gradients by the output and by the input of the layer at work.
    pub(crate) gradients: [Buffer<T>; 2],
    pub(crate) states: Vec<State<T>>,
    /// How many images the last forward pass had, if a backward pass may follow it.
    pub(crate) trained: Option<usize>,
    pub(crate) clock: Clock,
}

impl<T: NetScalar> Tape<T> {
    /// An empty tape.
    #[must_use]
    pub fn new() -> Self {
        Self {
            activations: Vec::new(),
            gradients: [Buffer::new(), Buffer::new()],
            states: Vec::new(),
            trained: None,
            clock: Clock::default(),
        }
    }

    /// Whether passes from now on measure how long each layer takes.
    pub fn measure_layers(&mut self, wanted: bool) {
        self.clock.ask(wanted);
    }

    /// How long each layer took in the last passes, or nothing if they did not
    /// [measure](Self::measure_layers) it.
    #[must_use]
    pub fn layer_times(&self) -> &[LayerTime] {
        self.clock.times()
    }

    /// The output of layer `index` in the last forward pass, or `None` if there was none.
    #[must_use]
    pub fn output(&self, index: usize) -> Option<Tensor4<T>> {
        let buffer = self.activations.get(index + 1)?;
        let shape = buffer.shape?;
        Tensor4::from_vec(shape, buffer.data[..shape.len()].to_vec()).ok()
    }
}

/// Memory for tensors of changing shape.
#[derive(Debug, Default)]
pub(crate) struct Buffer<T> {
    data: Vec<T>,
    shape: Option<Shape4>,
}

impl<T: NetScalar> Buffer<T> {
    pub(crate) const fn new() -> Self {
        Self { data: Vec::new(), shape: None }
    }

    /// Makes it a tensor of the given shape, with arbitrary elements.
    pub(crate) fn set_shape(&mut self, shape: Shape4) {
        if self.data.len() < shape.len() {
            self.data.resize(shape.len(), T::ZERO);
        }
        self.shape = Some(shape);
    }

    fn shape(&self) -> Shape4 {
        self.shape.expect("the shape of a buffer is set before it is used")
    }

    pub(crate) fn view(&self) -> tensor4::View4<'_, T> {
        let shape = self.shape();
        tensor4::View4::new(shape, &self.data[..shape.len()]).expect("cut to the shape")
    }

    pub(crate) fn view_mut(&mut self) -> tensor4::ViewMut4<'_, T> {
        let shape = self.shape();
        tensor4::ViewMut4::new(shape, &mut self.data[..shape.len()]).expect("cut to the shape")
    }
}
