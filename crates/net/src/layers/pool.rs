//! Pooling: the maximum or the average under a window, channel by channel.

use im2col::{ConvGeometry, Window};
use rayon::prelude::*;
use tensor4::{Shape4, View4, ViewMut4};

use crate::layer::{check, check_gradient};
use crate::{Gradient, Init, Layer, LayerSpec, Misfit, Mode, NetError, NetScalar, Seeds, State};

/// The plan of a maximum pool; see [`max_pool2d`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxPool2dSpec(Window);

/// The maximum under the window: `(N, C, H, W)` to `(N, C, OH, OW)`. The padding never wins. NaN
/// wins over everything, and of equal values the first, both as in PyTorch.
///
/// The stride of a [`Window`] is 1 unless set: the usual 2x2 pool is
/// `Window::square(2).stride(2)`.
#[must_use]
pub const fn max_pool2d(window: Window) -> MaxPool2dSpec {
    MaxPool2dSpec(window)
}

/// The plan of an average pool; see [`avg_pool2d`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AvgPool2dSpec {
    window: Window,
    count_include_pad: bool,
}

/// The average under the window: `(N, C, H, W)` to `(N, C, OH, OW)`. The padding counts as pixels
/// of 0, as in PyTorch, unless [`count_include_pad`](AvgPool2dSpec::count_include_pad) says
/// otherwise.
#[must_use]
pub const fn avg_pool2d(window: Window) -> AvgPool2dSpec {
    AvgPool2dSpec { window, count_include_pad: true }
}

impl AvgPool2dSpec {
    /// Whether the padding is counted in the divisor.
    #[must_use]
    pub const fn count_include_pad(self, count_include_pad: bool) -> Self {
        Self { count_include_pad, ..self }
    }
}

/// Which of the taps of a window lie within the image, for each output along one axis.
fn taps(
    out: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
    kernel: usize,
    len: usize,
) -> Vec<Taps> {
    (0..out)
        .map(|o| {
            let start = o * stride;
            let first = pad.saturating_sub(start).div_ceil(dilation);
            // One past the last tap with start + tap * dilation < pad + len.
            let end = (pad + len).saturating_sub(start).div_ceil(dilation).min(kernel);
            let count = end.saturating_sub(first);
            Taps { first: (start + first * dilation).saturating_sub(pad), count }
        })
        .collect()
}

/// The taps within the image: pixels `first`, `first + dilation`, …, `count` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Taps {
    first: usize,
    count: usize,
}

/// The windows of a pool over one plane.
#[derive(Debug, Clone, PartialEq)]
struct Windows {
    window: Window,
    in_h: usize,
    in_w: usize,
    rows: Vec<Taps>,
    cols: Vec<Taps>,
}

impl Windows {
    fn new(input: Shape4, window: Window) -> Result<Self, Misfit> {
        let [_, _, in_h, in_w] = input.dims();
        let g = ConvGeometry::new(1, in_h, in_w, window)?;
        let Window {
            kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, padding, ..
        } = window;
        let rows = taps(g.out_h(), stride_h, dilation_h, padding.top, kernel_h, in_h);
        let cols = taps(g.out_w(), stride_w, dilation_w, padding.left, kernel_w, in_w);
        let empty = |taps: &[Taps]| taps.iter().position(|taps| taps.count == 0);
        if let (out_h, out_w) = (empty(&rows), empty(&cols))
            && (out_h.is_some() || out_w.is_some())
        {
            let (out_h, out_w) = (out_h.unwrap_or(0), out_w.unwrap_or(0));
            return Err(Misfit::EmptyWindow { out_h, out_w });
        }
        Ok(Self { window, in_h, in_w, rows, cols })
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, Misfit> {
        let [n, c, ..] = input.dims();
        Ok(Shape4::new(n, c, self.rows.len(), self.cols.len())?)
    }

    fn in_len(&self) -> usize {
        self.in_h * self.in_w
    }

    fn out_len(&self) -> usize {
        self.rows.len() * self.cols.len()
    }

    /// The pixels of the image under a window, as offsets into the plane, row by row.
    fn pixels(&self, rows: Taps, cols: Taps) -> impl Iterator<Item = usize> {
        let Window { dilation_h, dilation_w, .. } = self.window;
        (0..rows.count).flat_map(move |row| {
            let start = (rows.first + row * dilation_h) * self.in_w + cols.first;
            (0..cols.count).map(move |col| start + col * dilation_w)
        })
    }

    /// The checks that both pools share.
    fn expected_output(&self, layer: &str, input: Shape4) -> Result<Shape4, NetError> {
        let [n, c, ..] = input.dims();
        check(layer, "the input", input, Shape4::new(n, c, self.in_h, self.in_w)?)?;
        Ok(Shape4::new(n, c, self.rows.len(), self.cols.len())?)
    }

    fn describe(&self, kind: &str) -> String {
        let Window { kernel_h, kernel_w, stride_h, stride_w, .. } = self.window;
        format!("{kind} pool {kernel_h}x{kernel_w}, stride {stride_h}x{stride_w}")
    }
}

/// How many planes one task takes: about this many pixels.
fn planes_per_task(plane_len: usize) -> usize {
    (1 << 13) / plane_len.max(1) + 1
}

impl<T: NetScalar> LayerSpec<T> for MaxPool2dSpec {
    fn stem(&self) -> &'static str {
        "pool"
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, Misfit> {
        Windows::new(input, self.0)?.output_shape(input)
    }

