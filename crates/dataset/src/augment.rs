//! Random changes to images that leave their class as it is.

use std::fmt;

use crate::DatasetError;

/// What stands beyond the edges of an image that is padded before it is cropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Border {
    /// One value, [`Augmentation::fill`].
    #[default]
    Constant,
    /// The image mirrored at its outermost pixels, which are not repeated.
    Reflect,
    /// The outermost pixels, repeated.
    Replicate,
}

/// Which random changes are made to an image. None by default.
///
/// In this order: flipped left to right in one of two cases; shifted; padded, and cropped to its
/// size at a random place. What is drawn is a function of the seed, the epoch and the index of
/// the image, so that neither the order of the images nor the number of threads changes it, and a
/// run can be resumed. Each change draws for itself: adding one leaves the others as they were.
///
/// ```
/// use dataset::{Augmentation, Border};
///
/// // As is usual for 32 x 32 images.
/// let usual = Augmentation::none().flip().crop(4, Border::Reflect);
/// let image: Vec<u8> = (0..64).collect();
/// let mut changed = vec![0; 64];
/// usual.apply(&image, [1, 8, 8], [7, 1, 0], &mut changed)?;
/// # Ok::<(), dataset::DatasetError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Augmentation {
    flip: bool,
    shift: usize,
    padding: usize,
    border: Border,
    fill: u8,
}

impl Augmentation {
    /// No change.
    #[must_use]
    pub const fn none() -> Self {
        Self { flip: false, shift: 0, padding: 0, border: Border::Constant, fill: 0 }
    }

    /// Flips left to right in one of two cases.
    #[must_use]
    pub const fn flip(self) -> Self {
        Self { flip: true, ..self }
    }

    /// Shifts by up to so many pixels along each side, either way. What moves in is the
    /// [fill](Self::fill).
    #[must_use]
    pub const fn shift(self, pixels: usize) -> Self {
        Self { shift: pixels, ..self }
    }

    /// Pads each side by so many pixels and cuts an image of the old size out at a random place.
    #[must_use]
    pub const fn crop(self, padding: usize, border: Border) -> Self {
        Self { padding, border, ..self }
    }

    /// The value of pixels that come from outside, in all channels; 0 by default.
    #[must_use]
    pub const fn fill(self, value: u8) -> Self {
        Self { fill: value, ..self }
    }

    /// Whether no change is made.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        !self.flip && self.shift == 0 && self.padding == 0
    }

    /// Whether the changes can be made to images of `height` by `width` pixels.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Augmentation`] if a shift or a padding exceeds the size of the image, or
    /// one that reflects reaches it.
    pub fn check(&self, height: usize, width: usize) -> Result<(), DatasetError> {
        let shorter = height.min(width);
        let padding = match self.border {
            Border::Reflect => shorter.saturating_sub(1),
            Border::Constant | Border::Replicate => shorter,
        };
        for (what, pixels, max) in
            [("a shift", self.shift, shorter), ("a padding", self.padding, padding)]
        {
            if pixels > max {
                let image = [height, width];
                return Err(DatasetError::Augmentation { what, pixels, image, max });
            }
        }
        Ok(())
    }

    /// Overwrites `out` with the changed `image`, both (C, H, W). `place` is the seed, the epoch
    /// and the index of the image.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    ///
    /// # Panics
    ///
    /// If `image` or `out` does not have C x H x W elements.
    pub fn apply(
        &self,
        image: &[u8],
        shape: [usize; 3],
        place: [u64; 3],
        out: &mut [u8],
    ) -> Result<(), DatasetError> {
        let [_, height, width] = shape;
        self.check(height, width)?;
        self.draw(place, height, width).map_into(image, shape, out, |_, pixel| pixel);
        Ok(())
    }

    /// The changes to one image of a size that was checked.
    pub(crate) fn draw(
        &self,
        [seed, epoch, index]: [u64; 3],
        height: usize,
        width: usize,
    ) -> Drawn {
        let mut draws = Draws::new(seed, epoch, index);
        let flipped = draws.below(2) == 1 && self.flip;
        let mut axis = |len, flipped| Axis {
            len,
            flipped,
            shift: draws.around(self.shift),
            crop: draws.around(self.padding),
            border: self.border,
        };
        let rows = axis(height, false);
        let cols = axis(width, flipped);
        Drawn { rows, cols, fill: self.fill }
    }
}

/// The changes by name, as `flip,crop=4,border=reflect`.
impl fmt::Display for Augmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flip, shift, padding, border, fill } = *self;
        let border = match border {
            Border::Constant => "constant",
            Border::Reflect => "reflect",
            Border::Replicate => "replicate",
        };
        let parts = [
            (flip, "flip".to_owned()),
            (shift > 0, format!("shift={shift}")),
            (padding > 0, format!("crop={padding},border={border}")),
            (fill > 0, format!("fill={fill}")),
        ];
        if self.is_none() {
            return f.write_str("none");
        }
        let shown: Vec<&str> =
            parts.iter().filter(|(is_set, _)| *is_set).map(|(_, part)| part.as_str()).collect();
        f.write_str(&shown.join(","))
    }
}

/// The changes to one image.
pub(crate) struct Drawn {
    rows: Axis,
    cols: Axis,
    fill: u8,
}

