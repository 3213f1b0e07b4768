//! The element types.

use std::fmt::Debug;
use std::ops::{Add, Mul};

use crate::kernel::Kernel;
use crate::kernel::table::HasTables;

/// An element of a matrix: `f32` or `f64`.
///
/// The trait is sealed.
pub trait GemmScalar:
    Kernel
    + HasTables
    + Copy
    + Default
    + PartialEq
    + Debug
    + Send
    + Sync
    + Add<Output = Self>
    + Mul<Output = Self>
    + 'static
{
}

impl GemmScalar for f32 {}
impl GemmScalar for f64 {}
