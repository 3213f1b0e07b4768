//! The forward pass.

use std::ops::Range;

use gemm::packed::{self, PackedA, PackedB};
use gemm::{MatMut, MatRef};
use tensor4::ViewMut4;

use super::cut::{Cut, Stage};
use super::unfold::{MAX_PANELS, Unfold};
use super::{FITS, for_each_block};
use crate::call::{Call, Weights, keep_threads_busy, relu_in_place};
use crate::parallel::pieces;
use crate::workspace::Scratch;
use crate::{Conv2dPlan, ConvScalar, Workspace};

/// Packing fewer weights than this is not worth waking another thread.
const PACK_TASK_LEN: usize = 1 << 14;

/// Elements of all packed weights.
pub(crate) fn packed_len<T: ConvScalar>(plan: &Conv2dPlan) -> usize {
    let cut = Cut::<T>::new(plan);
    cut.groups * cut.padded_oc * cut.k
}

/// Packs all weights.
pub(crate) fn pack<T: ConvScalar>(plan: &Conv2dPlan, w: &[T], packed: &mut [T]) {
    let cut = Cut::new(plan);
    pack_stage(&cut, &cut.whole(), w, packed);
}

/// Packs the weights of a stage: for each group, part after part.
fn pack_stage<T: ConvScalar>(cut: &Cut<T>, stage: &Stage, w: &[T], packed: &mut [T]) {
    let mut rest = packed;
    for group in stage.groups.clone() {
        let w = &w[group * cut.group_oc * cut.k..][..cut.group_oc * cut.k];
        // (OC/groups, C/groups*KH*KW)
        let w = MatRef::row_major(w, cut.group_oc, cut.k).expect(FITS);
        for terms in stage.parts.clone().map(|part| cut.terms(part)) {
            if terms.is_empty() || cut.group_oc == 0 {
                continue;
            }
            let panels = rest.split_off_mut(..cut.padded_oc * terms.len()).expect(FITS);
            let panel_len = cut.kernel.rows() * terms.len();
            let at_a_time = PACK_TASK_LEN.div_ceil(panel_len);
            pieces(panels, at_a_time * panel_len, 1, &|block, panels| {
                let first = block * at_a_time * cut.kernel.rows();
                let rows = first..(first + panels.len() / terms.len()).min(cut.group_oc);
                let w = w.block(rows, terms.clone()).expect(FITS);
                cut.kernel.pack_a(w, panels).expect(FITS);
            });
        }
    }
}

pub(crate) fn forward<T: ConvScalar>(
    plan: &Conv2dPlan,
    call: &Call<'_, T>,
    y: ViewMut4<'_, T>,
    workspace: &mut Workspace<T>,
) {
    let cut = Cut::new(plan);
    let (n, image_len) = (y.shape().n(), y.shape().image_len());
    if image_len == 0 || n == 0 {
        return;
    }
    let scratch_len = call.weights.scratch_len(cut.stage_len());
    let Scratch { columns, shared } = workspace.prepare(cut.own_len(), scratch_len);
    let images = y.into_data();
    let at_a_time = cut.images(n);
    let parallel_tasks = keep_threads_busy(n.div_ceil(at_a_time));
    let mut run = |stage: &Stage, held: &Stage, weights: &[T]| {
        let task = |first: usize| {
            let first_image = first * at_a_time;
            Task { plan, cut, call, stage, held, weights, first_image, parallel: !parallel_tasks }
        };
        for_each_block(parallel_tasks, images, at_a_time * image_len, &|i, y| {
            columns.with(|buffer| task(i).run(y, buffer));
        });
    };
    match call.weights {
        Weights::Packed(weights) => run(&cut.whole(), &cut.whole(), weights),
        Weights::Plain(w) => {
            for stage in cut.stages() {
                pack_stage(&cut, &stage, w, shared);
                run(&stage, &stage, shared);
            }
        }
    }
}

