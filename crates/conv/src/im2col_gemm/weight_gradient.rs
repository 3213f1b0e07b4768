//! The gradient by the weights: `(OC, pixels) x (pixels, C*KH*KW)`, over unfolded pixels.
//!
//! Some output rows are taken at a time, of one image or, where they are small, of several, and of
//! them some channels, so that their columns and what is packed of them stay in the cache. A large
//! batch is summed in parts, each on one thread; else each step runs in parallel. Where sums are cut
//! depends on the shapes and the number of images alone.

use std::ops::Range;

use gemm::packed::{self, MicroKernel, PackedA, PackedB};
use gemm::{MatMut, MatRef};
use im2col::{ConvGeometry, Layout, unfold_rows_into};
use tensor4::{View4, ViewMut4};

use super::cut::micro_kernel;
use super::{FITS, for_each_block};
use crate::parallel::pieces;
use crate::workspace::Scratch;
use crate::{Conv2dPlan, ConvScalar, Update, Workspace};

/// Elements of columns that are held at a time; packed they are held once more.
const COLUMNS_LEN: usize = 80 << 10;

/// How many pixels are taken at a time, about: a sum in `f32` that is much longer would lose more
/// than it should, and a shorter one not pay for the reading of `dw`.
const PIXELS: usize = 256;

/// A multiple of this many channels is unfolded at a time, so that panels are full.
const CHANNEL_BLOCK: usize = 16;

/// From this many images on, `dw` is summed up in parts.
const MANY_IMAGES: usize = 8;

/// Into how many partial sums `dw` is cut over a large batch.
const SEGMENTS: usize = 8;

/// Partial sums of `dw` take at most this many elements in all.
const MAX_PARTIAL_LEN: usize = 1 << 22;

/// The plan, taken apart: one group of channels at a time.
struct Cut<'a, T: 'static> {
    kernel: MicroKernel<T>,
    g: &'a ConvGeometry,
    /// Output channels of a group.
    group_oc: usize,
    /// Terms of a sum forward, and columns of `dw`.
    k: usize,
    /// Columns of `dw` of one channel.
    taps: usize,
    /// Output rows of a chunk, counted through all images.
    chunk_rows: usize,
    /// Channels of a block.
    block_channels: usize,
}

/// Some output rows of an image.
struct Piece {
    image: usize,
    rows: Range<usize>,
    /// Their pixels, counted from the first of the chunk.
    pixels: Range<usize>,
}

/// What goes in, and where: some images of a batch.
#[derive(Clone, Copy)]
struct Images<'a, T> {
    x: View4<'a, T>,
    dy: View4<'a, T>,
}

impl<'a, T: ConvScalar> Cut<'a, T> {
    fn new(plan: &'a Conv2dPlan) -> Self {
        let g = plan.group_geometry();
        let taps = g.window().kernel_h * g.window().kernel_w;
        let chunk_rows = (PIXELS / g.out_w()).max(1);
        let fitting = COLUMNS_LEN / (taps * chunk_rows * g.out_w());
        let block_channels = (fitting / CHANNEL_BLOCK).max(1) * CHANNEL_BLOCK;
        Self {
            kernel: micro_kernel(plan.kernel_set()),
            g,
            group_oc: plan.desc().out_channels / plan.desc().groups,
            k: g.patch_len(),
            taps,
            chunk_rows,
            block_channels: block_channels.min(g.in_c()),
        }
    }

    fn most_pixels(&self) -> usize {
        self.chunk_rows * self.g.out_w()
    }

    fn columns_len(&self) -> usize {
        self.block_channels * self.taps * self.most_pixels()
    }

    fn packed_columns_len(&self) -> usize {
        self.kernel.packed_b_len(self.most_pixels(), self.block_channels * self.taps)
    }

    /// Elements that a sum needs: columns, packed columns, packed gradients by outputs.
    fn own_len(&self) -> usize {
        let dy_len = self.kernel.packed_a_len(self.group_oc, self.most_pixels());
        self.columns_len() + self.packed_columns_len() + dy_len
    }

    /// The images that some output rows belong to, counted through all of them.
    fn pieces(&self, rows: Range<usize>) -> impl Iterator<Item = Piece> + use<T> {
        let (out_h, out_w) = (self.g.out_h(), self.g.out_w());
        (rows.start / out_h..rows.end.div_ceil(out_h)).map(move |image| {
            let first = image * out_h;
            let own = rows.start.max(first)..rows.end.min(first + out_h);
            let pixels = (own.start - rows.start) * out_w..(own.end - rows.start) * out_w;
            Piece { image, rows: own.start - first..own.end - first, pixels }
        })
    }

