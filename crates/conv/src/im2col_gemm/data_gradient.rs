//! The gradient by the data: columns `(C*KH*KW, OC) x (OC, pixels)`, which col2im adds up.
//!
//! The weights are packed once for the whole batch. Of an image only so many output rows and so many
//! channels are computed at a time that their columns are still in the cache when they are folded.
//! Images run in parallel where there are enough, else the channels of each do. Every element is the
//! same sum in the same order either way, so that the choice may depend on the threads.

use std::ops::Range;

use gemm::packed::{self, MicroKernel, PackedA, PackedB};
use gemm::{MatMut, MatRef};
use im2col::{ConvGeometry, Layout, col2im_rows_add};
use tensor4::{View4, ViewMut4};

use super::cut::{PART_LEN, micro_kernel};
use super::{FITS, for_each_block};
use crate::call::keep_threads_busy;
use crate::workspace::Scratch;
use crate::{Conv2dPlan, ConvScalar, Workspace};

/// Elements of columns, and of gradients by outputs, that are held at a time.
const COLUMNS_LEN: usize = 96 << 10;
/// Pixels of a chunk: more pay for nothing, and fewer not for the reading of the weights.
const MOST_PIXELS: usize = 512;
const LEAST_PIXELS: usize = 96;

/// The plan, taken apart: one group of channels at a time.
struct Cut<'a, T: 'static> {
    kernel: MicroKernel<T>,
    g: &'a ConvGeometry,
    /// Output channels of a group: the terms of a sum.
    group_oc: usize,
    /// Rows of the columns of one channel.
    taps: usize,
    /// Rows of all columns, filled up to whole panels.
    padded_rows: usize,
    /// Output rows of a chunk.
    chunk_rows: usize,
    /// Channels of a block, whole panels of rows.
    block_channels: usize,
}

impl<'a, T: ConvScalar> Cut<'a, T> {
    fn new(plan: &'a Conv2dPlan) -> Self {
        let (g, kernel) = (plan.group_geometry(), micro_kernel::<T>(plan.kernel_set()));
        let group_oc = plan.desc().out_channels / plan.desc().groups;
        let taps = g.window().kernel_h * g.window().kernel_w;
        let fitting = COLUMNS_LEN / group_oc.max(taps * kernel.rows());
        let chunk_rows = fitting.clamp(LEAST_PIXELS, MOST_PIXELS) / g.out_w();
        let chunk_rows = chunk_rows.clamp(1, g.out_h());
        let block = COLUMNS_LEN / (taps * chunk_rows * g.out_w()) / kernel.rows();
        let most = g.in_c().div_ceil(kernel.rows());
        Self {
            kernel,
            g,
            group_oc,
            taps,
            padded_rows: g.patch_len().next_multiple_of(kernel.rows()),
            chunk_rows,
            block_channels: block.min(most).max(1) * kernel.rows(),
        }
    }

    /// The ranges of output rows that are computed together, from top to bottom.
    fn chunks(&self) -> impl Iterator<Item = Range<usize>> + use<T> {
        let (rows, out_h) = (self.chunk_rows, self.g.out_h());
        (0..out_h).step_by(rows).map(move |row| row..(row + rows).min(out_h))
    }

    /// The terms that are added up at a time.
    fn parts(&self) -> impl Iterator<Item = Range<usize>> + use<T> {
        let terms = self.group_oc;
        (0..terms).step_by(PART_LEN).map(move |part| part..(part + PART_LEN).min(terms))
    }

    /// Elements of the packed weights of a group.
    fn weights_len(&self) -> usize {
        self.padded_rows * self.group_oc
    }

    fn columns_len(&self) -> usize {
        self.block_channels * self.taps * self.chunk_rows * self.g.out_w()
    }

    /// Elements that a thread needs: columns, and packed gradients by outputs.
    fn own_len(&self) -> usize {
        let pixels = self.chunk_rows * self.g.out_w();
        self.columns_len() + self.kernel.packed_b_len(self.group_oc, pixels)
    }

    /// Packs the transposed weights of a group, `(C*KH*KW, OC)`, part after part.
    fn pack(&self, w: &[T], packed: &mut [T]) {
        let rows = self.g.patch_len();
        let w = MatRef::row_major(w, self.group_oc, rows).expect(FITS).t();
        for terms in self.parts() {
            let panels = &mut packed[self.padded_rows * terms.start..self.padded_rows * terms.end];
            let height = self.kernel.rows();
            for_each_block(true, panels, height * terms.len(), &|panel, to| {
                let rows = panel * height..((panel + 1) * height).min(rows);
                self.kernel.pack_a(w.block(rows, terms.clone()).expect(FITS), to).expect(FITS);
            });
        }
    }

