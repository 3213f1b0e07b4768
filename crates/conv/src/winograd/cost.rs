//! What Winograd's algorithm costs beside the direct sum.

use im2col::ConvGeometry;

use super::phases::Phases;
use crate::kernels::winograd::Form;
use crate::plan::Interleaved;
use crate::{Algorithm, Conv2dPlan};

/// Cycles of the transform of a register of tiles with 36 points, measured with AVX-512: of the output,
/// of an output with gaps between its pixels, and of the input once the columns are done.
const OUTPUT: f64 = 300.0;
const OUTPUT_WITH_GAPS: f64 = 450.0;
const INPUT: f64 = 130.0;
/// Cycles of the transform of a register of columns.
const COLUMNS: f64 = 32.0;
/// Multiply-adds of registers that start in a cycle, of the products and of a direct sum.
const PRODUCTS: f64 = 1.8;
const SUMS: f64 = 1.85;
/// Tiles of a register.
const LANES: f64 = 16.0;

/// Cycles for a pixel of a gradient that is put together from its phases.
const PUT_TOGETHER: f64 = 1.25;

/// The cycles of a phase of a gradient by the data, for an image.
pub(crate) fn cost_of_phase(phase: &Conv2dPlan) -> f64 {
    let (g, groups) = (phase.group_geometry(), phase.desc().groups);
    let group_oc = phase.desc().out_channels / groups;
    let float = |x: usize| x as f64;
    let pixels = float(groups * g.out_plane_len());
    let gain = phase.winograd_form().map_or(1.0, |form| gain(g, form, group_oc));
    let registers = match phase.algorithm() {
        // Pixels stand in the lanes.
        Algorithm::Depthwise => float(group_oc) / LANES,
        _ => float(group_oc.div_ceil(LANES as usize)),
    };
    let sums = float(g.patch_len()) * registers / SUMS;
    pixels * (sums / gain.max(1.0) + PUT_TOGETHER * float(group_oc))
}

/// The cycles of all phases of a gradient by the data at once, for an image.
pub(crate) fn cost_of_all_phases(plan: &Conv2dPlan) -> f64 {
    let form = plan.winograd_form().expect("it is what serves");
    let (g, groups) = (plan.group_geometry(), plan.desc().groups);
    let float = |x: usize| x as f64;
    let (channels, group_oc) = (float(g.in_c()), float(plan.desc().out_channels / groups));
    let registers = float(g.out_h().div_ceil(form.out()) * g.out_w().div_ceil(form.out())) / LANES;
    let ends = [0, 1].map(|dimension| {
        let ends = plan.interleaved().expect("it has phases").ends[dimension];
        let missing = ends.as_flattened().iter().filter(|&&there| !there).count();
        Interleaved::STRIDE * form.side() - missing
    });
    let products = float(ends[0] * ends[1]) * channels * group_oc / PRODUCTS;
    let points = float(form.points()) / 36.0;
    let phases = float(Interleaved::STRIDE * Interleaved::STRIDE);
    let output = phases * OUTPUT_WITH_GAPS * points * group_oc;
    float(groups) * registers * (products + output + input(form, g.out_w()) * channels)
}

/// The cycles of the transform of a register of tiles of a channel, of rows of so many pixels.
fn input(form: Form, out_w: usize) -> f64 {
    let float = |x: usize| x as f64;
    // Each row of tiles in a register transforms columns of its own, those of each run of pixels.
    let row = float(out_w.div_ceil(form.out())).min(LANES);
    let segments = (LANES / row).ceil();
    let registers = (row * float(form.out()) / LANES).ceil();
    let runs = float(form.side().div_ceil(form.out()));
    (segments * runs * registers * COLUMNS + INPUT) * (float(form.points()) / 36.0).sqrt()
}

/// The tiles of an image.
pub(crate) fn tiles(g: &ConvGeometry, form: Form) -> usize {
    let tiles =
        |out: usize, dilation: usize| out.div_ceil(dilation).div_ceil(form.out()) * dilation;
    let [down, along] = Phases::new(g.window(), form).dilation;
    tiles(g.out_h(), down) * tiles(g.out_w(), along)
}

/// The time of the direct sum over that of the algorithm, estimated from the shape alone.
pub(crate) fn gain(g: &ConvGeometry, form: Form, group_oc: usize) -> f64 {
    let phases = Phases::new(g.window(), form);
    let places = phases.stride[1] * phases.dilation[1];
    if !matches!(places, 1 | 2 | 4) {
        // Its pixels are sorted one by one.
        return 0.0;
    }
    let float = |x: usize| x as f64;
    let along = phases.dilation[1];
    let covered = float(tiles(g, form) * form.out().pow(2));
    let valid = float(g.out_plane_len()) / covered;
    let channels = float(g.in_c());
    // The direct sum fills registers with output channels.
    let direct_oc = float(group_oc.next_multiple_of(LANES as usize));
    let group_oc = float(group_oc);

    let taps = float(form.out().pow(2) * g.window().kernel_h * g.window().kernel_w);
    let direct = taps * valid * channels * direct_oc / SUMS;

    let slots: usize = (0..form.points()).map(|point| phases.slots(form, point).len()).sum();
    let products = float(slots) * channels * group_oc / PRODUCTS;
    let points = float(form.points()) / 36.0;
    let output = if along == 1 { OUTPUT } else { OUTPUT_WITH_GAPS } * points * group_oc;
    let input = input(form, g.out_w().div_ceil(along));
    direct / (products + output + input * channels * float(phases.count()))
}
