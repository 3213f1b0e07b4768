//! Which weight is the factor of which tap.

use std::ops::Range;

use crate::kernels::{Kernels, Mirror, Pack};
use crate::{Conv2dPlan, ConvScalar};

/// Weights that are read from last to first, of a convolution whose gradient by the data runs as a
/// convolution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mirrored {
    /// Rows and columns of the kernel in memory.
    pub(crate) kernel: [usize; 2],
    /// The row and the column that are the first of the convolution.
    pub(crate) last: [usize; 2],
    /// Rows and columns back to the next.
    pub(crate) step: [usize; 2],
}

/// The weights of a plan in memory, as they are or mirrored.
///
/// Mirrored ones lie as `(channels, output channels of a group, kernel)`: they are those of a
/// convolution that leads from the output channels of this one to its channels.
pub(crate) struct Filters {
    /// Channels and output channels of a group.
    in_c: usize,
    group_oc: usize,
    /// Rows and columns of the kernel that the plan runs: of all phases, if it computes several together.
    taps: [usize; 2],
    mirrored: Option<Mirrored>,
}

impl Filters {
    pub(crate) fn new(plan: &Conv2dPlan) -> Self {
        let (g, desc) = (plan.group_geometry(), plan.desc());
        Self {
            in_c: g.in_c(),
            group_oc: desc.out_channels / desc.groups,
            taps: match plan.mirrored() {
                // Its phases share out the taps of the kernel.
                Some(mirrored) if plan.interleaved().is_some() => mirrored.kernel,
                _ => [g.window().kernel_h, g.window().kernel_w],
            },
            mirrored: plan.mirrored(),
        }
    }

    /// Rows and columns of the kernel that are packed.
    pub(crate) fn taps(&self) -> [usize; 2] {
        self.taps
    }

    /// Where the weight of a channel and a tap of an output channel of a group stands.
    pub(crate) fn place(
        &self,
        group: usize,
        (out_channel, channel): (usize, usize),
        tap: usize,
    ) -> usize {
        let [kernel_h, kernel_w] = self.taps;
        match self.mirrored {
            None => {
                let filter = group * self.group_oc + out_channel;
                (filter * self.in_c + channel) * kernel_h * kernel_w + tap
            }
            Some(Mirrored { kernel, last, step }) => {
                let filter = group * self.in_c + channel;
                let row = last[0] - tap / kernel_w * step[0];
                let col = last[1] - tap % kernel_w * step[1];
                ((filter * self.group_oc + out_channel) * kernel[0] + row) * kernel[1] + col
            }
        }
    }

    /// Packs the weights of some channels of some output channels of a group, `(channels, kernel,
    /// width)`; overwrites `packed`.
    pub(crate) fn pack<T: ConvScalar>(
        &self,
        kernels: &'static Kernels<T>,
        w: &[T],
        (group, out_channels, channels): (usize, Range<usize>, Range<usize>),
        width: usize,
        packed: &mut [T],
    ) {
        let taps = self.taps[0] * self.taps[1];
        match self.mirrored {
            None => {
                let row_stride = self.in_c * taps;
                let first = (group * self.group_oc + out_channels.start) * row_stride;
                kernels.pack(Pack {
                    w: &w[first + channels.start * taps..],
                    row_stride,
                    taps: channels.len() * taps,
                    out_channels: out_channels.len(),
                    width,
                    packed,
                });
            }
            Some(Mirrored { kernel, last, step }) => {
                let kernel_len = kernel[0] * kernel[1];
                let channel_stride = self.group_oc * kernel_len;
                let first = (group * self.in_c + channels.start) * channel_stride;
                kernels.pack_mirrored(Mirror {
                    w: &w[first + out_channels.start * kernel_len..],
                    channel_stride,
                    channels: channels.len(),
                    out_channels: out_channels.len(),
                    kernel,
                    last,
                    step,
                    taps: self.taps,
                    width,
                    packed,
                });
            }
        }
    }
}
