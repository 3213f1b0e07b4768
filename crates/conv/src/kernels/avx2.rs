//! AVX2 with FMA: 8 elements of f32.

use std::arch::x86_64::*;

use super::pool;
use super::vector::Vector;

/// 8 elements of f32.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct F32x8(__m256);

/// A mask of the first `count` of 8 lanes, for the masked loads and stores of AVX.
#[inline(always)]
unsafe fn first(count: usize) -> __m256i {
    const MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    debug_assert!(count <= 8);
    // SAFETY: the caller guarantees AVX and `count <= 8`, so that 8 elements from `8 - count` on lie
    // within the 16.
    unsafe { _mm256_loadu_si256(MASKS.as_ptr().add(8 - count).cast()) }
}

impl Vector for F32x8 {
    type Elem = f32;
    type Mask = __m256i;
    const LANES: usize = 8;
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the caller guarantees AVX2 and FMA, here and below.
        unsafe { Self(_mm256_set1_ps(x)) }
    }

    #[inline(always)]
    unsafe fn splat_pair(p: *const f32) -> Self {
        // SAFETY: the caller guarantees AVX2 and two readable elements; any alignment will do.
        unsafe { Self(_mm256_castpd_ps(_mm256_set1_pd(p.cast::<f64>().read_unaligned()))) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller guarantees 8 readable elements; any alignment will do.
        unsafe { Self(_mm256_loadu_ps(p)) }
    }

    #[inline(always)]
    unsafe fn load_first(p: *const f32, count: usize) -> Self {
        // SAFETY: the caller guarantees `count` readable elements; lanes that are masked off are
        // not read.
        unsafe { Self(_mm256_maskload_ps(p, first(count))) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller guarantees 8 writable elements; any alignment will do.
        unsafe { _mm256_storeu_ps(p, self.0) }
    }

    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, count: usize) {
        // Not by a mask: AMD's CPUs take a dozen cycles and dozens of micro-operations for such a store.
        // SAFETY: the caller guarantees AVX2 and `count` writable elements, at most 8; they are written
        // by fours, twos and ones, and no other is.
        unsafe {
            if count == 8 {
                return _mm256_storeu_ps(p, self.0);
            }
            let (mut p, mut rest) = (p, _mm256_castps256_ps128(self.0));
            if count & 4 != 0 {
                _mm_storeu_ps(p, rest);
                (p, rest) = (p.add(4), _mm256_extractf128_ps::<1>(self.0));
            }
            if count & 2 != 0 {
                _mm_storel_pd(p.cast(), _mm_castps_pd(rest));
                (p, rest) = (p.add(2), _mm_movehl_ps(rest, rest));
            }
            if count & 1 != 0 {
                _mm_store_ss(p, rest);
            }
        }
    }

    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: the caller guarantees AVX2 and FMA.
        unsafe { Self(_mm256_fmadd_ps(self.0, b.0, c.0)) }
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: the caller guarantees AVX2 and FMA.
        unsafe { Self(_mm256_add_ps(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        // SAFETY: the caller guarantees AVX2 and FMA.
        unsafe { Self(_mm256_sub_ps(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        // SAFETY: the caller guarantees AVX2 and FMA.
        unsafe { Self(_mm256_mul_ps(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // The second operand is returned where one is NaN.
        // SAFETY: the caller guarantees AVX2 and FMA.
        unsafe { Self(_mm256_max_ps(_mm256_setzero_ps(), self.0)) }
    }

    #[inline(always)]
    unsafe fn store_transposed(
        rows: &[Self; 16],
        count: usize,
        p: *mut f32,
        stride: usize,
        lanes: usize,
    ) {
        // SAFETY: the caller guarantees AVX2 and FMA, and that the elements named are writable.
        unsafe {
            let mut r = [_mm256_setzero_ps(); 8];
            for i in 0..8 {
                r[i] = rows[i].0;
            }
            transpose(&mut r);
            if lanes == 8 && count == 8 {
                // A loop that can be unrolled: its registers need not go through memory.
                for l in 0..8 {
                    _mm256_storeu_ps(p.add(l * stride), r[l]);
                }
                return;
            }
            for l in 0..8 {
                if l < lanes {
                    Self(r[l]).store_first(p.add(l * stride), count);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn mask(from: usize, to: usize) -> __m256i {
        // SAFETY: the caller guarantees AVX2 and lanes that exist.
        unsafe { _mm256_andnot_si256(first(from), first(to)) }
    }

    #[inline(always)]
    unsafe fn load_masked(p: *const f32, mask: __m256i) -> Self {
        // SAFETY: the caller guarantees AVX2 and readable elements in the lanes of the mask; the
        // others are masked off and not read.
        unsafe { Self(_mm256_maskload_ps(p, mask)) }
    }

    #[inline(always)]
    unsafe fn keep(self, mask: __m256i) -> Self {
        // SAFETY: the caller guarantees AVX2.
        unsafe { Self(_mm256_and_ps(self.0, _mm256_castsi256_ps(mask))) }
    }

    #[inline(always)]
    unsafe fn unzip(self, b: Self) -> [Self; 2] {
        // SAFETY: the caller guarantees AVX2.
        unsafe {
            // Within 128-bit lanes first, so that pairs of `self` and `b` take turns.
            let even = _mm256_shuffle_ps::<0x88>(self.0, b.0);
            let odd = _mm256_shuffle_ps::<0xdd>(self.0, b.0);
            let even = _mm256_permute4x64_pd::<0xd8>(_mm256_castps_pd(even));
            let odd = _mm256_permute4x64_pd::<0xd8>(_mm256_castps_pd(odd));
            [Self(_mm256_castpd_ps(even)), Self(_mm256_castpd_ps(odd))]
        }
    }

    #[inline(always)]
    unsafe fn store_by_2([a, b]: [Self; 2], p: *mut f32) {
        // SAFETY: the caller guarantees AVX2 and 16 writable elements.
        unsafe {
            let (low, high) = (_mm256_unpacklo_ps(a.0, b.0), _mm256_unpackhi_ps(a.0, b.0));
            _mm256_storeu_ps(p, _mm256_permute2f128_ps::<0x20>(low, high));
            _mm256_storeu_ps(p.add(8), _mm256_permute2f128_ps::<0x31>(low, high));
        }
    }

    #[inline(always)]
    unsafe fn load_by_4(p: *const f32) -> [Self; 4] {
        // SAFETY: the caller guarantees AVX2 and 32 readable elements.
        unsafe {
            // Halves of 4 elements, so that a 4x4 transpose within each 128-bit lane leaves the
            // elements in order: lane 0 has elements 0 to 15, lane 1 has 16 to 31.
            let half = |i: usize| {
                let low = _mm256_castps128_ps256(_mm_loadu_ps(p.add(4 * i)));
                _mm256_insertf128_ps::<1>(low, _mm_loadu_ps(p.add(16 + 4 * i)))
            };
            let (a, b, c, d) = (half(0), half(1), half(2), half(3));
            transpose_4x4(a, b, c, d).map(Self)
        }
    }

    #[inline(always)]
    unsafe fn store_by_4([a, b, c, d]: [Self; 4], p: *mut f32) {
        // SAFETY: the caller guarantees AVX2 and 32 writable elements.
        unsafe {
            let rows = transpose_4x4(a.0, b.0, c.0, d.0);
            for (i, row) in rows.into_iter().enumerate() {
                _mm_storeu_ps(p.add(4 * i), _mm256_castps256_ps128(row));
                _mm_storeu_ps(p.add(16 + 4 * i), _mm256_extractf128_ps::<1>(row));
            }
        }
    }

    #[inline(always)]
    unsafe fn load_split(first_p: *const f32, second: *const f32, split: usize) -> Self {
        // SAFETY: the caller guarantees AVX2 and readable elements in the lanes taken of each; the
        // others are masked off and not read.
        unsafe {
            let mask = first(split);
            let low = _mm256_maskload_ps(first_p, mask);
            let all = _mm256_set1_epi32(-1);
            let high = _mm256_maskload_ps(second, _mm256_andnot_si256(mask, all));
            Self(_mm256_or_ps(low, high))
        }
    }

    #[inline(always)]
    unsafe fn first_max([a, a_tag]: [Self; 2], [b, b_tag]: [Self; 2]) -> [Self; 2] {
        // SAFETY: the caller guarantees AVX2.
        unsafe {
            // Not `b <= a`, which NaN in `b` makes true, where `a` is a number.
            let number = _mm256_cmp_ps::<_CMP_ORD_Q>(a.0, a.0);
            let second = _mm256_and_ps(number, _mm256_cmp_ps::<_CMP_NLE_UQ>(b.0, a.0));
            [
                Self(_mm256_blendv_ps(a.0, b.0, second)),
                Self(_mm256_blendv_ps(a_tag.0, b_tag.0, second)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn greatest<const TAGS: bool>(upper: *const f32, lower: *const f32) -> [Self; 2] {
        // SAFETY: the caller guarantees AVX2 and 16 readable elements of both.
        unsafe {
            // Pairs of the two registers take turns: they are brought in order at the end.
            let load = |p: *const f32| {
                let (near, far) = (_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8)));
                (_mm256_shuffle_ps::<0x88>(near, far), _mm256_shuffle_ps::<0xdd>(near, far))
            };
            let in_order = |v| {
                let v = _mm256_permute4x64_pd::<0xd8>(_mm256_castps_pd(v));
                Self(_mm256_castpd_ps(v))
            };
            let ((a, b), (c, d)) = (load(upper), load(lower));
            let nan = _mm256_or_ps(
                _mm256_cmp_ps::<_CMP_UNORD_Q>(a, b),
                _mm256_cmp_ps::<_CMP_UNORD_Q>(c, d),
            );
            if _mm256_movemask_ps(nan) != 0 {
                return pool::greatest::<Self, TAGS>(
                    Self::load_by_2(upper),
                    Self::load_by_2(lower),
                );
            }
            // The second operand is returned where both are equal.
            let (above, below) = (_mm256_max_ps(b, a), _mm256_max_ps(d, c));
            let max = in_order(_mm256_max_ps(below, above));
            if !TAGS {
                return [max; 2];
            }
            let lower = _mm256_cmp_ps::<_CMP_GT_OQ>(below, above);
            let right = _mm256_blendv_ps(
                _mm256_cmp_ps::<_CMP_GT_OQ>(b, a),
                _mm256_cmp_ps::<_CMP_GT_OQ>(d, c),
                lower,
            );
            let right = _mm256_and_ps(right, _mm256_set1_ps(1.0));
            let tags = _mm256_add_ps(_mm256_and_ps(lower, _mm256_set1_ps(2.0)), right);
            [max, in_order(tags)]
        }
    }

    #[inline(always)]
    unsafe fn load_bytes(p: *const u8, count: usize) -> Self {
        let mut bytes = [0; 8];
        // SAFETY: the caller guarantees AVX2 and `count` readable bytes, at most 8; no other is read.
        unsafe {
            if count == 8 {
                bytes = p.cast::<[u8; 8]>().read_unaligned();
            } else {
                bytes.as_mut_ptr().copy_from_nonoverlapping(p, count);
            }
            let bytes = _mm_cvtsi64_si128(i64::from_ne_bytes(bytes));
            Self(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)))
        }
    }

    #[inline(always)]
    unsafe fn where_active(self, y: Self) -> Self {
        // SAFETY: the caller guarantees AVX2.
        unsafe {
            let active = _mm256_cmp_ps::<_CMP_NLE_UQ>(y.0, _mm256_setzero_ps());
            Self(_mm256_and_ps(self.0, active))
        }
    }

    #[inline(always)]
    unsafe fn where_equal(self, a: Self, b: Self) -> Self {
        // SAFETY: the caller guarantees AVX2.
        unsafe { Self(_mm256_and_ps(self.0, _mm256_cmp_ps::<_CMP_EQ_OQ>(a.0, b.0))) }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, p: *mut u8, count: usize) {
        // SAFETY: the caller guarantees AVX2 and `count` writable bytes, at most 8; no other is written.
        unsafe {
            let v = _mm256_cvttps_epi32(self.0);
            let (low, high) = (_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
            let words = _mm_packs_epi32(low, high);
            let bytes = _mm_cvtsi128_si64(_mm_packus_epi16(words, words)).to_ne_bytes();
            if count == 8 {
                p.cast::<[u8; 8]>().write_unaligned(bytes);
                return;
            }
            for (i, byte) in bytes.into_iter().enumerate().take(count) {
                *p.add(i) = byte;
            }
        }
    }

    #[inline(always)]
    fn prefetch(p: *const f32) {
        // SAFETY: a prefetch reads nothing that the program sees, and does not fault; SSE is part
        // of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    }

    #[inline(always)]
    fn prefetch_to_write(p: *mut f32) {
        // SAFETY: as above; a CPU that does not know the hint takes it for no operation.
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(p.cast_const().cast()) }
    }
}

/// The transposes of the 4x4 matrices in the two 128-bit lanes.
#[inline(always)]
unsafe fn transpose_4x4(a: __m256, b: __m256, c: __m256, d: __m256) -> [__m256; 4] {
    // SAFETY: the caller guarantees AVX.
    unsafe {
        let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        let (cd_low, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
        [
            _mm256_shuffle_ps::<0x44>(ab_low, cd_low),
            _mm256_shuffle_ps::<0xee>(ab_low, cd_low),
            _mm256_shuffle_ps::<0x44>(ab_high, cd_high),
            _mm256_shuffle_ps::<0xee>(ab_high, cd_high),
        ]
    }
}

/// The transpose of an 8x8 matrix, in three rounds of 8 shuffles.
#[inline(always)]
unsafe fn transpose(r: &mut [__m256; 8]) {
    // SAFETY: the caller guarantees AVX.
    unsafe {
        let low = transpose_4x4(r[0], r[1], r[2], r[3]);
        let high = transpose_4x4(r[4], r[5], r[6], r[7]);
        // Vector j holds columns j and 4 + j of four rows.
        for j in 0..4 {
            r[j] = _mm256_permute2f128_ps::<0x20>(low[j], high[j]);
            r[4 + j] = _mm256_permute2f128_ps::<0x31>(low[j], high[j]);
        }
    }
}