    /// Adds the gradient of some images to `dw`; with each step on this thread, or in parallel.
    fn add(
        &self,
        from: Images<'_, T>,
        images: Range<usize>,
        parallel: bool,
        dw: &mut [T],
        buffer: &mut [T],
    ) {
        let (columns, rest) = buffer.split_at_mut(self.columns_len());
        let (packed, dy) = rest.split_at_mut(self.packed_columns_len());
        let all_rows = images.start * self.g.out_h()..images.end * self.g.out_h();
        for (group, dw) in dw.chunks_exact_mut(self.group_oc * self.k).enumerate() {
            for first in all_rows.clone().step_by(self.chunk_rows) {
                let rows = first..(first + self.chunk_rows).min(all_rows.end);
                let pixels = rows.len() * self.g.out_w();
                let dy = &mut dy[..self.kernel.packed_a_len(self.group_oc, pixels)];
                self.pack_dy(from.dy, group, &rows, parallel, dy);
                for first in (0..self.g.in_c()).step_by(self.block_channels) {
                    let channels = first..(first + self.block_channels).min(self.g.in_c());
                    let cols = channels.len() * self.taps;
                    let packed = &mut packed[..self.kernel.packed_b_len(pixels, cols)];
                    let first = group * self.g.in_c() + channels.start;
                    let all = first..first + channels.len();
                    self.pack_columns(from.x, all, &rows, parallel, columns, packed);
                    let b = PackedB::new(self.kernel, packed, pixels, cols).expect(FITS);
                    self.multiply(dy, b, &channels, parallel, dw);
                }
            }
        }
    }

    /// Packs the gradients by the outputs of a group, `(OC, pixels)`.
    fn pack_dy(
        &self,
        dy: View4<'_, T>,
        group: usize,
        rows: &Range<usize>,
        parallel: bool,
        packed: &mut [T],
    ) {
        let (height, plane_len) = (self.kernel.rows(), self.g.out_plane_len());
        let panel_len = height * rows.len() * self.g.out_w();
        for_each_block(parallel, packed, panel_len, &|panel, to| {
            let channels = panel * height..((panel + 1) * height).min(self.group_oc);
            for Piece { image, rows, pixels } in self.pieces(rows.clone()) {
                let dy = &dy.image(image)[group * self.group_oc * plane_len..];
                let dy = &dy[channels.start * plane_len..channels.end * plane_len];
                let dy = MatRef::row_major(dy, channels.len(), plane_len).expect(FITS);
                let part = rows.start * self.g.out_w()..rows.end * self.g.out_w();
                let dy = dy.block(0..channels.len(), part).expect(FITS);
                let to = &mut to[pixels.start * height..pixels.end * height];
                self.kernel.pack_a(dy, to).expect(FITS);
            }
        });
    }

    /// Unfolds some channels and packs the result, `(pixels, C*KH*KW)`.
    fn pack_columns(
        &self,
        x: View4<'_, T>,
        channels: Range<usize>,
        rows: &Range<usize>,
        parallel: bool,
        columns: &mut [T],
        packed: &mut [T],
    ) {
        let (width, plane_len) = (self.kernel.cols(), self.g.in_h() * self.g.in_w());
        let panel_len = width * rows.len() * self.g.out_w();
        let one = self.g.with_channels(1).expect(FITS);
        let count = channels.len() * self.taps;
        for Piece { image, rows, pixels } in self.pieces(rows.clone()) {
            let x = &x.image(image)[channels.start * plane_len..channels.end * plane_len];
            let columns = &mut columns[..count * pixels.len()];
            for_each_block(parallel, columns, self.taps * pixels.len(), &|channel, columns| {
                let x = &x[channel * plane_len..][..plane_len];
                unfold_rows_into(x, &one, Layout::PatchRows, rows.clone(), columns).expect(FITS);
            });
            let columns = MatRef::row_major(columns, count, pixels.len()).expect(FITS);
            for_each_block(parallel, packed, panel_len, &|panel, to| {
                let rows = panel * width..((panel + 1) * width).min(count);
                let b = columns.block(rows, 0..pixels.len()).expect(FITS).t();
                let to = &mut to[pixels.start * width..pixels.end * width];
                self.kernel.pack_b(b, to).expect(FITS);
            });
        }
    }

