//! The gradient by the weights: the adjoint of the algorithm.
//!
//! The gradients by the outputs are spread over the points of their tiles, with output channels in
//! the lanes, and multiplied by the transformed input; the products are summed over some tiles, point
//! by point, and the sums transformed to taps, which are added to those of the tiles before.
//!
//! The work is cut as that of the direct kernels: by channels, and where those are few, by tiles too,
//! as the shapes alone say.

use std::ops::Range;

use tensor4::ViewMut4;

use super::layout::{Blocking, Layout};
use super::tiles::Tiles;
use crate::kernels::winograd::{COLS, FilterGrad, Form, OutputGrad, Segment};
use crate::kernels::{Kernels, Panel, WeightGrad};
use crate::weight_grad::{Cut, Gradients, Parts};
use crate::{Algorithm, Conv2dPlan, ConvScalar, Workspace};

/// Tiles that are summed over at a time: what a product reads of them at a point stays in the
/// first-level cache.
const TILES: usize = 128;
/// With fewer tiles in all, the sums are so short that their transforms cost more than they save.
const FEW_TILES: usize = 12;
/// Channels of a part at most.
const CHANNELS: usize = 64;

/// The form that computes the gradient by the weights of a plan, if there is one that is exact
/// enough.
pub(crate) fn gradient_form(plan: &Conv2dPlan) -> Option<Form> {
    let window = plan.group_geometry().window();
    super::form(plan.group_geometry(), plan.options().numerics)
        .filter(|_| window.stride_h == 1 && window.stride_w == 1)
}

/// Whether a batch of `n` has tiles enough that the direct sum is not faster; asked for by name, the
/// algorithm runs anyway.
pub(crate) fn gradient_pays<T: ConvScalar>(plan: &Conv2dPlan, n: usize) -> bool {
    plan.options().algorithm == Algorithm::Winograd
        || Gradient::<T>::with(plan, plan.kernels(), |layout| n * layout.tiles >= FEW_TILES)
}

/// Elements of scratch memory, for each thread and shared, of a batch of any size.
pub(crate) fn gradient_workspace_len<T: ConvScalar>(
    plan: &Conv2dPlan,
    kernels: &'static Kernels<T>,
) -> (usize, usize) {
    Gradient::with(plan, kernels, |layout| Gradient::new(&layout, usize::MAX).workspace_len())
}

/// How a gradient runs.
struct Gradient<'a, T: 'static> {
    layout: &'a Layout<'a, T>,
    blocking: Blocking<'a, T>,
    parts: Parts<'a, T>,
    /// All tiles, and how many are summed over at a time.
    total: usize,
    size: usize,
    /// Panels that the output channels of a group are cut into.
    panels: usize,
}

impl<'a, T: ConvScalar> Gradient<'a, T> {
    fn with<R>(
        plan: &Conv2dPlan,
        kernels: &'static Kernels<T>,
        f: impl FnOnce(Layout<'_, T>) -> R,
    ) -> R {
        let form = gradient_form(plan).expect("the plan has chosen it");
        let mut layout = Layout::with_form(plan, kernels, form);
        layout.chunks = layout.g.in_c().div_ceil(CHANNELS);
        layout.chunk = layout.g.in_c().div_ceil(layout.chunks);
        layout.chunks = layout.g.in_c().div_ceil(layout.chunk);
        f(layout)
    }

    /// For a batch of `n`.
    fn new(layout: &'a Layout<'a, T>, n: usize) -> Self {
        let total = n.saturating_mul(layout.tiles);
        let size = total.div_ceil(total.div_ceil(TILES)).next_multiple_of(layout.width);
        let parts = Parts {
            kernels: layout.kernels,
            g: layout.g,
            groups: layout.groups,
            group_oc: layout.group_oc,
            channels: layout.chunk,
            blocks: layout.chunks,
        };
        let panels = layout.blocks.div_ceil(layout.kernels.grad_vectors);
        let blocking = Blocking::side_by_side(layout, size);
        Self { layout, blocking, parts, total, size, panels }
    }

    fn steps(&self) -> usize {
        self.total.div_ceil(self.size)
    }

    /// Elements of the widest panel of a pixel.
    fn width(&self) -> usize {
        self.parts.panel_width(self.panels)
    }

    /// Elements of the gradients by the outputs that the tiles of an image lie in.
    fn panel_len(&self) -> usize {
        let layout = self.layout;
        let rows = match layout.phases.several() {
            true => layout.g.out_h(),
            false => ((self.size / layout.tiles_w + 2) * layout.form.out()).min(layout.g.out_h()),
        };
        rows * layout.g.out_w() * self.width()
    }

    /// Elements between two points of the spread gradients, and of the sums: a line more than a power
    /// of two.
    fn d_point(&self) -> usize {
        self.size * self.width() + self.layout.width
    }

    fn u_point(&self) -> usize {
        self.layout.chunk * self.width() + self.layout.width
    }

    /// Elements of scratch memory, for each thread and shared.
    fn workspace_len(&self) -> (usize, usize) {
        let points = self.layout.form.points();
        let own = self.blocking.v_piece()
            + points * (self.d_point() + self.u_point())
            // What is copied has been read before there are gradients.
            + self.panel_len().max(self.layout.band_len());
        (own, self.parts.sums_len(self.steps()))
    }
}

pub(crate) fn backward_weights<T: ConvScalar>(
    plan: &Conv2dPlan,
    gradients: &Gradients<'_, T>,
    dw: ViewMut4<'_, T>,
    db: Option<&mut [T]>,
    workspace: &mut Workspace<T>,
) {
    Gradient::with(plan, plan.kernels(), |layout| {
        let run = &Gradient::new(&layout, gradients.x.shape().n());
        let (own, shared) = run.workspace_len();
        let scratch = workspace.prepare(own, shared);
        let with_bias = db.is_some();
        run.parts.for_each(scratch.shared, run.steps(), |cut, sums| {
            let with_bias = with_bias && cut.has_bias();
            let part = Part { run, gradients, cut, with_bias };
            scratch.columns.with(|scratch| part.run(sums, scratch));
        });
        run.parts.finish(&*scratch.shared, gradients.update, dw, db);
    });
}

/// Some channels of a group, over some of the tiles.
struct Part<'a, T: 'static> {
    run: &'a Gradient<'a, T>,
    gradients: &'a Gradients<'a, T>,
    cut: Cut,
    with_bias: bool,
}

impl<T: ConvScalar> Part<'_, T> {
    /// Overwrites the sums.
    fn run(&self, sums: &mut [T], scratch: &mut [T]) {
        let (run, layout) = (self.run, self.run.layout);
        let blocking = &run.blocking;
        let (sums, bias) = sums.split_at_mut(sums.len() - run.parts.width());
        bias.fill(T::ZERO);
        let points = layout.form.points();
        let (v, scratch) = scratch.split_at_mut(blocking.v_piece());
        let (d, scratch) = scratch.split_at_mut(points * run.d_point());
        let (u, scratch) = scratch.split_at_mut(points * run.u_point());
        let mut tiles = Tiles::new();
        for step in self.cut.steps.clone() {
            let first = step * run.size;
            tiles.cut(layout, first..(first + run.size).min(run.total));
            for panel in 0..tiles.count.div_ceil(COLS) {
                let piece = panel * layout.chunks + self.cut.block;
                let v = &mut v[panel * COLS * layout.width..];
                blocking.transform_input(
                    self.gradients.x,
                    self.cut.group,
                    piece,
                    &tiles,
                    v,
                    scratch,
                );
            }
            let accumulate = step != self.cut.steps.start;
            for i in 0..run.panels {
                let registers = run.parts.registers(i, run.panels);
                let first = registers.start * layout.width;
                let bias = if self.with_bias { &mut bias[first..] } else { &mut [] };
                self.spread(&tiles, registers.clone(), scratch, d, bias);
                self.multiply(&tiles, registers.len(), v, d, u);
                layout.kernels.winograd_filter_grad(FilterGrad {
                    form: layout.form,
                    u,
                    point_stride: run.u_point(),
                    channels: layout.chunk_len(self.cut.block),
                    vectors: registers.len(),
                    sums: &mut sums[first..],
                    sums_stride: run.parts.width(),
                    accumulate,
                });
            }
        }
    }

