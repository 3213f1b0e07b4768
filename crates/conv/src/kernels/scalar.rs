//! Portable code for any element type: four elements that the compiler may put into a register.

use super::vector::Vector;
use crate::ConvScalar;

/// Four elements.
#[derive(Clone, Copy)]
pub(crate) struct Four<T>([T; 4]);

impl<T: ConvScalar> Four<T> {
    #[inline(always)]
    fn zip(self, b: Self, f: impl Fn(T, T) -> T) -> Self {
        // By name: Miri takes three times as long for an array's functions.
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (self.0, b.0);
        Self([f(a0, b0), f(a1, b1), f(a2, b2), f(a3, b3)])
    }
}

impl<T: ConvScalar> Vector for Four<T> {
    type Elem = T;
    type Mask = (usize, usize);
    const LANES: usize = 4;
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn splat(x: T) -> Self {
        Self([x; 4])
    }

    #[inline(always)]
    unsafe fn splat_pair(p: *const T) -> Self {
        // SAFETY: the caller guarantees two readable elements.
        let [a, b] = unsafe { p.cast::<[T; 2]>().read() };
        Self([a, b, a, b])
    }

    #[inline(always)]
    unsafe fn load(p: *const T) -> Self {
        // SAFETY: the caller guarantees four readable elements; `read_unaligned` asks for no
        // alignment.
        unsafe { Self(p.cast::<[T; 4]>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn load_first(p: *const T, count: usize) -> Self {
        // SAFETY: the caller guarantees `count` readable elements.
        Self(std::array::from_fn(|i| if i < count { unsafe { *p.add(i) } } else { T::ZERO }))
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut T) {
        // SAFETY: the caller guarantees four writable elements.
        unsafe { p.cast::<[T; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn store_first(self, p: *mut T, count: usize) {
        for (i, &x) in self.0.iter().enumerate().take(count) {
            // SAFETY: the caller guarantees `count` writable elements.
            unsafe { *p.add(i) = x }
        }
    }

    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        // Two roundings: a fused one is a call into the C library where the CPU has no
        // instruction for it.
        self.zip(b, |a, b| a * b).zip(c, |product, c| product + c)
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        self.zip(b, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        self.zip(b, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        self.zip(b, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn relu(self) -> Self {
        Self(self.0.map(|x| if x < T::ZERO { T::ZERO } else { x }))
    }

    #[inline(always)]
    unsafe fn store_transposed(
        rows: &[Self; 16],
        count: usize,
        p: *mut T,
        stride: usize,
        lanes: usize,
    ) {
        for l in 0..lanes {
            for (r, row) in rows.iter().enumerate().take(count) {
                // SAFETY: the caller guarantees that the elements named are writable.
                unsafe { *p.add(l * stride + r) = row.0[l] }
            }
        }
    }

    #[inline(always)]
    unsafe fn mask(from: usize, to: usize) -> (usize, usize) {
        (from, to)
    }

    #[inline(always)]
    unsafe fn load_masked(p: *const T, (from, to): (usize, usize)) -> Self {
        Self(std::array::from_fn(|i| {
            // SAFETY: the caller guarantees readable elements in the lanes of the mask.
            if (from..to).contains(&i) { unsafe { *p.wrapping_add(i) } } else { T::ZERO }
        }))
    }

    #[inline(always)]
    unsafe fn keep(self, mask: (usize, usize)) -> Self {
        // SAFETY: there are four elements.
        unsafe { Self::load_masked(self.0.as_ptr(), mask) }
    }

    #[inline(always)]
    unsafe fn unzip(self, b: Self) -> [Self; 2] {
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (self.0, b.0);
        [Self([a0, a2, b0, b2]), Self([a1, a3, b1, b3])]
    }

    #[inline(always)]
    unsafe fn store_by_2(vectors: [Self; 2], p: *mut T) {
        for (k, vector) in vectors.iter().enumerate() {
            for (i, &x) in vector.0.iter().enumerate() {
                // SAFETY: the caller guarantees 8 writable elements.
                unsafe { *p.add(2 * i + k) = x }
            }
        }
    }

    #[inline(always)]
    unsafe fn load_by_4(p: *const T) -> [Self; 4] {
        // SAFETY: the caller guarantees 16 readable elements.
        std::array::from_fn(|k| Self(std::array::from_fn(|i| unsafe { *p.add(4 * i + k) })))
    }

    #[inline(always)]
    unsafe fn store_by_4(vectors: [Self; 4], p: *mut T) {
        for (k, vector) in vectors.iter().enumerate() {
            for (i, &x) in vector.0.iter().enumerate() {
                // SAFETY: the caller guarantees 16 writable elements.
                unsafe { *p.add(4 * i + k) = x }
            }
        }
    }

    #[inline(always)]
    unsafe fn load_split(first: *const T, second: *const T, split: usize) -> Self {
        Self(std::array::from_fn(|i| {
            // SAFETY: the caller guarantees readable elements in the lanes taken of each.
            unsafe { if i < split { *first.add(i) } else { *second.wrapping_add(i) } }
        }))
    }

    #[inline(always)]
    unsafe fn first_max([a, a_tag]: [Self; 2], [b, b_tag]: [Self; 2]) -> [Self; 2] {
        let second = |i: usize| b.0[i] > a.0[i] || (b.0[i].is_nan() && !a.0[i].is_nan());
        let pick = |a: Self, b: Self| {
            Self(std::array::from_fn(|i| if second(i) { b.0[i] } else { a.0[i] }))
        };
        [pick(a, b), pick(a_tag, b_tag)]
    }

    #[inline(always)]
    unsafe fn where_active(self, y: Self) -> Self {
        self.zip(y, |x, y| if y <= T::ZERO { T::ZERO } else { x })
    }

    #[inline(always)]
    unsafe fn where_equal(self, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|i| if a.0[i] == b.0[i] { self.0[i] } else { T::ZERO }))
    }

    #[inline(always)]
    unsafe fn store_bytes(self, p: *mut u8, count: usize) {
        for (i, x) in self.0.iter().enumerate().take(count) {
            // SAFETY: the caller guarantees `count` writable bytes.
            unsafe { *p.add(i) = x.to_f64() as u8 }
        }
    }
}