    fn build(
        self: Box<Self>,
        name: String,
        input: Shape4,
        _init: Init,
        _seeds: &mut Seeds,
    ) -> Result<Box<dyn Layer<T>>, Misfit> {
        Ok(Box::new(MaxPool2d { name, windows: Windows::new(input, self.0)? }))
    }
}

#[derive(Debug)]
struct MaxPool2d {
    name: String,
    windows: Windows,
}

impl MaxPool2d {
    /// The maxima of one plane, and where in the plane they stand.
    fn forward_plane<T: NetScalar>(&self, x: &[T], y: &mut [T], indices: &mut [u32]) {
        let windows = &self.windows;
        let Window { kernel_h, kernel_w, stride_h, stride_w, .. } = windows.window;
        if (kernel_h, kernel_w, stride_h, stride_w) == (2, 2, 2, 2)
            && windows.window.padding == im2col::Padding::default()
            && (windows.window.dilation_h, windows.window.dilation_w) == (1, 1)
        {
            return pairs(x, windows.in_w, y, indices, windows.cols.len());
        }
        let mut outputs = y.iter_mut().zip(indices);
        for &rows in &windows.rows {
            for (&cols, (y, index)) in windows.cols.iter().zip(&mut outputs) {
                let mut pixels = windows.pixels(rows, cols);
                let mut at = pixels.next().expect("no window is empty");
                let mut max = x[at];
                for i in pixels {
                    // The first NaN stays: nothing is greater, and `max` is NaN already.
                    if x[i] > max || (x[i].is_nan() && !max.is_nan()) {
                        (at, max) = (i, x[i]);
                    }
                }
                *y = max;
                *index = at as u32;
            }
        }
    }
}

/// [`MaxPool2d::forward_plane`] for the 2x2 window with stride 2, without padding.
fn pairs<T: NetScalar>(x: &[T], in_w: usize, y: &mut [T], indices: &mut [u32], out_w: usize) {
    let rows = y.chunks_exact_mut(out_w).zip(indices.chunks_exact_mut(out_w)).enumerate();
    for (row, (y, indices)) in rows {
        let start = 2 * row * in_w;
        let (top, bottom) = (&x[start..start + in_w], &x[start + in_w..start + 2 * in_w]);
        let (top, bottom) = (top.as_chunks::<2>().0, bottom.as_chunks::<2>().0);
        for (col, ((y, index), (&[a, b], &[c, d]))) in
            y.iter_mut().zip(indices).zip(top.iter().zip(bottom)).enumerate()
        {
            let greater = |a: T, b: T| b > a || (b.is_nan() && !a.is_nan());
            let at = start + 2 * col;
            let (top, top_at) = if greater(a, b) { (b, at + 1) } else { (a, at) };
            let (bottom, bottom_at) =
                if greater(c, d) { (d, at + in_w + 1) } else { (c, at + in_w) };
            let (max, at) = if greater(top, bottom) { (bottom, bottom_at) } else { (top, top_at) };
            *y = max;
            *index = at as u32;
        }
    }
}

impl<T: NetScalar> Layer<T> for MaxPool2d {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self) -> String {
        self.windows.describe("max")
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, NetError> {
        self.windows.expected_output(&self.name, input)
    }

    fn forward(
        &self,
        x: View4<'_, T>,
        y: ViewMut4<'_, T>,
        state: &mut State<T>,
        _mode: Mode,
    ) -> Result<(), NetError> {
        let output = self.windows.expected_output(&self.name, x.shape())?;
        check(&self.name, "the output", y.shape(), output)?;
        if output.is_empty() {
            return Ok(());
        }
        if state.indices.len() < output.len() {
            state.indices.resize(output.len(), 0);
        }
        let (in_len, out_len) = (self.windows.in_len(), self.windows.out_len());
        y.into_data()
            .par_chunks_exact_mut(out_len)
            .zip(state.indices.par_chunks_exact_mut(out_len))
            .zip(x.data().par_chunks_exact(in_len))
            .with_min_len(planes_per_task(in_len))
            .for_each(|((y, indices), x)| self.forward_plane(x, y, indices));
        Ok(())
    }

