//! A network whose layers follow one another.

use std::sync::atomic::{AtomicU64, Ordering};

use tensor4::{Shape4, Tensor4, View4};

use crate::parallel::in_pool;
use crate::plan::{Plan, Purpose};
use crate::{Builder, Layer, Mode, NetError, NetScalar, Optimizer, Parameter, Tape};

/// A network whose layers follow one another, made by a [`Builder`].
///
/// When it is built it finds the layers that can run in one pass (see [`Tail`](crate::Tail)), and
/// plans the memory of every pass: outputs whose lives don't overlap share it. A
/// [`Tape`] holds that memory; a plan serves batches of any size.
pub struct Sequential<T> {
    /// Tells it from other networks of the process.
    id: u64,
    pub(crate) layers: Vec<Box<dyn Layer<T>>>,
    /// The shapes of the input and of each layer's output for one image.
    pub(crate) shapes: Vec<Shape4>,
    pub(crate) record: Plan,
    pub(crate) train: Plan,
    infer: Plan,
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
    /// The name of the layer in whose pass this one is computed, if it is not its own.
    pub within: Option<String>,
}

impl<T: NetScalar> Sequential<T> {
    /// Begins the plan of a network for images of the given shape.
    #[must_use]
    pub fn builder(channels: usize, height: usize, width: usize) -> Builder<T> {
        Builder::new(channels, height, width)
    }

    /// `shapes` are those of the input and of each layer's output for one image.
    pub(crate) fn from_layers(layers: Vec<Box<dyn Layer<T>>>, shapes: Vec<Shape4>) -> Self {
        let plan = |purpose| Plan::new(purpose, &layers, &shapes);
        let (record, train, infer) =
            (plan(Purpose::Record), plan(Purpose::Train), plan(Purpose::Infer));
        static BUILT: AtomicU64 = AtomicU64::new(0);
        let id = BUILT.fetch_add(1, Ordering::Relaxed);
        Self { id, layers, shapes, record, train, infer }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn plan(&self, purpose: Purpose) -> &Plan {
        match purpose {
            Purpose::Record => &self.record,
            Purpose::Train => &self.train,
            Purpose::Infer => &self.infer,
        }
    }

    /// The shape of one image, `(1, C, H, W)`.
    #[must_use]
    pub fn input_shape(&self) -> Shape4 {
        self.shapes[0]
    }

    /// The shape of tensor `index` for `n` images: 0 is the input, `i + 1` the output of layer `i`.
    pub(crate) fn shape(&self, index: usize, n: usize) -> Result<Shape4, NetError> {
        Ok(self.shapes[index].with_n(n)?)
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
        let mut lines: Vec<LayerSummary> = Vec::with_capacity(self.layers.len());
        for (layer, shapes) in self.layers.iter().zip(self.shapes.windows(2)) {
            lines.push(LayerSummary {
                name: layer.name().to_owned(),
                kind: layer.describe(),
                output: shapes[1],
                parameters: count(layer.parameters().iter()),
                multiply_adds: layer.multiply_adds(shapes[0]),
                within: None,
            });
        }
        for step in &self.train.steps {
            for index in step.first + 1..step.output() {
                lines[index].within = Some(lines[step.first].name.clone());
            }
        }
        Ok(lines)
    }

    /// Changes every parameter by one step of the optimiser along its gradient.
    pub fn update(&mut self, optimizer: &mut Optimizer<T>) {
        optimizer.begin_step();
        in_pool(|| {
            let trained = self.parameters_mut().enumerate().filter(|(_, p)| p.is_trained());
            optimizer.update_all(trained.map(|(index, parameter)| {
                let (value, grad) = parameter.value_mut_and_grad();
                (index, value, grad)
            }));
        });
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
        let input = self.shapes[0];
        f.debug_struct("Sequential").field("input", &input).field("layers", &names).finish()
    }
}
