//! The maximum under a window, channel by channel.

use im2col::Window;
use rayon::prelude::*;
use tensor4::{Shape4, View4, ViewMut4};

use super::windows::Windows;
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
        Ok(Box::new(MaxPool2d { name, windows }))
    }
}

#[derive(Debug)]
struct MaxPool2d {
    name: String,
    windows: Windows,
}

impl MaxPool2d {
    /// Whether the windows are 2x2 pixels, one beside the other.
    fn is_pairs(&self) -> bool {
        self.windows.window == Window::square(2).stride(2)
    }

    /// The maxima of one plane, and where in the plane they stand.
    fn forward_plane<T: NetScalar>(&self, x: &[T], y: &mut [T], indices: &mut [u32]) {
        let windows = &self.windows;
        if self.is_pairs() {
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
        self.windows.describe("max pool")
    }

    fn role(&self) -> Role {
        if self.is_pairs() { Role::MaxPool2x2 } else { Role::Other }
    }

    fn reads(&self, _tail: Tail) -> Reads {
        Reads::NEITHER
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
