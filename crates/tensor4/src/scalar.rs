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

    /// e^x; for `f32` to within two units in the last place, in arithmetic that loops over it are
    /// vectorised with.
    #[cfg(feature = "std")]
    fn exp(self) -> Self;
    /// Natural logarithm.
    #[cfg(feature = "std")]
    fn ln(self) -> Self;
    /// Square root.
    #[cfg(feature = "std")]
    fn sqrt(self) -> Self;
    /// Hyperbolic tangent; for `f32` as [`exp`](Scalar::exp), to within three units.
    #[cfg(feature = "std")]
    fn tanh(self) -> Self;
}

macro_rules! scalar {
    ($t:ident, $exp:path, $tanh:path) => {
        impl Scalar for $t {
            const NAME: &'static str = stringify!($t);
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const NAN: Self = $t::NAN;
            const NEG_INFINITY: Self = $t::NEG_INFINITY;

            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn from_usize(value: usize) -> Self {
                value as $t
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                self.is_nan()
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                self.is_finite()
            }
            #[inline(always)]
            fn abs(self) -> Self {
                self.abs()
            }
            #[cfg(feature = "std")]
            #[inline(always)]
            fn exp(self) -> Self {
                $exp(self)
            }
            #[cfg(feature = "std")]
            #[inline(always)]
            fn ln(self) -> Self {
                self.ln()
            }
            #[cfg(feature = "std")]
            #[inline(always)]
            fn sqrt(self) -> Self {
                self.sqrt()
            }
            #[cfg(feature = "std")]
            #[inline(always)]
            fn tanh(self) -> Self {
                $tanh(self)
            }
        }
    };
}

scalar!(f32, crate::math::exp, crate::math::tanh);
scalar!(f64, f64::exp, f64::tanh);