/// Some images, and the weights of a stage.
struct Task<'a, T: 'static> {
    plan: &'a Conv2dPlan,
    cut: Cut<T>,
    call: &'a Call<'a, T>,
    stage: &'a Stage,
    /// What `weights` holds.
    held: &'a Stage,
    weights: &'a [T],
    first_image: usize,
    /// Whether its steps run in parallel.
    parallel: bool,
}

/// Where the sums of a chunk stand, and which they are.
struct Chunk<'a, T> {
    group: usize,
    /// Pixels, counted from the first of the task.
    pixels: Range<usize>,
    /// One row for each output channel of the group.
    sums: &'a mut [T],
    /// From a row to the next.
    row_len: usize,
    /// The first of the pixels in a row.
    col: usize,
}

impl<T: ConvScalar> Task<'_, T> {
    fn run(&self, y: &mut [T], buffer: &mut [T]) {
        let Cut { plane_len, group_oc, .. } = self.cut;
        let image_len = group_oc * self.cut.groups * plane_len;
        let (columns, sums) = buffer.split_at_mut(self.cut.columns_len());
        for group in self.stage.groups.clone() {
            for pixels in self.cut.chunks(y.len() / image_len * plane_len) {
                if self.cut.gathers() {
                    let row_len = pixels.len();
                    let sums = &mut sums[..group_oc * row_len];
                    let chunk = Chunk { group, pixels: pixels.clone(), sums, row_len, col: 0 };
                    self.sum(chunk, Some(y), columns);
                    self.scatter(group, pixels, sums, y);
                } else {
                    let sums = &mut y[group * group_oc * plane_len..][..group_oc * plane_len];
                    let col = pixels.start;
                    let chunk = Chunk { group, pixels, sums, row_len: plane_len, col };
                    self.sum(chunk, None, columns);
                }
            }
        }
    }

    fn is_last(&self, part: usize) -> bool {
        part + 1 == self.cut.parts
    }

    /// Adds the parts of the stage to the sums of a chunk. They begin as what `y` holds, if that is
    /// given, else as what they hold.
    fn sum(&self, chunk: Chunk<'_, T>, y: Option<&[T]>, columns: &mut [T]) {
        let Chunk { group, pixels, sums, row_len, col } = chunk;
        let cut = &self.cut;
        let rows = if self.parallel {
            let blocks = 2 * rayon::current_num_threads();
            cut.group_oc.div_ceil(blocks).next_multiple_of(cut.kernel.rows())
        } else {
            cut.group_oc
        };
        for part in self.stage.parts.clone() {
            let terms = cut.terms(part);
            let columns = &mut columns[..cut.kernel.packed_b_len(terms.len(), pixels.len())];
            self.unfold(group, pixels.clone(), terms.clone(), columns);
            let columns = PackedB::new(cut.kernel, columns, terms.len(), pixels.len()).expect(FITS);
            for_each_block(self.parallel, sums, rows * row_len, &|block, sums| {
                let first = block * rows;
                let channels = first..first + sums.len() / row_len;
                let weights = self.weights(group, terms.clone(), channels.clone());
                let sums_of = |c: usize| c * row_len + col..c * row_len + col + pixels.len();
                let count = channels.len();
                if let (Some(y), true) = (y, part > 0 && part == self.stage.parts.start) {
                    for (c, channel) in channels.clone().enumerate() {
                        self.gather(group, channel, pixels.clone(), y, &mut sums[sums_of(c)]);
                    }
                }
                let c = MatMut::new(&mut sums[col..], count, pixels.len(), row_len, 1).expect(FITS);
                // (block of OC, part of C*KH*KW) x (part of C*KH*KW, pixels) -> (block of OC, pixels)
                match self.call.bias {
                    _ if part > 0 => packed::multiply_add(weights, columns, c),
                    None => packed::multiply(weights, columns, c),
                    Some(bias) => {
                        let bias = &bias[group * cut.group_oc..][channels];
                        packed::multiply_onto_rows(weights, columns, bias, c)
                    }
                }
                .expect(FITS);
                if self.is_last(part) && self.call.relu() {
                    (0..count).for_each(|c| relu_in_place(&mut sums[sums_of(c)]));
                }
            });
        }
    }

    /// The packed weights of some output channels of a group, from the first of a panel on.
    fn weights(&self, group: usize, terms: Range<usize>, channels: Range<usize>) -> PackedA<'_, T> {
        let (cut, held) = (&self.cut, self.held);
        let first = cut.terms(held.parts.start).start;
        let held_len = cut.terms(held.parts.end - 1).end - first;
        let start = (group - held.groups.start) * held_len + terms.start - first;
        let start = start * cut.padded_oc + channels.start * terms.len();
        let len = cut.kernel.packed_a_len(channels.len(), terms.len());
        let panels = &self.weights[start..][..len];
        PackedA::new(cut.kernel, panels, channels.len(), terms.len()).expect(FITS)
    }

    /// Unfolds the terms of a part for some pixels.
    fn unfold(&self, group: usize, pixels: Range<usize>, terms: Range<usize>, columns: &mut [T]) {
        let (g, x, width) = (self.plan.group_geometry(), self.call.x, self.cut.kernel.cols());
        if terms.is_empty() {
            return;
        }
        let image_len = g.in_len() * self.cut.groups;
        let x = &x.data()[group * g.in_len()..];
        let unfold = Unfold { g, x, image_len, width };
        let first = self.first_image * self.cut.plane_len + pixels.start;
        let end = first + pixels.len();
        let panels = if self.parallel { 1 } else { MAX_PANELS };
        for_each_block(self.parallel, columns, panels * width * terms.len(), &|block, columns| {
            let first = first + block * panels * width;
            unfold.panels(first..(first + panels * width).min(end), terms.clone(), columns);
        });
    }

    /// The images that some pixels belong to, from the first: for each its number, its pixels, and
    /// their place among all of them.
    fn images(
        &self,
        pixels: Range<usize>,
    ) -> impl Iterator<Item = (usize, Range<usize>, Range<usize>)> + use<T> {
        let len = self.cut.plane_len;
        (pixels.start / len..pixels.end.div_ceil(len)).map(move |image| {
            let plane = image * len..(image + 1) * len;
            let part = pixels.start.max(plane.start)..pixels.end.min(plane.end);
            let of = |origin: usize| part.start - origin..part.end - origin;
            (image, of(plane.start), of(pixels.start))
        })
    }

    /// Fetches what `y` holds for some pixels of one output channel.
    fn gather(&self, group: usize, channel: usize, pixels: Range<usize>, y: &[T], sums: &mut [T]) {
        let Cut { groups, group_oc, plane_len, .. } = self.cut;
        for (image, part, place) in self.images(pixels) {
            let plane = (image * groups + group) * group_oc + channel;
            sums[place].copy_from_slice(&y[plane * plane_len..][part]);
        }
    }

    /// Copies the sums of a chunk to their places.
    fn scatter(&self, group: usize, pixels: Range<usize>, sums: &[T], y: &mut [T]) {
        let Cut { groups, group_oc, plane_len, .. } = self.cut;
        let image_len = groups * group_oc * plane_len;
        let row_len = pixels.len();
        let first = pixels.start / plane_len;
        let end = pixels.end.div_ceil(plane_len);
        let y = &mut y[first * image_len..end * image_len];
        for_each_block(self.parallel, y, image_len, &|image, y| {
            let (_, part, place) = self.images(pixels.clone()).nth(image).expect("it has pixels");
            let planes = y[group * group_oc * plane_len..].chunks_exact_mut(plane_len);
            for (plane, sums) in planes.zip(sums.chunks_exact(row_len)) {
                plane[part.clone()].copy_from_slice(&sums[place.clone()]);
            }
        });
    }
}
