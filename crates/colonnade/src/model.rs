//! The networks that the program knows by name.

use std::sync::LazyLock;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use net::models::{Model, Recipe};
use net::{Init, NetError, NetScalar, Sequential};

/// A network of `net`, as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ModelName(Model);

impl ValueEnum for ModelName {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: LazyLock<Vec<ModelName>> =
            LazyLock::new(|| Model::ALL.iter().copied().map(ModelName).collect());
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()).help(self.0.about()))
    }
}

impl ModelName {
    /// The name on the command line and in files.
    pub(crate) const fn name(self) -> &'static str {
        self.0.name()
    }

    /// How it is trained unless the command line says otherwise.
    pub(crate) fn recipe(self) -> Recipe {
        self.0.recipe()
    }

    /// The network for its usual images and classes, in `f32` or `f64`.
    pub(crate) fn build_usual<T: NetScalar>(self, seed: u64) -> Result<Sequential<T>, NetError> {
        self.0.build(None, None, seed)
    }

    /// The network for images of the given shape, or of its usual one, and so many classes.
    pub(crate) fn build(
        self,
        images: Option<[usize; 3]>,
        classes: usize,
        seed: u64,
    ) -> Result<Sequential<f32>, NetError> {
        self.0.build(images, Some(classes), seed)
    }

    /// How many numbers its parameters would hold.
    pub(crate) fn parameters(self, images: [usize; 3], classes: usize) -> Result<usize, NetError> {
        self.0.plan::<f32>(Some(images), Some(classes)).parameters()
    }

    /// The same with all weights 0, for a table or to be filled from a file; `None` for the usual
    /// images and classes.
    pub(crate) fn build_empty(
        self,
        images: Option<[usize; 3]>,
        classes: Option<usize>,
    ) -> Result<Sequential<f32>, NetError> {
        self.0.plan(images, classes).init(Init::Zeros).build(0)
    }
}
