//! The data set of a run, as the trainer reads it.

use std::path::Path;

use dataset::{ImageSet, mnist};
use net::{NetError, Samples};
use tensor4::{Shape4, ViewMut4};

use crate::failure::Failure;

/// What a run is said to be trained on if no folder is named.
pub(crate) const BUNDLED: &str = "bundled MNIST";

/// The images to train on and those to test with.
pub(crate) struct Data {
    pub(crate) train: Images,
    pub(crate) test: Images,
    /// Where they come from, for people.
    pub(crate) source: String,
}

impl Data {
    /// Reads a folder of IDX files, or the bundled MNIST.
    pub(crate) fn load(folder: Option<&Path>) -> Result<Self, Failure> {
        let (set, source) = match folder {
            Some(folder) => (mnist::from_folder(folder)?, folder.display().to_string()),
            None => (bundled()?, BUNDLED.to_owned()),
        };
        Ok(Self { train: Images(set.train), test: Images(set.test), source })
    }
}

#[cfg(feature = "bundled-mnist")]
fn bundled() -> Result<mnist::Mnist, Failure> {
    Ok(mnist::bundled()?)
}

#[cfg(not(feature = "bundled-mnist"))]
fn bundled() -> Result<mnist::Mnist, Failure> {
    Err(Failure::NoBundle)
}

/// Images in memory, a byte per pixel.
pub(crate) struct Images(ImageSet);

impl Images {
    /// The first so many.
    pub(crate) fn head(&self, images: usize) -> Self {
        Self(self.0.head(images))
    }

    pub(crate) fn classes(&self) -> usize {
        self.0.classes()
    }

    /// Channels, rows and columns.
    pub(crate) fn dims(&self) -> [usize; 3] {
        self.0.image_shape()
    }
}

impl Samples<f32> for Images {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn image_shape(&self) -> Shape4 {
        let [channels, height, width] = self.0.image_shape();
        Shape4::new(1, channels, height, width).expect("the images are in memory")
    }

    fn gather(
        &self,
        indices: &[usize],
        x: ViewMut4<'_, f32>,
        labels: &mut [usize],
    ) -> Result<(), NetError> {
        self.0
            .gather_into(indices, x, labels)
            .map_err(|e| NetError::Samples { message: e.to_string() })
    }
}
