//! Winograd's algorithm F(4x4, 3x3): a quarter of the multiplications of the direct sum.
//!
//! Tiles of 6x6 pixels are transformed to 36 points, multiplied by the transformed weights point by
//! point, and transformed back to 4x4 pixels of the output. Tiles are numbered through, image by
//! image and row by row, and run in blocks, in three steps. Where there are many images, every
//! thread runs all three steps of blocks of its own; where there are few, each step of a block runs
//! in parallel: over channels, over output channels, over planes of the output.
//!
//! Every output is the same sum in the same order, whatever block its tile falls into.

use std::ops::Range;

use im2col::ConvGeometry;
use rayon::prelude::*;
use tensor4::{View4, ViewMut4};

use crate::call::{Call, keep_threads_busy};
use crate::kernels::winograd::{CHUNK, Filter, Input, OUT, Output, POINTS, Product, Segment};
use crate::kernels::{Kernels, Pack};
use crate::workspace::{Columns, Scratch};
use crate::{Conv2dPlan, ConvScalar, Workspace};

/// Tiles of a block that one thread runs.
const BLOCK: usize = 48;
/// Tiles of a block that all threads share.
const SHARED_BLOCK: usize = 192;
/// Channels whose weights are transformed together.
const FILTER_CHANNELS: usize = 16;

/// Whether the algorithm serves a window.
pub(crate) fn fits(g: &ConvGeometry) -> bool {
    let w = g.window();
    g.in_c() > 0
        && (w.kernel_h, w.kernel_w) == (3, 3)
        && (w.stride_h, w.stride_w) == (1, 1)
        && (w.dilation_h, w.dilation_w) == (1, 1)
}

/// How a plan runs on a table of kernels: one group of channels at a time.
struct Layout<'a, T: 'static> {
    kernels: &'static Kernels<T>,
    g: &'a ConvGeometry,
    groups: usize,
    /// Output channels of a group.
    group_oc: usize,
    /// Output channels whose weights stand side by side: those of a register.
    width: usize,
    /// So many times `width` make up a group.
    blocks: usize,
    tiles_w: usize,
    /// Tiles of an image.
    tiles: usize,
}

impl<'a, T: ConvScalar> Layout<'a, T> {
    fn new(plan: &'a Conv2dPlan, kernels: &'static Kernels<T>) -> Self {
        let g = plan.group_geometry();
        let groups = plan.desc().groups;
        let group_oc = plan.desc().out_channels / groups;
        let width = kernels.lanes;
        let (tiles_h, tiles_w) = (g.out_h().div_ceil(OUT), g.out_w().div_ceil(OUT));
        let blocks = group_oc.div_ceil(width);
        Self { kernels, g, groups, group_oc, width, blocks, tiles_w, tiles: tiles_h * tiles_w }
    }

    /// Elements of the transformed weights of `width` output channels.
    fn u_len(&self) -> usize {
        POINTS * self.g.in_c() * self.width
    }

    /// Elements of the transforms of a chunk of channels for a block of tiles.
    fn v_chunk(&self, block: usize) -> usize {
        POINTS * CHUNK * block
    }

    /// Elements of all transforms of a block of tiles.
    fn v_len(&self, block: usize) -> usize {
        self.g.in_c().div_ceil(CHUNK) * self.v_chunk(block)
    }

    /// Elements of the sums of `width` output channels for a block of tiles; a register may be read
    /// beyond the last.
    fn m_chunk(&self, block: usize) -> usize {
        POINTS * self.width * block + self.width
    }

    /// Elements that the transform of weights needs beside its result.
    fn filter_len(&self) -> usize {
        FILTER_CHANNELS * 9 * self.width
    }

    /// The output channels of a block of them.
    fn channels(&self, block: usize) -> Range<usize> {
        block * self.width..((block + 1) * self.width).min(self.group_oc)
    }

    /// Cuts the tiles of some images, numbered through from `images.start` on, into segments.
    fn segments(&self, images: &Range<usize>, tiles: Range<usize>, segments: &mut Segments) {
        segments.len = 0;
        let mut tile = tiles.start;
        while tile < tiles.end {
            let (image, within) = (tile / self.tiles, tile % self.tiles);
            let (row, col) = (within / self.tiles_w, within % self.tiles_w);
            let count = (self.tiles_w - col).min(self.width).min(tiles.end - tile);
            segments.all[segments.len] = Segment {
                image: images.start + image,
                top: OUT * row,
                left: OUT * col,
                tiles: count,
                at: tile - tiles.start,
            };
            segments.len += 1;
            tile += count;
        }
    }

