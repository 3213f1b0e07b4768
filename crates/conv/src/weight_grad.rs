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

use im2col::{ConvGeometry, Padding};
use rayon::prelude::*;
use tensor4::{View4, ViewMut4};

use crate::direct::MAX_KERNEL_W;
use crate::kernels::lanes::Rows;
use crate::kernels::{Kernels, Panel, WeightGrad};
use crate::{Algorithm, Conv2dPlan, ConvScalar, Update, Workspace};
use crate::{auto, direct, im2col_gemm, lanes, weight_grad_lanes, winograd};
pub(crate) use parts::Parts;

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
    let (own, shared) = match algorithm {
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
    let spare = Workspace::<f32>::SPARE;
    (rayon::current_num_threads() * (own + spare) + shared + spare) * size_of::<f32>()
}

/// How the input is read: in place, or copied between borders of 0, columns sorted by their place within
/// a stride.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    g: &'a ConvGeometry,
    pub(crate) copied: bool,
    /// Columns of a copied row that have the same place within a stride.
    phase: usize,
    /// Places within a stride that a kernel reads.
    places: usize,
    /// Rows of the input from one copied row to the next.
    copied_step: usize,
    lanes: usize,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(g: &'a ConvGeometry, lanes: usize) -> Self {
        let window = g.window();
        let copied = window.padding != Padding::default() || window.stride_w != 1;
        let padded = g.in_w() + window.padding.left + window.padding.right;
        // A kernel of one row or column skips what it strides over.
        let places = if window.kernel_w == 1 { 1 } else { window.stride_w };
        let copied_step = if window.kernel_h == 1 { window.stride_h } else { 1 };
        let phase = padded.div_ceil(window.stride_w).next_multiple_of(lanes);
        Self { g, copied, phase, places, copied_step, lanes }
    }

    /// Elements from one row to the next.
    pub(crate) fn pitch(&self) -> usize {
        if self.copied { self.places * self.phase } else { self.g.in_w() }
    }

    /// Elements from the factor of one pixel to that of the pixel below.
    pub(crate) fn row_stride(&self) -> usize {
        let stride_h = self.g.window().stride_h;
        if self.copied {
            stride_h / self.copied_step * self.pitch()
        } else {
            stride_h * self.pitch()
        }
    }

    /// Elements from one row of the kernel to the next.
    pub(crate) fn kernel_row_stride(&self) -> usize {
        self.g.window().dilation_h * self.pitch()
    }

    /// Copied rows under so many output rows.
    fn in_rows(&self, out_rows: usize) -> usize {
        let window = self.g.window();
        ((out_rows - 1) * window.stride_h + (window.kernel_h - 1) * window.dilation_h)
            / self.copied_step
            + 1
    }

    /// Elements from one channel to the next, under so many output rows.
    pub(crate) fn channel_stride(&self, out_rows: usize) -> usize {
        if !self.copied {
            return self.g.in_h() * self.g.in_w();
        }
        // An odd number of registers: at a distance that a power of two divides, channels would
        // contend for the same few lines of the first-level cache.
        let len = self.in_rows(out_rows) * self.pitch();
        if (len / self.lanes).is_multiple_of(2) { len + self.lanes } else { len }
    }

    /// Elements of scratch memory for so many output rows of so many channels.
    pub(crate) fn band_len(&self, out_rows: usize, channels: usize) -> usize {
        if self.copied { channels * self.channel_stride(out_rows) } else { 0 }
    }

    /// Where the columns of the kernel stand in a row.
    pub(crate) fn kernel_col(&self, kw: usize) -> usize {
        let window = self.g.window();
        let col = kw * window.dilation_w;
        if !self.copied {
            return col;
        }
        col % window.stride_w * self.phase + col / window.stride_w
    }

    /// Copies the rows under some output rows of some channels, which are all that `x` has.
    pub(crate) fn copy<T: ConvScalar>(
        &self,
        kernels: &Kernels<T>,
        x: &[T],
        rows: &Range<usize>,
        band: &mut [T],
    ) {
        let window = self.g.window();
        kernels.copy_rows(Rows {
            x,
            channels: x.len() / (self.g.in_h() * self.g.in_w()),
            in_h: self.g.in_h(),
            in_w: self.g.in_w(),
            rows: self.in_rows(rows.len()),
            first: rows.start * window.stride_h,
            step: self.copied_step,
            top: window.padding.top,
            left: window.padding.left,
            stride: window.stride_w,
            places: self.places,
            phase: self.phase,
            band,
            band_stride: self.channel_stride(rows.len()),
        });
    }
}

