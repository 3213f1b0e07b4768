//! Labelled images in memory.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use tensor4::{Shape4, Tensor4, ViewMut4};

use crate::DatasetError;
use crate::idx::{Images, Labels};

/// Images of one shape, each with the number of its class.
///
/// Pixels stay bytes, a quarter of the memory of floats; they become floats a batch at a time.
/// Every label is below [`classes`](Self::classes), and there are as many labels as images.
#[derive(Clone, PartialEq, Eq)]
pub struct ImageSet {
    /// (len, C, H, W).
    shape: Shape4,
    pixels: Vec<u8>,
    labels: Vec<u8>,
    classes: usize,
    /// As many as there are classes, or none. Shared by the parts of a set.
    class_names: Arc<[String]>,
}

impl ImageSet {
    /// A set of images of shape `[c, h, w]`, one per label, their pixels one image after the
    /// other in (C, H, W) order.
    ///
    /// # Errors
    ///
    /// [`DatasetError::PixelCount`] if `pixels` does not have `labels.len() * c * h * w` elements,
    /// [`DatasetError::LabelRange`] if a label is not below `classes`,
    /// [`DatasetError::ClassCount`] if `classes` exceeds 256,
    /// [`DatasetError::Tensor`] if the product of the sizes is not addressable.
    pub fn new(
        pixels: Vec<u8>,
        image_shape: [usize; 3],
        labels: Vec<u8>,
        classes: usize,
    ) -> Result<Self, DatasetError> {
        let [c, h, w] = image_shape;
        let shape = Shape4::new(labels.len(), c, h, w)?;
        if pixels.len() != shape.len() {
            return Err(DatasetError::PixelCount {
                labels: labels.len(),
                image_shape,
                expected: shape.len(),
                actual: pixels.len(),
            });
        }
        check_labels(Path::new("ImageSet::new"), &labels, classes)?;
        Ok(Self { shape, pixels, labels, classes, class_names: Arc::default() })
    }

    /// The images of one IDX file with the labels of another, as one channel each.
    ///
    /// # Errors
    ///
    /// [`DatasetError::CountsDiffer`] if there are not as many labels as images,
    /// [`DatasetError::LabelRange`] if a label is not below `classes`,
    /// [`DatasetError::ClassCount`] if `classes` exceeds 256.
    pub fn from_idx(images: Images, labels: Labels, classes: usize) -> Result<Self, DatasetError> {
        if images.len() != labels.len() {
            return Err(DatasetError::CountsDiffer {
                images: images.len(),
                images_path: images.path,
                labels: labels.len(),
                labels_path: labels.path,
            });
        }
        check_labels(&labels.path, &labels.labels, classes)?;
        let shape = Shape4::new(images.count, 1, images.rows, images.cols)?;
        let (pixels, labels, class_names) = (images.pixels, labels.labels, Arc::default());
        Ok(Self { shape, pixels, labels, classes, class_names })
    }

    /// The same set with a name for each class, in the order of the labels.
    ///
    /// # Errors
    ///
    /// [`DatasetError::ClassNameCount`] if there are not as many names as classes.
    pub fn with_class_names<S: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Self, DatasetError> {
        let names: Arc<[String]> = names.into_iter().map(Into::into).collect();
        if names.len() != self.classes {
            let (classes, names) = (self.classes, names.len());
            return Err(DatasetError::ClassNameCount { classes, names });
        }
        self.class_names = names;
        Ok(self)
    }

