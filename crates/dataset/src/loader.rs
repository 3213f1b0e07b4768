//! Batches of floats from a set of bytes.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use tensor4::ViewMut4;

use crate::augment::Augmentation;
use crate::{DatasetError, ImageSet, Normalization};

/// An image set with what happens to its images on the way into a batch: changed at random if
/// there is an [`Augmentation`], scaled to [0, 1], and normalised if there is a [`Normalization`].
///
/// Batches can be gathered by several threads at a time. What is drawn for an image follows from
/// the seed, the [epoch](Self::set_epoch) and its index in the set.
///
/// ```
/// use dataset::{Augmentation, ImageSet, Loader, Normalization};
/// use tensor4::{Shape4, Tensor4};
///
/// let set = ImageSet::new(vec![0, 255], [1, 1, 2], vec![0], 1)?;
/// let normalization = Normalization::of(&set)?;
/// let loader = Loader::new(set)
///     .with_normalization(normalization)?
///     .with_augmentation(Augmentation::none().flip(), 7)?;
/// loader.set_epoch(1);
///
/// let mut batch = Tensor4::zeros(Shape4::new(1, 1, 1, 2)?);
/// loader.gather_into(&[0], batch.view_mut(), &mut [0])?;
/// assert!(batch.data() == [-1.0, 1.0] || batch.data() == [1.0, -1.0]);
/// # Ok::<(), dataset::DatasetError>(())
/// ```
pub struct Loader {
    set: ImageSet,
    /// What a pixel becomes, for each channel.
    tables: Vec<[f32; 256]>,
    augmentation: Augmentation,
    seed: u64,
    epoch: AtomicU64,
}

impl Loader {
    /// Images scaled to [0, 1] and otherwise as they are.
    #[must_use]
    pub fn new(set: ImageSet) -> Self {
        let [channels, _, _] = set.image_shape();
        let plain = std::array::from_fn(|pixel| pixel as f32 / 255.0);
        let tables = vec![plain; channels];
        Self { set, tables, augmentation: Augmentation::none(), seed: 0, epoch: AtomicU64::new(0) }
    }

    /// Also takes the mean of each channel from it and divides it by its standard deviation.
    ///
    /// # Errors
    ///
    /// [`DatasetError::NormalizationChannels`] if it is for another number of channels.
    pub fn with_normalization(mut self, by: Normalization) -> Result<Self, DatasetError> {
        let (mean, std) = (by.mean(), by.std());
        if mean.len() != self.tables.len() {
            return Err(DatasetError::NormalizationChannels {
                means: mean.len(),
                deviations: std.len(),
                channels: self.tables.len(),
            });
        }
        for (table, (&mean, &std)) in self.tables.iter_mut().zip(mean.iter().zip(std)) {
            *table = std::array::from_fn(|pixel| (pixel as f32 / 255.0 - mean) / std);
        }
        Ok(self)
    }

    /// Also changes images at random.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Augmentation`] if the changes don't fit the images.
    pub fn with_augmentation(mut self, by: Augmentation, seed: u64) -> Result<Self, DatasetError> {
        let [_, height, width] = self.set.image_shape();
        by.check(height, width)?;
        (self.augmentation, self.seed) = (by, seed);
        Ok(self)
    }

    /// The same for other images: a part of the set, say.
    ///
    /// # Panics
    ///
    /// If they have another shape.
    #[must_use]
    pub fn map_set(mut self, to: impl FnOnce(&ImageSet) -> ImageSet) -> Self {
        let set = to(&self.set);
        assert_eq!(set.image_shape(), self.set.image_shape(), "the images keep their shape");
        self.set = set;
        self
    }

    /// The images as they are read.
    #[must_use]
    pub fn set(&self) -> &ImageSet {
        &self.set
    }

    /// Which epoch the next batches belong to. Without this it is 0, and every epoch sees the
    /// same changes.
    pub fn set_epoch(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Relaxed);
    }

    /// Overwrites `out`, (indices.len(), C, H, W), with the images at `indices`, and `labels` with
    /// their classes. An index may come twice. The fill of an augmentation is a pixel like others:
    /// it is normalised too.
    ///
    /// Nothing is written if there is an error.
    ///
    /// # Errors
    ///
    /// As [`ImageSet::gather_into`].
    pub fn gather_into(
        &self,
        indices: &[usize],
        mut out: ViewMut4<'_, f32>,
        labels: &mut [usize],
    ) -> Result<(), DatasetError> {
        self.set.check_batch(indices, out.shape(), labels.len())?;
        let shape @ [_, height, width] = self.set.image_shape();
        let epoch = self.epoch.load(Ordering::Relaxed);
        for (position, (&index, label)) in indices.iter().zip(labels).enumerate() {
            let (image, out) = (self.set.image(index), out.image_mut(position));
            if self.augmentation.is_none() {
                self.scale(image, height * width, out);
            } else {
                let place = [self.seed, epoch, index as u64];
                let drawn = self.augmentation.draw(place, height, width);
                drawn.map_into(image, shape, out, |channel, pixel| {
                    self.tables[channel][usize::from(pixel)]
                });
            }
            *label = self.set.label(index);
        }
        Ok(())
    }

    /// An image that stays where it is, of channels of `plane` pixels.
    fn scale(&self, image: &[u8], plane: usize, out: &mut [f32]) {
        if plane == 0 {
            return;
        }
        let planes = image.chunks_exact(plane).zip(out.chunks_exact_mut(plane));
        for ((image, out), table) in planes.zip(&self.tables) {
            for (x, &pixel) in out.iter_mut().zip(image) {
                *x = table[usize::from(pixel)];
            }
        }
    }
}

/// Without the tables: 256 numbers per channel.
impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("set", &self.set)
            .field("augmentation", &self.augmentation)
            .field("seed", &self.seed)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}
