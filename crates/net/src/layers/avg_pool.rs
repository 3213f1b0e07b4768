//! The average under a window, channel by channel.

use conv::parallel::{piece, pieces};
use conv::{MulAdd, PairShares, PairSums, Vectorised, vectorised};
use im2col::Window;
use tensor4::{Shape4, View4, ViewMut4};

use super::windows::{Taps, Windows};
use crate::layer::{check, check_gradient};
use crate::parallel::planes_per_task;
use crate::{
    Gradient, Init, Layer, LayerSpec, Misfit, Mode, NetError, NetScalar, Reads, Seeds, State, Tail,
};

/// The plan of an average pool; see [`avg_pool2d`] and [`global_avg_pool2d`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AvgPool2dSpec {
    /// `None` for the whole plane.
    window: Option<Window>,
    ceil_mode: bool,
    count_include_pad: bool,
}

/// The average under the window: `(N, C, H, W)` to `(N, C, OH, OW)`. The padding counts as pixels
/// of 0, as in PyTorch, unless [`count_include_pad`](AvgPool2dSpec::count_include_pad) says
/// otherwise.
#[must_use]
pub const fn avg_pool2d(window: Window) -> AvgPool2dSpec {
    AvgPool2dSpec { window: Some(window), ceil_mode: false, count_include_pad: true }
}

/// The average of each channel over all its pixels: `(N, C, H, W)` to `(N, C, 1, 1)`. Lin et al.,
/// "Network In Network", 2013.
#[must_use]
pub const fn global_avg_pool2d() -> AvgPool2dSpec {
    AvgPool2dSpec { window: None, ceil_mode: false, count_include_pad: true }
}

impl AvgPool2dSpec {
    /// Whether rows and columns that do not fill a window have an output of their own, as in
    /// [`Window::complete`]; they are left out otherwise. What lies beyond image and padding is
    /// never counted.
    #[must_use]
    pub const fn ceil_mode(self, ceil_mode: bool) -> Self {
        Self { ceil_mode, ..self }
    }

    /// Whether the padding is counted in the divisor.
    #[must_use]
    pub const fn count_include_pad(self, count_include_pad: bool) -> Self {
        Self { count_include_pad, ..self }
    }

    fn averages(self, input: Shape4) -> Result<Averages, Misfit> {
        let [_, _, h, w] = input.dims();
        let window = self.window.unwrap_or(Window::new(h, w));
        let windows = Windows::new(input, window, self.ceil_mode)?;
        Ok(Averages { windows, count_include_pad: self.count_include_pad })
    }
}

/// The averages over one plane.
#[derive(Debug)]
pub(super) struct Averages {
    pub(super) windows: Windows,
    pub(super) count_include_pad: bool,
}

impl Averages {
    fn divisor<T: NetScalar>(&self, rows: Taps, cols: Taps) -> T {
        T::from_usize(if self.count_include_pad {
            rows.padded * cols.padded
        } else {
            rows.count * cols.count
        })
    }

    /// Whether every pixel lies under one window of 2x2.
    fn are_pairs(&self) -> bool {
        let Windows { window, in_h, in_w, .. } = self.windows;
        window == Window::square(2).stride(2) && in_h % 2 == 0 && in_w % 2 == 0
    }

    /// Overwrites `y`, some planes of the output, with the averages of `x`, the same of the input.
    pub(super) fn forward_planes<T: NetScalar>(&self, x: &[T], y: &mut [T]) {
        if self.are_pairs() {
            let (cols, factor) = (self.windows.cols.len(), T::from_f64(0.25));
            return PairSums { x, cols, factor, y }.run();
        }
        let planes = y.chunks_exact_mut(self.windows.out_len());
        for (y, x) in planes.zip(x.chunks_exact(self.windows.in_len())) {
            self.forward_plane(x, y);
        }
    }

