//! Both gradients as matrix products over unfolded images, on matrixmultiply.
//!
//! Of each image only as many output rows are unfolded at a time as keep the columns in the
//! cache. Where there are enough images they run in parallel, one per thread; where there are few, each
//! step within an image runs in parallel. By the data, every element is the same sum in the same
//! order either way, so that the choice may depend on the number of threads. By the weights, where
//! images are summed over, it depends on the number of images alone.

use std::ops::Range;

use gemm::{MatMut, MatRef, gemm};
use im2col::{ConvGeometry, Layout, col2im_rows_add, unfold_rows_into};
use rayon::prelude::*;
use tensor4::{View4, ViewMut4};

use crate::call::keep_threads_busy;
use crate::workspace::{Columns, Scratch};
use crate::{Conv2dPlan, ConvScalar, Update, Workspace};

/// How many elements of columns are unfolded at a time: 4 MiB of `f32`. Each product packs the
/// weights anew, which fewer and larger ones do less often.
const CHUNK_LEN: usize = 1 << 20;

/// Below this many pixels per chunk packing the weights would cost more than it should.
const CHUNK_MIN_PIXELS: usize = 96;

/// From this many images on, `dw` is summed up in parts.
const MANY_IMAGES: usize = 8;

/// Into how many partial sums `dw` is cut over a large batch.
const SEGMENTS: usize = 8;

/// Partial sums of `dw` take at most this many elements in all.
const MAX_PARTIAL_LEN: usize = 1 << 22;

/// Where an image is cut into tasks by channels, each takes a multiple of these: the rows of every
/// kernel of matrixmultiply divide it.
const CHANNEL_BLOCK: usize = 16;

/// How many of so many channels one task takes: few tasks, because each packs the other factor
/// of its product anew.
fn channel_block(channels: usize) -> usize {
    channels.div_ceil(rayon::current_num_threads()).next_multiple_of(CHANNEL_BLOCK)
}

/// How many output rows are unfolded at a time.
fn chunk_rows(plan: &Conv2dPlan) -> usize {
    let g = plan.group_geometry();
    let fitting = CHUNK_LEN / (g.patch_len() * g.out_w()).max(1);
    let enough = CHUNK_MIN_PIXELS.div_ceil(g.out_w());
    fitting.max(enough).clamp(1, g.out_h())
}

/// The plan, taken apart: one group of channels at a time.
struct Parts<'a> {
    g: &'a ConvGeometry,
    /// Output channels of a group.
    group_oc: usize,
    /// Pixels of an output plane.
    plane_len: usize,
    chunk_rows: usize,
    /// Elements of the columns of a chunk.
    chunk_len: usize,
}

impl<'a> Parts<'a> {
    fn new(plan: &'a Conv2dPlan) -> Self {
        let g = plan.group_geometry();
        let chunk_rows = chunk_rows(plan);
        Self {
            g,
            group_oc: plan.desc().out_channels / plan.desc().groups,
            plane_len: g.out_plane_len(),
            chunk_rows,
            chunk_len: g.patch_len() * chunk_rows * g.out_w(),
        }
    }

    /// The ranges of output rows that are unfolded together, from top to bottom.
    fn chunks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (rows, out_h) = (self.chunk_rows, self.g.out_h());
        (0..out_h).step_by(rows).map(move |row| row..(row + rows).min(out_h))
    }

    /// The columns of the output matrix `(OC, OH*OW)` that the output rows of a chunk fill.
    fn pixels(&self, rows: &Range<usize>) -> Range<usize> {
        rows.start * self.g.out_w()..rows.end * self.g.out_w()
    }

    /// The weights of a group as a matrix, `(OC/groups, C/groups*KH*KW)`.
    fn weight<'w, T>(&self, w: &'w [T], group: usize) -> MatRef<'w, T> {
        let len = self.group_oc * self.g.patch_len();
        matrix(&w[group * len..][..len], self.group_oc, self.g.patch_len())
    }

    /// The channels of a group in an image of the input.
    fn input<'x, T>(&self, image: &'x [T], group: usize) -> &'x [T] {
        &image[group * self.g.in_len()..][..self.g.in_len()]
    }

    /// The channels of a group in an image of the output.
    fn output<'y, T>(&self, image: &'y [T], group: usize) -> &'y [T] {
        let len = self.group_oc * self.plane_len;
        &image[group * len..][..len]
    }
}

const FITS: &str = "the plan has checked every length";

fn matrix<T>(data: &[T], rows: usize, cols: usize) -> MatRef<'_, T> {
    MatRef::row_major(data, rows, cols).expect(FITS)
}

