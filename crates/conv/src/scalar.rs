//! The element types of a convolution.

use gemm::GemmScalar;

use crate::kernels::HasKernels;
use crate::kernels::dense::table::HasDense;
use crate::kernels::dispatch::Fused;
use tensor4::Scalar;

/// An element type that can be convolved: `f32` or `f64`.
///
/// The trait is sealed through [`Scalar`].
pub trait ConvScalar: Scalar + GemmScalar + HasKernels + HasDense + Fused {}

impl ConvScalar for f32 {}
impl ConvScalar for f64 {}