    fn forward_plane<T: NetScalar>(&self, x: &[T], y: &mut [T]) {
        let whole = self.windows.whole_cols();
        let out_w = self.windows.cols.len();
        for (&rows, y) in self.windows.rows.iter().zip(y.chunks_exact_mut(out_w)) {
            for col in (0..whole.start).chain(whole.end..out_w) {
                let cols = self.windows.cols[col];
                let mut sum = T::ZERO;
                for start in self.windows.row_starts(rows, cols) {
                    for tap in 0..cols.count {
                        sum += x[start + tap * self.windows.window.dilation_w];
                    }
                }
                y[col] = sum / self.divisor(rows, cols);
            }
            if let Some(&cols) = self.windows.cols[whole.clone()].first() {
                let x = &x[rows.first * self.windows.in_w + cols.first..];
                let (taps, divisor) = (self.taps(rows), self.divisor(rows, cols));
                vectorised(Average { x, taps, divisor, y: &mut y[whole.clone()] });
            }
        }
    }

    /// Overwrites `dx`, some planes of the input, with the gradients `dy` of the averages, each times
    /// `scale` and shared out among the pixels under its window.
    pub(super) fn backward_planes<T: NetScalar>(&self, dy: &[T], scale: T, dx: &mut [T]) {
        if self.are_pairs() {
            let (cols, factor) = (self.windows.cols.len(), scale * T::from_f64(0.25));
            return PairShares { dy, cols, factor, dx }.run();
        }
        let planes = dx.chunks_exact_mut(self.windows.in_len());
        for (dx, dy) in planes.zip(dy.chunks_exact(self.windows.out_len())) {
            self.backward_plane(dy, scale, dx);
        }
    }

    fn backward_plane<T: NetScalar>(&self, dy: &[T], scale: T, dx: &mut [T]) {
        let whole = self.windows.whole_cols();
        let out_w = self.windows.cols.len();
        dx.fill(T::ZERO);
        for (&rows, dy) in self.windows.rows.iter().zip(dy.chunks_exact(out_w)) {
            for col in (0..whole.start).chain(whole.end..out_w) {
                let cols = self.windows.cols[col];
                let share = scale * dy[col] / self.divisor(rows, cols);
                for start in self.windows.row_starts(rows, cols) {
                    for tap in 0..cols.count {
                        dx[start + tap * self.windows.window.dilation_w] += share;
                    }
                }
            }
            if let Some(&cols) = self.windows.cols[whole.clone()].first() {
                let dx = &mut dx[rows.first * self.windows.in_w + cols.first..];
                let (taps, divisor) = (self.taps(rows), self.divisor(rows, cols));
                vectorised(Share { dy: &dy[whole.clone()], scale, divisor, taps, dx });
            }
        }
    }

    /// The pixels under the windows that have all their columns within the image.
    fn taps(&self, rows: Taps) -> RowTaps {
        let window = self.windows.window;
        RowTaps {
            rows: rows.count,
            row_stride: window.dilation_h * self.windows.in_w,
            cols: window.kernel_w,
            dilation: window.dilation_w,
            stride: window.stride_w,
        }
    }
}

/// The pixels under the windows of a row of the output.
#[derive(Debug, Clone, Copy)]
struct RowTaps {
    rows: usize,
    row_stride: usize,
    cols: usize,
    dilation: usize,
    /// From one window to the next.
    stride: usize,
}

impl RowTaps {
    /// Where each pixel of a window lies from its first one on.
    #[inline(always)]
    fn offsets(self) -> impl Iterator<Item = usize> {
        let row =
            move |row| (0..self.cols).map(move |col| row * self.row_stride + col * self.dilation);
        (0..self.rows).flat_map(row)
    }
}

/// Outputs that are worked on at a time.
const STRIP: usize = 64;

/// A row of averages.
struct Average<'a, T> {
    /// The plane from the first pixel of the first window on.
    x: &'a [T],
    taps: RowTaps,
    divisor: T,
    y: &'a mut [T],
}

impl<T: NetScalar> Vectorised for Average<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<M: MulAdd>(self) {
        match self.taps.stride {
            1 => self.row::<1>(),
            2 => self.row::<2>(),
            _ => self.row::<0>(),
        }
    }
}