/// How a plan runs on a table of kernels.
struct Layout<'a, T: 'static> {
    kernels: &'static Kernels<T>,
    g: &'a ConvGeometry,
    reading: Reading<'a>,
    groups: usize,
    /// Output channels of a group.
    group_oc: usize,
    /// Registers of output channels of a group.
    vectors: usize,
    /// Panels of output channels.
    panels: usize,
    /// Channels of a part.
    channels: usize,
    /// Parts of the channels of a group.
    blocks: usize,
    /// Output rows that are summed over at a time,
    rows: usize,
    /// of so many images: of one, if they are not all rows.
    images: usize,
}

/// Pixels that are summed over at a time.
struct Pixels {
    images: Range<usize>,
    rows: Range<usize>,
}

impl<'a, T: ConvScalar> Layout<'a, T> {
    fn new(plan: &'a Conv2dPlan, kernels: &'static Kernels<T>) -> Self {
        let g = plan.group_geometry();
        let reading = Reading::new(g, kernels.lanes);
        let groups = plan.desc().groups;
        let group_oc = plan.desc().out_channels / groups;
        let vectors = group_oc.div_ceil(kernels.lanes);
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
        Self {
            kernels,
            g,
            reading,
            groups,
            group_oc,
            vectors,
            panels: vectors.div_ceil(most),
            channels,
            blocks: g.in_c().div_ceil(channels),
            rows,
            images,
        }
    }

    /// Output channels of a group in whole registers.
    fn width(&self) -> usize {
        self.vectors * self.kernels.lanes
    }

    fn taps(&self) -> usize {
        self.g.window().kernel_h * self.g.window().kernel_w
    }

    fn part_len(&self) -> usize {
        self.parts().len()
    }

    /// How often pixels are summed over.
    fn steps(&self, n: usize) -> usize {
        if self.rows == self.g.out_h() {
            n.div_ceil(self.images)
        } else {
            n.saturating_mul(self.g.out_h().div_ceil(self.rows))
        }
    }

    fn pixels(&self, step: usize, n: usize) -> Pixels {
        if self.rows == self.g.out_h() {
            let first = step * self.images;
            return Pixels { images: first..(first + self.images).min(n), rows: 0..self.rows };
        }
        let of_image = self.g.out_h().div_ceil(self.rows);
        let (image, first) = (step / of_image, step % of_image * self.rows);
        Pixels { images: image..image + 1, rows: first..(first + self.rows).min(self.g.out_h()) }
    }

    fn parts(&self) -> Parts<'a, T> {
        Parts {
            kernels: self.kernels,
            g: self.g,
            groups: self.groups,
            group_oc: self.group_oc,
            channels: self.channels,
            blocks: self.blocks,
        }
    }

    /// Parts of the pixels.
    fn segments(&self, n: usize) -> usize {
        self.parts().segments(self.steps(n))
    }

    /// The registers of a panel.
    fn panel(&self, panel: usize) -> Range<usize> {
        panel * self.vectors / self.panels..(panel + 1) * self.vectors / self.panels
    }

    fn band_len(&self) -> usize {
        self.images * self.reading.band_len(self.rows, self.channels)
    }

    /// Elements of scratch memory for each thread, and shared, for a batch of `n`.
    fn workspace_len(&self, n: usize) -> (usize, usize) {
        let pixels = self.images * self.rows * self.g.out_w();
        let panel = self.vectors.div_ceil(self.panels) * self.kernels.lanes * pixels;
        (self.band_len() + panel, self.segments(n) * self.groups * self.blocks * self.part_len())
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
    let (segments, steps) = (layout.segments(n), layout.steps(n));
    let mut cols = [0; MAX_KERNEL_W];
    for (kw, col) in cols.iter_mut().enumerate().take(layout.g.window().kernel_w) {
        *col = layout.reading.kernel_col(kw);
    }
    let kernel_cols = &cols[..layout.g.window().kernel_w];
    let with_bias = db.is_some();
    scratch.shared.par_chunks_exact_mut(layout.part_len()).enumerate().for_each(|(i, sums)| {
        let (i, block) = (i / layout.blocks, i % layout.blocks);
        let (segment, group) = (i / layout.groups, i % layout.groups);
        let first = block * layout.channels;
        let part = Part {
            layout,
            gradients,
            kernel_cols,
            group,
            channels: first..(first + layout.channels).min(layout.g.in_c()),
            steps: segment * steps / segments..(segment + 1) * steps / segments,
            with_bias: with_bias && block == 0,
        };
        scratch.columns.with(|scratch| part.run(sums, scratch));
    });
    layout.parts().finish(&*scratch.shared, gradients.update, dw, db);
}

