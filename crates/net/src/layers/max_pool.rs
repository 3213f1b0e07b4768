//! The maximum under a window, channel by channel.

use std::ops::Range;

use conv::MaxRow;
use conv::parallel::{piece, pieces, pieces_of_both};
use im2col::Window;
use tensor4::{Shape4, View4, ViewMut4};

use super::windows::{Taps, Windows};
use crate::layer::{check, check_gradient};
use crate::parallel::planes_per_task;
use crate::{
    Gradient, Init, Layer, LayerSpec, Misfit, Mode, NetError, NetScalar, Reads, Role, Seeds, State,
    Tail,
};

/// The plan of a maximum pool; see [`max_pool2d`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxPool2dSpec {
    window: Window,
    ceil_mode: bool,
}

/// The maximum under the window: `(N, C, H, W)` to `(N, C, OH, OW)`. The padding never wins. NaN
/// wins over everything, and of equal values the first, both as in PyTorch. Of several NaNs in a
/// window the first wins too: it gets the gradient, which PyTorch gives to the last.
///
/// The stride of a [`Window`] is 1 unless set: the usual 2x2 pool is
/// `Window::square(2).stride(2)`.
#[must_use]
pub const fn max_pool2d(window: Window) -> MaxPool2dSpec {
    MaxPool2dSpec { window, ceil_mode: false }
}

impl MaxPool2dSpec {
    /// Whether rows and columns that do not fill a window have an output of their own, as in
    /// [`Window::complete`]; they are left out otherwise.
    #[must_use]
    pub const fn ceil_mode(self, ceil_mode: bool) -> Self {
        Self { ceil_mode, ..self }
    }
}

impl<T: NetScalar> LayerSpec<T> for MaxPool2dSpec {
    fn stem(&self) -> &'static str {
        "pool"
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, Misfit> {
        Windows::new(input, self.window, self.ceil_mode)?.output_shape(input)
    }

    fn build(
        self: Box<Self>,
        name: String,
        input: Shape4,
        _init: Init,
        _seeds: &mut Seeds,
    ) -> Result<Box<dyn Layer<T>>, Misfit> {
        let windows = Windows::new(input, self.window, self.ceil_mode)?;
        Ok(Box::new(MaxPool2d::new(name, windows)))
    }
}

#[derive(Debug)]
struct MaxPool2d {
    name: String,
    windows: Windows,
    /// The columns of the output whose windows lie wholly within those of the image.
    whole: Range<usize>,
    /// Where in the plane each tap lies from the first pixel of its window on.
    taps: Vec<usize>,
}

impl MaxPool2d {
    fn new(name: String, windows: Windows) -> Self {
        let Window { kernel_h, kernel_w, dilation_h, dilation_w, .. } = windows.window;
        let in_w = windows.in_w;
        let row = |row| (0..kernel_w).map(move |col| row * dilation_h * in_w + col * dilation_w);
        let taps = if Self::are_kept(&windows) {
            (0..kernel_h).flat_map(row).collect()
        } else {
            Vec::new()
        };
        Self { name, whole: windows.whole_cols(), windows, taps }
    }

    /// Whether a byte says which pixel of a window won. Of larger windows, of which there are few,
    /// the backward pass looks for it again.
    fn are_kept(windows: &Windows) -> bool {
        let Window { kernel_h, kernel_w, .. } = windows.window;
        kernel_h.saturating_mul(kernel_w) <= MaxRow::<f32>::MAX_TAPS
    }

    /// The maxima of one plane, and which taps of their windows they are, if they are kept.
    fn forward_plane<T: NetScalar>(&self, x: &[T], y: &mut [T], taps: &mut [u8]) {
        let windows = &self.windows;
        let Window { kernel_w, stride_w, dilation_h, dilation_w, .. } = windows.window;
        let (out_w, keeps) = (windows.cols.len(), !taps.is_empty());
        for (row, &rows) in windows.rows.iter().enumerate() {
            let y = &mut y[row * out_w..][..out_w];
            let taps = if keeps { &mut taps[row * out_w..][..out_w] } else { &mut [] };
            let whole = if keeps { self.whole.clone() } else { 0..0 };
            for col in (0..whole.start).chain(whole.end..out_w) {
                let (max, tap) = self.maximum(x, rows, windows.cols[col]);
                y[col] = max;
                if keeps {
                    taps[col] = tap as u8;
                }
            }
            if !whole.is_empty() {
                let row = MaxRow {
                    x: &x[rows.first * windows.in_w + windows.cols[whole.start].first..],
                    row_stride: dilation_h * windows.in_w,
                    stride: stride_w,
                    dilation: dilation_w,
                    kernel: [rows.count, kernel_w],
                    y: &mut y[whole.clone()],
                    taps: &mut taps[whole],
                };
                row.run();
            }
        }
    }

