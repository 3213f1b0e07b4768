//! Parts of the work with sums of their own, and how they are added up.

use im2col::ConvGeometry;
use rayon::prelude::*;
use tensor4::ViewMut4;

use crate::kernels::{Gather, Kernels};
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
        dw.par_chunks_exact_mut(self.group_oc * patch).enumerate().for_each(|(group, dw)| {
            dw.par_chunks_mut(lanes * patch).enumerate().for_each(|(i, dw)| {
                for block in 0..self.blocks {
                    let first = block * self.channels;
                    let channels = self.channels.min(self.g.in_c() - first);
                    self.kernels.grad_gather(Gather {
                        sums: &part(group, block)[i * lanes..],
                        parts: sums.len() / all,
                        part_stride: all,
                        sums_stride: width,
                        taps: channels * taps,
                        out_channels: dw.len() / patch,
                        dw: &mut dw[first * taps..],
                        dw_stride: patch,
                        accumulate,
                    });
                }
            });
        });
        let Some(db) = db else { return };
        for (i, db) in db.iter_mut().enumerate() {
            let (group, oc) = (i / self.group_oc, i % self.group_oc);
            let at = self.channels * taps * width + oc;
            let sums = part(group, 0)[at..].iter().step_by(all);
            let sum = sums.fold(T::ZERO, |sum, &part| sum + part);
            *db = if accumulate { *db + sum } else { sum };
        }
    }
}