/// Some channels of a group, over some of the pixels.
struct Part<'a, T: 'static> {
    layout: &'a Layout<'a, T>,
    gradients: &'a Gradients<'a, T>,
    kernel_cols: &'a [usize],
    group: usize,
    channels: Range<usize>,
    steps: Range<usize>,
    with_bias: bool,
}

impl<T: ConvScalar> Part<'_, T> {
    /// Overwrites the sums.
    fn run(&self, sums: &mut [T], scratch: &mut [T]) {
        let layout = self.layout;
        let plane = layout.g.in_h() * layout.g.in_w();
        let of_image = self.gradients.x.shape().image_len();
        let first = (self.group * layout.g.in_c() + self.channels.start) * plane;
        let (sums, bias) = sums.split_at_mut(layout.channels * layout.taps() * layout.width());
        bias.fill(T::ZERO);
        let (band, panel) = scratch.split_at_mut(layout.band_len());
        for step in self.steps.clone() {
            let pixels = layout.pixels(step, self.gradients.x.shape().n());
            let (x, image_stride) = if layout.reading.copied {
                let stride = layout.reading.band_len(pixels.rows.len(), self.channels.len());
                for (image, band) in pixels.images.clone().zip(band.chunks_exact_mut(stride)) {
                    let x = &self.gradients.x.image(image)[first..][..self.channels.len() * plane];
                    layout.reading.copy(layout.kernels, x, &pixels.rows, band);
                }
                (&*band, stride)
            } else {
                let row = pixels.rows.start * layout.reading.row_stride();
                let x = &self.gradients.x.data()[pixels.images.start * of_image + first + row..];
                (x, of_image)
            };
            let accumulate = step != self.steps.start;
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
        let (layout, reading, g) = (self.layout, &self.layout.reading, self.layout.g);
        let lanes = layout.kernels.lanes;
        let (mut rows, mut cols) = (pixels.rows.len(), g.out_w());
        if g.window().kernel_w == 1 && reading.row_stride() == cols {
            // Rows follow one another without a gap: they are one.
            (rows, cols) = (1, rows * cols);
        }
        for i in 0..layout.panels {
            let registers = layout.panel(i);
            let first = registers.start * lanes;
            let width = registers.len() * lanes;
            let out_channels = width.min(layout.group_oc - first);
            let first_channel = self.group * layout.group_oc + first;
            let len = rows * cols;
            for (image, panel) in pixels.images.clone().zip(panel.chunks_exact_mut(len * width)) {
                let at = first_channel * g.out_plane_len() + pixels.rows.start * g.out_w();
                layout.kernels.grad_panel(Panel {
                    dy: &self.gradients.dy.image(image)[at..],
                    channel_stride: g.out_plane_len(),
                    pixels: len,
                    out_channels,
                    width,
                    panel,
                    sums: if self.with_bias { &mut bias[first..] } else { &mut [] },
                });
            }
            layout.kernels.weight_grad(WeightGrad {
                x,
                images: pixels.images.len(),
                image_stride,
                rows,
                row_stride: reading.row_stride(),
                cols,
                channels: self.channels.len(),
                channel_stride: reading.channel_stride(pixels.rows.len()),
                kernel_rows: g.window().kernel_h,
                kernel_row_stride: reading.kernel_row_stride(),
                kernel_cols: self.kernel_cols,
                dy: panel,
                vectors: registers.len(),
                sums: &mut sums[first..],
                sums_stride: layout.width(),
                accumulate,
            });
        }
    }
}
