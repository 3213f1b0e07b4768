//! Forward and backward through a network.

use tensor4::{Tensor4, View4, ViewMut4};

use crate::layer::check;
use crate::parallel::in_pool;
use crate::plan::{Home, Purpose};
use crate::tape::Buffer;
use crate::{Gradient, Mode, NetError, NetScalar, Sequential, State, Tape};

impl<T: NetScalar> Sequential<T> {
    /// Runs a batch through the network. The result, the output of the last layer, stays on the
    /// tape, with all that a backward pass needs.
    ///
    /// # Errors
    ///
    /// [`NetError::Shape`] if the images are not of the shape that the network takes.
    pub fn forward<'t>(
        &self,
        x: View4<'_, T>,
        tape: &'t mut Tape<T>,
        mode: Mode,
    ) -> Result<View4<'t, T>, NetError> {
        let (purpose, n) = (tape.purpose(mode), x.shape().n());
        in_pool(|| self.run_forward(purpose, self.layers.len(), x, tape, mode))?;
        if let Mode::Train { .. } = mode {
            tape.trained = Some((self.id(), n));
        }
        Ok(self.output(tape, mode, n))
    }

    /// The output of the last layer after a forward pass of so many images.
    pub(crate) fn output<'t>(&self, tape: &'t Tape<T>, mode: Mode, n: usize) -> View4<'t, T> {
        let last = self.layers.len();
        let shape = self.shape(last, n).expect("the pass had this shape");
        match self.plan(tape.purpose(mode)).homes[last] {
            Home::Slot(slot) => tape.slots[slot].view(shape),
            Home::Nowhere | Home::Caller => unreachable!("the plan keeps the output"),
        }
    }

    /// Runs the first `count` layers.
    fn run_forward(
        &self,
        purpose: Purpose,
        count: usize,
        x: View4<'_, T>,
        tape: &mut Tape<T>,
        mode: Mode,
    ) -> Result<(), NetError> {
        let n = x.shape().n();
        check("the network", "the input", x.shape(), self.shape(0, n)?)?;
        let plan = self.plan(purpose);
        tape.trained = None;
        tape.recorded.clear();
        tape.clock.begin(self.layers.len());
        tape.states.resize_with(self.layers.len(), State::new);
        if tape.slots.len() < plan.slots {
            tape.slots.resize_with(plan.slots, Buffer::new);
        }
        if let Home::Slot(slot) = plan.homes[0] {
            tape.slots[slot].view_mut(x.shape()).data_mut().copy_from_slice(x.data());
        }
        for step in plan.steps.iter().take_while(|step| step.first < count) {
            let (input, output) = (self.shape(step.first, n)?, self.shape(step.output(), n)?);
            let (from, to) = (plan.homes[step.first], plan.homes[step.output()]);
            let (x, y) = match (from, to) {
                (Home::Caller, Home::Slot(to)) => (x.reshape(input)?, &mut tape.slots[to]),
                (Home::Slot(from), Home::Slot(to)) => {
                    let slots = tape.slots.get_disjoint_mut([from, to]);
                    let [x, y] = slots.expect("the plan keeps the input until it is read");
                    (x.view(input), y)
                }
                _ => unreachable!("the plan keeps what a step reads and writes"),
            };
            let y = y.view_mut(output);
            let (layer, state) = (&self.layers[step.first], &mut tape.states[step.first]);
            let pass = || layer.forward_fused(step.tail, x, y, state, mode);
            tape.clock.forward(step.first, pass)?;
        }
        if purpose == Purpose::Record {
            for layer in 0..count {
                tape.recorded.push(self.shape(layer + 1, n)?);
            }
        }
        Ok(())
    }

    /// Runs the gradient of the loss by the output back through the network, into the `grad` of
    /// every parameter (overwritten).
    ///
    /// The tape is that of a forward pass in training mode; a second backward pass over the same
    /// tape gives the same gradients.
    ///
    /// # Errors
    ///
    /// [`NetError::NoForward`] if there was none with as many images; [`NetError::Shape`].
    pub fn backward(&mut self, dy: View4<'_, T>, tape: &mut Tape<T>) -> Result<(), NetError> {
        let purpose = self.start_backward(dy, tape)?;
        in_pool(|| self.run_backward(purpose, self.layers.len(), dy.shape().n(), tape, false))
    }

    /// As [`backward`](Self::backward), and returns the gradient of the loss by the input.
    ///
    /// # Errors
    ///
    /// As [`backward`](Self::backward).
    pub fn backward_to_input(
        &mut self,
        dy: View4<'_, T>,
        tape: &mut Tape<T>,
    ) -> Result<Tensor4<T>, NetError> {
        let purpose = self.start_backward(dy, tape)?;
        in_pool(|| self.run_backward(purpose, self.layers.len(), dy.shape().n(), tape, true))?;
        let input = self.shape(0, dy.shape().n())?;
        Ok(tape.gradients[0].view(input).to_tensor())
    }

    /// The gradient by the input of something that is computed from the output of one layer, in
    /// evaluation mode: nothing is random, and running averages stand still.
    ///
    /// Runs `x` through the layers up to the one at `layer` and gives its output to `objective`,
    /// which writes the gradient of its value by that output (all 0 before) to its second
    /// argument. That is what pictures of a network are made from: ascent along this gradient
    /// finds the input that excites a unit (Erhan et al., "Visualizing higher-layer features of a
    /// deep network", 2009). The outputs up to `layer` stay on the tape; the `grad` of every
    /// parameter on the way is overwritten.
    ///
    /// # Errors
    ///
    /// [`NetError::NoLayer`] if the network has no such layer; [`NetError::Shape`] if the images
    /// are not of the shape that the network takes.
    pub fn gradient_by_input(
        &mut self,
        layer: usize,
        x: View4<'_, T>,
        tape: &mut Tape<T>,
        objective: impl FnOnce(View4<'_, T>, ViewMut4<'_, T>),
    ) -> Result<Tensor4<T>, NetError> {
        let layers = self.layers.len();
        if layer >= layers {
            return Err(NetError::NoLayer { layer, layers });
        }
        let n = x.shape().n();
        in_pool(|| self.run_forward(Purpose::Record, layer + 1, x, tape, Mode::Eval))?;
        let output = tape.slots[layer + 1].view(self.shape(layer + 1, n)?);
        let mut dy = tape.gradients[0].view_mut(output.shape());
        dy.fill(T::ZERO);
        objective(output, dy);
        in_pool(|| self.run_backward(Purpose::Record, layer + 1, n, tape, true))?;
        Ok(tape.gradients[0].view(x.shape()).to_tensor())
    }

    /// Puts the gradient by the output of the network where [`run_backward`](Self::run_backward)
    /// begins, and says how the forward pass ran.
    fn start_backward(&self, dy: View4<'_, T>, tape: &mut Tape<T>) -> Result<Purpose, NetError> {
        let n = dy.shape().n();
        if tape.trained != Some((self.id(), n)) {
            return Err(NetError::NoForward { n });
        }
        let output = self.shape(self.layers.len(), n)?;
        check("backward", "dy", dy.shape(), output)?;
        tape.gradients[0].view_mut(output).data_mut().copy_from_slice(dy.data());
        Ok(tape.purpose(Mode::Train { step: 0 }))
    }

    /// Goes back through the first `count` layers, from the gradient by the output of the last
    /// of them to that by the input of the network, if it is asked for; both in
    /// `tape.gradients[0]`.
    fn run_backward(
        &mut self,
        purpose: Purpose,
        count: usize,
        n: usize,
        tape: &mut Tape<T>,
        to_input: bool,
    ) -> Result<(), NetError> {
        let Self { layers, shapes, record, train, .. } = self;
        let plan = if purpose == Purpose::Record { record } else { train };
        let [current, next] = &mut tape.gradients;
        // Nobody asks for the gradients by what comes before the first weight in training.
        let end = if to_input { 0 } else { plan.first_trained };
        for (index, step) in plan.steps.iter().enumerate().skip(end).rev() {
            if step.first >= count {
                continue;
            }
            let (input, output) = (shapes[step.first].with_n(n)?, shapes[step.output()].with_n(n)?);
            let tensor = |index: usize, shape| match plan.homes[index] {
                Home::Slot(slot) => tape.slots[slot].view(shape),
                Home::Nowhere | Home::Caller => unreachable!("the plan keeps it"),
            };
            let (x, y) = (tensor(step.first, input), tensor(step.output(), output));
            let gradient = Gradient { x, y, dy: current.view(output) };
            let dx = (index > end || to_input).then(|| next.view_mut(input));
            let (layer, state) = (&mut layers[step.first], &mut tape.states[step.first]);
            let pass = || layer.backward_fused(step.tail, gradient, dx, state);
            tape.clock.backward(step.first, pass)?;
            std::mem::swap(current, next);
        }
        Ok(())
    }
}