/// Columns `cols` of the row-major matrix of `rows` rows of `row_len` that starts at `data`.
fn slice<T>(data: &[T], rows: usize, row_len: usize, cols: Range<usize>) -> MatRef<'_, T> {
    MatRef::new(&data[cols.start..], rows, cols.len(), row_len, 1).expect(FITS)
}

/// `C <- A B + beta C`.
fn product<T: ConvScalar>(a: MatRef<'_, T>, b: MatRef<'_, T>, beta: T, c: MatMut<'_, T>) {
    gemm(T::ONE, a, b, beta, c).expect(FITS);
}

/// Unfolds output rows of one image, channel by channel in parallel.
fn unfold_in_parallel<T: ConvScalar>(
    g: &ConvGeometry,
    x: &[T],
    rows: Range<usize>,
    columns: &mut [T],
) {
    // An image without pixels is padding alone; there is nothing to be cut into channels.
    if columns.is_empty() || x.is_empty() {
        columns.fill(T::ZERO);
        return;
    }
    let channel = g.with_channels(1).expect(FITS);
    columns
        .par_chunks_exact_mut(channel.patch_len() * rows.len() * g.out_w())
        .zip(x.par_chunks_exact(channel.in_len()))
        .with_min_len(4)
        .for_each(|(columns, x)| {
            unfold_rows_into(x, &channel, Layout::PatchRows, rows.clone(), columns).expect(FITS);
        });
}

/// Elements of scratch memory of each thread that the gradient by the data takes.
pub(crate) fn backward_data_len(plan: &Conv2dPlan) -> usize {
    Parts::new(plan).chunk_len
}

pub(crate) fn backward_data<T: ConvScalar>(
    plan: &Conv2dPlan,
    w: View4<'_, T>,
    dy: View4<'_, T>,
    dx: ViewMut4<'_, T>,
    workspace: &mut Workspace<T>,
) {
    let parts = Parts::new(plan);
    let (n, image_len) = (dx.shape().n(), dx.shape().image_len());
    if image_len == 0 {
        return;
    }
    let Scratch { columns, .. } = workspace.prepare(parts.chunk_len, 0);
    let images = dx.into_data();
    if keep_threads_busy(n) {
        images.par_chunks_exact_mut(image_len).enumerate().for_each(|(i, dx)| {
            for (group, dx) in dx.chunks_exact_mut(parts.g.in_len()).enumerate() {
                let w = parts.weight(w.data(), group);
                let dy = parts.output(dy.image(i), group);
                backward_data_channels(&parts, w, dy, dx, columns);
            }
        });
    } else {
        for (i, dx) in images.chunks_exact_mut(image_len).enumerate() {
            for (group, dx) in dx.chunks_exact_mut(parts.g.in_len()).enumerate() {
                let w = parts.weight(w.data(), group);
                let dy = parts.output(dy.image(i), group);
                let channel = parts.g.with_channels(1).expect(FITS);
                let (taps, plane) = (channel.patch_len(), channel.in_len());
                let size = channel_block(parts.g.in_c());
                dx.par_chunks_mut(size * plane).enumerate().for_each(|(block, dx)| {
                    let first = block * size * taps;
                    let cols = first..first + dx.len() / plane * taps;
                    let w = w.block(0..parts.group_oc, cols).expect(FITS);
                    backward_data_channels(&parts, w, dy, dx, columns);
                });
            }
        }
    }
}

/// The gradient by some channels of one image; `w` has the columns of those channels alone.
fn backward_data_channels<T: ConvScalar>(
    parts: &Parts<'_>,
    w: MatRef<'_, T>,
    dy: &[T],
    dx: &mut [T],
    columns: Columns<'_, T>,
) {
    let channels = dx.len() * parts.g.in_c() / parts.g.in_len();
    let g = parts.g.with_channels(channels).expect(FITS);
    dx.fill(T::ZERO);
    if dy.is_empty() {
        return;
    }
    columns.with(|columns| {
        for rows in parts.chunks() {
            let pixels = parts.pixels(&rows);
            let columns = &mut columns[..g.patch_len() * pixels.len()];
            let dy = slice(dy, parts.group_oc, parts.plane_len, pixels.clone());
            // (C*KH*KW, OC) x (OC, pixels) -> (C*KH*KW, pixels)
            let c = MatMut::row_major(columns, g.patch_len(), pixels.len()).expect(FITS);
            product(w.t(), dy, T::ZERO, c);
            col2im_rows_add(columns, &g, Layout::PatchRows, rows, dx).expect(FITS);
        }
    });
}

