//! The element types.

use core::fmt::{Debug, Display};
use core::iter::Sum;
use core::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// An element of a tensor: `f32`, in which networks run, or `f64`, in which they are checked.
///
/// The trait is sealed.
pub trait Scalar:
    sealed::Sealed
    + Copy
    + Default
    + PartialEq
    + PartialOrd
    + Debug
    + Display
    + Send
    + Sync
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + SubAssign
    + Mul<Output = Self>
    + MulAssign
    + Div<Output = Self>
    + DivAssign
    + Neg<Output = Self>
    + Sum
    + 'static
{
    /// The name of the type, `"f32"` or `"f64"`.
    const NAME: &'static str;
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Not a number.
    const NAN: Self;
    /// Minus infinity, the neutral element of the maximum.
    const NEG_INFINITY: Self;

    /// The nearest value of this type.
    fn from_f64(value: f64) -> Self;
    /// The same value as `f64`.
    fn to_f64(self) -> f64;
    /// The nearest value of this type.
    fn from_usize(value: usize) -> Self;
    /// Whether the value is not a number.
    fn is_nan(self) -> bool;
    /// Whether the value is neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// |x|.
    fn abs(self) -> Self;

    /// e^x.
    #[cfg(feature = "std")]
    fn exp(self) -> Self;
    /// Natural logarithm.
    #[cfg(feature = "std")]
    fn ln(self) -> Self;
    /// Square root.
    #[cfg(feature = "std")]
    fn sqrt(self) -> Self;
    /// Hyperbolic tangent.
    #[cfg(feature = "std")]
    fn tanh(self) -> Self;
}

macro_rules! scalar {
    ($t:ident) => {
        impl Scalar for $t {
            const NAME: &'static str = stringify!($t);
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const NAN: Self = $t::NAN;
            const NEG_INFINITY: Self = $t::NEG_INFINITY;

            fn from_f64(value: f64) -> Self {
                value as $t
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn from_usize(value: usize) -> Self {
                value as $t
            }
            fn is_nan(self) -> bool {
                self.is_nan()
            }
            fn is_finite(self) -> bool {
                self.is_finite()
            }
            fn abs(self) -> Self {
                self.abs()
            }
            #[cfg(feature = "std")]
            fn exp(self) -> Self {
                self.exp()
            }
            #[cfg(feature = "std")]
            fn ln(self) -> Self {
                self.ln()
            }
            #[cfg(feature = "std")]
            fn sqrt(self) -> Self {
                self.sqrt()
            }
            #[cfg(feature = "std")]
            fn tanh(self) -> Self {
                self.tanh()
            }
        }
    };
}

scalar!(f32);
scalar!(f64);
