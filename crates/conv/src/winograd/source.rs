//! The transform of the input: where its tiles are read.

use std::array::from_fn;

use tensor4::View4;

use super::layout::{Blocking, Layout};
use super::tiles::Tiles;
use crate::ConvScalar;
use crate::kernels::lanes::Rows;
use crate::kernels::winograd::{COLS, Input, Register, Segment, Source};

/// The most tiles of a panel.
const MAX_PANEL: usize = COLS * 16;
/// Elements of rows that are copied at a time, if those of one channel are not more.
const BAND_LEN: usize = 1 << 14;

/// The tiles of one phase of the output of one image: what is copied for them.
#[derive(Clone, Copy, Default)]
struct Copied {
    image: usize,
    phase: [usize; 2],
    /// The first row and column of the phase that they read, and those behind the last.
    rows: [usize; 2],
    cols: [usize; 2],
}

/// Rows and columns of the largest of some copies, in memory.
struct Band {
    /// Columns of a place within a stride.
    phase: usize,
    /// Elements of a row, all places side by side.
    pitch: usize,
    /// Rows of a phase of the input.
    rows: usize,
    /// Elements of a copy of one channel.
    len: usize,
}

impl Band {
    fn new<T: ConvScalar>(layout: &Layout<'_, T>, rows: usize, cols: usize) -> Self {
        let phase = cols.next_multiple_of(layout.width);
        let pitch = phase * layout.places();
        Self { phase, pitch, rows, len: rows * layout.phases.stride[0] * pitch }
    }
}

impl<T: ConvScalar> Layout<'_, T> {
    /// The places that a column may have within a stride, or a dilation.
    fn places(&self) -> usize {
        self.phases.stride[1] * self.phases.dilation[1]
    }

    /// Elements of copies of the input that each thread needs.
    pub(super) fn band_len(&self) -> usize {
        if !self.phases.several() {
            return 0;
        }
        let tiles = COLS * self.width;
        let copies = (tiles / (self.tiles_h * self.tiles_w) + 2).min(tiles);
        let rows = (tiles / self.tiles_w + 2).min(self.tiles_h);
        let pixels = |tiles: usize| tiles * self.form.out() + self.form.taps() - 1;
        let band = Band::new(self, pixels(rows), pixels(self.tiles_w));
        (copies * band.len).max(BAND_LEN)
    }
}

