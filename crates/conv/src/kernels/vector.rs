//! What the kernels need of a vector register.

use tensor4::Scalar;

use super::pool;
use crate::ConvScalar;

/// The most elements of a register.
const MAX_LANES: usize = 16;

/// A vector register of [`LANES`](Vector::LANES) elements.
///
/// The kernels are written once over this trait, and compiled once for each instruction set: the
/// functions of the tables carry the `target_feature`, everything below them is inlined.
///
/// # Safety
///
/// Every function needs the instruction set of the implementing type; those that take pointers
/// need them to be valid for the elements that they name, without any alignment.
pub(crate) trait Vector: Copy {
    /// The type of an element.
    type Elem: ConvScalar;
    /// Which lanes are read.
    type Mask: Copy;
    /// How many elements there are, from 4 to 16.
    const LANES: usize;
    /// How many registers the instruction set has.
    const REGISTERS: usize;

    /// `x` in every lane.
    unsafe fn splat(x: Self::Elem) -> Self;
    /// The elements at `p` and `p + 1` in turn.
    unsafe fn splat_pair(p: *const Self::Elem) -> Self;
    /// The elements at `p..p + LANES`.
    unsafe fn load(p: *const Self::Elem) -> Self;
    /// The elements at `p..p + count`, 0 in the lanes beyond; `count <= LANES`.
    unsafe fn load_first(p: *const Self::Elem, count: usize) -> Self;
    /// Writes `p..p + LANES`.
    unsafe fn store(self, p: *mut Self::Elem);
    /// Writes `p..p + count` from the first lanes; `count <= LANES`.
    unsafe fn store_first(self, p: *mut Self::Elem, count: usize);
    /// `self * b + c`, in one rounding where the instruction set has that.
    unsafe fn mul_add(self, b: Self, c: Self) -> Self;
    /// `self + b`.
    unsafe fn add(self, b: Self) -> Self;
    /// `self - b`.
    unsafe fn sub(self, b: Self) -> Self;
    /// `self * b`.
    unsafe fn mul(self, b: Self) -> Self;
    /// `max(self, 0)`; NaN stays NaN.
    unsafe fn relu(self) -> Self;
    /// Writes the transpose of the first `count` vectors: lane `l` of `rows[r]` goes to
    /// `p + l * stride + r`, for `l < lanes`. `count` and `lanes` are at most `LANES`.
    unsafe fn store_transposed(
        rows: &[Self; 16],
        count: usize,
        p: *mut Self::Elem,
        stride: usize,
        lanes: usize,
    );

