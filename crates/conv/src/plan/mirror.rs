//! The gradient by the data, planned as convolutions of `dy`.
//!
//! At stride 1 it is one: with the kernel from its last tap to its first, channels and output channels
//! swapped. Under a larger stride the pixels of `dx` at each place within a stride are a *phase*, and
//! each phase is such a convolution with the taps that ever meet it; some have none.

mod interleaved;

use im2col::{ConvGeometry, Padding, Window};
use tensor4::Shape4;

use crate::filters::Mirrored;
use crate::kernels::MAX_MIRRORED_LEN;
use crate::{Algorithm, Conv2d, Conv2dPlan, ConvScalar, KernelSet, Options};
use crate::{auto, data_gradient, im2col_gemm, lanes, winograd};
pub(crate) use interleaved::Interleaved;

/// The most phases.
pub(crate) const MAX_PHASES: usize = 16;

/// How the gradient by the data runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataGradient {
    Naive,
    Im2colGemm,
    /// As convolutions by an algorithm, where it serves them, or else by the direct one.
    Phases(Algorithm),
    /// As one convolution, whose output has the phases next to each other.
    AllPhases,
    /// As the product of two matrices, `dy W`, where the window is the whole image: as a convolution it would
    /// multiply padding for all but one tap of each pixel.
    Product,
}

/// One dimension of a phase.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Line {
    /// Rows (columns) of `dx` that taps meet. All is 0 where none do.
    pub(crate) pixels: usize,
    /// The taps that meet them.
    pub(crate) taps: usize,
    /// The tap that comes first, and the distance back to the next.
    last: usize,
    step: usize,
    dilation: usize,
    /// Padding of `dy`.
    before: usize,
    after: usize,
}

/// The phases of a plan: those of its rows and those of its columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Phases {
    lines: [[Line; MAX_PHASES]; 2],
    stride: [usize; 2],
}

/// One dimension of a convolution.
struct Axis {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
}

impl Axis {
    /// The phase from a pixel of the first stride on, or `None` if its padding would be negative: if
    /// it leaves out pixels of `dy` at an end.
    fn phase(&self, first: usize) -> Option<Line> {
        let Self { input, output, kernel, stride, dilation, pad } = *self;
        let common = gcd(stride, dilation);
        let pixels = input.saturating_sub(first).div_ceil(stride);
        // Pixel `first + stride * i` stands at `stride * (before + i) + place`, counted from the padding.
        let (before, place) = ((first + pad) / stride, (first + pad) % stride);
        let step = stride / common;
        let meets = |&tap: &usize| tap * dilation % stride == place;
        let Some(tap) = (0..step.min(kernel)).find(meets).filter(|_| pixels > 0) else {
            return Some(Line::default());
        };
        let taps = (kernel - 1 - tap) / step + 1;
        let dilation_of_taps = dilation / common;
        let reach = (taps - 1) * dilation_of_taps;
        let before = (tap * dilation / stride + reach).checked_sub(before)?;
        Some(Line {
            pixels,
            taps,
            last: tap + (taps - 1) * step,
            step,
            // A tap alone has none.
            dilation: if taps == 1 { 1 } else { dilation_of_taps },
            before,
            after: (pixels + reach).checked_sub(output + before)?,
        })
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Phases {
    /// Those of a plan, if they are few and none has a negative padding.
    pub(crate) fn new(plan: &Conv2dPlan) -> Option<Self> {
        let (g, window) = (plan.group_geometry(), plan.group_geometry().window());
        let stride = [window.stride_h, window.stride_w];
        if stride[0].checked_mul(stride[1]).is_none_or(|count| count > MAX_PHASES) {
            return None;
        }
        let rows = Axis {
            input: g.in_h(),
            output: g.out_h(),
            kernel: window.kernel_h,
            stride: window.stride_h,
            dilation: window.dilation_h,
            pad: window.padding.top,
        };
        let cols = Axis {
            input: g.in_w(),
            output: g.out_w(),
            kernel: window.kernel_w,
            stride: window.stride_w,
            dilation: window.dilation_w,
            pad: window.padding.left,
        };
        let mut lines = [[Line::default(); MAX_PHASES]; 2];
        for (lines, axis) in lines.iter_mut().zip([rows, cols]) {
            for (first, line) in lines.iter_mut().enumerate().take(axis.stride) {
                *line = axis.phase(first)?;
            }
        }
        Some(Self { lines, stride })
    }

    /// Phases of the rows and of the columns.
    pub(crate) fn stride(&self) -> [usize; 2] {
        self.stride
    }

    /// The rows and columns of a phase.
    pub(crate) fn at(&self, phase: [usize; 2]) -> [Line; 2] {
        [self.lines[0][phase[0]], self.lines[1][phase[1]]]
    }

    /// The pixels of a plane that a phase computes: none, if it has no taps.
    pub(crate) fn pixels(&self, phase: [usize; 2]) -> usize {
        let [rows, cols] = self.at(phase);
        rows.pixels * cols.pixels
    }

    /// All phases, row by row.
    pub(crate) fn all(&self) -> impl Iterator<Item = [usize; 2]> + use<> {
        let [down, along] = self.stride;
        (0..down * along).map(move |i| [i / along, i % along])
    }

    /// The plans of those that compute something.
    fn plans<'a>(
        &'a self,
        plan: &'a Conv2dPlan,
        asked: Algorithm,
    ) -> impl Iterator<Item = Option<Conv2dPlan>> + 'a {
        let with_pixels = self.all().filter(|&phase| self.pixels(phase) > 0);
        with_pixels.map(move |phase| plan.phase(self.at(phase), asked))
    }
}

