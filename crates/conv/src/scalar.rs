//! The element types of a convolution.

use gemm::GemmScalar;

use crate::kernels::HasKernels;
use tensor4::Scalar;

/// An element type that can be convolved: `f32` or `f64`.
///
/// The trait is sealed through [`Scalar`].
pub trait ConvScalar: Scalar + GemmScalar + HasKernels {}

impl ConvScalar for f32 {}
impl ConvScalar for f64 {}
