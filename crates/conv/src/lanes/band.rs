//! Bands: rows of the output that are computed from the same rows of the input.

use std::ops::Range;

use im2col::ConvGeometry;

use super::{Layout, MAX_TAPS};
use crate::ConvScalar;
use crate::kernels::lanes::{Fill, MAX_COLS, Taps};

/// Rows that are summed together where each is one register.
const STACK: usize = 2;

/// How the input of a band is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Band {
    /// Whether its rows are copied first.
    pub(super) copied: bool,
    /// Rows from one channel to the next.
    pub(super) channel_rows: usize,
    /// Elements of a row.
    pub(super) pitch: usize,
}

impl<T: ConvScalar> Layout<'_, T> {
    /// How a band is read that begins with so many rows of the output.
    pub(super) fn band(&self, rows: Range<usize>) -> Band {
        let in_rows = self.in_rows(rows.len());
        // A band near the end of the image is copied as well, because registers are read beyond its end.
        let below = self.g.in_h().saturating_sub(rows.start * self.g.window().stride_h + in_rows);
        let last = below * self.g.in_w() < MAX_COLS * self.kernels.lanes;
        match self.copied || last {
            true => Band { copied: true, channel_rows: in_rows, pitch: self.pitch },
            false => Band { copied: false, channel_rows: self.g.in_h(), pitch: self.g.in_w() },
        }
    }

    /// Where the factors of a sum stand in a band, from the place of its pixel on.
    pub(super) fn taps<'t>(&self, band: Band, taps: &'t mut [usize; MAX_TAPS]) -> Taps<'t> {
        let window = self.g.window();
        let mut i = 0;
        for kh in 0..window.kernel_h {
            for channel in 0..self.g.in_c() {
                for kw in 0..window.kernel_w {
                    let (row, col) = (kh * window.dilation_h, kw * window.dilation_w);
                    let within = col % window.stride_w * self.phase + col / window.stride_w;
                    taps[i] = (channel * band.channel_rows + row) * band.pitch + within;
                    i += 1;
                }
            }
        }
        Taps::new(&taps[..i])
    }

    /// The rows of the output under all of whose kernel rows there is an image.
    pub(super) fn inner_rows(g: &ConvGeometry) -> Range<usize> {
        let window = g.window();
        let below = g.in_h() + window.padding.top;
        let below = below.saturating_sub((window.kernel_h - 1) * window.dilation_h);
        window.padding.top.div_ceil(window.stride_h)..below.div_ceil(window.stride_h)
    }

    /// How registers are filled where the place of each row is `step` after that of the one above.
    pub(super) fn fill(&self, step: usize) -> Fill {
        let (lanes, out_w) = (self.kernels.lanes, self.g.out_w());
        if out_w <= lanes && step != out_w {
            Fill::Stacked
        } else if self.rows != 1 && !out_w.is_multiple_of(lanes) && step != out_w {
            Fill::RunOn
        } else {
            Fill::Rows
        }
    }

    /// As [`alike`](Self::alike), or more rows with all rows of the kernel that any of them meets: as
    /// many as keep the processor busy where a row is one register.
    pub(super) fn together(&self, rows: Range<usize>, fill: Fill) -> (Range<usize>, Range<usize>) {
        let (mut alike, mut kernel_rows) = self.alike(rows.clone());
        while fill == Fill::Stacked && alike.len() < STACK.min(rows.len()) {
            let (more, met) = self.alike(alike.end..alike.end + 1);
            alike.end = more.end;
            kernel_rows = kernel_rows.start.min(met.start)..kernel_rows.end.max(met.end);
        }
        (alike, kernel_rows)
    }

    /// The first of some rows of the output that all meet the image with the same rows of the kernel,
    /// and these.
    fn alike(&self, rows: Range<usize>) -> (Range<usize>, Range<usize>) {
        let (window, row) = (self.g.window(), rows.start);
        if self.inner.contains(&row) {
            return (row..rows.end.min(self.inner.end), 0..window.kernel_h);
        }
        let before = |end: usize| {
            let end = end.saturating_sub(row * window.stride_h);
            end.div_ceil(window.dilation_h).min(window.kernel_h)
        };
        (row..row + 1, before(window.padding.top)..before(window.padding.top + self.g.in_h()))
    }
}
