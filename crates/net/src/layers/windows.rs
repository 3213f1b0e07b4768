//! The windows of a pool: which pixels of a plane each output sees.

use std::ops::Range;

use im2col::{ConvGeometry, Padding, Window};
use tensor4::Shape4;

use crate::layer::check;
use crate::{Misfit, NetError};

/// One axis of a pool.
#[derive(Debug, Clone, Copy)]
struct Axis {
    stride: usize,
    dilation: usize,
    kernel: usize,
    /// Pixels of the image.
    len: usize,
    /// Padding before the first and after the last pixel, as it was asked for.
    pads: [usize; 2],
}

impl Axis {
    /// Which of the taps of a window lie within the image, for each of `out` outputs.
    fn taps(self, out: usize) -> Vec<Taps> {
        let Self { stride, dilation, kernel, len, pads: [pad, after] } = self;
        (0..out)
            .map(|o| {
                let start = o * stride;
                let first = pad.saturating_sub(start).div_ceil(dilation);
                // One past the last tap with start + tap * dilation < length.
                let below = |length: usize| length.saturating_sub(start).div_ceil(dilation);
                let end = below(pad + len).min(kernel);
                let count = end.saturating_sub(first);
                let padded = below(pad + len + after).min(kernel);
                Taps { first: (start + first * dilation).saturating_sub(pad), count, padded }
            })
            .collect()
    }
}

/// The taps within the image: pixels `first`, `first + dilation`, …, `count` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taps {
    pub(super) first: usize,
    pub(super) count: usize,
    /// How many taps lie within the image or its padding: all of them, except where a window
    /// reaches further in ceil mode.
    pub(super) padded: usize,
}

/// The windows of a pool over one plane.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Windows {
    /// With the padding that the last windows need in ceil mode.
    pub(super) window: Window,
    pub(super) in_h: usize,
    pub(super) in_w: usize,
    pub(super) rows: Vec<Taps>,
    pub(super) cols: Vec<Taps>,
}

impl Windows {
    /// `ceil_mode` as in [`Window::complete`].
    pub(super) fn new(input: Shape4, asked: Window, ceil_mode: bool) -> Result<Self, Misfit> {
        let [_, _, in_h, in_w] = input.dims();
        let window = if ceil_mode { asked.complete(in_h, in_w) } else { asked };
        let g = ConvGeometry::new(1, in_h, in_w, window)?;
        let Window { kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, .. } = window;
        let Padding { top, left, bottom, right } = asked.padding;
        let axis =
            |stride, dilation, kernel, len, pads| Axis { stride, dilation, kernel, len, pads };
        let rows = axis(stride_h, dilation_h, kernel_h, in_h, [top, bottom]).taps(g.out_h());
        let cols = axis(stride_w, dilation_w, kernel_w, in_w, [left, right]).taps(g.out_w());
        let empty = |taps: &[Taps]| taps.iter().position(|taps| taps.count == 0);
        if let (out_h, out_w) = (empty(&rows), empty(&cols))
            && (out_h.is_some() || out_w.is_some())
        {
            let (out_h, out_w) = (out_h.unwrap_or(0), out_w.unwrap_or(0));
            return Err(Misfit::EmptyWindow { out_h, out_w });
        }
        Ok(Self { window, in_h, in_w, rows, cols })
    }

    pub(super) fn output_shape(&self, input: Shape4) -> Result<Shape4, Misfit> {
        let [n, c, ..] = input.dims();
        Ok(Shape4::new(n, c, self.rows.len(), self.cols.len())?)
    }

    pub(super) fn in_len(&self) -> usize {
        self.in_h * self.in_w
    }

    pub(super) fn out_len(&self) -> usize {
        self.rows.len() * self.cols.len()
    }

    /// Calls `f` for each output of a plane with its offset and its taps along both axes.
    pub(super) fn for_each(&self, mut f: impl FnMut(usize, Taps, Taps)) {
        let mut out = 0;
        for &rows in &self.rows {
            for &cols in &self.cols {
                f(out, rows, cols);
                out += 1;
            }
        }
    }

    /// Where in the plane the rows under a window begin.
    pub(super) fn row_starts(&self, rows: Taps, cols: Taps) -> impl Iterator<Item = usize> + use<> {
        let (dilation_h, in_w) = (self.window.dilation_h, self.in_w);
        (0..rows.count).map(move |row| (rows.first + row * dilation_h) * in_w + cols.first)
    }

    /// The columns of the output whose windows lie wholly within those of the image.
    pub(super) fn whole_cols(&self) -> Range<usize> {
        let is_whole = |taps: &Taps| taps.count == self.window.kernel_w;
        let start = self.cols.iter().position(is_whole).unwrap_or(0);
        start..start + self.cols[start..].iter().take_while(|taps| is_whole(taps)).count()
    }

    /// The checks that all pools share.
    pub(super) fn expected_output(&self, layer: &str, input: Shape4) -> Result<Shape4, NetError> {
        let [n, c, ..] = input.dims();
        check(layer, "the input", input, Shape4::new(n, c, self.in_h, self.in_w)?)?;
        Ok(Shape4::new(n, c, self.rows.len(), self.cols.len())?)
    }

    pub(super) fn describe(&self, kind: &str) -> String {
        let Window { kernel_h, kernel_w, stride_h, stride_w, .. } = self.window;
        format!("{kind} {kernel_h}x{kernel_w}, stride {stride_h}x{stride_w}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The taps by the definition.
    fn naive(
        o: usize,
        stride: usize,
        dilation: usize,
        pad: usize,
        kernel: usize,
        len: usize,
    ) -> Vec<usize> {
        let tap = |k: usize| (o * stride + k * dilation).checked_sub(pad).filter(|&i| i < len);
        (0..kernel).filter_map(tap).collect()
    }

    #[test]
    fn taps_are_the_pixels_within_the_image() {
        let mut cases = 0;
        for (stride, dilation, pad, kernel, len) in [
            (1, 1, 0, 2, 4),
            (2, 1, 1, 3, 7),
            (3, 2, 2, 3, 5),
            (1, 3, 4, 3, 3),
            (4, 1, 0, 2, 9),
            (2, 5, 5, 2, 1),
        ] {
            let out = (len + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1;
            let axis = Axis { stride, dilation, kernel, len, pads: [pad, pad] };
            for (o, taps) in axis.taps(out).into_iter().enumerate() {
                let pixels = 0..taps.count;
                let pixels: Vec<_> = pixels.map(|k| taps.first + k * dilation).collect();
                assert_eq!(pixels, naive(o, stride, dilation, pad, kernel, len));
                assert_eq!(taps.padded, kernel);
                cases += 1;
            }
        }
        assert_eq!(cases, 19);
    }
}
