//! Where a network's images come from.

use tensor4::{Shape4, Tensor4, ViewMut4};

use crate::{NetError, NetScalar};

/// A set of labelled images that can be read in any order.
pub trait Samples<T>: Sync {
    /// How many images there are.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of one image, `(1, C, H, W)`.
    fn image_shape(&self) -> Shape4;

    /// Writes the images at `indices` to `x`, in their order, and their labels to `labels`.
    ///
    /// # Errors
    ///
    /// If an index is out of range, a length does not fit, or the images can't be read.
    fn gather(
        &self,
        indices: &[usize],
        x: ViewMut4<'_, T>,
        labels: &mut [usize],
    ) -> Result<(), NetError>;
}

/// Labelled images in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorSamples<T> {
    images: Tensor4<T>,
    labels: Vec<usize>,
}

impl<T: NetScalar> TensorSamples<T> {
    /// A label for each image.
    ///
    /// # Errors
    ///
    /// [`NetError::LabelCount`] if there are more of one than of the other.
    pub fn new(images: Tensor4<T>, labels: Vec<usize>) -> Result<Self, NetError> {
        if images.shape().n() != labels.len() {
            return Err(NetError::LabelCount {
                operation: "samples",
                images: images.shape().n(),
                labels: labels.len(),
            });
        }
        Ok(Self { images, labels })
    }
}

impl<T: NetScalar> Samples<T> for TensorSamples<T> {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn image_shape(&self) -> Shape4 {
        self.images.shape().with_n(1).expect("an image is not larger than the batch or is empty")
    }

    fn gather(
        &self,
        indices: &[usize],
        mut x: ViewMut4<'_, T>,
        labels: &mut [usize],
    ) -> Result<(), NetError> {
        crate::layer::check("gather", "x", x.shape(), self.image_shape().with_n(indices.len())?)?;
        if labels.len() != indices.len() {
            let (operation, images) = ("gather", indices.len());
            return Err(NetError::LabelCount { operation, images, labels: labels.len() });
        }
        for (i, (&index, label)) in indices.iter().zip(labels).enumerate() {
            let Some(&known) = self.labels.get(index) else {
                return Err(NetError::Samples {
                    message: format!("there is no image {index} among {}", self.labels.len()),
                });
            };
            *label = known;
            x.image_mut(i).copy_from_slice(self.images.image(index));
        }
        Ok(())
    }
}