    /// The maximum of one window, and which tap it is.
    fn maximum<T: NetScalar>(&self, x: &[T], rows: Taps, cols: Taps) -> (T, usize) {
        let kernel_w = self.windows.window.kernel_w;
        let mut best = (T::NEG_INFINITY, 0);
        for (row, start) in self.windows.row_starts(rows, cols).enumerate() {
            for col in 0..cols.count {
                let x = x[start + col * self.windows.window.dilation_w];
                if wins(x, best.0) {
                    best = (x, row * kernel_w + col);
                }
            }
        }
        best
    }

    /// Adds each gradient to the pixel that won.
    fn backward_plane<T: NetScalar>(&self, x: &[T], taps: &[u8], dy: &[T], dx: &mut [T]) {
        dx.fill(T::ZERO);
        let windows = &self.windows;
        let (in_w, out_w) = (windows.in_w, windows.cols.len());
        if taps.is_empty() {
            let Window { kernel_w, dilation_h, dilation_w, .. } = windows.window;
            return windows.for_each(|out, rows, cols| {
                let tap = self.maximum(x, rows, cols).1;
                let row = rows.first + tap / kernel_w * dilation_h;
                dx[row * in_w + cols.first + tap % kernel_w * dilation_w] += dy[out];
            });
        }
        let outputs = dy.chunks_exact(out_w).zip(taps.chunks_exact(out_w));
        for (rows, (dy, taps)) in windows.rows.iter().zip(outputs) {
            let dx = &mut dx[rows.first * in_w..];
            for (cols, (&dy, &tap)) in windows.cols.iter().zip(dy.iter().zip(taps)) {
                dx[cols.first + self.taps[usize::from(tap)]] += dy;
            }
        }
    }
}

/// Whether a pixel takes the place of the maximum of those before it. The first NaN stays.
#[inline(always)]
fn wins<T: NetScalar>(x: T, max: T) -> bool {
    (x > max) | (x.is_nan() & !max.is_nan())
}

impl<T: NetScalar> Layer<T> for MaxPool2d {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self) -> String {
        self.windows.describe("max pool")
    }

    fn role(&self) -> Role {
        let pairs = self.windows.window == Window::square(2).stride(2);
        if pairs { Role::MaxPool2x2 } else { Role::Other }
    }

    fn reads(&self, _tail: Tail) -> Reads {
        if Self::are_kept(&self.windows) { Reads::NEITHER } else { Reads::X }
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
        if !self.taps.is_empty() && state.taps.len() < output.len() {
            state.taps.resize(output.len(), 0);
        }
        let (in_len, out_len) = (self.windows.in_len(), self.windows.out_len());
        let (y, least) = (y.into_data(), planes_per_task(in_len));
        let x = |plane| piece(x.data(), plane, in_len);
        if self.taps.is_empty() {
            pieces(y, out_len, least, &|plane, y| self.forward_plane(x(plane), y, &mut []));
        } else {
            let taps = (&mut state.taps[..], out_len);
            pieces_of_both((y, out_len), taps, least, &|plane, y, taps| {
                self.forward_plane(x(plane), y, taps);
            });
        }
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
        pieces(dx.into_data(), in_len, planes_per_task(in_len), &|plane, dx| {
            let x = piece(gradient.x.data(), plane, in_len);
            let dy = piece(gradient.dy.data(), plane, out_len);
            let taps = match self.taps.is_empty() {
                true => &[],
                false => piece(&state.taps, plane, out_len),
            };
            self.backward_plane(x, taps, dy, dx);
        });
        Ok(())
    }
}
