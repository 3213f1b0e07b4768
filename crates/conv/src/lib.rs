//! Two-dimensional convolution: forward and both gradients, several algorithms behind one plan.
//!
//! A [`Conv2dPlan`] is made once for the shape of an image, the number of output channels, the
//! [`Window`](im2col::Window) and the groups; it checks all of them, and after that every call
//! only checks that its tensors fit. The batch size may change from call to call.
//!
//! What deep learning calls convolution is the cross-correlation
//!
//! ```text
//! y[n, oc, oh, ow] = bias[oc] + sum over ic, kh, kw of
//!     x[n, ic, oh*stride_h + kh*dilation_h - pad_top, ow*stride_w + kw*dilation_w - pad_left]
//!     * w[oc, ic, kh, kw]
//! ```
//!
//! where `x` is 0 outside the image. With groups, output channel `oc` of group `g` sees only the
//! input channels of that group, and `ic` counts within it.
//!
//! | tensor | shape |
//! |---|---|
//! | `x`, `dx` | `(N, C, H, W)` |
//! | `w`, `dw` | `(OC, C / groups, KH, KW)` |
//! | `bias`, `db` | `OC` values |
//! | `y`, `dy` | `(N, OC, OH, OW)` |
//!
//! ```
//! use conv::{Conv2d, Conv2dPlan, Options, Workspace};
//! use im2col::Window;
//! use tensor4::{Shape4, Tensor4};
//!
//! // 8 filters of 3x3 over an image of one channel and 28x28 pixels, padded by one pixel.
//! let conv = Conv2d::new(1, 28, 28, 8, Window::square(3).pad(1));
//! let plan = Conv2dPlan::new(conv, Options::default())?;
//!
//! let x = Tensor4::<f32>::normal(plan.input_shape(10)?, 0.0, 1.0, 1);
//! let w = Tensor4::<f32>::normal(plan.weight_shape(), 0.0, 0.1, 2);
//! let y = plan.forward(x.view(), w.view(), Some(&[0.5; 8]), &mut Workspace::new())?;
//! assert_eq!(y.shape(), Shape4::new(10, 8, 28, 28)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Results are bit-identical for every number of threads: sums are cut by the shape of the
//! problem, never by the number of threads, and run in a fixed order.

#![deny(unsafe_code)]

mod affine;
mod auto;
mod awake;
mod backward;
mod call;
mod data_gradient;
mod desc;
mod direct;
mod error;
mod filters;
mod im2col_gemm;
mod kernels;
mod lanes;
pub mod naive;
mod out;
pub mod parallel;
mod plan;
mod pool;
mod pool_grad;
mod pooled_grad;
mod reading;
mod run;
mod scalar;
mod weight_grad;
mod weight_grad_lanes;
mod winograd;
mod workspace;

pub use affine::Affine;
pub use awake::awake;
pub use backward::Backward;
pub use call::{Epilogue, PackedWeights};
pub use desc::{Algorithm, Conv2d, Numerics, Options, Update};
pub use error::ConvError;
pub use kernels::KernelSet;
pub use kernels::dispatch::{MulAdd, Vectorised, vectorised};
pub use kernels::max_pool::MaxRow;
pub use kernels::pairs::{PairShares, PairSums};
#[doc(hidden)]
pub use kernels::{FmaBurst, fma_burst};
pub use plan::Conv2dPlan;
pub use pooled_grad::PooledGradients;
pub use scalar::ConvScalar;
pub use workspace::Workspace;
