//! What the micro-kernel needs of a vector register, for each instruction set.

use crate::GemmScalar;

/// A vector register of [`LANES`](Vector::LANES) elements.
///
/// The micro-kernel is written once over this trait and compiled once for each instruction set: the
/// functions of the tables carry the `target_feature`, everything below them is inlined.
///
/// # Safety
///
/// Every function needs the instruction set of the implementing type; `load` and `store` need
/// their pointers to be valid for `LANES` elements, without any alignment.
pub(crate) trait Vector: Copy {
    /// The type of an element.
    type Elem: GemmScalar;
    /// How many elements there are.
    const LANES: usize;

    /// `x` in every lane.
    unsafe fn splat(x: Self::Elem) -> Self;
    /// The elements at `p..p + LANES`.
    unsafe fn load(p: *const Self::Elem) -> Self;
    /// Writes `p..p + LANES`.
    unsafe fn store(self, p: *mut Self::Elem);
    /// `self * b + c`, in one rounding where the instruction set has that.
    unsafe fn mul_add(self, b: Self, c: Self) -> Self;
    /// `self + b`.
    unsafe fn add(self, b: Self) -> Self;
    /// Asks for the line of the cache at `p`, which need not exist.
    unsafe fn prefetch(p: *const Self::Elem) {
        let _ = p;
    }
}

/// Implements [`Vector`] by intrinsics.
macro_rules! vector {
    ($(#[$doc:meta])* $name:ident($register:ty), $elem:ty, $lanes:literal,
        $splat:path, $load:path, $store:path, |$a:ident, $b:ident, $c:ident| $mul_add:expr,
        $add:path $(, |$p:ident| $prefetch:expr)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        #[repr(transparent)]
        pub(crate) struct $name($register);

        impl Vector for $name {
            type Elem = $elem;
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn splat(x: $elem) -> Self {
                // SAFETY: the caller guarantees the instruction set.
                unsafe { Self($splat(x)) }
            }

            #[inline(always)]
            unsafe fn load(p: *const $elem) -> Self {
                // SAFETY: the caller guarantees the instruction set and the elements; any
                // alignment will do.
                unsafe { Self($load(p)) }
            }

            #[inline(always)]
            unsafe fn store(self, p: *mut $elem) {
                // SAFETY: as above.
                unsafe { $store(p, self.0) }
            }

            #[inline(always)]
            unsafe fn mul_add(self, b: Self, c: Self) -> Self {
                let ($a, $b, $c) = (self.0, b.0, c.0);
                // SAFETY: the caller guarantees the instruction set.
                unsafe { Self($mul_add) }
            }

            #[inline(always)]
            unsafe fn add(self, b: Self) -> Self {
                // SAFETY: the caller guarantees the instruction set.
                unsafe { Self($add(self.0, b.0)) }
            }

            $(
                #[inline(always)]
                unsafe fn prefetch($p: *const $elem) {
                    // SAFETY: a prefetch never faults, wherever it points.
                    unsafe { $prefetch }
                }
            )?
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Vector;

    vector!(
        /// AVX-512F: 16 elements of f32.
        F32x16(__m512), f32, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps,
        |a, b, c| _mm512_fmadd_ps(a, b, c), _mm512_add_ps, |p| _mm_prefetch::<_MM_HINT_T0>(p.cast())
    );
    vector!(
        /// AVX-512F: 8 elements of f64.
        F64x8(__m512d), f64, 8, _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd,
        |a, b, c| _mm512_fmadd_pd(a, b, c), _mm512_add_pd, |p| _mm_prefetch::<_MM_HINT_T0>(p.cast())
    );
    vector!(
        /// AVX2 and FMA: 8 elements of f32.
        F32x8(__m256), f32, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps,
        |a, b, c| _mm256_fmadd_ps(a, b, c), _mm256_add_ps, |p| _mm_prefetch::<_MM_HINT_T0>(p.cast())
    );
    vector!(
        /// AVX2 and FMA: 4 elements of f64.
        F64x4(__m256d), f64, 4, _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd,
        |a, b, c| _mm256_fmadd_pd(a, b, c), _mm256_add_pd, |p| _mm_prefetch::<_MM_HINT_T0>(p.cast())
    );
}
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{F32x8, F32x16, F64x4, F64x8};

#[cfg(target_arch = "aarch64")]
mod neon {
    use std::arch::aarch64::*;

    use super::Vector;

    vector!(
        /// NEON: 4 elements of f32.
        F32x4(float32x4_t), f32, 4, vdupq_n_f32, vld1q_f32, vst1q_f32,
        |a, b, c| vfmaq_f32(c, a, b), vaddq_f32
    );
    vector!(
        /// NEON: 2 elements of f64.
        F64x2(float64x2_t), f64, 2, vdupq_n_f64, vld1q_f64, vst1q_f64,
        |a, b, c| vfmaq_f64(c, a, b), vaddq_f64
    );
}
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::{F32x4, F64x2};

/// Four elements of either type, in portable code.
#[derive(Clone, Copy)]
pub(crate) struct Four<T>([T; 4]);

impl<T: GemmScalar> Four<T> {
    #[inline(always)]
    fn zip(self, b: Self, f: impl Fn(T, T) -> T) -> Self {
        // By name: Miri takes three times as long for an array's functions.
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (self.0, b.0);
        Self([f(a0, b0), f(a1, b1), f(a2, b2), f(a3, b3)])
    }
}

impl<T: GemmScalar> Vector for Four<T> {
    type Elem = T;
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: T) -> Self {
        Self([x; 4])
    }

    #[inline(always)]
    unsafe fn load(p: *const T) -> Self {
        // SAFETY: the caller guarantees four readable elements; an array is aligned as they are.
        unsafe { Self(p.cast::<[T; 4]>().read()) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut T) {
        // SAFETY: the caller guarantees four writable elements; an array is aligned as they are.
        unsafe { p.cast::<[T; 4]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        self.zip(b, |a, b| a * b).zip(c, |product, c| product + c)
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        self.zip(b, |a, b| a + b)
    }
}
