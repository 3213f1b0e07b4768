//! The gradient by the weights without unfolding.
//!
//! `dw[oc, c, kh, kw]` is a sum over all pixels of `dy` times the input behind one tap. The gradients by
//! the outputs are transposed, some pixels at a time, so that output channels stand in the lanes; the
//! input is read as the direct convolution reads it, each tap a displacement. While a block of input and
//! a panel of gradients are in the cache, all taps run over them.
//!
//! The work is cut by channels, and where those are few, by pixels too, into parts with sums of
//! their own, which are added up at the end in a fixed order. How it is cut depends on the shapes alone.

mod parts;

use std::ops::Range;

use tensor4::{View4, ViewMut4};

use crate::direct::MAX_KERNEL_W;
use crate::kernels::{Kernels, Panel, WeightGrad};
use crate::reading::Reading;
use crate::{Algorithm, Conv2dPlan, ConvScalar, Update, Workspace};
use crate::{auto, direct, im2col_gemm, lanes, weight_grad_lanes, winograd};
pub(crate) use parts::{Cut, Parts, add_up};

use crate::KernelSet;

/// How many elements of input are summed over at a time, about: a quarter of a second-level cache of
/// 1 MiB.
const BAND_LEN: usize = 1 << 16;

/// How many pixels are summed at a time: rounding errors grow with the length of a sum.
const PIXELS: usize = 1024;

/// About how many taps of how many channels at most one part takes: so many that the transposition of
/// the gradients, which each does anew, costs little.
const TAPS: usize = 576;
const CHANNELS: usize = 128;

/// With so few output channels in a group, the lanes are for pixels.
const FEW_OUT_CHANNELS: usize = 4;

/// A call, checked against the plan; there are images, weights and pixels.
#[derive(Clone, Copy)]
pub(crate) struct Gradients<'a, T> {
    pub(crate) x: View4<'a, T>,
    pub(crate) dy: View4<'a, T>,
    /// What a ReLU has put out, where gradients count only where it is active.
    pub(crate) relu: Option<View4<'a, T>>,
    pub(crate) update: Update,
}

/// The algorithm that computes the gradient by the weights.
pub(crate) fn choose(plan: &Conv2dPlan) -> Algorithm {
    let g = plan.group_geometry();
    let (desc, options) = (plan.desc(), plan.options());
    let group_oc = desc.out_channels / desc.groups;
    let wanted = match options.algorithm {
        Algorithm::Naive => Algorithm::Naive,
        Algorithm::Im2colGemm => Algorithm::Im2colGemm,
        _ if g.in_len() == 0 || g.patch_len() == 0 || group_oc == 0 => Algorithm::Im2colGemm,
        Algorithm::Auto if plan.kernel_set() == KernelSet::Scalar => Algorithm::Im2colGemm,
        Algorithm::Depthwise => Algorithm::Depthwise,
        Algorithm::Auto if group_oc <= FEW_OUT_CHANNELS && lanes::fits(g) => Algorithm::Depthwise,
        Algorithm::Winograd if winograd::gradient_form(plan).is_some() => Algorithm::Winograd,
        Algorithm::Auto if auto::winograd_gradient(plan) => Algorithm::Winograd,
        Algorithm::Auto if auto::lanes_gradient(plan) => Algorithm::Depthwise,
        _ if direct::fits(g) => Algorithm::Direct,
        _ => Algorithm::Im2colGemm,
    };
    let Some(max) = options.max_workspace_bytes else { return wanted };
    // The naive one needs none.
    let fits = |&algorithm: &Algorithm| workspace_bytes(plan, algorithm) <= max;
    let direct = (wanted == Algorithm::Winograd && direct::fits(g)).then_some(Algorithm::Direct);
    let candidates = [Some(wanted), direct, Some(Algorithm::Im2colGemm)];
    candidates.into_iter().flatten().find(fits).unwrap_or(Algorithm::Naive)
}

/// The most bytes of workspace that an algorithm takes for a batch of any size in `f32`.
pub(crate) fn workspace_bytes(plan: &Conv2dPlan, algorithm: Algorithm) -> usize {
    let kernels = plan.kernels::<f32>();
    let lens = match algorithm {
        Algorithm::Naive => return 0,
        Algorithm::Direct => Layout::new(plan, kernels).workspace_len(usize::MAX),
        Algorithm::Winograd => {
            // A batch of few tiles runs directly.
            let (own, shared) = winograd::gradient_workspace_len(plan, kernels);
            let direct = Layout::new(plan, kernels).workspace_len(usize::MAX);
            (own.max(direct.0), shared.max(direct.1))
        }
        Algorithm::Depthwise => weight_grad_lanes::workspace_len(plan, kernels),
        _ => im2col_gemm::weights_workspace_len(plan),
    };
    Conv2dPlan::workspace_bytes(lens, 0)
}