impl Conv2dPlan {
    /// How the weights are read, if from the last to the first.
    pub(crate) fn mirrored(&self) -> Option<Mirrored> {
        self.mirrored
    }

    /// The convolution that computes a phase of the gradient by the data with the algorithm that is
    /// asked for, or with the direct one where that does not serve it.
    pub(crate) fn phase(&self, [rows, cols]: [Line; 2], asked: Algorithm) -> Option<Self> {
        let Conv2d { in_channels, out_channels, groups, window, .. } = self.desc;
        let mirrored = Mirrored {
            kernel: [window.kernel_h, window.kernel_w],
            last: [rows.last, cols.last],
            step: [rows.step, cols.step],
        };
        let padding =
            Padding { top: rows.before, left: cols.before, bottom: rows.after, right: cols.after };
        let window = Window::new(rows.taps, cols.taps)
            .dilations(rows.dilation, cols.dilation)
            .padding(padding);
        let (in_h, in_w) = (self.group.out_h(), self.group.out_w());
        let desc = Conv2d::new(out_channels, in_h, in_w, in_channels, window).groups(groups);
        let group = ConvGeometry::new(out_channels / groups, in_h, in_w, window).ok()?;
        let serves = match asked {
            Algorithm::Winograd => winograd::form(&group, self.options.numerics).is_some(),
            Algorithm::Depthwise => lanes::fits(&group),
            _ => true,
        };
        let algorithm = if serves { asked } else { Algorithm::Direct };
        let options = Options { algorithm, ..self.options };
        let (algorithm, reason) = auto::choose(&desc, &group, &options, self.kernels).ok()?;
        let vectorised =
            matches!(algorithm, Algorithm::Direct | Algorithm::Winograd | Algorithm::Depthwise);
        let weight_shape =
            Shape4::new(in_channels, group.in_c(), window.kernel_h, window.kernel_w).ok()?;
        vectorised.then_some(Self {
            desc,
            group,
            weight_shape,
            options,
            kernels: self.kernels,
            algorithm,
            reason,
            few_images: 0,
            mirrored: Some(mirrored),
            interleaved: None,
            // Only its forward pass is run.
            data_gradient: DataGradient::Naive,
            weight_gradient: Algorithm::Naive,
        })
    }

    /// How the gradient by the data runs: the fastest way that serves the plan and stays below its
    /// limit to the workspace.
    pub(super) fn choose_data_gradient(&self) -> DataGradient {
        let asked = self.options.algorithm;
        if asked == Algorithm::Naive {
            return DataGradient::Naive;
        }
        let limit = self.options.max_workspace_bytes;
        let most = limit.unwrap_or(usize::MAX);
        // The naive way needs none.
        let one_by_one = [Some(asked), limit.map(|_| Algorithm::Direct)];
        let all = self.prefers_all_phases(asked).then_some(DataGradient::AllPhases);
        let product = self.prefers_product().then_some(DataGradient::Product);
        product
            .into_iter()
            .chain(all)
            .chain(one_by_one.into_iter().flatten().map(DataGradient::Phases))
            .chain([DataGradient::Im2colGemm])
            .filter(|&way| asked != Algorithm::Im2colGemm || way == DataGradient::Im2colGemm)
            .filter(|&way| self.data_gradient_serves(way))
            .find(|&way| self.data_gradient_bytes(way) <= most)
            .unwrap_or(DataGradient::Naive)
    }

