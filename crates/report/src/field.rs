//! Which part of an image a unit sees.

use net::{Sequential, Tape};
use tensor4::{Shape4, Tensor4};

use crate::ReportError;
use crate::picture::Area;

/// Images of noise that are tried. A maximum pool passes a gradient to one pixel only, so that a
/// single image would not show all that a unit can see.
const PROBES: usize = 16;
/// What counts as 0, as a part of the largest gradient. A convolution may leave rounding errors, some
/// 1e-7 of it, in the whole of a tile of which a unit sees one pixel. At the edge of what units see,
/// along which there are many pixels to tell, gradients are above 1e-3 of the largest even after a dozen
/// layers.
const NOISE: f32 = 1e-5;

/// The receptive fields of the units of one layer: how large they are, and where that of each
/// place of the output lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceptiveField {
    /// The place of the unit in the middle of the output, row and column.
    pub middle: [usize; 2],
    /// The pixels that this unit sees.
    pub area: Area,
    /// By how many rows and columns the field moves from one place to the next.
    pub stride: [usize; 2],
    /// Whether every unit sees the whole image, as those of affine layers do.
    pub whole: bool,
}

impl ReceptiveField {
    /// Finds out by the gradient: a unit sees a pixel if it would change with it.
    ///
    /// # Errors
    ///
    /// As [`Sequential::gradient_by_input`].
    pub fn of(
        net: &mut Sequential<f32>,
        layer: usize,
        tape: &mut Tape<f32>,
    ) -> Result<Self, ReportError> {
        let probes = Tensor4::normal(net.input_shape().with_n(PROBES)?, 0.0, 1.0, 0);
        let [_, _, in_h, in_w] = probes.dims();
        let [_, _, h, w] = output_shape(net, layer)?.dims();
        let middle = [h / 2, w / 2];
        let mut seen = |[row, col]: [usize; 2]| {
            let gradient = net.gradient_by_input(layer, probes.view(), tape, |y, mut dy| {
                // The units of all channels at this place see the same pixels. Factors that
                // differ keep what they see from cancelling out.
                for plane in 0..y.shape().n() * y.shape().c() {
                    dy.data_mut()[(plane * h + row) * w + col] = 1.0 + 0.1 * (plane % 7) as f32;
                }
            })?;
            Ok::<Area, ReportError>(support(&gradient))
        };
        let area = seen(middle)?;
        let mut stride = [1, 1];
        if h > 1 {
            stride[0] = area.top.abs_diff(seen([middle[0] - 1, middle[1]])?.top);
        }
        if w > 1 {
            stride[1] = area.left.abs_diff(seen([middle[0], middle[1] - 1])?.left);
        }
        let whole = (h, w) == (1, 1) || (area.height, area.width) == (in_h, in_w);
        Ok(Self { middle, area, stride, whole })
    }

    /// The pixels that the unit at a place of the output sees, as far as they lie in the image or
    /// beside it.
    #[must_use]
    pub fn at(&self, row: usize, col: usize) -> Area {
        let moved = |start: isize, place: usize, middle: usize, stride: usize| {
            start + (place as isize - middle as isize) * stride as isize
        };
        Area {
            top: moved(self.area.top, row, self.middle[0], self.stride[0]),
            left: moved(self.area.left, col, self.middle[1], self.stride[1]),
            ..self.area
        }
    }
}

/// The shape of the output of one layer for one image.
fn output_shape(net: &Sequential<f32>, layer: usize) -> Result<Shape4, ReportError> {
    let layers = net.layers().len();
    let summary = net.summary()?;
    let line = summary.get(layer).ok_or(net::NetError::NoLayer { layer, layers })?;
    Ok(line.output)
}

/// The smallest area that holds every pixel with a gradient; the whole image if none has one.
fn support(gradient: &Tensor4<f32>) -> Area {
    let [_, _, h, w] = gradient.dims();
    let largest = gradient.data().iter().fold(0.0_f32, |max, value| max.max(value.abs()));
    let noise = NOISE * largest;
    let (mut rows, mut cols) = ((h, 0), (w, 0));
    for plane in gradient.data().chunks_exact((h * w).max(1)) {
        for (i, _) in plane.iter().enumerate().filter(|(_, value)| value.abs() > noise) {
            let (row, col) = (i / w, i % w);
            rows = (rows.0.min(row), rows.1.max(row + 1));
            cols = (cols.0.min(col), cols.1.max(col + 1));
        }
    }
    if rows.0 >= rows.1 {
        (rows, cols) = ((0, h), (0, w));
    }
    Area {
        top: rows.0 as isize,
        left: cols.0 as isize,
        height: rows.1 - rows.0,
        width: cols.1 - cols.0,
    }
}