    /// Number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.n()
    }

    /// Whether there is no image.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of classes: labels run from 0 to one below it.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The names of the classes, in the order of the labels; empty if they have none.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Channels, rows, columns of every image: `[c, h, w]`.
    #[must_use]
    pub fn image_shape(&self) -> [usize; 3] {
        let [_, c, h, w] = self.shape.dims();
        [c, h, w]
    }

    /// The pixels of image `i`, (C, H, W).
    ///
    /// # Panics
    ///
    /// If `i` is not below [`len`](Self::len).
    #[must_use]
    pub fn image(&self, i: usize) -> &[u8] {
        assert!(i < self.len(), "image {i} of a set of {}", self.len());
        let image_len = self.shape.image_len();
        &self.pixels[i * image_len..(i + 1) * image_len]
    }

    /// The class of image `i`.
    ///
    /// # Panics
    ///
    /// If `i` is not below [`len`](Self::len).
    #[must_use]
    pub fn label(&self, i: usize) -> usize {
        assert!(i < self.len(), "label {i} of a set of {}", self.len());
        usize::from(self.labels[i])
    }

    /// The pixels of all images, one after the other.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The classes of all images, in order.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// How many images there are of each class.
    #[must_use]
    pub fn label_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        for &label in &self.labels {
            counts[usize::from(label)] += 1;
        }
        counts
    }

    /// A copy of the first `n` images, or of all if there are fewer.
    #[must_use]
    pub fn head(&self, n: usize) -> Self {
        self.copy_range(0..n.min(self.len()))
    }

    /// A copy of the images of `range`.
    ///
    /// # Errors
    ///
    /// [`DatasetError::SubsetRange`] if the range reaches beyond the set or runs backwards.
    pub fn subset(&self, range: Range<usize>) -> Result<Self, DatasetError> {
        if range.start > range.end || range.end > self.len() {
            return Err(DatasetError::SubsetRange { range, len: self.len() });
        }
        Ok(self.copy_range(range))
    }

    /// `range` lies within the set.
    fn copy_range(&self, range: Range<usize>) -> Self {
        let image_len = self.shape.image_len();
        let shape = self.shape.with_n(range.len()).expect("a part of a shape that fits, fits");
        Self {
            shape,
            pixels: self.pixels[range.start * image_len..range.end * image_len].to_vec(),
            labels: self.labels[range].to_vec(),
            classes: self.classes,
            class_names: Arc::clone(&self.class_names),
        }
    }

    /// The images at `indices` as a batch (indices.len(), C, H, W) of floats, each pixel divided
    /// by 255, and their labels. An index may come twice.
    ///
    /// # Errors
    ///
    /// [`DatasetError::IndexRange`] if an index is not below [`len`](Self::len),
    /// [`DatasetError::Tensor`] if the batch is not addressable.
    pub fn gather(&self, indices: &[usize]) -> Result<(Tensor4<f32>, Vec<usize>), DatasetError> {
        // Before the batch is allocated.
        self.check_indices(indices)?;
        let mut x = Tensor4::zeros(self.shape.with_n(indices.len())?);
        let mut labels = vec![0; indices.len()];
        self.gather_into(indices, x.view_mut(), &mut labels)?;
        Ok((x, labels))
    }

    /// Overwrites `out`, (indices.len(), C, H, W), with the images at `indices`, each pixel `p`
    /// as `p as f32 / 255.0`, and `labels` with their classes. An index may come twice.
    ///
    /// Nothing is written if there is an error.
    ///
    /// # Errors
    ///
    /// [`DatasetError::OutputShape`] or [`DatasetError::LabelsLength`] if a buffer does not fit
    /// the batch, [`DatasetError::IndexRange`] if an index is not below [`len`](Self::len),
    /// [`DatasetError::Tensor`] if the batch is not addressable.
    pub fn gather_into(
        &self,
        indices: &[usize],
        mut out: ViewMut4<'_, f32>,
        labels: &mut [usize],
    ) -> Result<(), DatasetError> {
        self.check_batch(indices, out.shape(), labels.len())?;
        for (position, (&index, label)) in indices.iter().zip(labels).enumerate() {
            for (x, &pixel) in out.image_mut(position).iter_mut().zip(self.image(index)) {
                *x = f32::from(pixel) / 255.0;
            }
            *label = self.label(index);
        }
        Ok(())
    }

    /// Whether a batch of the images at `indices` fits its tensor and its buffer of labels.
    pub(crate) fn check_batch(
        &self,
        indices: &[usize],
        out: Shape4,
        labels: usize,
    ) -> Result<(), DatasetError> {
        let expected = self.shape.with_n(indices.len())?;
        if out != expected {
            return Err(DatasetError::OutputShape { expected, actual: out });
        }
        if labels != indices.len() {
            return Err(DatasetError::LabelsLength { expected: indices.len(), actual: labels });
        }
        self.check_indices(indices)
    }

    fn check_indices(&self, indices: &[usize]) -> Result<(), DatasetError> {
        match indices.iter().position(|&index| index >= self.len()) {
            None => Ok(()),
            Some(position) => Err(DatasetError::IndexRange {
                position,
                index: indices[position],
                len: self.len(),
            }),
        }
    }
}

/// The sizes only: nobody wants 47 million pixels in a message.
impl fmt::Debug for ImageSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageSet")
            .field("len", &self.len())
            .field("image_shape", &self.image_shape())
            .field("classes", &self.classes)
            .finish_non_exhaustive()
    }
}

fn check_labels(path: &Path, labels: &[u8], classes: usize) -> Result<(), DatasetError> {
    let max = usize::from(u8::MAX) + 1;
    if classes > max {
        return Err(DatasetError::ClassCount { classes, max });
    }
    match labels.iter().position(|&label| usize::from(label) >= classes) {
        None => Ok(()),
        Some(index) => Err(DatasetError::LabelRange {
            path: path.to_owned(),
            index,
            label: labels[index],
            classes,
        }),
    }
}
