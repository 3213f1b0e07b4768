//! A network whose layers follow one another.

use tensor4::{Shape4, Tensor4, View4, ViewMut4};

use crate::layer::check;
use crate::{
    Builder, Gradient, Layer, Mode, NetError, NetScalar, Optimizer, Parameter, State, Tape,
};

/// A network whose layers follow one another, made by a [`Builder`].
pub struct Sequential<T> {
    /// The shape of one image, with n = 1.
    input: Shape4,
    layers: Vec<Box<dyn Layer<T>>>,
}

/// One line of the table of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerSummary {
    /// The name of the layer.
    pub name: String,
    /// What it is.
    pub kind: String,
    /// The shape of its output for one image.
    pub output: Shape4,
    /// How many numbers training changes.
    pub parameters: usize,
    /// Multiplications, each with an addition, for one image.
    pub multiply_adds: u64,
}

impl<T: NetScalar> Sequential<T> {
    /// Begins the plan of a network for images of the given shape.
    #[must_use]
    pub fn builder(channels: usize, height: usize, width: usize) -> Builder<T> {
        Builder::new(channels, height, width)
    }

    pub(crate) fn from_layers(input: Shape4, layers: Vec<Box<dyn Layer<T>>>) -> Self {
        Self { input, layers }
    }

    /// The shape of one image, `(1, C, H, W)`.
    #[must_use]
    pub fn input_shape(&self) -> Shape4 {
        self.input
    }

    /// The layers, from input to output.
    #[must_use]
    pub fn layers(&self) -> &[Box<dyn Layer<T>>] {
        &self.layers
    }