/// Elements of scratch memory that the gradient by the weights takes: for each thread, and shared.
pub(crate) fn weights_workspace_len(plan: &Conv2dPlan) -> (usize, usize) {
    let len = plan.weight_shape().len();
    (Parts::new(plan).chunk_len, (MAX_PARTIAL_LEN / len.max(1)).min(SEGMENTS) * len)
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
    let parts = Parts::new(plan);
    let n = x.shape().n();
    let dw = dw.into_data();
    if update == Update::Overwrite {
        dw.fill(T::ZERO);
    }
    if dw.is_empty() {
        return;
    }
    let segments = (MAX_PARTIAL_LEN / dw.len()).min(SEGMENTS);
    if n < MANY_IMAGES || segments < 2 {
        let Scratch { columns, .. } = workspace.prepare(parts.chunk_len, 0);
        for i in 0..n {
            columns.with(|columns| {
                weights_of_image_in_parallel(&parts, x.image(i), dy.image(i), dw, columns);
            });
        }
        return;
    }
    let images = n.div_ceil(segments);
    let segments = n.div_ceil(images);
    let Scratch { columns, shared: partial } =
        workspace.prepare(parts.chunk_len, segments * dw.len());
    partial.par_chunks_exact_mut(dw.len()).enumerate().for_each(|(segment, dw)| {
        dw.fill(T::ZERO);
        columns.with(|columns| {
            for i in segment * images..((segment + 1) * images).min(n) {
                weights_of_image(&parts, x.image(i), dy.image(i), dw, columns);
            }
        });
    });
    let partial = &*partial;
    let len = dw.len();
    dw.par_chunks_mut(1 << 12).enumerate().for_each(|(block, dw)| {
        for part in partial.chunks_exact(len) {
            for (dw, &p) in dw.iter_mut().zip(&part[block << 12..]) {
                *dw += p;
            }
        }
    });
}

/// Adds the gradient of one image to `dw`.
fn weights_of_image<T: ConvScalar>(
    parts: &Parts<'_>,
    x: &[T],
    dy: &[T],
    dw: &mut [T],
    columns: &mut [T],
) {
    let k = parts.g.patch_len();
    for (group, dw) in dw.chunks_exact_mut(parts.group_oc * k).enumerate() {
        let x = parts.input(x, group);
        let dy = parts.output(dy, group);
        for rows in parts.chunks() {
            let pixels = parts.pixels(&rows);
            let columns = &mut columns[..k * pixels.len()];
            unfold_rows_into(x, parts.g, Layout::PatchRows, rows, columns).expect(FITS);
            let columns = matrix(columns, k, pixels.len());
            let dy = slice(dy, parts.group_oc, parts.plane_len, pixels);
            // (OC, pixels) x (pixels, C*KH*KW) -> (OC, C*KH*KW)
            let dw = MatMut::row_major(dw, parts.group_oc, k).expect(FITS);
            product(dy, columns.t(), T::ONE, dw);
        }
    }
}

/// As [`weights_of_image`], each step in parallel.
fn weights_of_image_in_parallel<T: ConvScalar>(
    parts: &Parts<'_>,
    x: &[T],
    dy: &[T],
    dw: &mut [T],
    columns: &mut [T],
) {
    let k = parts.g.patch_len();
    for (group, dw) in dw.chunks_exact_mut(parts.group_oc * k).enumerate() {
        let x = parts.input(x, group);
        let dy = parts.output(dy, group);
        for rows in parts.chunks() {
            let pixels = parts.pixels(&rows);
            let columns = &mut columns[..k * pixels.len()];
            unfold_in_parallel(parts.g, x, rows, columns);
            let columns = matrix(columns, k, pixels.len());
            let dy = slice(dy, parts.group_oc, parts.plane_len, pixels);
            let size = channel_block(parts.group_oc);
            dw.par_chunks_mut(size * k).enumerate().for_each(|(block, dw)| {
                let channels = dw.len() / k;
                let first = block * size;
                let dy = dy.block(first..first + channels, 0..columns.cols()).expect(FITS);
                // (block of OC, pixels) x (pixels, C*KH*KW) -> (block of OC, C*KH*KW)
                let dw = MatMut::row_major(dw, channels, k).expect(FITS);
                product(dy, columns.t(), T::ONE, dw);
            });
        }
    }
}

/// `db[oc] = sum of dy[.., oc, .., ..]`, each channel in the order of the images.
fn bias_gradient<T: ConvScalar>(dy: View4<'_, T>, db: &mut [T], update: Update) {
    let n = dy.shape().n();
    db.par_iter_mut().enumerate().with_min_len(4).for_each(|(oc, db)| {
        let mut total = if update == Update::Accumulate { *db } else { T::ZERO };
        for n in 0..n {
            total += sum(dy.plane(n, oc));
        }
        *db = total;
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