    /// Adds the product to the columns of `dw` of some channels.
    fn multiply(
        &self,
        dy: &[T],
        b: PackedB<'_, T>,
        channels: &Range<usize>,
        parallel: bool,
        dw: &mut [T],
    ) {
        let (first, cols) = (channels.start * self.taps, channels.len() * self.taps);
        let height = self.kernel.rows();
        let panel_len = dy.len() / self.group_oc.div_ceil(height);
        let blocks = if parallel { 2 * rayon::current_num_threads() } else { 1 };
        let rows = self.group_oc.div_ceil(blocks).next_multiple_of(height);
        for_each_block(parallel, dw, rows * self.k, &|block, dw| {
            let count = dw.len() / self.k;
            let dy = &dy[block * (rows / height) * panel_len..];
            let dy = &dy[..count.div_ceil(height) * panel_len];
            let a = PackedA::new(self.kernel, dy, count, panel_len / height).expect(FITS);
            let c = MatMut::new(&mut dw[first..], count, cols, self.k, 1).expect(FITS);
            // (block of OC, pixels) x (pixels, block of C*KH*KW) -> (block of OC, block of C*KH*KW)
            packed::multiply_add(a, b, c).expect(FITS);
        });
    }
}

/// Elements of scratch memory that the gradient by the weights takes: for each thread, and shared.
pub(crate) fn weights_workspace_len(plan: &Conv2dPlan) -> (usize, usize) {
    let len = plan.weight_shape().len();
    (Cut::<f32>::new(plan).own_len(), (MAX_PARTIAL_LEN / len.max(1)).min(SEGMENTS) * len)
}

pub(crate) fn backward_weights<T: ConvScalar>(
    plan: &Conv2dPlan,
    x: View4<'_, T>,
    dy: View4<'_, T>,
    dw: ViewMut4<'_, T>,
    db: Option<&mut [T]>,
    update: Update,
    workspace: &mut Workspace<T>,
) {
    if let Some(db) = db {
        bias_gradient(dy, db, update);
    }
    let cut = Cut::<T>::new(plan);
    let n = x.shape().n();
    let dw = dw.into_data();
    if update == Update::Overwrite {
        dw.fill(T::ZERO);
    }
    if dw.is_empty() {
        return;
    }
    let from = Images { x, dy };
    let segments = (MAX_PARTIAL_LEN / dw.len()).min(SEGMENTS);
    if n < MANY_IMAGES || segments < 2 {
        let Scratch { columns, .. } = workspace.prepare(cut.own_len(), 0);
        columns.with(|buffer| cut.add(from, 0..n, true, dw, buffer));
        return;
    }
    let images = n.div_ceil(segments);
    let segments = n.div_ceil(images);
    let Scratch { columns, shared: partial } =
        workspace.prepare(cut.own_len(), segments * dw.len());
    pieces(partial, dw.len(), 1, &|segment, dw| {
        dw.fill(T::ZERO);
        let images = segment * images..((segment + 1) * images).min(n);
        columns.with(|buffer| cut.add(from, images, false, dw, buffer));
    });
    let partial = &*partial;
    let len = dw.len();
    pieces(dw, 1 << 12, 1, &|block, dw| {
        for part in partial.chunks_exact(len) {
            for (dw, &p) in dw.iter_mut().zip(&part[block << 12..]) {
                *dw += p;
            }
        }
    });
}

/// `db[oc] = sum of dy[.., oc, .., ..]`, each channel in the order of the images.
fn bias_gradient<T: ConvScalar>(dy: View4<'_, T>, db: &mut [T], update: Update) {
    let n = dy.shape().n();
    pieces(db, 1, 4, &|oc, db| {
        let mut total = if update == Update::Accumulate { db[0] } else { T::ZERO };
        for n in 0..n {
            total += sum(dy.plane(n, oc));
        }
        db[0] = total;
    });
}

/// The sum of a slice, in sixteen lanes that the compiler can vectorise.
fn sum<T: ConvScalar>(values: &[T]) -> T {
    let (blocks, rest) = values.as_chunks::<16>();
    let mut lanes = [T::ZERO; 16];
    for block in blocks {
        for (lane, &value) in lanes.iter_mut().zip(block) {
            *lane += value;
        }
    }
    lanes.iter().chain(rest).fold(T::ZERO, |sum, &value| sum + value)
}