    /// Transforms the weights of one block of output channels of a group.
    fn transform_filter(&self, w: &[T], group: usize, block: usize, u: &mut [T], temp: &mut [T]) {
        let (in_c, taps) = (self.g.in_c(), self.g.patch_len());
        let channels = self.channels(block);
        let w = &w[(group * self.group_oc + channels.start) * taps..];
        for first in (0..in_c).step_by(FILTER_CHANNELS) {
            let count = FILTER_CHANNELS.min(in_c - first);
            self.kernels.pack(Pack {
                w: &w[first * 9..],
                row_stride: taps,
                taps: count * 9,
                out_channels: channels.len(),
                width: self.width,
                packed: temp,
            });
            self.kernels.winograd_filter(Filter {
                packed: temp,
                channels: count,
                u: &mut u[first * self.width..],
                point_stride: in_c * self.width,
            });
        }
    }

    /// Transforms a chunk of channels of a group.
    fn transform_input(
        &self,
        x: View4<'_, T>,
        group: usize,
        chunk: usize,
        segments: &[Segment],
        v: &mut [T],
        block: usize,
    ) {
        let padding = self.g.window().padding;
        for k in 0..CHUNK.min(self.g.in_c() - chunk * CHUNK) {
            self.kernels.winograd_input(Input {
                x: x.data(),
                image_len: x.shape().image_len(),
                plane: group * self.g.in_c() + chunk * CHUNK + k,
                in_h: self.g.in_h(),
                in_w: self.g.in_w(),
                pad_top: padding.top,
                pad_left: padding.left,
                segments,
                v: &mut v[k * block..],
                point_stride: CHUNK * block,
            });
        }
    }

    /// The sums of one block of output channels.
    fn multiply(&self, v: &[T], u: &[T], m: &mut [T], channels: usize, tiles: usize, block: usize) {
        let lanes = self.kernels.lanes;
        let registers = tiles.div_ceil(lanes);
        for point in 0..POINTS {
            let v = &v[point * CHUNK * block..];
            let u = &u[point * self.g.in_c() * self.width..];
            let m = &mut m[point * self.width * block..];
            for first in (0..registers).step_by(crate::kernels::winograd::COLS) {
                let cols = (registers - first).min(crate::kernels::winograd::COLS);
                // A single register of tiles leaves room for twice the output channels.
                let mut rows = self.kernels.winograd_rows;
                if cols == 1 && 2 * rows <= self.width {
                    rows *= 2;
                }
                for row in (0..channels).step_by(rows) {
                    self.kernels.winograd_product(Product {
                        v: &v[first * lanes..],
                        chunk_stride: self.v_chunk(block),
                        row_stride: block,
                        channels: self.g.in_c(),
                        u: &u[row..],
                        u_stride: self.width,
                        m: &mut m[row * block + first * lanes..],
                        cols,
                        rows,
                    });
                }
            }
        }
    }

    /// One plane of the output.
    fn transform_output(
        &self,
        m: &[T],
        channel: usize,
        segments: &[Segment],
        (bias, relu): (T, bool),
        y: &mut [T],
        block: usize,
    ) {
        self.kernels.winograd_output(Output {
            m: &m[channel * block..],
            point_stride: self.width * block,
            segments,
            y,
            out_h: self.g.out_h(),
            out_w: self.g.out_w(),
            bias,
            relu,
        });
    }
}

/// The segments of a block.
struct Segments {
    all: [Segment; SHARED_BLOCK],
    len: usize,
}

impl Segments {
    fn new() -> Self {
        Self { all: [Segment::default(); SHARED_BLOCK], len: 0 }
    }

    fn get(&self) -> &[Segment] {
        &self.all[..self.len]
    }
}

/// How the work is shared out.
enum Sharing {
    /// Each thread runs blocks of its own, of so many images.
    Images(usize),
    /// All threads share a block of so many tiles.
    Steps(usize),
}

