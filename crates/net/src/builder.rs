//! How a network is put together.

use std::collections::{BTreeMap, BTreeSet};

use tensor4::Shape4;

use crate::layer::misfit;
use crate::{Init, LayerSpec, NetError, NetScalar, Seeds, Sequential};

/// The plan of a [`Sequential`] network.
///
/// [`build`](Builder::build) works out the shape at every layer before it makes the first weight.
pub struct Builder<T> {
    input: [usize; 3],
    init: Init,
    layers: Vec<(Option<String>, Box<dyn LayerSpec<T>>)>,
}

impl<T: NetScalar> Builder<T> {
    pub(crate) fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { input: [channels, height, width], init: Init::HeNormal, layers: Vec::new() }
    }

    /// How weights begin, where a layer does not say otherwise; [`Init::HeNormal`] by default.
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// Adds a layer, named by its kind and a number: `conv1`, `relu1`, `pool1`, `conv2`, …
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "a layer is added, nothing is summed")]
    pub fn add(mut self, layer: impl LayerSpec<T> + 'static) -> Self {
        self.layers.push((None, Box::new(layer)));
        self
    }

    /// Adds a layer under a name.
    #[must_use]
    pub fn add_named(
        mut self,
        name: impl Into<String>,
        layer: impl LayerSpec<T> + 'static,
    ) -> Self {
        self.layers.push((Some(name.into()), Box::new(layer)));
        self
    }

    /// How many numbers the parameters of the network would hold, at least: layers from outside this crate
    /// need not say. Nothing is allocated. Saturates.
    ///
    /// # Errors
    ///
    /// Those of [`build`](Self::build) before it makes a weight.
    pub fn parameters(&self) -> Result<usize, NetError> {
        let (places, _) = self.places()?;
        let layers = places.iter().zip(&self.layers);
        let parameters = layers.map(|((_, input), (_, spec))| spec.parameters(*input));
        Ok(parameters.fold(0, usize::saturating_add))
    }

    /// The name of every layer and the shape that reaches it, and the shape of the output.
    fn places(&self) -> Result<(Vec<(String, Shape4)>, Shape4), NetError> {
        let [channels, height, width] = self.input;
        let mut shape = Shape4::new(1, channels, height, width)?;
        let mut places = Vec::with_capacity(self.layers.len());
        let mut numbers = BTreeMap::new();
        let mut names = BTreeSet::new();
        for (name, spec) in &self.layers {
            // A layer with a name of its own counts as well, so that `conv2` is the second
            // convolution whatever the first is called.
            let number = numbers.entry(spec.stem()).and_modify(|n| *n += 1).or_insert(1);
            let name = name.clone().unwrap_or_else(|| format!("{}{number}", spec.stem()));
            if !names.insert(name.clone()) {
                return Err(NetError::DuplicateName { name });
            }
            let output = spec.output_shape(shape).map_err(|e| misfit(&name, shape, e))?;
            places.push((name, shape));
            shape = output;
        }
        Ok((places, shape))
    }

    /// Works out every shape, then makes the network with weights that follow from `seed`.
    ///
    /// # Errors
    ///
    /// [`NetError::Layer`] names the first layer that does not fit what comes before it, and the
    /// shape that reaches it.
    pub fn build(self, seed: u64) -> Result<Sequential<T>, NetError> {
        if self.layers.is_empty() {
            return Err(NetError::NoLayers);
        }
        let (places, output) = self.places()?;
        let mut seeds = Seeds::new(seed);
        let mut layers = Vec::with_capacity(places.len());
        let mut shapes = Vec::with_capacity(places.len() + 1);
        for ((name, input), (_, spec)) in places.into_iter().zip(self.layers) {
            let layer = spec.build(name.clone(), input, self.init, &mut seeds);
            layers.push(layer.map_err(|e| misfit(&name, input, e))?);
            shapes.push(input);
        }
        shapes.push(output);
        Ok(Sequential::from_layers(layers, shapes))
    }
}