    /// Spreads the gradients by some registers of output channels over the points of their tiles.
    fn spread(
        &self,
        tiles: &Tiles,
        registers: Range<usize>,
        panel: &mut [T],
        mut d: &mut [T],
        bias: &mut [T],
    ) {
        let (run, layout) = (self.run, self.run.layout);
        let (g, form) = (layout.g, layout.form);
        let first = registers.start * layout.width;
        let width = registers.len() * layout.width;
        let [down, _] = layout.phases.dilation;
        let row = |s: &Segment| s.phase[0] + down * s.top;
        let channel = self.cut.group * layout.group_oc + first;
        for segments in tiles.segments().chunk_by(|a, b| a.image == b.image) {
            let top = segments.iter().map(row).min().unwrap_or(0).min(g.out_h());
            let bottom = segments.iter().map(row).max().unwrap_or(0) + (form.out() - 1) * down + 1;
            let rows = bottom.min(g.out_h()) - top;
            let at = channel * g.out_plane_len() + top * g.out_w();
            let (dy, relu) = self.gradients.outputs(tiles.images.start + segments[0].image, at);
            layout.kernels.grad_panel(Panel {
                dy,
                relu,
                channel_stride: g.out_plane_len(),
                pixels: rows * g.out_w(),
                out_channels: width.min(layout.group_oc - first),
                width,
                pairs: false,
                panel,
                sums: &mut [],
            });
            layout.kernels.winograd_output_grad(OutputGrad {
                form,
                dy: panel,
                first_row: top,
                rows,
                out_w: g.out_w(),
                dilation: layout.phases.dilation,
                segments,
                vectors: registers.len(),
                to: d,
                point_stride: run.d_point(),
                sums: &mut *bias,
            });
            d = &mut d[segments.iter().map(|s| s.tiles).sum::<usize>() * width..];
        }
    }

    /// The sums of the products at every point.
    fn multiply(&self, tiles: &Tiles, vectors: usize, v: &[T], d: &[T], u: &mut [T]) {
        let (run, layout) = (self.run, self.run.layout);
        let cols = tiles.segments().iter().map(|s| s.tiles).sum();
        for point in 0..layout.form.points() {
            layout.kernels.weight_grad(WeightGrad {
                x: &v[point * run.blocking.v_point..],
                images: 1,
                image_stride: 0,
                rows: 1,
                row_stride: 0,
                cols,
                channels: layout.chunk_len(self.cut.block),
                channel_stride: run.blocking.v_channel,
                kernel_rows: 1,
                kernel_row_stride: 0,
                kernel_cols: &[0],
                pairs: false,
                dy: &d[point * run.d_point()..],
                vectors,
                sums: &mut u[point * run.u_point()..],
                sums_stride: vectors * layout.width,
                accumulate: false,
            });
        }
    }
}