    /// The gradient by some channels of one image, from `first` on, the first row of a panel.
    fn run(&self, weights: &[T], dy: &[T], first: usize, dx: &mut [T], buffer: &mut [T]) {
        dx.fill(T::ZERO);
        if self.group_oc == 0 {
            return;
        }
        let (g, kernel, plane_len) = (self.g, self.kernel, self.g.in_h() * self.g.in_w());
        let dy = MatRef::row_major(dy, self.group_oc, g.out_plane_len()).expect(FITS);
        let (columns, packed) = buffer.split_at_mut(self.columns_len());
        for rows in self.chunks() {
            let pixels = rows.start * g.out_w()..rows.end * g.out_w();
            let padded = pixels.len().next_multiple_of(kernel.cols());
            for terms in self.parts() {
                let to = &mut packed[padded * terms.start..padded * terms.end];
                let dy = dy.block(terms, pixels.clone()).expect(FITS);
                kernel.pack_b(dy, to).expect(FITS);
            }
            for (block, dx) in dx.chunks_mut(self.block_channels * plane_len).enumerate() {
                let channels = dx.len() / plane_len;
                let count = channels * self.taps;
                let columns = &mut columns[..count * pixels.len()];
                let first = (first + block * self.block_channels) * self.taps;
                for terms in self.parts() {
                    let start = self.padded_rows * terms.start + first * terms.len();
                    let a = &weights[start..][..kernel.packed_a_len(count, terms.len())];
                    let a = PackedA::new(kernel, a, count, terms.len()).expect(FITS);
                    let b = &packed[padded * terms.start..padded * terms.end];
                    let b = PackedB::new(kernel, b, terms.len(), pixels.len()).expect(FITS);
                    let c = MatMut::row_major(columns, count, pixels.len()).expect(FITS);
                    // (C*KH*KW, part of OC) x (part of OC, pixels) -> (C*KH*KW, pixels)
                    match terms.start {
                        0 => packed::multiply(a, b, c),
                        _ => packed::multiply_add(a, b, c),
                    }
                    .expect(FITS);
                }
                let g = g.with_channels(channels).expect(FITS);
                col2im_rows_add(columns, &g, Layout::PatchRows, rows.clone(), dx).expect(FITS);
            }
        }
    }
}

/// Elements of scratch memory that the gradient by the data takes in `f32`: for each thread, and
/// shared.
pub(crate) fn data_workspace_len(plan: &Conv2dPlan) -> (usize, usize) {
    let cut = Cut::<f32>::new(plan);
    (cut.own_len(), plan.desc().groups * cut.weights_len())
}

pub(crate) fn backward_data<T: ConvScalar>(
    plan: &Conv2dPlan,
    w: View4<'_, T>,
    dy: View4<'_, T>,
    dx: ViewMut4<'_, T>,
    workspace: &mut Workspace<T>,
) {
    let cut = Cut::<T>::new(plan);
    let (n, image_len) = (dx.shape().n(), dx.shape().image_len());
    if image_len == 0 {
        return;
    }
    let (weights_len, group_len) = (cut.weights_len(), cut.group_oc * cut.g.patch_len());
    let dy_len = cut.group_oc * cut.g.out_plane_len();
    let Scratch { columns, shared: weights } =
        workspace.prepare(cut.own_len(), plan.desc().groups * weights_len);
    if group_len > 0 {
        for (w, packed) in
            w.data().chunks_exact(group_len).zip(weights.chunks_exact_mut(weights_len))
        {
            cut.pack(w, packed);
        }
    }
    let weights = &*weights;
    let parallel_images = keep_threads_busy(n);
    let image = |i: usize, dx: &mut [T]| {
        for (group, dx) in dx.chunks_exact_mut(cut.g.in_len()).enumerate() {
            let weights = &weights[group * weights_len..][..weights_len];
            let dy = &dy.image(i)[group * dy_len..][..dy_len];
            let threads = if parallel_images { 1 } else { rayon::current_num_threads() };
            let share = cut.g.in_c().div_ceil(threads).next_multiple_of(cut.kernel.rows());
            let len = share * cut.g.in_h() * cut.g.in_w();
            for_each_block(!parallel_images, dx, len, &|block, dx| {
                columns.with(|buffer| cut.run(weights, dy, block * share, dx, buffer));
            });
        }
    };
    for_each_block(parallel_images, dx.into_data(), image_len, &image);
}