impl<T: NetScalar> Average<'_, T> {
    /// With a stride of `S`, or any if that is 0.
    #[inline(always)]
    fn row<const S: usize>(self) {
        let stride = if S == 0 { self.taps.stride } else { S };
        let len = self.y.len();
        self.y.fill(T::ZERO);
        for offset in self.taps.offsets() {
            let x = &self.x[offset..][..(len - 1) * stride + 1];
            for i in 0..len {
                self.y[i] += x[i * stride];
            }
        }
        self.y.iter_mut().for_each(|y| *y /= self.divisor);
    }
}

/// The gradients of a row of averages.
struct Share<'a, T> {
    dy: &'a [T],
    scale: T,
    divisor: T,
    taps: RowTaps,
    /// The plane from the first pixel of the first window on.
    dx: &'a mut [T],
}

impl<T: NetScalar> Vectorised for Share<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<M: MulAdd>(self) {
        match self.taps.stride {
            1 => self.row::<1>(),
            2 => self.row::<2>(),
            _ => self.row::<0>(),
        }
    }
}

impl<T: NetScalar> Share<'_, T> {
    /// With a stride of `S`, or any if that is 0.
    #[inline(always)]
    fn row<const S: usize>(self) {
        let stride = if S == 0 { self.taps.stride } else { S };
        for (strip, dy) in self.dy.chunks(STRIP).enumerate() {
            let mut shares = [T::ZERO; STRIP];
            for (share, &dy) in shares.iter_mut().zip(dy) {
                *share = self.scale * dy / self.divisor;
            }
            for offset in self.taps.offsets() {
                let start = strip * STRIP * stride + offset;
                let dx = &mut self.dx[start..][..(dy.len() - 1) * stride + 1];
                for (i, &share) in shares[..dy.len()].iter().enumerate() {
                    dx[i * stride] += share;
                }
            }
        }
    }
}

impl<T: NetScalar> LayerSpec<T> for AvgPool2dSpec {
    fn stem(&self) -> &'static str {
        "pool"
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, Misfit> {
        self.averages(input)?.windows.output_shape(input)
    }

    fn build(
        self: Box<Self>,
        name: String,
        input: Shape4,
        _init: Init,
        _seeds: &mut Seeds,
    ) -> Result<Box<dyn Layer<T>>, Misfit> {
        let averages = self.averages(input)?;
        Ok(Box::new(AvgPool2d { name, averages, global: self.window.is_none() }))
    }
}

#[derive(Debug)]
struct AvgPool2d {
    name: String,
    averages: Averages,
    global: bool,
}

impl<T: NetScalar> Layer<T> for AvgPool2d {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self) -> String {
        if self.global {
            "global average pool".to_owned()
        } else {
            self.averages.windows.describe("average pool")
        }
    }

    fn reads(&self, _tail: Tail) -> Reads {
        Reads::NEITHER
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, NetError> {
        self.averages.windows.expected_output(&self.name, input)
    }

    fn forward(
        &self,
        x: View4<'_, T>,
        y: ViewMut4<'_, T>,
        _state: &mut State<T>,
        _mode: Mode,
    ) -> Result<(), NetError> {
        let windows = &self.averages.windows;
        let output = windows.expected_output(&self.name, x.shape())?;
        check(&self.name, "the output", y.shape(), output)?;
        if output.is_empty() {
            return Ok(());
        }
        let (in_len, out_len) = (windows.in_len(), windows.out_len());
        let planes = planes_per_task(in_len);
        pieces(y.into_data(), planes * out_len, 1, &|i, y| {
            self.averages.forward_planes(piece(x.data(), i, planes * in_len), y);
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
        let windows = &self.averages.windows;
        let (in_len, out_len) = (windows.in_len(), windows.out_len());
        if dx.shape().is_empty() {
            return Ok(());
        }
        let planes = planes_per_task(in_len);
        pieces(dx.into_data(), planes * in_len, 1, &|i, dx| {
            let dy = piece(gradient.dy.data(), i, planes * out_len);
            self.averages.backward_planes(dy, T::ONE, dx);
        });
        Ok(())
    }
}