fn sharing<T: ConvScalar>(layout: &Layout<'_, T>, n: usize) -> Sharing {
    let threads = rayon::current_num_threads();
    // Enough images to fill two registers of tiles.
    let images = (2 * layout.width).div_ceil(layout.tiles).min(n.div_ceil(threads)).max(1);
    let tasks = n.div_ceil(images);
    if keep_threads_busy(tasks) {
        Sharing::Images(images)
    } else {
        let total = n * layout.tiles;
        let blocks = total.div_ceil(SHARED_BLOCK);
        Sharing::Steps(total.div_ceil(blocks).next_multiple_of(layout.width).min(SHARED_BLOCK))
    }
}

/// Elements of scratch memory beside the weights: for each thread, and shared.
fn scratch_len<T: ConvScalar>(layout: &Layout<'_, T>, sharing: &Sharing) -> (usize, usize) {
    match sharing {
        Sharing::Images(_) => {
            let own = layout.v_len(BLOCK) + layout.m_chunk(BLOCK);
            (own.max(layout.filter_len()), 0)
        }
        Sharing::Steps(block) => {
            let shared = layout.v_len(*block) + layout.blocks * layout.m_chunk(*block);
            (layout.filter_len(), shared)
        }
    }
}

/// Elements of the transformed weights.
pub(crate) fn packed_len<T: ConvScalar>(plan: &Conv2dPlan, kernels: &'static Kernels<T>) -> usize {
    let layout = Layout::new(plan, kernels);
    layout.groups * layout.blocks * layout.u_len()
}

/// Elements of scratch memory, for each thread and shared, of a batch of any size.
pub(crate) fn workspace_len<T: ConvScalar>(
    plan: &Conv2dPlan,
    kernels: &'static Kernels<T>,
) -> (usize, usize) {
    let layout = Layout::new(plan, kernels);
    let (by_images, _) = scratch_len(&layout, &Sharing::Images(1));
    let (own, by_steps) = scratch_len(&layout, &Sharing::Steps(SHARED_BLOCK));
    (by_images.max(own), packed_len(plan, kernels) + by_steps)
}

/// Elements that each thread needs to transform weights.
pub(crate) fn pack_scratch_len<T: ConvScalar>(
    plan: &Conv2dPlan,
    kernels: &'static Kernels<T>,
) -> usize {
    Layout::new(plan, kernels).filter_len()
}

/// Transforms the weights.
pub(crate) fn pack<T: ConvScalar>(
    plan: &Conv2dPlan,
    kernels: &'static Kernels<T>,
    w: &[T],
    u: &mut [T],
    scratch: Columns<'_, T>,
) {
    let layout = Layout::new(plan, kernels);
    u.par_chunks_exact_mut(layout.u_len()).enumerate().for_each(|(i, u)| {
        scratch.with(|temp| {
            layout.transform_filter(w, i / layout.blocks, i % layout.blocks, u, temp);
        });
    });
}

pub(crate) fn forward<T: ConvScalar>(
    plan: &Conv2dPlan,
    kernels: &'static Kernels<T>,
    call: &Call<'_, T>,
    y: ViewMut4<'_, T>,
    workspace: &mut Workspace<T>,
) {
    let layout = Layout::new(plan, kernels);
    let n = call.x.shape().n();
    if y.shape().is_empty() {
        return;
    }
    let sharing = sharing(&layout, n);
    let (own, shared) = scratch_len(&layout, &sharing);
    let u_len = call.weights.scratch_len(layout.groups * layout.blocks * layout.u_len());
    let Scratch { columns: scratch, shared } = workspace.prepare(own, u_len + shared);
    let (u, shared) = shared.split_at_mut(u_len);
    let u = call.weights.packed(u, |w, u| pack(plan, kernels, w, u, scratch));
    let run = Run { layout: &layout, call, u };
    match sharing {
        Sharing::Images(images) => run.by_images(images, y, scratch),
        Sharing::Steps(block) => run.by_steps(block, n, y, shared),
    }
}

/// One call of `forward`.
struct Run<'a, T: 'static> {
    layout: &'a Layout<'a, T>,
    call: &'a Call<'a, T>,
    u: &'a [T],
}