impl Drawn {
    /// Writes each pixel of the changed image as `to(channel, pixel)`.
    pub(crate) fn map_into<T>(
        &self,
        image: &[u8],
        [channels, height, width]: [usize; 3],
        out: &mut [T],
        to: impl Fn(usize, u8) -> T,
    ) {
        let len = channels * height * width;
        assert!(image.len() == len && out.len() == len, "an image of {len} pixels");
        if len == 0 {
            return;
        }
        for (i, out) in out.chunks_exact_mut(width).enumerate() {
            let (channel, y) = (i / height, i % height);
            let row =
                self.rows.source(y).map(|y| &image[(channel * height + y) * width..][..width]);
            for (x, out) in out.iter_mut().enumerate() {
                let pixel = row.and_then(|row| self.cols.source(x).map(|x| row[x]));
                *out = to(channel, pixel.unwrap_or(self.fill));
            }
        }
    }
}

/// Where the pixels along one side of a changed image come from.
struct Axis {
    len: usize,
    flipped: bool,
    /// How far the image is moved, towards larger indices.
    shift: isize,
    /// Where the crop begins, seen from the edge of the image without its padding.
    crop: isize,
    border: Border,
}

impl Axis {
    /// The index of the pixel that comes to stand at `i`; `None` where the fill does.
    fn source(&self, i: usize) -> Option<usize> {
        let len = self.len as isize;
        let mut at = i as isize + self.crop;
        if !(0..len).contains(&at) {
            at = match self.border {
                Border::Constant => return None,
                Border::Replicate => at.clamp(0, len - 1),
                Border::Reflect if at < 0 => -at,
                Border::Reflect => 2 * (len - 1) - at,
            };
        }
        at -= self.shift;
        if !(0..len).contains(&at) {
            return None;
        }
        Some(if self.flipped { len - 1 - at } else { at } as usize)
    }
}

/// The odd number next to 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Random numbers that follow from three numbers.
struct Draws(u64);

impl Draws {
    fn new(seed: u64, epoch: u64, index: u64) -> Self {
        Self(mix(mix(seed ^ mix(epoch)) ^ index.wrapping_mul(GOLDEN)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// From 0 to one below `bound`. Off from equal probability by less than `bound / 2^64`.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// From `-reach` to `reach`.
    fn around(&mut self, reach: usize) -> isize {
        self.below(2 * reach as u64 + 1) as isize - reach as isize
    }
}

/// The finaliser of SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, *Fast splittable pseudorandom
/// number generators*, 2014).
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_shown() {
        let none = Augmentation::none();
        assert_eq!(none.to_string(), "none");
        assert_eq!(none.flip().crop(4, Border::Reflect).to_string(), "flip,crop=4,border=reflect");
        assert_eq!(none.shift(2).fill(9).to_string(), "shift=2,fill=9");
    }

    fn axis(shift: isize, crop: isize, border: Border, flipped: bool) -> Vec<Option<usize>> {
        let axis = Axis { len: 4, flipped, shift, crop, border };
        (0..4).map(|i| axis.source(i)).collect()
    }

    #[test]
    fn pixels_come_from_where_they_should() {
        let all = |pixels: [usize; 4]| pixels.map(Some).to_vec();
        assert_eq!(axis(0, 0, Border::Constant, false), all([0, 1, 2, 3]));
        assert_eq!(axis(0, 0, Border::Constant, true), all([3, 2, 1, 0]));
        assert_eq!(axis(1, 0, Border::Constant, false), [None, Some(0), Some(1), Some(2)]);
        assert_eq!(axis(1, 0, Border::Constant, true), [None, Some(3), Some(2), Some(1)]);
        assert_eq!(axis(-4, 0, Border::Reflect, false), [None; 4]);
        assert_eq!(axis(0, -2, Border::Constant, false), [None, None, Some(0), Some(1)]);
        assert_eq!(axis(0, -3, Border::Reflect, false), all([3, 2, 1, 0]));
        assert_eq!(axis(0, 2, Border::Reflect, false), all([2, 3, 2, 1]));
        assert_eq!(axis(0, -4, Border::Replicate, false), all([0, 0, 0, 0]));
        assert_eq!(axis(0, 3, Border::Replicate, true), all([0, 0, 0, 0]));
        // The border mirrors what the shift left.
        assert_eq!(axis(1, -1, Border::Reflect, false), [Some(0), None, Some(0), Some(1)]);
    }

    /// Each of the values is as probable as the others, by the chi-squared statistic.
    #[test]
    fn draws_are_spread_evenly() {
        for by in 0..3 {
            let mut counts = [0_u32; 9];
            for i in 0..9000_u64 {
                let mut place = [1, 1, 1];
                place[by] = i;
                let mut draws = Draws::new(place[0], place[1], place[2]);
                counts[(draws.around(4) + 4) as usize] += 1;
            }
            let distance = |&count: &u32| (f64::from(count) - 1000.0).powi(2) / 1000.0;
            let statistic: f64 = counts.iter().map(distance).sum();
            // Eight degrees of freedom: exceeded once in a thousand times.
            assert!(statistic < 26.1, "{by}: {counts:?}");
        }
    }
}
