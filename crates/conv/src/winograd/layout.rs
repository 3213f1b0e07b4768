//! How the transforms lie in memory, and the steps on them.

use std::ops::Range;

use im2col::ConvGeometry;
use tensor4::View4;

use crate::call::Call;
use crate::kernels::winograd::{COLS, Filter, Form, Input, Output, Product, Register, Segment};
use crate::kernels::{Kernels, Pack};
use crate::out::Out;
use crate::{Conv2dPlan, ConvScalar};

/// The most tiles of a block.
pub(super) const MAX_TILES: usize = 256;
/// Channels whose products are summed at a time: longer sums are added up in parts, for the sake of
/// their rounding error, and a part of the weights stays in the cache.
const CHUNK: usize = 64;
/// Channels whose weights are transformed together.
const FILTER_CHANNELS: usize = 32;
/// The fewest tiles that lie in memory as one register.
const FEWEST_LANES: usize = 4;

/// The sizes of a plan on a table of kernels; one group of channels runs at a time.
pub(super) struct Layout<'a, T: 'static> {
    pub(super) kernels: &'static Kernels<T>,
    pub(super) form: Form,
    pub(super) g: &'a ConvGeometry,
    pub(super) groups: usize,
    /// Output channels of a group.
    pub(super) group_oc: usize,
    /// Output channels whose weights stand side by side: those of a register.
    pub(super) width: usize,
    /// So many times `width` make up a group.
    pub(super) blocks: usize,
    /// Channels of a chunk.
    chunk: usize,
    /// Chunks that make up a group.
    pub(super) chunks: usize,
    tiles_w: usize,
    /// Tiles of an image.
    pub(super) tiles: usize,
}

impl<'a, T: ConvScalar> Layout<'a, T> {
    pub(super) fn new(plan: &'a Conv2dPlan, kernels: &'static Kernels<T>) -> Self {
        let form = super::form(plan);
        let g = plan.group_geometry();
        let groups = plan.desc().groups;
        let group_oc = plan.desc().out_channels / groups;
        let width = kernels.lanes;
        let (tiles_h, tiles_w) = (g.out_h().div_ceil(form.out()), g.out_w().div_ceil(form.out()));
        let chunk = g.in_c().min(CHUNK);
        Self {
            kernels,
            form,
            g,
            groups,
            group_oc,
            width,
            blocks: group_oc.div_ceil(width),
            chunk,
            chunks: g.in_c().div_ceil(chunk),
            tiles_w,
            tiles: tiles_h * tiles_w,
        }
    }

    /// Elements of a chunk of the transformed weights of `width` output channels: those of a point
    /// side by side, a row for each channel.
    pub(super) fn u_chunk(&self) -> usize {
        self.form.points() * self.u_point()
    }

    /// Elements between two points of it: a line more than a power of two, that not all points fall on
    /// the same lines of the cache.
    fn u_point(&self) -> usize {
        (self.chunk + 1) * self.width
    }

    /// Elements of the transformed weights of `width` output channels.
    pub(super) fn u_len(&self) -> usize {
        self.chunks * self.u_chunk()
    }

    /// Elements that the transform of weights needs beside its result.
    pub(super) fn filter_len(&self) -> usize {
        FILTER_CHANNELS * 9 * self.width
    }

    /// The output channels of some blocks of them.
    pub(super) fn channels(&self, blocks: Range<usize>) -> Range<usize> {
        blocks.start * self.width..(blocks.end * self.width).min(self.group_oc)
    }

    /// How many channels a chunk has.
    fn chunk_len(&self, chunk: usize) -> usize {
        self.chunk.min(self.g.in_c() - chunk * self.chunk)
    }

    /// Transforms a chunk of the weights of a block of output channels of a group.
    pub(super) fn transform_filter(
        &self,
        w: &[T],
        (group, block, chunk): (usize, usize, usize),
        u: &mut [T],
        temp: &mut [T],
    ) {
        let taps = self.g.patch_len();
        let channels = self.channels(block..block + 1);
        let w = &w[(group * self.group_oc + channels.start) * taps + chunk * self.chunk * 9..];
        let len = self.chunk_len(chunk);
        for first in (0..len).step_by(FILTER_CHANNELS) {
            let count = FILTER_CHANNELS.min(len - first);
            self.kernels.pack(Pack {
                w: &w[first * 9..],
                row_stride: taps,
                taps: count * 9,
                out_channels: channels.len(),
                width: self.width,
                packed: temp,
            });
            self.kernels.winograd_filter(Filter {
                form: self.form,
                packed: temp,
                channels: count,
                u: &mut u[first * self.width..],
                point_stride: self.u_point(),
            });
        }
    }
}

/// Some tiles, numbered through image by image and row by row, cut into segments of registers.
pub(super) struct Tiles {
    segments: [Segment; MAX_TILES],
    registers: [Register; MAX_TILES / FEWEST_LANES],
    count: usize,
    /// The images that they belong to.
    pub(super) images: Range<usize>,
}

impl Tiles {
    pub(super) fn new() -> Self {
        Self {
            segments: [Segment::default(); MAX_TILES],
            registers: [Register::default(); MAX_TILES / FEWEST_LANES],
            count: 0,
            images: 0..0,
        }
    }

    /// Takes other tiles.
    pub(super) fn cut<T>(&mut self, layout: &Layout<'_, T>, tiles: Range<usize>) {
        self.images = tiles.start / layout.tiles..tiles.end.div_ceil(layout.tiles);
        self.count = 0;
        let (mut tile, mut len) = (tiles.start, 0);
        while tile < tiles.end {
            let first = len;
            let end = tiles.end.min(tile + layout.width);
            while tile < end {
                let (image, within) = (tile / layout.tiles, tile % layout.tiles);
                let (row, col) = (within / layout.tiles_w, within % layout.tiles_w);
                let count = (layout.tiles_w - col).min(end - tile);
                self.segments[len] = Segment {
                    image: image - self.images.start,
                    top: layout.form.out() * row,
                    left: layout.form.out() * col,
                    tiles: count,
                };
                len += 1;
                tile += count;
            }
            self.registers[self.count] = Register { first, last: len };
            self.count += 1;
        }
    }

