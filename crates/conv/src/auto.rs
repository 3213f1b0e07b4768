//! Which algorithm runs: a pure function of shape, options and CPU features.

use im2col::ConvGeometry;

use crate::{
    Algorithm, Conv2d, Conv2dPlan, ConvError, KernelSet, Numerics, Options, direct, lanes, winograd,
};

/// The narrowest row that fills a register.
const WIDE_ROW: usize = 16;
/// With more channels the rows under one row of the output don't fit in the first-level cache.
const FEW_CHANNELS: usize = 16;
/// How much faster Winograd's algorithm must promise to be.
const WINOGRAD_GAIN: f64 = 1.05;

/// So few output channels fill half a register of 16.
const FEW_SUMS: usize = 8;

/// The algorithm that runs for what is asked, and why.
pub(crate) fn choose(
    desc: &Conv2d,
    g: &ConvGeometry,
    options: &Options,
    kernels: KernelSet,
) -> Result<(Algorithm, &'static str), ConvError> {
    let unsupported = |reason| Err(ConvError::Unsupported { algorithm: options.algorithm, reason });
    match options.algorithm {
        Algorithm::Auto => Ok(auto(desc, g, options, kernels)),
        Algorithm::Winograd if winograd::form(g, options.numerics).is_none() => {
            let w = g.window();
            let most = if options.numerics == Numerics::Strict { 3 } else { 5 };
            unsupported(format!(
                "it needs a kernel of 2 to {most} strides, as many along both dimensions, that does not \
                 both stride and dilate, over at least one channel; this one is {}x{} with stride \
                 {}x{} and dilation {}x{} over {}",
                w.kernel_h,
                w.kernel_w,
                w.stride_h,
                w.stride_w,
                w.dilation_h,
                w.dilation_w,
                g.in_c()
            ))
        }
        Algorithm::Depthwise if !lanes::fits(g) => unsupported(format!(
            "it takes sums of 1 to {} terms, these have {}",
            lanes::MAX_TAPS,
            g.patch_len()
        )),
        Algorithm::Direct if !direct::fits(g) => unsupported(format!(
            "it takes kernels of up to {} columns, this one has {}",
            direct::MAX_KERNEL_W,
            g.window().kernel_w
        )),
        algorithm => Ok((algorithm, "asked for")),
    }
}

/// Whether the output is larger than the input: the gradient of a convolution without padding.
fn grows(g: &ConvGeometry) -> bool {
    g.out_h() > g.in_h() && g.out_w() > g.in_w()
}

fn auto(
    desc: &Conv2d,
    g: &ConvGeometry,
    options: &Options,
    kernels: KernelSet,
) -> (Algorithm, &'static str) {
    let group_oc = desc.out_channels / desc.groups;
    if g.patch_len() == 0 || group_oc == 0 {
        return (Algorithm::Im2colGemm, "there is nothing to sum");
    }
    if kernels == KernelSet::Scalar {
        return (Algorithm::Im2colGemm, "there are no vector kernels of our own for this CPU");
    }
    if group_oc == 1 && lanes::fits(g) {
        return (Algorithm::Depthwise, "every output channel stands alone");
    }
    if kernels == KernelSet::Avx512 && group_oc <= FEW_SUMS && lanes::fits(g) && grows(g) {
        return (Algorithm::Depthwise, "few sums, and much padding that it leaves out");
    }
    let winograd = winograd::form(g, options.numerics);
    // The gain is that over sums in registers of 16 output channels.
    let full = kernels == KernelSet::Avx2 && group_oc <= FEW_SUMS;
    let least = if full { 2.0 * WINOGRAD_GAIN } else { WINOGRAD_GAIN };
    if winograd.is_some_and(|form| winograd::gain(g, form, group_oc) > least) {
        return (Algorithm::Winograd, "its transforms cost less than the products that they save");
    }
    if lanes::fits(g) && g.out_w() >= WIDE_ROW && g.in_c() < FEW_CHANNELS {
        return (Algorithm::Depthwise, "the sums are short and the rows wide");
    }
    if !direct::fits(g) {
        return (Algorithm::Im2colGemm, "the kernel is too wide for the others");
    }
    (Algorithm::Direct, "no other algorithm is better")
}

/// So many images or fewer have too few tiles to fill the registers of Winograd's algorithm, which `Auto` has
/// chosen, and are summed directly; 0 if one has enough.
pub(crate) fn few_images(plan: &Conv2dPlan) -> usize {
    let Options { algorithm, max_workspace_bytes, .. } = plan.options();
    let (g, lanes) = (plan.group_geometry(), plan.kernels::<f32>().lanes);
    let free = algorithm == Algorithm::Auto && max_workspace_bytes.is_none();
    let Some(form) = plan.winograd_form().filter(|_| free && direct::fits(g)) else { return 0 };
    let gain = winograd::gain(g, form, plan.desc().out_channels / plan.desc().groups);
    let tiles = winograd::tiles(g, form);
    let filled = |n: usize| (n * tiles) as f64 / (n * tiles).next_multiple_of(lanes) as f64;
    (1..lanes).take_while(|&n| n * tiles < lanes && gain * filled(n) < 1.0).last().unwrap_or(0)
}

/// Whether Winograd's algorithm computes the gradient by the weights faster than the direct sum.
pub(crate) fn winograd_gradient(plan: &Conv2dPlan) -> bool {
    let group_oc = plan.desc().out_channels / plan.desc().groups;
    winograd::gradient_form(plan)
        .is_some_and(|form| winograd::gain(plan.group_geometry(), form, group_oc) > WINOGRAD_GAIN)
}

/// So few taps, over rows so wide, are summed faster with pixels in the lanes, because nothing is
/// transposed: on AVX-512, whose registers hold the sums of nine taps of three output channels.
const FEW_TAPS: usize = 32;
const WIDE_ROWS: usize = 64;

/// Whether gradients by the weights are summed with pixels in the lanes, however many output channels
/// there are.
pub(crate) fn lanes_gradient(plan: &Conv2dPlan) -> bool {
    let g = plan.group_geometry();
    plan.kernel_set() == KernelSet::Avx512 && g.patch_len() <= FEW_TAPS && g.out_w() >= WIDE_ROWS
}
