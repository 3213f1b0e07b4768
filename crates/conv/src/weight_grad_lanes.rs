//! The gradient by the weights with pixels in the lanes: for channels that stand alone, or nearly.
//!
//! Each pair of an input and an output channel is a few long sums over two planes, which are read as
//! they are, row by row. Groups run in parallel, and where they are few, parts of the pixels too.

use std::ops::Range;

use tensor4::ViewMut4;

use crate::kernels::lanes::{MARGIN, Plane, PlaneWeights};
use crate::kernels::{Kernels, PlaneGrad, ReluGrad};
use crate::lanes::{MAX_TAPS, reads_planes};
use crate::parallel::pieces;
use crate::reading::Reading;
use crate::weight_grad::{Gradients, add_up};
use crate::{Conv2dPlan, ConvScalar, Update, Workspace};

/// How many elements of input are summed over at a time, about: a quarter of a first-level cache,
/// of which some is left to the gradients.
const BAND_LEN: usize = 1 << 14;

/// How many pixels are summed at a time, about a thousand in each lane.
const PIXELS: usize = 1 << 13;

/// Into how many parts the work is cut at least, if there is so much.
const PARTS: usize = 8;

struct Layout<'a, T: 'static> {
    kernels: &'static Kernels<T>,
    plan: &'a Conv2dPlan,
    reading: Reading<'a>,
    /// Output channels of a group.
    group_oc: usize,
    /// Whether planes are read in place.
    planes: bool,
    /// Output rows that are summed over at a time.
    rows: usize,
}

impl<'a, T: ConvScalar> Layout<'a, T> {
    fn new(plan: &'a Conv2dPlan, kernels: &'static Kernels<T>) -> Self {
        let g = plan.group_geometry();
        let reading = Reading::new(g, kernels.lanes);
        let planes = g.out_w() >= kernels.lanes && reads_planes::<T>(g);
        let row_len = (g.in_c() * reading.row_stride()).max(1);
        let fitting = if planes { usize::MAX } else { BAND_LEN / row_len };
        let rows = fitting.min(PIXELS / g.out_w()).clamp(1, g.out_h());
        Self {
            kernels,
            plan,
            reading,
            planes,
            group_oc: plan.desc().out_channels / plan.desc().groups,
            rows,
        }
    }

    /// Elements of the sums of a part: those of the taps, and those of the bias.
    fn part_len(&self) -> usize {
        self.group_oc * (self.plan.group_geometry().patch_len() + 1)
    }

    /// Parts of the pixels.
    fn segments(&self, n: usize) -> usize {
        PARTS.div_ceil(self.plan.desc().groups).min(n.saturating_mul(self.bands()))
    }

    /// Bands of an image.
    fn bands(&self) -> usize {
        self.plan.group_geometry().out_h().div_ceil(self.rows)
    }

    /// The image and the output rows of a band.
    fn band(&self, band: usize) -> (usize, Range<usize>) {
        let first = band % self.bands() * self.rows;
        let end = (first + self.rows).min(self.plan.group_geometry().out_h());
        (band / self.bands(), first..end)
    }

    /// Elements of the copied input, or where planes are read in place, of a row of 0.
    fn band_len(&self) -> usize {
        let g = self.plan.group_geometry();
        match self.planes {
            true => g.in_w() + 2 * MARGIN,
            false => self.reading.band_len(self.rows, g.in_c()),
        }
    }

    /// Elements of gradients that are copied at a time behind a ReLU.
    fn masked_len(&self) -> usize {
        let g = self.plan.group_geometry();
        match self.planes {
            true => g.out_plane_len(),
            false => self.kernels.plane_grad_channels.min(self.group_oc) * self.rows * g.out_w(),
        }
    }

    /// Elements of scratch memory for each thread, and shared, for a batch of `n`.
    fn workspace_len(&self, n: usize) -> (usize, usize) {
        (self.band_len(), self.segments(n) * self.plan.desc().groups * self.part_len())
    }
}

/// Elements of scratch memory for each thread, and shared, for a batch of any size.
pub(crate) fn workspace_len<T: ConvScalar>(
    plan: &Conv2dPlan,
    kernels: &'static Kernels<T>,
) -> (usize, usize) {
    Layout::new(plan, kernels).workspace_len(usize::MAX)
}

/// Elements of scratch memory that each thread takes more behind a ReLU.
pub(crate) fn masked_len<T: ConvScalar>(plan: &Conv2dPlan, kernels: &'static Kernels<T>) -> usize {
    Layout::new(plan, kernels).masked_len()
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
    let masked = if gradients.relu.is_some() { layout.masked_len() } else { 0 };
    let scratch = workspace.prepare(own + masked, shared);
    let window = plan.group_geometry().window();
    let mut taps = [0; MAX_TAPS];
    let taps = &mut taps[..window.kernel_h * window.kernel_w];
    for (i, tap) in taps.iter_mut().enumerate() {
        let (kh, kw) = (i / window.kernel_w, i % window.kernel_w);
        *tap = kh * layout.reading.kernel_row_stride() + layout.reading.kernel_col(kw);
    }
    let taps = &*taps;
    let (groups, part_len, segments) = (plan.desc().groups, layout.part_len(), layout.segments(n));
    let bands = n * layout.bands();
    pieces(scratch.shared, part_len, 1, &|i, sums| {
        let (segment, group) = (i / groups, i % groups);
        let bands = segment * bands / segments..(segment + 1) * bands / segments;
        scratch.columns.with(|scratch| {
            if layout.planes {
                add_planes(layout, gradients, group, bands, scratch, sums);
            } else {
                add(layout, gradients, (group, taps), bands, scratch, sums);
            }
        });
    });

    let parts = &*scratch.shared;
    let accumulate = gradients.update == Update::Accumulate;
    let all = groups * part_len;
    let dw_len = layout.group_oc * plan.group_geometry().patch_len();
    for (group, dw) in dw.into_data().chunks_exact_mut(dw_len).enumerate() {
        add_up(&parts[group * part_len..], all, dw, accumulate);
    }
    if let Some(db) = db {
        for (group, db) in db.chunks_exact_mut(layout.group_oc).enumerate() {
            add_up(&parts[group * part_len + dw_len..], all, db, accumulate);
        }
    }
}