    /// Whether the window is the whole image, which it meets once. On AVX2 alone, for want of a measurement
    /// on others.
    fn prefers_product(&self) -> bool {
        let (g, window) = (&self.group, self.group.window());
        self.options.algorithm == Algorithm::Auto
            && self.kernels == KernelSet::Avx2
            && self.desc.groups == 1
            && self.desc.out_channels > 0
            && g.in_len() > 0
            && window.padding == Padding::default()
            && (window.kernel_h, window.kernel_w) == (g.in_h(), g.in_w())
            && g.out_plane_len() == 1
    }

    /// How the gradient by the data runs for an element type.
    pub(super) fn data_gradient_for<T: ConvScalar>(&self) -> DataGradient {
        if self.prefers_gemm::<T>() { DataGradient::Im2colGemm } else { self.data_gradient }
    }

    fn data_gradient_serves(&self, way: DataGradient) -> bool {
        let DataGradient::Phases(asked) = way else { return true };
        let window = self.group.window();
        let kernel_len = window.kernel_h.saturating_mul(window.kernel_w);
        let exists = self.group.in_len() > 0 && self.desc.out_channels > 0;
        exists
            && kernel_len <= MAX_MIRRORED_LEN
            && Phases::new(self)
                .is_some_and(|phases| phases.plans(self, asked).all(|plan| plan.is_some()))
    }

    /// The most bytes of workspace that the gradient by the data takes in `f32`.
    fn data_gradient_bytes(&self, way: DataGradient) -> usize {
        match way {
            DataGradient::Naive | DataGradient::Product => 0,
            DataGradient::Im2colGemm => {
                Self::workspace_bytes(im2col_gemm::data_workspace_len(self), 0)
            }
            DataGradient::AllPhases => {
                let plan = self.all_phases().expect("it serves");
                Self::workspace_bytes(plan.workspace_len(), 0)
            }
            DataGradient::Phases(asked) => {
                let phases = Phases::new(self).expect("they serve");
                let lens = phases.plans(self, asked).flatten().map(|plan| plan.workspace_len());
                let most = lens.fold((0, 0), |a, b| (a.0.max(b.0), a.1.max(b.1)));
                Self::workspace_bytes(most, data_gradient::interim_len(self, &phases))
            }
        }
    }

    /// The most bytes of workspace that [`backward_data_into`](Self::backward_data_into) takes in
    /// `f32` for a batch of any size on the threads of the current pool.
    #[must_use]
    pub fn max_backward_data_workspace_bytes(&self) -> usize {
        self.data_gradient_bytes(self.data_gradient)
    }

    /// The algorithm that computes the gradient by the data in `f32`; that of the phase with the most
    /// taps, under a stride.
    #[must_use]
    pub fn backward_data_algorithm(&self) -> Algorithm {
        match self.data_gradient {
            DataGradient::Naive => Algorithm::Naive,
            // Unfolding a whole image leaves it as it is.
            DataGradient::Im2colGemm | DataGradient::Product => Algorithm::Im2colGemm,
            DataGradient::AllPhases => Algorithm::Winograd,
            DataGradient::Phases(asked) => {
                let phases = Phases::new(self).expect("they serve");
                let plans = phases.plans(self, asked).flatten();
                let most = plans.max_by_key(|plan| plan.group.patch_len());
                most.map_or(Algorithm::Direct, |plan| plan.algorithm)
            }
        }
    }

    /// The gradient by the data in words.
    pub(super) fn describe_data_gradient(&self) -> String {
        let all = self.all_phases().filter(|_| self.data_gradient == DataGradient::AllPhases);
        if let Some(form) = all.and_then(|plan| plan.winograd_form()) {
            return format!("winograd of all phases as {}", form.name());
        }
        if self.data_gradient == DataGradient::Product {
            return "a product of matrices".to_owned();
        }
        let DataGradient::Phases(asked) = self.data_gradient else {
            return self.backward_data_algorithm().to_string();
        };
        let phases = Phases::new(self).expect("they serve");
        let mut text = String::new();
        for plan in phases.plans(self, asked).flatten() {
            let (window, separator) =
                (plan.group.window(), if text.is_empty() { "" } else { " + " });
            text +=
                &format!("{separator}{} {}x{}", plan.algorithm, window.kernel_h, window.kernel_w);
            if let Some(form) = plan.winograd_form() {
                text += &format!(" as {}", form.name());
            }
        }
        text
    }
}
