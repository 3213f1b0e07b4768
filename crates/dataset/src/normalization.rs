//! Mean and standard deviation per channel.

use crate::{DatasetError, ImageSet};

/// What is taken from each channel of an image and what it is then divided by:
/// `(p / 255 - mean) / std` for a pixel `p`. Both are in units of a pixel from 0 to 1.
///
/// ```
/// use dataset::{ImageSet, Normalization};
///
/// // Two images of one pixel: 0 and 255.
/// let set = ImageSet::new(vec![0, 255], [1, 1, 1], vec![0, 1], 2)?;
/// let found = Normalization::of(&set)?;
/// assert_eq!((found.mean(), found.std()), (&[0.5][..], &[0.5][..]));
/// # Ok::<(), dataset::DatasetError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Normalization {
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl Normalization {
    /// A mean and a standard deviation for each channel.
    ///
    /// # Errors
    ///
    /// [`DatasetError::NormalizationChannels`] if there are more of one than of the other,
    /// [`DatasetError::NormalizationValue`] if a value is not finite or a deviation not above 0.
    pub fn new(mean: Vec<f32>, std: Vec<f32>) -> Result<Self, DatasetError> {
        if mean.len() != std.len() {
            return Err(DatasetError::NormalizationChannels {
                means: mean.len(),
                deviations: std.len(),
                channels: mean.len(),
            });
        }
        for (channel, (&mean, &std)) in mean.iter().zip(&std).enumerate() {
            if !mean.is_finite() || !std.is_finite() || std <= 0.0 {
                return Err(DatasetError::NormalizationValue { channel, mean, std });
            }
        }
        Ok(Self { mean, std })
    }

    /// The mean and the standard deviation (of the population) of each channel over all pixels of
    /// a set. Summed in whole numbers, hence exact up to the last rounding.
    ///
    /// # Errors
    ///
    /// [`DatasetError::NormalizationValue`] if the set is empty or a channel is the same value
    /// everywhere.
    pub fn of(set: &ImageSet) -> Result<Self, DatasetError> {
        let [channels, height, width] = set.image_shape();
        let plane = height * width;
        let mut sums = vec![(0_u64, 0_u64); channels];
        if plane > 0 {
            for (i, plane) in set.pixels().chunks_exact(plane).enumerate() {
                let (sum, squares) = &mut sums[i % channels];
                for &pixel in plane {
                    let pixel = u64::from(pixel);
                    *sum += pixel;
                    *squares += pixel * pixel;
                }
            }
        }
        let count = (set.len() * plane) as f64;
        let moments = |&(sum, squares): &(u64, u64)| {
            let (sum, squares) = (u128::from(sum), u128::from(squares));
            // Never negative, by Cauchy and Schwarz.
            let spread = (set.len() * plane) as u128 * squares - sum * sum;
            let (mean, std) = (sum as f64 / count, (spread as f64).sqrt() / count);
            ((mean / 255.0) as f32, (std / 255.0) as f32)
        };
        let (mean, std) = sums.iter().map(moments).unzip();
        Self::new(mean, std)
    }

    /// The mean of each channel.
    #[must_use]
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The standard deviation of each channel.
    #[must_use]
    pub fn std(&self) -> &[f32] {
        &self.std
    }
}