impl<T: ConvScalar> Blocking<'_, T> {
    /// Transforms a piece of the input of a group; `scratch` has [`Layout::band_len`] elements.
    pub(super) fn transform_input(
        &self,
        x: View4<'_, T>,
        group: usize,
        piece: usize,
        tiles: &Tiles,
        v: &mut [T],
        scratch: &mut [T],
    ) {
        let layout = self.layout;
        let (panel, chunk) = (piece / layout.chunks, piece % layout.chunks);
        if panel * self.cols >= tiles.count {
            return;
        }
        let registers = tiles.registers(panel * self.cols, self.cols);
        let first = registers[0].first;
        let segments = &tiles.segments[first..registers[registers.len() - 1].last];
        let rebased: [Register; COLS] = from_fn(|i| match registers.get(i) {
            Some(register) => {
                Register { first: register.first - first, last: register.last - first }
            }
            None => Register::default(),
        });
        let registers = &rebased[..registers.len()];
        let image_len = x.shape().image_len();
        let plane_len = layout.g.in_h() * layout.g.in_w();
        let plane = group * layout.g.in_c() + chunk * layout.chunk;
        let x = &x.data()[tiles.images.start * image_len + plane * plane_len..];
        let panel = Panel { segments, registers, x, image_len, channels: layout.chunk_len(chunk) };
        if layout.phases.several() {
            self.transform_copies(&panel, v, scratch);
        } else {
            self.transform_in_place(&panel, v);
        }
    }

    fn transform_in_place(&self, panel: &Panel<'_, T>, v: &mut [T]) {
        let (layout, padding) = (self.layout, self.layout.g.window().padding);
        let mut sources = [Source::default(); MAX_PANEL];
        for (source, s) in sources.iter_mut().zip(panel.segments) {
            let offset = s.image * panel.image_len;
            *source = Source { offset, top: s.top, left: s.left, tiles: s.tiles };
        }
        layout.kernels.winograd_input(Input {
            form: layout.form,
            x: panel.x,
            plane_stride: layout.g.in_h() * layout.g.in_w(),
            row_stride: layout.g.in_w(),
            channels: panel.channels,
            in_h: layout.g.in_h(),
            in_w: layout.g.in_w(),
            pad_top: padding.top,
            pad_left: padding.left,
            sources: &sources,
            registers: panel.registers,
            v,
            point_stride: self.v_point,
            channel_stride: self.v_channel,
        });
    }

    /// Copies what the tiles read, columns sorted by their phase, and transforms phase by phase.
    fn transform_copies(&self, panel: &Panel<'_, T>, v: &mut [T], scratch: &mut [T]) {
        let layout = self.layout;
        let ([stride_h, _], [down, _]) = (layout.phases.stride, layout.phases.dilation);
        let mut copies = [Copied::default(); MAX_PANEL];
        let mut sources = [Source::default(); MAX_PANEL];
        let count = panel.copies(layout, &mut copies);
        let copies = &copies[..count];
        let widest = |range: fn(&Copied) -> [usize; 2]| {
            copies.iter().map(range).map(|[from, to]| to - from).max().unwrap_or(0)
        };
        let band = Band::new(layout, widest(|copy| copy.rows), widest(|copy| copy.cols));
        let mut copy = 0;
        for (source, s) in sources.iter_mut().zip(panel.segments) {
            while (copies[copy].image, copies[copy].phase) != (s.image, s.phase) {
                copy += 1;
            }
            *source = Source {
                offset: copy * band.len + s.phase[1] * band.phase,
                top: s.top - copies[copy].rows[0],
                left: s.left - copies[copy].cols[0],
                tiles: s.tiles,
            };
        }
        let plane_stride = copies.len() * band.len;
        let at_a_time = (scratch.len().min(BAND_LEN) / plane_stride).clamp(1, panel.channels);
        for first in (0..panel.channels).step_by(at_a_time) {
            let channels = at_a_time.min(panel.channels - first);
            let plane_len = layout.g.in_h() * layout.g.in_w();
            for (i, copy) in copies.iter().enumerate() {
                let x = &panel.x[copy.image * panel.image_len + first * plane_len..];
                let x = &x[..channels * plane_len];
                copy.copy(layout, &band, (x, channels), &mut scratch[i * band.len..], plane_stride);
            }
            for slot in 0..layout.phases.count() {
                let [row, col] = layout.phases.at(slot);
                layout.kernels.winograd_input(Input {
                    form: layout.form,
                    x: &scratch[row * band.pitch + col * band.phase..],
                    plane_stride,
                    row_stride: stride_h * band.pitch,
                    channels,
                    in_h: band.rows,
                    in_w: band.phase,
                    pad_top: 0,
                    pad_left: 0,
                    sources: &sources,
                    registers: panel.registers,
                    v: &mut v[(slot * panel.channels + first) * self.v_channel..],
                    point_stride: self.v_point,
                    channel_stride: self.v_channel,
                });
            }
        }
        debug_assert!(stride_h == 1 || down == 1);
    }
}

/// Tiles that stand side by side in up to [`COLS`] registers, and the channels that they read.
struct Panel<'a, T> {
    segments: &'a [Segment],
    registers: &'a [Register],
    /// The images of the block from the first of the channels on.
    x: &'a [T],
    image_len: usize,
    channels: usize,
}

impl<T: ConvScalar> Panel<'_, T> {
    /// What must be copied, and how much it is.
    fn copies(&self, layout: &Layout<'_, T>, copies: &mut [Copied; MAX_PANEL]) -> usize {
        let same = |a: &Segment, b: &Segment| (a.image, a.phase) == (b.image, b.phase);
        let mut count = 0;
        for run in self.segments.chunk_by(same) {
            let cols = |s: &Segment| s.left + layout.form.out() * (s.tiles - 1);
            let top = run.iter().map(|s| s.top).min().unwrap_or(0);
            let bottom = run.iter().map(|s| s.top).max().unwrap_or(0);
            let left = run.iter().map(|s| s.left).min().unwrap_or(0);
            let right = run.iter().map(cols).max().unwrap_or(0);
            copies[count] = Copied {
                image: run[0].image,
                phase: run[0].phase,
                rows: [top, bottom + layout.form.side()],
                cols: [left, right + layout.form.side()],
            };
            count += 1;
        }
        count
    }
}

impl Copied {
    fn copy<T: ConvScalar>(
        &self,
        layout: &Layout<'_, T>,
        band: &Band,
        (x, channels): (&[T], usize),
        to: &mut [T],
        band_stride: usize,
    ) {
        let padding = layout.g.window().padding;
        let ([stride_h, _], [down, _]) = (layout.phases.stride, layout.phases.dilation);
        let [top, bottom] = self.rows;
        let places = layout.places();
        layout.kernels.copy_rows(Rows {
            x,
            channels,
            in_h: layout.g.in_h(),
            in_w: layout.g.in_w(),
            rows: (bottom - top) * stride_h,
            first: self.phase[0] + top * stride_h * down,
            step: down,
            top: padding.top,
            // Columns to the right of the first are padding less than none.
            left: padding.left.wrapping_sub(self.cols[0] * places),
            stride: places,
            places,
            phase: band.phase,
            band: to,
            band_stride,
        });
    }
}