/// Sums the products of some bands of a group; overwrites the sums.
fn add<T: ConvScalar>(
    layout: &Layout<'_, T>,
    gradients: &Gradients<'_, T>,
    (group, taps): (usize, &[usize]),
    bands: Range<usize>,
    scratch: &mut [T],
    sums: &mut [T],
) {
    let (band, masked) = scratch.split_at_mut(layout.band_len());
    let (g, reading) = (layout.plan.group_geometry(), &layout.reading);
    let plane_len = g.out_plane_len();
    sums.fill(T::ZERO);
    let (dw, db) = sums.split_at_mut(layout.group_oc * g.patch_len());
    for i in bands {
        let (image, rows) = layout.band(i);
        let x = &gradients.x.image(image)[group * g.in_len()..][..g.in_len()];
        let x = if reading.copied {
            reading.copy(layout.kernels, x, &rows, band);
            &*band
        } else {
            &x[rows.start * reading.row_stride()..]
        };
        let blocks = layout.group_oc.div_ceil(layout.kernels.plane_grad_channels);
        let channels =
            |block| block * layout.group_oc / blocks..(block + 1) * layout.group_oc / blocks;
        for block in 0..blocks {
            let channels = channels(block);
            let first = group * layout.group_oc + channels.start;
            let at = first * plane_len + rows.start * g.out_w();
            let (mut dy, relu) = gradients.outputs(image, at);
            let mut dy_stride = plane_len;
            if !relu.is_empty() {
                dy_stride = rows.len() * g.out_w();
                for (r, to) in masked.chunks_exact_mut(dy_stride).take(channels.len()).enumerate() {
                    let from = r * plane_len..r * plane_len + dy_stride;
                    let (dy, y) = (&dy[from.clone()], &relu[from]);
                    layout.kernels.relu_grad(ReluGrad { dy, y, to });
                }
                dy = masked;
            }
            for ic in 0..g.in_c() {
                layout.kernels.plane_grad(PlaneGrad {
                    x: &x[ic * reading.channel_stride(rows.len())..],
                    row_stride: reading.row_stride(),
                    taps,
                    dy,
                    dy_stride,
                    out_channels: channels.len(),
                    rows: rows.len(),
                    cols: g.out_w(),
                    ahead: match block + 1 < blocks {
                        true => channels.len() * plane_len,
                        false => rows.len() * g.out_w(),
                    },
                    first_ahead: ic,
                    sums: &mut dw[(channels.start * g.in_c() + ic) * taps.len()..],
                    sums_stride: g.patch_len(),
                    bias: (ic == 0).then_some(&mut db[channels.clone()]),
                });
            }
        }
    }
}

/// As [`add`], of a channel that is read in place.
fn add_planes<T: ConvScalar>(
    layout: &Layout<'_, T>,
    gradients: &Gradients<'_, T>,
    group: usize,
    bands: Range<usize>,
    scratch: &mut [T],
    sums: &mut [T],
) {
    let (zeros, masked) = scratch.split_at_mut(layout.band_len());
    let (g, x) = (layout.plan.group_geometry(), gradients.x);
    let (window, plane_len, taps) = (g.window(), g.out_plane_len(), g.patch_len());
    zeros.fill(T::ZERO);
    sums.fill(T::ZERO);
    let (dw, db) = sums.split_at_mut(layout.group_oc * taps);
    for i in bands {
        let (image, rows) = layout.band(i);
        for (oc, (dw, db)) in dw.chunks_exact_mut(taps).zip(&mut *db).enumerate() {
            let channel = group * layout.group_oc + oc;
            let (mut dy, relu) = gradients.outputs(image, channel * plane_len);
            if !relu.is_empty() {
                let range = rows.start * g.out_w()..rows.end * g.out_w();
                let (from, y) = (&dy[range.clone()], &relu[range.clone()]);
                layout.kernels.relu_grad(ReluGrad { dy: from, y, to: &mut masked[range] });
                dy = masked;
            }
            layout.kernels.plane_weights(PlaneWeights {
                plane: Plane {
                    x: x.data(),
                    at: image * x.shape().image_len() + group * g.in_len(),
                    in_h: g.in_h(),
                    in_w: g.in_w(),
                    zeros,
                    kernel: window.kernel_h,
                    stride: window.stride_h,
                    top: window.padding.top,
                    left: window.padding.left,
                    w: &[],
                    bias: T::ZERO,
                    y: &mut [],
                    out_h: g.out_h(),
                    out_w: g.out_w(),
                    relu: false,
                },
                dy: &dy[..plane_len],
                first: rows.start,
                rows: rows.len(),
                sums: dw,
                bias: db,
            });
        }
    }
}
