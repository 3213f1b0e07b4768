//! The direct convolution: seven loops that read like the formula.
//!
//! One thread, no scratch memory, no trick. These are the oracles of the tests and the baseline
//! of the benchmarks. They take their arguments checked, from
//! [`Conv2dPlan`]; called on their own they panic where shapes don't fit.

use tensor4::{View4, ViewMut4};

use crate::{Conv2d, Conv2dPlan, ConvScalar, Update};

/// The row or column of the input under tap `k` of the window at output `o`, or `None` in the
/// padding.
fn tap(
    o: usize,
    stride: usize,
    k: usize,
    dilation: usize,
    pad: usize,
    len: usize,
) -> Option<usize> {
    (o * stride + k * dilation).checked_sub(pad).filter(|&i| i < len)
}

/// The four outer loops: calls `f(n, oc, oh, ow, y)` for every element of the output, `y` being
/// its offset.
fn for_each_output(
    plan: &Conv2dPlan,
    n: usize,
    mut f: impl FnMut(usize, usize, usize, usize, usize),
) {
    let out_channels = plan.desc().out_channels;
    let (out_h, out_w) = (plan.group_geometry().out_h(), plan.group_geometry().out_w());
    for n in 0..n {
        for oc in 0..out_channels {
            for oh in 0..out_h {
                for ow in 0..out_w {
                    f(n, oc, oh, ow, ((n * out_channels + oc) * out_h + oh) * out_w + ow);
                }
            }
        }
    }
}

/// The three inner loops: calls `f(x, w)` with the offsets of the two factors of every product
/// that the output at `(n, oc, oh, ow)` sums.
#[inline(always)]
fn for_each_tap(plan: &Conv2dPlan, [n, oc, oh, ow]: [usize; 4], mut f: impl FnMut(usize, usize)) {
    let Conv2d { in_channels, in_h, in_w, out_channels, window, groups } = *plan.desc();
    let (group_in, group_out) = (in_channels / groups, out_channels / groups);
    let first_channel = n * in_channels + oc / group_out * group_in;
    let (kernel_h, kernel_w) = (window.kernel_h, window.kernel_w);
    let (pad_top, pad_left) = (window.padding.top, window.padding.left);
    for ic in 0..group_in {
        for kh in 0..kernel_h {
            let Some(ih) = tap(oh, window.stride_h, kh, window.dilation_h, pad_top, in_h) else {
                continue;
            };
            for kw in 0..kernel_w {
                let Some(iw) = tap(ow, window.stride_w, kw, window.dilation_w, pad_left, in_w)
                else {
                    continue;
                };
                f(
                    ((first_channel + ic) * in_h + ih) * in_w + iw,
                    ((oc * group_in + ic) * kernel_h + kh) * kernel_w + kw,
                );
            }
        }
    }
}

/// `y[..] = bias + sum of x[..] w[..]`; overwrites `y`.
pub fn forward<T: ConvScalar>(
    plan: &Conv2dPlan,
    x: View4<'_, T>,
    w: View4<'_, T>,
    bias: Option<&[T]>,
    mut y: ViewMut4<'_, T>,
) {
    let n = y.shape().n();
    let (x, w, y) = (x.data(), w.data(), y.data_mut());
    for_each_output(plan, n, |n, oc, oh, ow, iy| {
        y[iy] = output(plan, x, w, bias, [n, oc, oh, ow]);
    });
}

/// The output at `(n, oc, oh, ow)`.
pub(crate) fn output<T: ConvScalar>(
    plan: &Conv2dPlan,
    x: &[T],
    w: &[T],
    bias: Option<&[T]>,
    at: [usize; 4],
) -> T {
    let mut sum = bias.map_or(T::ZERO, |bias| bias[at[1]]);
    for_each_tap(plan, at, |ix, iw| sum += x[ix] * w[iw]);
    sum
}

/// `dx[..] = sum of w[..] dy[..]`; overwrites `dx`.
pub fn backward_data<T: ConvScalar>(
    plan: &Conv2dPlan,
    w: View4<'_, T>,
    dy: View4<'_, T>,
    mut dx: ViewMut4<'_, T>,
) {
    let n = dy.shape().n();
    dx.fill(T::ZERO);
    let (w, dy, dx) = (w.data(), dy.data(), dx.data_mut());
    for_each_output(plan, n, |n, oc, oh, ow, iy| {
        for_each_tap(plan, [n, oc, oh, ow], |ix, iw| dx[ix] += w[iw] * dy[iy]);
    });
}

/// `dw[..] = sum of x[..] dy[..]`, `db[oc] = sum of dy[.., oc, .., ..]`; overwrites or
/// accumulates both.
pub fn backward_weights<T: ConvScalar>(
    plan: &Conv2dPlan,
    x: View4<'_, T>,
    dy: View4<'_, T>,
    mut dw: ViewMut4<'_, T>,
    db: Option<&mut [T]>,
    update: Update,
) {
    let n = dy.shape().n();
    if update == Update::Overwrite {
        dw.fill(T::ZERO);
    }
    if let Some(db) = db {
        if update == Update::Overwrite {
            db.fill(T::ZERO);
        }
        for n in 0..n {
            for (oc, db) in db.iter_mut().enumerate() {
                for &d in dy.plane(n, oc) {
                    *db += d;
                }
            }
        }
    }
    let (x, dy, dw) = (x.data(), dy.data(), dw.data_mut());
    for_each_output(plan, n, |n, oc, oh, ow, iy| {
        for_each_tap(plan, [n, oc, oh, ow], |ix, iw| dw[iw] += x[ix] * dy[iy]);
    });
}

/// `y = x W^T + b`, as [`Affine::forward`](crate::Affine::forward): three loops.
///
/// # Panics
///
/// If a length does not fit.
pub fn affine<T: ConvScalar>(x: &[T], w: &[T], bias: &[T], y: &mut [T]) {
    let outputs = bias.len();
    let inputs = w.len() / outputs;
    for (x, y) in x.chunks_exact(inputs).zip(y.chunks_exact_mut(outputs)) {
        for (o, y) in y.iter_mut().enumerate() {
            *y = bias[o];
            for (i, &x) in x.iter().enumerate() {
                *y += x * w[o * inputs + i];
            }
        }
    }
}

/// Both gradients of [`affine`]: `dw = dy^T x` and `dx = dy W`, overwritten.
///
/// # Panics
///
/// If a length does not fit.
pub fn affine_gradients<T: ConvScalar>(
    inputs: usize,
    [x, w, dy]: [&[T]; 3],
    dw: &mut [T],
    dx: &mut [T],
) {
    dw.fill(T::ZERO);
    dx.fill(T::ZERO);
    let outputs = w.len() / inputs;
    let images = x.len() / inputs;
    for image in 0..images {
        for o in 0..outputs {
            for i in 0..inputs {
                dw[o * inputs + i] += dy[image * outputs + o] * x[image * inputs + i];
                dx[image * inputs + i] += dy[image * outputs + o] * w[o * inputs + i];
            }
        }
    }
}
