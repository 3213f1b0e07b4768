//! Which algorithm runs: a pure function of shape, options and CPU features.

use im2col::ConvGeometry;

use crate::{Algorithm, Conv2d, ConvError, KernelSet, Numerics, Options, direct, lanes, winograd};

/// The narrowest row that fills a register.
const WIDE_ROW: usize = 16;
/// With fewer channels the transforms of Winograd's algorithm cost more than they save.
const WINOGRAD_CHANNELS: usize = 16;
/// The same for the form that is exact enough for [`Numerics::Strict`], which saves less.
const STRICT_WINOGRAD_CHANNELS: usize = 48;
/// In smaller images too much of its tiles lies outside.
const WINOGRAD_PIXELS: usize = 6;

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
        Algorithm::Winograd if !winograd::fits(g) => {
            let w = g.window();
            unsupported(format!(
                "it needs a kernel of 3x3 with stride and dilation 1 over at least one channel, \
                 this one is {}x{} with stride {}x{} and dilation {}x{} over {}",
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
    // Pixels fill the lanes, and the rows under one row of the output fit in the first-level cache.
    if lanes::fits(g) && g.out_w() >= WIDE_ROW && g.in_c() < WINOGRAD_CHANNELS {
        return (Algorithm::Depthwise, "the sums are short and the rows wide");
    }
    let wide = g.out_h() >= WINOGRAD_PIXELS && g.out_w() >= WINOGRAD_PIXELS;
    let channels = match options.numerics {
        Numerics::Fast => WINOGRAD_CHANNELS,
        Numerics::Strict => STRICT_WINOGRAD_CHANNELS,
    };
    if winograd::fits(g) && wide && g.in_c().min(group_oc) >= channels {
        return (Algorithm::Winograd, "a kernel of 3x3 over enough channels and pixels");
    }
    if !direct::fits(g) {
        return (Algorithm::Im2colGemm, "the kernel is too wide for the others");
    }
    (Algorithm::Direct, "no other algorithm is better")
}
