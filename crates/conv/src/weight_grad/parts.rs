//! Parts of the work with sums of their own, and how they are added up.

use std::ops::Range;

use im2col::ConvGeometry;
use tensor4::ViewMut4;

use crate::kernels::{Gather, Kernels};
use crate::parallel::pieces;
use crate::{ConvScalar, Update};

/// Into how many parts the work is cut at least, if there is so much.
const PARTS: usize = 8;

/// Partial sums take at most this many elements in all, where one of each is not more.
const MAX_PARTIAL_LEN: usize = 1 << 22;

/// The parts: one after another, for each part of the pixels, group and block of channels. In a part
/// stand its taps, each with all output channels of a group, and the bias behind them.
pub(crate) struct Parts<'a, T: 'static> {
    pub(crate) kernels: &'static Kernels<T>,
    pub(crate) g: &'a ConvGeometry,
    pub(crate) groups: usize,
    /// Output channels of a group.
    pub(crate) group_oc: usize,
    /// Channels of a part.
    pub(crate) channels: usize,
    /// Parts of the channels of a group.
    pub(crate) blocks: usize,
}

/// What one part sums over.
pub(crate) struct Cut {
    pub(crate) group: usize,
    pub(crate) block: usize,
    pub(crate) steps: Range<usize>,
}

impl Cut {
    /// Whether the part also sums over the outputs alone: the first block does it for all.
    pub(crate) fn has_bias(&self) -> bool {
        self.block == 0
    }
}

impl<T: ConvScalar> Parts<'_, T> {
    /// Output channels of a group in whole registers.
    pub(crate) fn width(&self) -> usize {
        self.group_oc.next_multiple_of(self.kernels.lanes)
    }

    /// Taps of a channel.
    pub(crate) fn taps(&self) -> usize {
        self.g.window().kernel_h * self.g.window().kernel_w
    }

    /// Elements of the sums of a part: those of the taps, and those of the bias.
    pub(crate) fn len(&self) -> usize {
        (self.channels * self.taps() + 1) * self.width()
    }

    /// Parts of the pixels, which are summed over in so many steps.
    pub(crate) fn segments(&self, steps: usize) -> usize {
        let parts = self.groups * self.blocks;
        let fitting = (MAX_PARTIAL_LEN / (parts * self.len())).max(1);
        PARTS.div_ceil(parts).min(fitting).min(steps)
    }

    /// The registers of output channels of one of so many panels that a group is cut into.
    pub(crate) fn registers(&self, panel: usize, panels: usize) -> Range<usize> {
        let vectors = self.width() / self.kernels.lanes;
        panel * vectors / panels..(panel + 1) * vectors / panels
    }

    /// Output channels of the widest of so many panels.
    pub(crate) fn panel_width(&self, panels: usize) -> usize {
        (self.width() / self.kernels.lanes).div_ceil(panels) * self.kernels.lanes
    }

    /// Channels of a block.
    pub(crate) fn block(&self, block: usize) -> Range<usize> {
        let first = block * self.channels;
        first..(first + self.channels).min(self.g.in_c())
    }

    /// Elements of all sums, where pixels are summed over in so many steps.
    pub(crate) fn sums_len(&self, steps: usize) -> usize {
        self.segments(steps) * self.groups * self.blocks * self.len()
    }

    /// Calls `f` with what each part sums over and its sums, in parallel.
    pub(crate) fn for_each(
        &self,
        sums: &mut [T],
        steps: usize,
        f: impl Fn(Cut, &mut [T]) + Sync + Send,
    ) {
        let segments = self.segments(steps);
        pieces(sums, self.len(), 1, &|i, sums| {
            let (i, block) = (i / self.blocks, i % self.blocks);
            let (segment, group) = (i / self.groups, i % self.groups);
            let steps = segment * steps / segments..(segment + 1) * steps / segments;
            f(Cut { group, block, steps }, sums);
        });
    }

    /// Adds up the parts.
    pub(crate) fn finish(
        &self,
        sums: &[T],
        update: Update,
        dw: ViewMut4<'_, T>,
        db: Option<&mut [T]>,
    ) {
        let accumulate = update == Update::Accumulate;
        let (lanes, width, part_len) = (self.kernels.lanes, self.width(), self.len());
        let (taps, patch) = (self.taps(), self.g.patch_len());
        let all = self.groups * self.blocks * part_len;
        let part = |group: usize, block: usize| &sums[(group * self.blocks + block) * part_len..];
        let dw = dw.into_data();
        pieces(dw, self.group_oc * patch, 1, &|group, dw| {
            pieces(dw, lanes * patch, 1, &|i, dw| {
                for block in 0..self.blocks {
                    let channels = self.block(block);
                    self.kernels.grad_gather(Gather {
                        sums: &part(group, block)[i * lanes..],
                        parts: sums.len() / all,
                        part_stride: all,
                        sums_stride: width,
                        taps: channels.len() * taps,
                        out_channels: dw.len() / patch,
                        dw: &mut dw[channels.start * taps..],
                        dw_stride: patch,
                        accumulate,
                    });
                }
            });
        });
        let Some(db) = db else { return };
        for (group, db) in db.chunks_exact_mut(self.group_oc).enumerate() {
            add_up(&part(group, 0)[self.channels * taps * width..], all, db, accumulate);
        }
    }
}

/// Adds up sums that begin `stride` after one another; overwrites `to` or accumulates.
pub(crate) fn add_up<T: ConvScalar>(parts: &[T], stride: usize, to: &mut [T], accumulate: bool) {
    for (i, to) in to.iter_mut().enumerate() {
        let sum = parts[i..].iter().step_by(stride).fold(T::ZERO, |sum, &part| sum + part);
        *to = if accumulate { *to + sum } else { sum };
    }
}
