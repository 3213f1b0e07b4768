//! Pictures of tensors.

use net::NetScalar;
use tensor4::Shape4;

use crate::Picture;

/// Which values are black and which white.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Shown as black; so is what is below, and NaN.
    pub low: f64,
    /// Shown as white; so is what is above.
    pub high: f64,
}

impl Scale {
    /// From the smallest to the largest of the values, as the text shows its filters. Values that
    /// are no numbers don't count.
    pub fn of<T: NetScalar>(values: &[T]) -> Self {
        let mut scale = Self { low: f64::INFINITY, high: f64::NEG_INFINITY };
        for value in values.iter().map(|value| value.to_f64()).filter(|value| value.is_finite()) {
            scale.low = scale.low.min(value);
            scale.high = scale.high.max(value);
        }
        if scale.low > scale.high { Self { low: 0.0, high: 0.0 } } else { scale }
    }

    /// The grey of a value. Where all values are equal there is nothing to tell apart: black.
    #[must_use]
    pub fn grey(self, value: f64) -> u8 {
        let range = self.high - self.low;
        if range <= 0.0 {
            return 0;
        }
        // NaN becomes 0 in the conversion.
        ((value - self.low) / range * 255.0).round() as u8
    }
}

/// One plane in greys.
///
/// # Panics
///
/// If `plane` does not have `height * width` values.
pub fn plane<T: NetScalar>(plane: &[T], height: usize, width: usize, scale: Scale) -> Picture {
    assert_eq!(plane.len(), height * width, "a plane of {height} x {width}");
    Picture::from_fn(width, height, |x, y| [scale.grey(plane[y * width + x].to_f64()); 3])
}

/// An image `(C, H, W)`: three channels as red, green and blue, one as grey, any other number as
/// the grey of their average.
///
/// # Panics
///
/// If `image` does not have the length of one image of the shape.
pub fn image<T: NetScalar>(image: &[T], shape: Shape4, scale: Scale) -> Picture {
    let [_, c, h, w] = shape.dims();
    assert_eq!(image.len(), shape.image_len(), "an image of {shape}");
    let at = |channel: usize, x: usize, y: usize| image[(channel * h + y) * w + x].to_f64();
    Picture::from_fn(w, h, |x, y| {
        if c == 3 {
            std::array::from_fn(|channel| scale.grey(at(channel, x, y)))
        } else {
            let sum: f64 = (0..c).map(|channel| at(channel, x, y)).sum();
            [scale.grey(sum / c as f64); 3]
        }
    })
}
