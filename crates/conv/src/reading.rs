//! How the direct kernels read the input, forward and for the gradient by the weights.

use std::ops::Range;

use im2col::{ConvGeometry, Padding};

use crate::ConvScalar;
use crate::direct::MAX_KERNEL_W;
use crate::kernels::Kernels;
use crate::kernels::lanes::Rows;

/// How the input is read: in place, or copied between borders of 0, columns sorted by their place within
/// a stride.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    g: &'a ConvGeometry,
    pub(crate) copied: bool,
    /// Columns of a copied row that have the same place within a stride.
    phase: usize,
    /// Places within a stride that a kernel reads.
    places: usize,
    /// Rows of the input from one copied row to the next.
    copied_step: usize,
    lanes: usize,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(g: &'a ConvGeometry, lanes: usize) -> Self {
        let window = g.window();
        let copied = window.padding != Padding::default() || window.stride_w != 1;
        let padded = g.in_w() + window.padding.left + window.padding.right;
        // A kernel of one row or column skips what it strides over.
        let places = if window.kernel_w == 1 { 1 } else { window.stride_w };
        let copied_step = if window.kernel_h == 1 { window.stride_h } else { 1 };
        let phase = padded.div_ceil(window.stride_w).next_multiple_of(lanes);
        Self { g, copied, phase, places, copied_step, lanes }
    }

    /// Elements of a copied row.
    fn copied_pitch(&self) -> usize {
        self.places * self.phase
    }

    /// Elements from one row to the next.
    pub(crate) fn pitch(&self) -> usize {
        if self.copied { self.copied_pitch() } else { self.g.in_w() }
    }

    /// As [`row_stride`](Self::row_stride), if rows were copied.
    pub(crate) fn copied_row_stride(&self) -> usize {
        self.g.window().stride_h / self.copied_step * self.copied_pitch()
    }

    /// Elements from the factor of one pixel to that of the pixel below.
    pub(crate) fn row_stride(&self) -> usize {
        match self.copied {
            true => self.copied_row_stride(),
            false => self.g.window().stride_h * self.g.in_w(),
        }
    }

    /// Elements from one row of the kernel to the next.
    pub(crate) fn kernel_row_stride(&self) -> usize {
        self.g.window().dilation_h * self.pitch()
    }

    /// Copied rows under so many output rows.
    fn in_rows(&self, out_rows: usize) -> usize {
        let window = self.g.window();
        ((out_rows - 1) * window.stride_h + (window.kernel_h - 1) * window.dilation_h)
            / self.copied_step
            + 1
    }

    /// Elements from one channel to the next, under so many output rows.
    pub(crate) fn channel_stride(&self, out_rows: usize) -> usize {
        if !self.copied {
            return self.g.in_h() * self.g.in_w();
        }
        // An odd number of registers: at a distance that a power of two divides, channels would
        // contend for the same few lines of the first-level cache.
        let len = self.in_rows(out_rows) * self.pitch();
        if (len / self.lanes).is_multiple_of(2) { len + self.lanes } else { len }
    }

    /// Elements of scratch memory for so many output rows of so many channels.
    pub(crate) fn band_len(&self, out_rows: usize, channels: usize) -> usize {
        if self.copied { channels * self.channel_stride(out_rows) } else { 0 }
    }

    /// Where the columns of the kernel stand in a row.
    pub(crate) fn kernel_col(&self, kw: usize) -> usize {
        let window = self.g.window();
        let col = kw * window.dilation_w;
        if !self.copied {
            return col;
        }
        col % window.stride_w * self.phase + col / window.stride_w
    }

    /// Where all of them stand.
    pub(crate) fn kernel_cols<'b>(&self, cols: &'b mut [usize; MAX_KERNEL_W]) -> &'b [usize] {
        let cols = &mut cols[..self.g.window().kernel_w];
        for (kw, col) in cols.iter_mut().enumerate() {
            *col = self.kernel_col(kw);
        }
        cols
    }

    /// Copies the rows under some output rows of some channels, which are all that `x` has.
    pub(crate) fn copy<T: ConvScalar>(
        &self,
        kernels: &Kernels<T>,
        x: &[T],
        rows: &Range<usize>,
        band: &mut [T],
    ) {
        let window = self.g.window();
        kernels.copy_rows(Rows {
            x,
            channels: x.len() / (self.g.in_h() * self.g.in_w()),
            in_h: self.g.in_h(),
            in_w: self.g.in_w(),
            rows: self.in_rows(rows.len()),
            first: rows.start * window.stride_h,
            step: self.copied_step,
            top: window.padding.top,
            left: window.padding.left,
            stride: window.stride_w,
            places: self.places,
            phase: self.phase,
            band,
            band_stride: self.channel_stride(rows.len()),
        });
    }
}