/// How a plan runs on a table of kernels.
struct Layout<'a, T: 'static> {
    parts: Parts<'a, T>,
    reading: Reading<'a>,
    /// Panels of output channels.
    panels: usize,
    /// Output rows that are summed over at a time,
    rows: usize,
    /// of so many images: of one, if they are not all rows.
    images: usize,
    /// Whether two pixels share a register, which a few output channels would fill by half.
    pairs: bool,
}

/// Pixels that are summed over at a time.
struct Pixels {
    images: Range<usize>,
    rows: Range<usize>,
}

impl<'a, T: ConvScalar> Gradients<'a, T> {
    /// Of an image, the gradients by the outputs from one on and what the ReLU has put out there, or
    /// nothing where there is none.
    pub(crate) fn outputs(&self, image: usize, first: usize) -> (&'a [T], &'a [T]) {
        let relu = self.relu.map_or(&[][..], |y| &y.image(image)[first..]);
        (&self.dy.image(image)[first..], relu)
    }
}

impl<'a, T: ConvScalar> Layout<'a, T> {
    fn new(plan: &'a Conv2dPlan, kernels: &'static Kernels<T>) -> Self {
        let g = plan.group_geometry();
        let reading = Reading::new(g, kernels.lanes);
        let groups = plan.desc().groups;
        let group_oc = plan.desc().out_channels / groups;
        let window = g.window();
        // Wide kernels fill the registers with tiles of two.
        let most =
            if window.kernel_w > 4 { kernels.grad_vectors.min(2) } else { kernels.grad_vectors };
        let taps = window.kernel_h * window.kernel_w;
        let blocks = g.in_c().div_ceil((TAPS / taps).clamp(1, CHANNELS));
        let channels = g.in_c().div_ceil(blocks.max(1)).max(1);
        let row_len = (channels * reading.row_stride()).max(1);
        let fitting = (BAND_LEN / row_len).min(PIXELS / g.out_w()).clamp(1, g.out_h());
        let rows = g.out_h().div_ceil(g.out_h().div_ceil(fitting));
        let images = match rows == g.out_h() {
            true => (PIXELS / g.out_plane_len()).min(BAND_LEN / (row_len * rows)).max(1),
            false => 1,
        };
        let blocks = g.in_c().div_ceil(channels);
        let parts = Parts { kernels, g, groups, group_oc, channels, blocks };
        let panels = group_oc.div_ceil(kernels.lanes).div_ceil(most);
        let near = (window.stride_w, window.dilation_w) == (1, 1);
        let pairs = near && 2 * group_oc <= kernels.lanes && g.out_w().is_multiple_of(2);
        Self { parts, reading, panels, rows, images, pairs }
    }

    /// How often pixels are summed over.
    fn steps(&self, n: usize) -> usize {
        if self.rows == self.parts.g.out_h() {
            n.div_ceil(self.images)
        } else {
            n.saturating_mul(self.parts.g.out_h().div_ceil(self.rows))
        }
    }

    fn pixels(&self, step: usize, n: usize) -> Pixels {
        if self.rows == self.parts.g.out_h() {
            let first = step * self.images;
            return Pixels { images: first..(first + self.images).min(n), rows: 0..self.rows };
        }
        let of_image = self.parts.g.out_h().div_ceil(self.rows);
        let (image, first) = (step / of_image, step % of_image * self.rows);
        Pixels {
            images: image..image + 1,
            rows: first..(first + self.rows).min(self.parts.g.out_h()),
        }
    }

    fn band_len(&self) -> usize {
        self.images * self.reading.band_len(self.rows, self.parts.channels)
    }

    /// Elements of scratch memory for each thread, and shared, for a batch of `n`.
    fn workspace_len(&self, n: usize) -> (usize, usize) {
        let pixels = self.images * self.rows * self.parts.g.out_w();
        let panel = self.parts.panel_width(self.panels) * pixels;
        (self.band_len() + panel, self.parts.sums_len(self.steps(n)))
    }
}

pub(crate) fn backward_weights<T: ConvScalar>(
    plan: &Conv2dPlan,
    gradients: &Gradients<'_, T>,
    dw: ViewMut4<'_, T>,
    db: Option<&mut [T]>,
    workspace: &mut Workspace<T>,
) {
    let layout = &Layout::new(plan, plan.kernels());
    let n = gradients.x.shape().n();
    let (own, shared) = layout.workspace_len(n);
    let scratch = workspace.prepare(own, shared);
    let mut cols = [0; MAX_KERNEL_W];
    let kernel_cols = layout.reading.kernel_cols(&mut cols);
    let with_bias = db.is_some();
    layout.parts.for_each(scratch.shared, layout.steps(n), |cut, sums| {
        let with_bias = with_bias && cut.has_bias();
        let part = Part { layout, gradients, kernel_cols, cut, with_bias };
        scratch.columns.with(|scratch| part.run(sums, scratch));
    });
    layout.parts.finish(&*scratch.shared, gradients.update, dw, db);
}

