//! What a pass through a network leaves behind.

use tensor4::{Shape4, Tensor4, View4, ViewMut4};

use crate::clock::Clock;
use crate::plan::Purpose;
use crate::{LayerTime, Mode, NetScalar, State};

/// The activations of one batch, the states of the layers and the gradients between them.
///
/// It belongs to whoever runs the network, so that one network can serve several batches at a
/// time, each with a tape of its own. It starts empty, grows to the largest batch that it has
/// seen, and is reused from call to call.
///
/// [`new`](Self::new) keeps as little as it can: layers run in one pass where they can, and memory
/// serves one tensor after another. A tape that is [`recording`](Self::recording) keeps the output
/// of every layer.
#[derive(Debug, Default)]
pub struct Tape<T> {
    record: bool,
    /// Memory for input and outputs, as the plan of the network says.
    pub(crate) slots: Vec<Buffer<T>>,
    /// Of a tape that is recording: the shapes of the outputs.
    pub(crate) recorded: Vec<Shape4>,
    /// The gradients by the output and by the input of the layer at work.
    pub(crate) gradients: [Buffer<T>; 2],
    pub(crate) states: Vec<State<T>>,
    /// The network of the last forward pass and the number of its images, if a backward pass may
    /// follow it.
    pub(crate) trained: Option<(u64, usize)>,
    pub(crate) clock: Clock,
}

impl<T: NetScalar> Tape<T> {
    /// An empty tape.
    #[must_use]
    pub fn new() -> Self {
        Self {
            record: false,
            slots: Vec::new(),
            recorded: Vec::new(),
            gradients: [Buffer::new(), Buffer::new()],
            states: Vec::new(),
            trained: None,
            clock: Clock::default(),
        }
    }

    /// An empty tape that will keep the [output](Self::output) of every layer. The results are
    /// the same; passes take more time and memory.
    #[must_use]
    pub fn recording() -> Self {
        Self { record: true, ..Self::new() }
    }

    /// Whether passes from now on measure how long each layer takes, with those that it computes in
    /// its pass.
    pub fn measure_layers(&mut self, wanted: bool) {
        self.clock.ask(wanted);
    }

    /// How long each layer took in the last passes, or nothing if they did not
    /// [measure](Self::measure_layers) it.
    #[must_use]
    pub fn layer_times(&self) -> &[LayerTime] {
        self.clock.times()
    }

    /// The output of layer `index` in the last forward pass, or `None` if there was none or the
    /// tape was not [recording](Self::recording).
    #[must_use]
    pub fn output(&self, index: usize) -> Option<Tensor4<T>> {
        let shape = *self.recorded.get(index)?;
        Some(self.slots[index + 1].view(shape).to_tensor())
    }

    pub(crate) fn purpose(&self, mode: Mode) -> Purpose {
        match (self.record, mode) {
            (true, _) => Purpose::Record,
            (false, Mode::Train { .. }) => Purpose::Train,
            (false, Mode::Eval) => Purpose::Infer,
        }
    }
}

/// Memory for tensors of changing shape.
#[derive(Debug, Default)]
pub(crate) struct Buffer<T> {
    data: Vec<T>,
}

impl<T: NetScalar> Buffer<T> {
    pub(crate) const fn new() -> Self {
        Self { data: Vec::new() }
    }

    /// The tensor of the given shape that was written last.
    pub(crate) fn view(&self, shape: Shape4) -> View4<'_, T> {
        View4::new(shape, &self.data[..shape.len()]).expect("cut to the shape")
    }

    /// Memory for a tensor of the given shape, with arbitrary elements.
    pub(crate) fn view_mut(&mut self, shape: Shape4) -> ViewMut4<'_, T> {
        let len = shape.len();
        if self.data.len() < len {
            // What it holds is of no use any more: nothing is copied, and nothing held in store.
            self.data.clear();
            self.data.reserve_exact(len);
            self.data.resize(len, T::ZERO);
        }
        ViewMut4::new(shape, &mut self.data[..len]).expect("cut to the shape")
    }
}
