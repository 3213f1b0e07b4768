//! All phases of a gradient by the data under stride 2 as one convolution by Winograd's algorithm.
//!
//! They read the same `dy`, and so the same transforms of its tiles. Each has weights of its own, the
//! taps of the kernel that ever meet its pixels: where a tile begins for all of them alike, those of
//! some begin one later or end one earlier.

use im2col::{ConvGeometry, Padding, Window};
use tensor4::Shape4;

use super::{DataGradient, Line, Phases};
use crate::filters::Mirrored;
use crate::{Algorithm, Conv2d, Conv2dPlan, winograd};

/// Four phases of an output, of two along each dimension, that are computed together and written next
/// to each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Interleaved {
    /// For the phases of the rows and of the columns: which row (column) of the kernel, counted from its
    /// last, is the first of a window. A window may begin before the kernel and end behind it.
    first: [[isize; 2]; 2],
    /// For the same phases: whether a window has taps at its first and at its last place. Where there
    /// is none, all weights are 0 at the point 0, or at infinity.
    pub(crate) ends: [[[bool; 2]; 2]; 2],
    /// Rows and columns of the output.
    pub(crate) pixels: [usize; 2],
}

impl Interleaved {
    /// Phases along a dimension.
    pub(crate) const STRIDE: usize = 2;

    /// The row and column of the mirrored kernel where the window of a phase begins.
    pub(crate) fn first(&self, phase: usize) -> [isize; 2] {
        [self.first[0][phase / Self::STRIDE], self.first[1][phase % Self::STRIDE]]
    }
}

impl Phases {
    /// Where they are computed together: two along each dimension, all with pixels and taps, whose
    /// windows are as long along both. With that, the window over `dy`.
    fn interleaved(&self, kernel: [usize; 2], dy: [usize; 2]) -> Option<(Interleaved, Window)> {
        const STRIDE: usize = Interleaved::STRIDE;
        if self.stride != [STRIDE, STRIDE] {
            return None;
        }
        let lines = self.lines.map(|lines| [lines[0], lines[1]]);
        if lines.as_flattened().iter().any(|line| line.pixels == 0) {
            return None;
        }
        // From a pixel on to the next, windows begin and end no earlier.
        let before = lines.map(|[even, _]| even.before);
        // How many places a window begins after that of the even phase.
        let later = lines.map(|[even, odd]| [0, even.before - odd.before]);
        let taps = [0, 1].map(|i| later[i][1] + lines[i][1].taps);
        let mut first = [[0; STRIDE]; 2];
        let mut ends = [[[true; 2]; STRIDE]; 2];
        let mut after = [0; 2];
        for i in 0..2 {
            for (line, first) in first[i].iter_mut().enumerate() {
                let (Line { last, taps: there, .. }, later) = (lines[i][line], later[i][line]);
                let row = kernel[i] - 1 - last;
                *first = row as isize - (STRIDE * later) as isize;
                ends[i][line] = [later == 0, later + there == taps[i]];
            }
            after[i] = (lines[i][0].pixels + taps[i] - 1).checked_sub(dy[i] + before[i])?;
        }
        let pixels = lines.map(|lines| lines.map(|line| line.pixels).iter().sum());
        let padding =
            Padding { top: before[0], left: before[1], bottom: after[0], right: after[1] };
        let window = Window::new(taps[0], taps[1]).padding(padding);
        (taps[0] == taps[1]).then_some((Interleaved { first, ends, pixels }, window))
    }
}

impl Conv2dPlan {
    /// The phases of its output, if they are computed together.
    pub(crate) fn interleaved(&self) -> Option<Interleaved> {
        self.interleaved
    }

    /// The convolution of `dy` that computes all phases of the gradient by the data, if there is one.
    pub(crate) fn all_phases(&self) -> Option<Self> {
        let Conv2d { in_channels, out_channels, groups, window, .. } = self.desc;
        if [window.dilation_h, window.dilation_w] != [1, 1] {
            return None;
        }
        let kernel = [window.kernel_h, window.kernel_w];
        let (in_h, in_w) = (self.group.out_h(), self.group.out_w());
        let (interleaved, window) = Phases::new(self)?.interleaved(kernel, [in_h, in_w])?;
        let desc = Conv2d::new(out_channels, in_h, in_w, in_channels, window).groups(groups);
        let group = ConvGeometry::new(out_channels / groups, in_h, in_w, window).ok()?;
        // Of the two phases along a dimension the even one has no fewer pixels.
        let longer = interleaved.pixels.map(|pixels| pixels.div_ceil(Interleaved::STRIDE));
        debug_assert_eq!([group.out_h(), group.out_w()], longer);
        winograd::form(&group, self.options.numerics)?;
        Some(Self {
            desc,
            weight_shape: Shape4::new(in_channels, group.in_c(), kernel[0], kernel[1]).ok()?,
            group,
            options: self.options,
            kernels: self.kernels,
            algorithm: Algorithm::Winograd,
            reason: "all phases read the same tiles",
            few_images: 0,
            mirrored: Some(Mirrored { kernel, last: kernel.map(|len| len - 1), step: [1, 1] }),
            interleaved: Some(interleaved),
            // Only its forward pass is run.
            data_gradient: DataGradient::Naive,
            weight_gradient: Algorithm::Naive,
        })
    }

    /// Whether that is what `asked` means: under [`Auto`](Algorithm::Auto), if it promises to be faster
    /// than the phases one by one.
    pub(super) fn prefers_all_phases(&self, asked: Algorithm) -> bool {
        let Some(all) = self.all_phases() else { return false };
        match asked {
            Algorithm::Winograd => true,
            Algorithm::Auto => {
                let phases = Phases::new(self).expect("there are all of them");
                let one_by_one = phases.plans(self, asked).flatten();
                let cost: f64 = one_by_one.map(|plan| winograd::cost_of_phase(&plan)).sum();
                winograd::cost_of_all_phases(&all) < cost
            }
            _ => false,
        }
    }
}