    /// All parameters, from input to output.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter<T>> {
        self.layers.iter().flat_map(|layer| layer.parameters())
    }

    /// All parameters, from input to output, to be changed.
    pub fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter<T>> {
        self.layers.iter_mut().flat_map(|layer| layer.parameters_mut())
    }

    /// The parameter of the given name, such as `conv1.weight`.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&Parameter<T>> {
        self.parameters().find(|parameter| parameter.name() == name)
    }

    /// How many numbers training changes.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        count(self.parameters())
    }

    /// The table of the network, one line per layer.
    ///
    /// # Errors
    ///
    /// None for a network that was built.
    pub fn summary(&self) -> Result<Vec<LayerSummary>, NetError> {
        let mut shape = self.input;
        let mut lines = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let multiply_adds = layer.multiply_adds(shape);
            shape = layer.output_shape(shape)?;
            lines.push(LayerSummary {
                name: layer.name().to_owned(),
                kind: layer.describe(),
                output: shape,
                parameters: count(layer.parameters().iter()),
                multiply_adds,
            });
        }
        Ok(lines)
    }

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
        self.run_forward(self.layers.len(), x, tape, mode)?;
        if let Mode::Train { .. } = mode {
            tape.trained = Some(x.shape().n());
        }
        Ok(tape.activations[self.layers.len()].view())
    }

    /// Runs the first `count` layers.
    fn run_forward(
        &self,
        count: usize,
        x: View4<'_, T>,
        tape: &mut Tape<T>,
        mode: Mode,
    ) -> Result<(), NetError> {
        let expected = self.input.with_n(x.shape().n())?;
        check("the network", "the input", x.shape(), expected)?;
        tape.trained = None;
        tape.activations.resize_with(self.layers.len() + 1, crate::tape::Buffer::new);
        tape.states.resize_with(self.layers.len(), State::new);
        tape.activations[0].set_shape(expected);
        tape.activations[0].view_mut().data_mut().copy_from_slice(x.data());
        let mut shape = expected;
        tape.clock.begin(self.layers.len());
        let layers = self.layers[..count].iter().zip(&mut tape.states);
        for (i, (layer, state)) in layers.enumerate() {
            let (before, after) = tape.activations.split_at_mut(i + 1);
            shape = layer.output_shape(shape)?;
            after[0].set_shape(shape);
            let (x, y) = (before[i].view(), after[0].view_mut());
            tape.clock.forward(i, || layer.forward(x, y, state, mode))?;
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
        self.start_backward(dy, tape)?;
        self.run_backward(self.layers.len(), tape, false)
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
        self.start_backward(dy, tape)?;
        self.run_backward(self.layers.len(), tape, true)?;
        Ok(tape.gradients[0].view().to_tensor())
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
        self.run_forward(layer + 1, x, tape, Mode::Eval)?;
        let output = tape.activations[layer + 1].view();
        let dy = &mut tape.gradients[0];
        dy.set_shape(output.shape());
        dy.view_mut().fill(T::ZERO);
        objective(output, dy.view_mut());
        self.run_backward(layer + 1, tape, true)?;
        Ok(tape.gradients[0].view().to_tensor())
    }

    /// Puts the gradient by the output of the network where [`run_backward`](Self::run_backward)
    /// begins.
    fn start_backward(&self, dy: View4<'_, T>, tape: &mut Tape<T>) -> Result<(), NetError> {
        let n = dy.shape().n();
        if tape.trained != Some(n) || tape.states.len() != self.layers.len() {
            return Err(NetError::NoForward { n });
        }
        let output = tape.activations[self.layers.len()].view().shape();
        check("backward", "dy", dy.shape(), output)?;
        tape.gradients[0].set_shape(output);
        tape.gradients[0].view_mut().data_mut().copy_from_slice(dy.data());
        Ok(())
    }

    /// Goes back through the first `count` layers, from the gradient by the output of the last
    /// of them to that by the input of the network, if it is asked for; both in
    /// `tape.gradients[0]`.
    fn run_backward(
        &mut self,
        count: usize,
        tape: &mut Tape<T>,
        to_input: bool,
    ) -> Result<(), NetError> {
        let [current, next] = &mut tape.gradients;
        let layers = self.layers[..count].iter_mut().zip(&mut tape.states);
        for (i, (layer, state)) in layers.enumerate().rev() {
            let (x, y) = (tape.activations[i].view(), tape.activations[i + 1].view());
            let gradient = Gradient { x, y, dy: current.view() };
            next.set_shape(x.shape());
            // Nobody asks for the gradient by the images themselves in training.
            let dx = (i > 0 || to_input).then(|| next.view_mut());
            tape.clock.backward(i, || layer.backward(gradient, dx, state))?;
            std::mem::swap(current, next);
        }
        Ok(())
    }

    /// Changes every parameter by one step of the optimiser along its gradient.
    pub fn update(&mut self, optimizer: &mut Optimizer<T>) {
        optimizer.begin_step();
        for (index, parameter) in self.parameters_mut().enumerate() {
            if !parameter.is_trained() {
                continue;
            }
            let (value, grad) = parameter.value_mut_and_grad();
            optimizer.update(index, value, grad);
        }
    }

    /// The output for a batch, in evaluation mode.
    ///
    /// # Errors
    ///
    /// [`NetError::Shape`] if the images are not of the shape that the network takes.
    pub fn predict(&self, x: View4<'_, T>) -> Result<Tensor4<T>, NetError> {
        let mut tape = Tape::new();
        Ok(self.forward(x, &mut tape, Mode::Eval)?.to_tensor())
    }

    /// Replaces all parameters by the given tensors, found by name; all of them or none.
    ///
    /// Each item is a name, the sizes as [`Parameter::dims`] gives them, and the values.
    ///
    /// # Errors
    ///
    /// [`NetError::Weights`] lists every tensor that is missing, left over or of another shape;
    /// the network is unchanged.
    pub fn load<'a, I>(&mut self, tensors: I) -> Result<(), NetError>
    where
        I: IntoIterator<Item = (&'a str, &'a [usize], &'a [T])>,
    {
        let mut given: std::collections::BTreeMap<_, _> =
            tensors.into_iter().map(|(name, dims, values)| (name, (dims, values))).collect();
        let mut problems = Vec::new();
        let mut fitting = Vec::new();
        for parameter in self.parameters() {
            match given.remove(parameter.name()) {
                None => problems.push(format!("{} is missing", parameter.name())),
                Some((dims, values))
                    if dims != parameter.dims() || values.len() != parameter.shape().len() =>
                {
                    problems.push(format!(
                        "{} has the shape {dims:?} with {} values, {:?} is needed",
                        parameter.name(),
                        values.len(),
                        parameter.dims()
                    ));
                }
                Some((_, values)) => fitting.push(values),
            }
        }
        problems.extend(given.keys().map(|name| format!("{name} is not part of the network")));
        if !problems.is_empty() {
            return Err(NetError::Weights { problems });
        }
        for (parameter, values) in self.parameters_mut().zip(fitting) {
            parameter.value_mut().copy_from_slice(values);
        }
        Ok(())
    }
}

/// How many numbers of the parameters training changes.
fn count<'a, T: NetScalar>(parameters: impl Iterator<Item = &'a Parameter<T>>) -> usize {
    parameters.filter(|p| p.is_trained()).map(|p| p.shape().len()).sum()
}

impl<T: NetScalar> std::fmt::Debug for Sequential<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.layers.iter().map(|layer| layer.name()).collect();
        f.debug_struct("Sequential").field("input", &self.input).field("layers", &names).finish()
    }
}