/// Some channels of a group, over some of the pixels.
struct Part<'a, T: 'static> {
    layout: &'a Layout<'a, T>,
    gradients: &'a Gradients<'a, T>,
    kernel_cols: &'a [usize],
    cut: Cut,
    with_bias: bool,
}

impl<T: ConvScalar> Part<'_, T> {
    /// Overwrites the sums.
    fn run(&self, sums: &mut [T], scratch: &mut [T]) {
        let (layout, parts, g) = (self.layout, &self.layout.parts, self.layout.parts.g);
        let channels = parts.block(self.cut.block);
        let plane = g.in_h() * g.in_w();
        let of_image = self.gradients.x.shape().image_len();
        let first = (self.cut.group * g.in_c() + channels.start) * plane;
        let (sums, bias) = sums.split_at_mut(sums.len() - parts.width());
        bias.fill(T::ZERO);
        let (band, panel) = scratch.split_at_mut(layout.band_len());
        for step in self.cut.steps.clone() {
            let pixels = layout.pixels(step, self.gradients.x.shape().n());
            let (x, image_stride) = if layout.reading.copied {
                let stride = layout.reading.band_len(pixels.rows.len(), channels.len());
                for (image, band) in pixels.images.clone().zip(band.chunks_exact_mut(stride)) {
                    let x = &self.gradients.x.image(image)[first..][..channels.len() * plane];
                    layout.reading.copy(parts.kernels, x, &pixels.rows, band);
                }
                (&*band, stride)
            } else {
                let row = pixels.rows.start * layout.reading.row_stride();
                let x = &self.gradients.x.data()[pixels.images.start * of_image + first + row..];
                (x, of_image)
            };
            let accumulate = step != self.cut.steps.start;
            self.add(&pixels, (x, image_stride), panel, (&mut *sums, &mut *bias), accumulate);
        }
    }

    /// Adds the products of some pixels to the sums.
    fn add(
        &self,
        pixels: &Pixels,
        (x, image_stride): (&[T], usize),
        panel: &mut [T],
        (sums, bias): (&mut [T], &mut [T]),
        accumulate: bool,
    ) {
        let (layout, reading) = (self.layout, &self.layout.reading);
        let (parts, kernels, g) = (&layout.parts, layout.parts.kernels, layout.parts.g);
        let lanes = kernels.lanes;
        let (mut rows, mut cols) = (pixels.rows.len(), g.out_w());
        if g.window().kernel_w == 1 && reading.row_stride() == cols {
            // Rows follow one another without a gap: they are one.
            (rows, cols) = (1, rows * cols);
        }
        for i in 0..layout.panels {
            let registers = parts.registers(i, layout.panels);
            let first = registers.start * lanes;
            let width = registers.len() * lanes;
            let out_channels = width.min(parts.group_oc - first);
            let first_channel = self.cut.group * parts.group_oc + first;
            let len = rows * cols;
            let panel_len = if layout.pairs { len / 2 * width } else { len * width };
            for (image, panel) in pixels.images.clone().zip(panel.chunks_exact_mut(panel_len)) {
                let at = first_channel * g.out_plane_len() + pixels.rows.start * g.out_w();
                let (dy, relu) = self.gradients.outputs(image, at);
                kernels.grad_panel(Panel {
                    dy,
                    relu,
                    channel_stride: g.out_plane_len(),
                    pixels: len,
                    out_channels,
                    width,
                    pairs: layout.pairs,
                    panel,
                    sums: if self.with_bias { &mut bias[first..] } else { &mut [] },
                });
            }
            kernels.weight_grad(WeightGrad {
                x,
                images: pixels.images.len(),
                image_stride,
                rows,
                row_stride: reading.row_stride(),
                cols,
                channels: parts.block(self.cut.block).len(),
                channel_stride: reading.channel_stride(pixels.rows.len()),
                kernel_rows: g.window().kernel_h,
                kernel_row_stride: reading.kernel_row_stride(),
                kernel_cols: self.kernel_cols,
                dy: panel,
                pairs: layout.pairs,
                vectors: registers.len(),
                sums: &mut sums[first..],
                sums_stride: parts.width(),
                accumulate,
            });
        }
    }
}