    /// The lanes `from..to`; `from <= to <= LANES`.
    unsafe fn mask(from: usize, to: usize) -> Self::Mask;
    /// The elements of `p..p + LANES` in the lanes of the mask, 0 in the others, whose elements need
    /// not exist.
    unsafe fn load_masked(p: *const Self::Elem, mask: Self::Mask) -> Self;
    /// The lanes of the mask, 0 in the others.
    unsafe fn keep(self, mask: Self::Mask) -> Self;
    /// [`load_masked`](Vector::load_masked) in the lanes `from..to`; `from <= to <= LANES`.
    #[inline(always)]
    unsafe fn load_range(p: *const Self::Elem, from: usize, to: usize) -> Self {
        // SAFETY: that of the caller.
        unsafe { Self::load_masked(p, Self::mask(from, to)) }
    }
    /// The even lanes of `self` and then of `b`, and the odd ones.
    unsafe fn unzip(self, b: Self) -> [Self; 2];
    /// Every second element of `p..p + 2 * LANES`: lane `i` of result `k` is `p[2 * i + k]`.
    #[inline(always)]
    unsafe fn load_by_2(p: *const Self::Elem) -> [Self; 2] {
        // SAFETY: that of the caller.
        unsafe { Self::load(p).unzip(Self::load(p.add(Self::LANES))) }
    }
    /// Writes `p..p + 2 * LANES`, `p[2 * i + k]` being lane `i` of vector `k`.
    unsafe fn store_by_2(vectors: [Self; 2], p: *mut Self::Elem);
    /// Every fourth element of `p..p + 4 * LANES`: lane `i` of result `k` is `p[4 * i + k]`.
    unsafe fn load_by_4(p: *const Self::Elem) -> [Self; 4];
    /// Writes `p..p + 4 * LANES`, `p[4 * i + k]` being lane `i` of vector `k`.
    unsafe fn store_by_4(vectors: [Self; 4], p: *mut Self::Elem);
    /// Every `N`th element of `p..p + N * LANES`: lane `i` of result `k` is `p[N * i + k]`.
    #[inline(always)]
    unsafe fn load_by<const N: usize>(p: *const Self::Elem) -> [Self; N] {
        // SAFETY: that of the caller.
        unsafe {
            let mut vectors = [Self::splat(Self::Elem::default()); N];
            match N {
                2 => vectors.copy_from_slice(&Self::load_by_2(p)),
                4 => vectors.copy_from_slice(&Self::load_by_4(p)),
                _ => vectors = Self::load_by_any(p),
            }
            vectors
        }
    }
    /// Writes `p..p + N * LANES`, `p[N * i + k]` being lane `i` of vector `k`.
    #[inline(always)]
    unsafe fn store_by<const N: usize>(vectors: [Self; N], p: *mut Self::Elem) {
        // SAFETY: that of the caller; `N` is the length of the array.
        unsafe {
            match N {
                2 => Self::store_by_2([vectors[0], vectors[1]], p),
                4 => Self::store_by_4([vectors[0], vectors[1], vectors[2], vectors[3]], p),
                _ => Self::store_by_any(vectors, p),
            }
        }
    }
    /// [`load_by`](Vector::load_by) for any `N`.
    #[inline(always)]
    unsafe fn load_by_any<const N: usize>(p: *const Self::Elem) -> [Self; N] {
        let mut vectors = [[Self::Elem::default(); MAX_LANES]; N];
        // SAFETY: that of the caller; an array has `MAX_LANES` elements.
        unsafe {
            for i in 0..Self::LANES {
                for k in 0..N {
                    vectors[k][i] = *p.add(N * i + k);
                }
            }
            vectors.map(|v| Self::load(v.as_ptr()))
        }
    }
    /// [`store_by`](Vector::store_by) for any `N`.
    #[inline(always)]
    unsafe fn store_by_any<const N: usize>(vectors: [Self; N], p: *mut Self::Elem) {
        // SAFETY: that of the caller.
        unsafe {
            for k in 0..N {
                vectors[k].store_by_stride(p.add(k), Self::LANES, N);
            }
        }
    }
    /// Writes the first `count` lanes to `p`, `p + stride`, and so forth; `count <= LANES`.
    #[inline(always)]
    unsafe fn store_by_stride(self, p: *mut Self::Elem, count: usize, stride: usize) {
        let mut lanes = [Self::Elem::default(); MAX_LANES];
        // SAFETY: that of the caller; the array has `MAX_LANES` elements.
        unsafe {
            self.store(lanes.as_mut_ptr());
            for i in 0..count {
                *p.add(i * stride) = lanes[i];
            }
        }
    }
    /// The lanes below `split` from `first..`, the others from `second..`, as if both began with
    /// lane 0; elements of the lanes that are not taken need not exist.
    unsafe fn load_split(first: *const Self::Elem, second: *const Self::Elem, split: usize)
    -> Self;
    /// Of two values, each with a tag, the greater and its tag: the first if they are equal, NaN if one
    /// of them is NaN, the first if both are.
    unsafe fn first_max(a: [Self; 2], b: [Self; 2]) -> [Self; 2];
    /// The greatest of each square of two by two elements, of those at `upper..upper + 2 * LANES` above those
    /// at `lower`, and which it is, row by row, if `TAGS`: the first of equal ones and of NaN.
    #[inline(always)]
    unsafe fn greatest<const TAGS: bool>(
        upper: *const Self::Elem,
        lower: *const Self::Elem,
    ) -> [Self; 2] {
        // SAFETY: that of the caller.
        unsafe { pool::greatest::<Self, TAGS>(Self::load_by_2(upper), Self::load_by_2(lower)) }
    }
    /// Writes `p..p + count` from the first lanes, which hold whole numbers from 0 to 127; `count <=
    /// LANES`.
    unsafe fn store_bytes(self, p: *mut u8, count: usize);
    /// The bytes at `p..p + count` as numbers, 0 in the lanes beyond; `count <= LANES`.
    #[inline(always)]
    unsafe fn load_bytes(p: *const u8, count: usize) -> Self {
        let mut lanes = [Self::Elem::default(); MAX_LANES];
        // SAFETY: that of the caller; the array has `MAX_LANES` elements.
        unsafe {
            for (i, lane) in lanes.iter_mut().enumerate().take(count) {
                *lane = Self::Elem::from_usize(usize::from(*p.add(i)));
            }
            Self::load(lanes.as_ptr())
        }
    }
    /// The lanes in which `y` is above 0 or NaN, 0 in the others.
    unsafe fn where_active(self, y: Self) -> Self;
    /// The lanes in which `a` equals `b`, 0 in the others.
    unsafe fn where_equal(self, a: Self, b: Self) -> Self;
    /// The sum of all lanes, by halves.
    #[inline(always)]
    unsafe fn total(self) -> Self::Elem {
        let mut lanes = [Self::Elem::default(); MAX_LANES];
        // SAFETY: that of the caller; the array has `MAX_LANES` elements.
        unsafe { self.store(lanes.as_mut_ptr()) };
        let mut half = Self::LANES / 2;
        while half > 0 {
            for i in 0..half {
                let other = lanes[i + half];
                lanes[i] += other;
            }
            half /= 2;
        }
        lanes[0]
    }
    /// Asks for the line of the cache at `p`, which need not exist.
    fn prefetch(p: *const Self::Elem) {
        let _ = p;
    }
    /// As [`prefetch`](Vector::prefetch), to be written.
    fn prefetch_to_write(p: *mut Self::Elem) {
        let _ = p;
    }
}