impl<T: ConvScalar> Run<'_, T> {
    fn bias(&self, channel: usize) -> T {
        self.call.bias.map_or(T::ZERO, |bias| bias[channel])
    }

    /// The transformed weights of a block of output channels of a group.
    fn u(&self, group: usize, block: usize) -> &[T] {
        let len = self.layout.u_len();
        &self.u[(group * self.layout.blocks + block) * len..][..len]
    }

    fn by_images(&self, images: usize, y: ViewMut4<'_, T>, scratch: Columns<'_, T>) {
        let layout = self.layout;
        let plane_len = layout.g.out_plane_len();
        let image_len = y.shape().image_len();
        y.into_data().par_chunks_mut(images * image_len).enumerate().for_each(|(i, y)| {
            let images = i * images..i * images + y.len() / image_len;
            scratch.with(|scratch| {
                let (v, m) = scratch.split_at_mut(layout.v_len(BLOCK));
                let mut segments = Segments::new();
                let total = images.len() * layout.tiles;
                for first in (0..total).step_by(BLOCK) {
                    let tiles = first..(first + BLOCK).min(total);
                    layout.segments(&images, tiles.clone(), &mut segments);
                    for group in 0..layout.groups {
                        for (chunk, v) in v.chunks_exact_mut(layout.v_chunk(BLOCK)).enumerate() {
                            layout.transform_input(
                                self.call.x,
                                group,
                                chunk,
                                segments.get(),
                                v,
                                BLOCK,
                            );
                        }
                        for block in 0..layout.blocks {
                            let channels = layout.channels(block);
                            let u = self.u(group, block);
                            layout.multiply(v, u, m, channels.len(), tiles.len(), BLOCK);
                            for channel in channels {
                                let plane = group * layout.group_oc + channel;
                                for segment in segments.get() {
                                    let at = (segment.image - images.start) * image_len;
                                    layout.transform_output(
                                        m,
                                        channel % layout.width,
                                        std::slice::from_ref(segment),
                                        (self.bias(plane), self.call.relu()),
                                        &mut y[at + plane * plane_len..][..plane_len],
                                        BLOCK,
                                    );
                                }
                            }
                        }
                    }
                }
            });
        });
    }

    fn by_steps(&self, size: usize, n: usize, y: ViewMut4<'_, T>, shared: &mut [T]) {
        let layout = self.layout;
        let plane_len = layout.g.out_plane_len();
        let [_, out_channels, ..] = y.dims();
        let (v, m) = shared.split_at_mut(layout.v_len(size));
        let y = y.into_data();
        let mut segments = Segments::new();
        let total = n * layout.tiles;
        for first in (0..total).step_by(size) {
            let tiles = first..(first + size).min(total);
            layout.segments(&(0..n), tiles.clone(), &mut segments);
            let segments = segments.get();
            let images = tiles.start / layout.tiles..tiles.end.div_ceil(layout.tiles);
            for group in 0..layout.groups {
                v.par_chunks_exact_mut(layout.v_chunk(size)).enumerate().for_each(|(chunk, v)| {
                    layout.transform_input(self.call.x, group, chunk, segments, v, size);
                });
                let v = &*v;
                m.par_chunks_exact_mut(layout.m_chunk(size)).enumerate().for_each(|(block, m)| {
                    let channels = layout.channels(block).len();
                    layout.multiply(v, self.u(group, block), m, channels, tiles.len(), size);
                });
                let m = &*m;
                let image_len = out_channels * plane_len;
                let group_len = layout.group_oc * plane_len;
                let y = &mut y[images.start * image_len..images.end * image_len];
                y.par_chunks_exact_mut(image_len).enumerate().for_each(|(image, y)| {
                    let image = images.start + image;
                    let first = segments.partition_point(|segment| segment.image < image);
                    let last = segments.partition_point(|segment| segment.image <= image);
                    let y = &mut y[group * group_len..][..group_len];
                    y.par_chunks_exact_mut(plane_len).with_min_len(4).enumerate().for_each(
                        |(channel, y)| {
                            let m = &m[channel / layout.width * layout.m_chunk(size)..];
                            layout.transform_output(
                                m,
                                channel % layout.width,
                                &segments[first..last],
                                (self.bias(group * layout.group_oc + channel), self.call.relu()),
                                y,
                                size,
                            );
                        },
                    );
                });
            }
        }
    }
}