    /// The registers from one on, at most so many.
    fn registers(&self, first: usize, most: usize) -> &[Register] {
        &self.registers[first..self.count.min(first + most)]
    }
}

/// How the tiles of a block and some blocks of output channels lie in memory.
///
/// The transformed input stands in pieces, one for each panel of up to [`COLS`] registers of tiles
/// and each chunk of channels: in a piece, a row for each channel, and those of a point side by
/// side. So what one product reads is contiguous.
pub(super) struct Blocking<'a, T: 'static> {
    layout: &'a Layout<'a, T>,
    /// Registers of a panel.
    cols: usize,
    panels: usize,
    /// Elements between two points of a piece.
    v_point: usize,
    /// Elements between the sums of two output channels, and of two points.
    m_row: usize,
    m_point: usize,
}

impl<'a, T: ConvScalar> Blocking<'a, T> {
    /// For so many tiles and blocks of output channels.
    pub(super) fn new(layout: &'a Layout<'a, T>, tiles: usize, blocks: usize) -> Self {
        let lanes = layout.width;
        let registers = tiles.div_ceil(lanes);
        let panels = registers.div_ceil(COLS);
        let cols = registers.div_ceil(panels);
        let m_row = registers * lanes;
        Self {
            layout,
            cols,
            panels,
            // A line more, as with the weights.
            v_point: layout.chunk * cols * lanes + lanes,
            m_row,
            m_point: blocks * layout.width * m_row + lanes,
        }
    }

    /// Elements of a piece of the transformed input.
    pub(super) fn v_piece(&self) -> usize {
        self.layout.form.points() * self.v_point
    }

    /// Elements of all pieces.
    pub(super) fn v_len(&self) -> usize {
        self.panels * self.layout.chunks * self.v_piece()
    }

    /// Elements of the sums.
    pub(super) fn m_len(&self) -> usize {
        self.layout.form.points() * self.m_point
    }

    /// Transforms a piece of the input of a group.
    pub(super) fn transform_input(
        &self,
        x: View4<'_, T>,
        group: usize,
        piece: usize,
        tiles: &Tiles,
        v: &mut [T],
    ) {
        let layout = self.layout;
        let (panel, chunk) = (piece / layout.chunks, piece % layout.chunks);
        let padding = layout.g.window().padding;
        let image_len = x.shape().image_len();
        let plane = group * layout.g.in_c() + chunk * layout.chunk;
        if panel * self.cols >= tiles.count {
            return;
        }
        let first = tiles.images.start * image_len + plane * layout.g.in_h() * layout.g.in_w();
        layout.kernels.winograd_input(Input {
            form: layout.form,
            x: &x.data()[first..],
            image_len,
            channels: layout.chunk_len(chunk),
            in_h: layout.g.in_h(),
            in_w: layout.g.in_w(),
            pad_top: padding.top,
            pad_left: padding.left,
            segments: &tiles.segments,
            registers: tiles.registers(panel * self.cols, self.cols),
            v,
            point_stride: self.v_point,
            channel_stride: self.cols * layout.width,
        });
    }

    /// Adds the products of a chunk of channels to the sums of some output channels; overwrites them
    /// with those of the first chunk. The weights of the blocks stand `u_stride` apart.
    pub(super) fn multiply(
        &self,
        v: &[T],
        chunk: usize,
        (u, u_stride): (&[T], usize),
        m: &mut [T],
        tiles: &Tiles,
        channels: usize,
    ) {
        let layout = self.layout;
        let lanes = layout.width;
        let panels = tiles.count.div_ceil(self.cols);
        let piece = |panel: usize| (panel * layout.chunks + chunk) * self.v_piece();
        for point in 0..layout.form.points() {
            for panel in 0..panels {
                let next = match panel + 1 {
                    next if next < panels => piece(next) + point * self.v_point,
                    _ => piece(0) + (point + 1) * self.v_point,
                };
                layout.kernels.winograd_product(Product {
                    v: &v[piece(panel) + point * self.v_point..],
                    v_stride: self.cols * lanes,
                    channels: layout.chunk_len(chunk),
                    u: &u[point * layout.u_point()..],
                    u_stride,
                    m: &mut m[point * self.m_point + panel * self.cols * lanes..],
                    m_stride: self.m_row,
                    accumulate: chunk > 0,
                    cols: tiles.registers(panel * self.cols, self.cols).len(),
                    rows: channels,
                    next_v: v.get(next..).unwrap_or_default(),
                    next_u: layout.u_point(),
                });
            }
        }
    }

    /// Transforms the sums of some output channels into their planes, which `y` has of each image.
    pub(super) fn transform_output(
        &self,
        m: &[T],
        channels: usize,
        tiles: &Tiles,
        (bias, call): (Option<&[T]>, &Call<'_, T>),
        y: &mut [Out<'_, T>],
    ) {
        let layout = self.layout;
        layout.kernels.winograd_output(Output {
            form: layout.form,
            m,
            point_stride: self.m_point,
            channel_stride: self.m_row,
            segments: &tiles.segments,
            registers: tiles.registers(0, tiles.count),
            y,
            channels,
            out_h: layout.g.out_h(),
            out_w: layout.g.out_w(),
            bias,
            relu: call.relu(),
            pool: call.pool,
        });
    }
}