    /// Each gradient goes to the pixel that won.
    fn backward(
        &mut self,
        gradient: Gradient<'_, T>,
        dx: Option<ViewMut4<'_, T>>,
        state: &mut State<T>,
    ) -> Result<(), NetError> {
        check_gradient(self, &gradient, dx.as_ref())?;
        let Some(dx) = dx else { return Ok(()) };
        let (in_len, out_len) = (self.windows.in_len(), self.windows.out_len());
        if dx.shape().is_empty() {
            return Ok(());
        }
        dx.into_data()
            .par_chunks_exact_mut(in_len)
            .zip(state.indices.par_chunks_exact(out_len))
            .zip(gradient.dy.data().par_chunks_exact(out_len))
            .with_min_len(planes_per_task(in_len))
            .for_each(|((dx, indices), dy)| {
                dx.fill(T::ZERO);
                for (&i, &dy) in indices.iter().zip(dy) {
                    dx[i as usize] += dy;
                }
            });
        Ok(())
    }
}

impl<T: NetScalar> LayerSpec<T> for AvgPool2dSpec {
    fn stem(&self) -> &'static str {
        "pool"
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, Misfit> {
        Windows::new(input, self.window)?.output_shape(input)
    }

    fn build(
        self: Box<Self>,
        name: String,
        input: Shape4,
        _init: Init,
        _seeds: &mut Seeds,
    ) -> Result<Box<dyn Layer<T>>, Misfit> {
        let windows = Windows::new(input, self.window)?;
        Ok(Box::new(AvgPool2d { name, windows, count_include_pad: self.count_include_pad }))
    }
}

#[derive(Debug)]
struct AvgPool2d {
    name: String,
    windows: Windows,
    count_include_pad: bool,
}

impl AvgPool2d {
    /// Calls `f` for each output of a plane with its offset, the taps and the divisor.
    fn for_each<T: NetScalar>(&self, mut f: impl FnMut(usize, Taps, Taps, T)) {
        let Window { kernel_h, kernel_w, .. } = self.windows.window;
        let mut out = 0;
        for &rows in &self.windows.rows {
            for &cols in &self.windows.cols {
                let pixels = if self.count_include_pad {
                    kernel_h * kernel_w
                } else {
                    rows.count * cols.count
                };
                f(out, rows, cols, T::from_usize(pixels));
                out += 1;
            }
        }
    }
}

impl<T: NetScalar> Layer<T> for AvgPool2d {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self) -> String {
        self.windows.describe("average")
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, NetError> {
        self.windows.expected_output(&self.name, input)
    }

    fn forward(
        &self,
        x: View4<'_, T>,
        y: ViewMut4<'_, T>,
        _state: &mut State<T>,
        _mode: Mode,
    ) -> Result<(), NetError> {
        let output = self.windows.expected_output(&self.name, x.shape())?;
        check(&self.name, "the output", y.shape(), output)?;
        if output.is_empty() {
            return Ok(());
        }
        let (in_len, out_len) = (self.windows.in_len(), self.windows.out_len());
        y.into_data()
            .par_chunks_exact_mut(out_len)
            .zip(x.data().par_chunks_exact(in_len))
            .with_min_len(planes_per_task(in_len))
            .for_each(|(y, x)| {
                self.for_each(|out, rows, cols, divisor: T| {
                    let sum: T = self.windows.pixels(rows, cols).map(|i| x[i]).sum();
                    y[out] = sum / divisor;
                });
            });
        Ok(())
    }

    /// Each gradient is shared out among the pixels under its window.
    fn backward(
        &mut self,
        gradient: Gradient<'_, T>,
        dx: Option<ViewMut4<'_, T>>,
        _state: &mut State<T>,
    ) -> Result<(), NetError> {
        check_gradient(self, &gradient, dx.as_ref())?;
        let Some(dx) = dx else { return Ok(()) };
        let (in_len, out_len) = (self.windows.in_len(), self.windows.out_len());
        if dx.shape().is_empty() {
            return Ok(());
        }
        dx.into_data()
            .par_chunks_exact_mut(in_len)
            .zip(gradient.dy.data().par_chunks_exact(out_len))
            .with_min_len(planes_per_task(in_len))
            .for_each(|(dx, dy)| {
                dx.fill(T::ZERO);
                self.for_each(|out, rows, cols, divisor: T| {
                    let share = dy[out] / divisor;
                    for i in self.windows.pixels(rows, cols) {
                        dx[i] += share;
                    }
                });
            });
        Ok(())
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
            for (o, taps) in taps(out, stride, dilation, pad, kernel, len).into_iter().enumerate() {
                let pixels = 0..taps.count;
                let pixels: Vec<_> = pixels.map(|k| taps.first + k * dilation).collect();
                assert_eq!(pixels, naive(o, stride, dilation, pad, kernel, len));
                cases += 1;
            }
        }
        assert_eq!(cases, 19);
    }
}
