//! How a forward pass is cut: a function of the shapes alone.

use std::ops::Range;

use gemm::packed::{InstructionSet, MicroKernel};

use crate::{Conv2dPlan, ConvScalar, KernelSet};

/// Terms of a sum that are added up at a time, at most. So many of a panel of the weights fit in the
/// first-level cache.
pub(super) const PART_LEN: usize = 768;
/// Where there are many output channels, parts are shorter, but not below this.
const MIN_PART_LEN: usize = 64;
/// Elements of unfolded pixels of a chunk: they stay in the second-level cache.
const COLUMNS_LEN: usize = 160 << 10;
/// Elements of the output of a chunk.
const SUMS_LEN: usize = 96 << 10;
/// Elements of packed weights that are held at a time. With a chunk that is less than 4 MiB.
const WEIGHTS_LEN: usize = 640 << 10;
/// A smaller output plane would leave too much of its last tile empty: several are computed side by
/// side, and copied to their places.
const SMALL_PLANE: usize = 400;
/// So many pixels side by side are enough, where there are images for it.
const MANY_PIXELS: usize = 384;
/// So few are not, even if a thread would have nothing to do.
const FEW_PIXELS: usize = 144;

/// The sizes of everything that a forward pass is cut into.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut<T: 'static> {
    pub(super) kernel: MicroKernel<T>,
    pub(super) groups: usize,
    /// Output channels of a group.
    pub(super) group_oc: usize,
    /// The same, filled up to whole panels.
    pub(super) padded_oc: usize,
    /// Pixels of an output plane.
    pub(super) plane_len: usize,
    /// Terms of a sum.
    pub(super) k: usize,
    /// Terms of a part, and how many parts there are, at least one.
    part_len: usize,
    pub(super) parts: usize,
    /// Pixels of a chunk, whole panels.
    pub(super) chunk_len: usize,
}

/// The weights that are held at a time: all of every group, or some parts of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) groups: Range<usize>,
    pub(super) parts: Range<usize>,
}

impl<T: ConvScalar> Cut<T> {
    pub(super) fn new(plan: &Conv2dPlan) -> Self {
        let kernel = micro_kernel(plan.kernel_set());
        let (g, groups) = (plan.group_geometry(), plan.desc().groups);
        let group_oc = plan.desc().out_channels / groups;
        let padded_oc = group_oc.next_multiple_of(kernel.rows());
        let k = g.patch_len();
        let most = (WEIGHTS_LEN / padded_oc.max(1)).clamp(MIN_PART_LEN, PART_LEN);
        let part_len = k.div_ceil(k.div_ceil(most).max(1)).max(1);
        let fitting = (COLUMNS_LEN / part_len).min(SUMS_LEN / group_oc.max(1));
        Self {
            kernel,
            groups,
            group_oc,
            padded_oc,
            plane_len: g.out_plane_len(),
            k,
            part_len,
            parts: k.div_ceil(part_len).max(1),
            chunk_len: (fitting / kernel.cols()).max(1) * kernel.cols(),
        }
    }

    /// The terms of a part.
    pub(super) fn terms(&self, part: usize) -> Range<usize> {
        part * self.part_len..((part + 1) * self.part_len).min(self.k)
    }

    /// Whether images are computed side by side and then copied to their places.
    pub(super) fn gathers(&self) -> bool {
        self.plane_len < SMALL_PLANE
    }

    /// How many of `n` images one task takes.
    pub(super) fn images(&self, n: usize) -> usize {
        if !self.gathers() {
            return 1;
        }
        let share = n.div_ceil(rayon::current_num_threads());
        let few = FEW_PIXELS.div_ceil(self.plane_len);
        MANY_PIXELS.div_ceil(self.plane_len).min(share.max(few)).clamp(1, n.max(1))
    }

    /// The chunks of so many pixels, about equally long.
    pub(super) fn chunks(&self, pixels: usize) -> impl Iterator<Item = Range<usize>> + use<T> {
        let count = pixels.div_ceil(self.chunk_len).max(1);
        let len = pixels.div_ceil(count).next_multiple_of(self.kernel.cols());
        (0..pixels).step_by(len.max(1)).map(move |start| start..(start + len).min(pixels))
    }

    /// Parts of one group that are held at a time, or `None` if all weights are.
    fn parts_at_a_time(&self) -> Option<usize> {
        let all = self.groups * self.padded_oc * self.k <= WEIGHTS_LEN;
        (!all).then(|| (WEIGHTS_LEN / (self.padded_oc * self.part_len)).max(1))
    }

    /// What is held one after the other, if weights are packed on the way.
    pub(super) fn stages(&self) -> impl Iterator<Item = Stage> + use<T> {
        let (groups, parts) = (self.groups, self.parts);
        let (group_step, part_step) =
            self.parts_at_a_time().map_or((groups, parts), |at_a_time| (1, at_a_time));
        (0..groups).step_by(group_step).flat_map(move |group| {
            (0..parts).step_by(part_step).map(move |part| Stage {
                groups: group..group + group_step,
                parts: part..(part + part_step).min(parts),
            })
        })
    }

    /// Everything at once.
    pub(super) fn whole(&self) -> Stage {
        Stage { groups: 0..self.groups, parts: 0..self.parts }
    }

    /// The most elements of packed weights of a stage.
    pub(super) fn stage_len(&self) -> usize {
        self.parts_at_a_time().map_or(self.groups * self.padded_oc * self.k, |parts| {
            self.padded_oc * (parts * self.part_len).min(self.k)
        })
    }

    /// Elements of the unfolded pixels of a chunk.
    pub(super) fn columns_len(&self) -> usize {
        self.chunk_len * self.part_len
    }

    /// Elements that a thread needs.
    pub(super) fn own_len(&self) -> usize {
        self.columns_len() + if self.gathers() { self.group_oc * self.chunk_len } else { 0 }
    }
}

/// The micro-kernel of the instruction set of a plan.
pub(super) fn micro_kernel<T: ConvScalar>(set: KernelSet) -> MicroKernel<T> {
    let set = match set {
        KernelSet::Avx512 => InstructionSet::Avx512,
        KernelSet::Avx2 => InstructionSet::Avx2,
        KernelSet::Neon => InstructionSet::Neon,
        KernelSet::Scalar => InstructionSet::Scalar,
    };
    MicroKernel::new(set).expect("the plan was made for a set that this CPU has")
}

/// Elements of scratch memory of a forward pass in `f32`: for each thread, and shared.
pub(crate) fn workspace_len(plan: &Conv2dPlan) -> (usize, usize) {
    let cut = Cut::<f32>::new(plan);
    (cut.own_len(), cut.stage_len())
}

/// How a plan runs in `f32`, for people.
pub(crate) fn describe(plan: &Conv2dPlan) -> String {
    let cut = Cut::<f32>::new(plan);
    let pixels = if cut.gathers() { "pixels of several images" } else { "pixels" };
    format!("unfolds {} of {} terms of {} {pixels} at a time", cut.part_len, cut.k, cut.chunk_len)
}
