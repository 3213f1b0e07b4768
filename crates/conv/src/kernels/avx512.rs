//! AVX-512F: 16 elements of f32.

use std::arch::x86_64::*;

use super::vector::Vector;

/// 16 elements of f32.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct F32x16(__m512);

/// The first `count` of 16 lanes.
#[inline(always)]
fn first(count: usize) -> __mmask16 {
    debug_assert!(count <= 16);
    ((1_u32 << count) - 1) as __mmask16
}

impl Vector for F32x16 {
    type Elem = f32;
    type Mask = __mmask16;
    const LANES: usize = 16;
    const REGISTERS: usize = 32;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the caller guarantees AVX-512F.
        unsafe { Self(_mm512_set1_ps(x)) }
    }

    #[inline(always)]
    unsafe fn splat_pair(p: *const f32) -> Self {
        // SAFETY: the caller guarantees AVX-512F and two readable elements; any alignment will do.
        unsafe { Self(_mm512_castpd_ps(_mm512_set1_pd(p.cast::<f64>().read_unaligned()))) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller guarantees AVX-512F and 16 readable elements; any alignment will do.
        unsafe { Self(_mm512_loadu_ps(p)) }
    }

    #[inline(always)]
    unsafe fn load_first(p: *const f32, count: usize) -> Self {
        // SAFETY: the caller guarantees AVX-512F and `count` readable elements; lanes that are
        // masked off are not read.
        unsafe { Self(_mm512_maskz_loadu_ps(first(count), p)) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller guarantees AVX-512F and 16 writable elements; any alignment will do.
        unsafe { _mm512_storeu_ps(p, self.0) }
    }

    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, count: usize) {
        // SAFETY: the caller guarantees AVX-512F and `count` writable elements; lanes that are
        // masked off are not written.
        unsafe { _mm512_mask_storeu_ps(p, first(count), self.0) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: the caller guarantees AVX-512F.
        unsafe { Self(_mm512_fmadd_ps(self.0, b.0, c.0)) }
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: the caller guarantees AVX-512F.
        unsafe { Self(_mm512_add_ps(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        // SAFETY: the caller guarantees AVX-512F.
        unsafe { Self(_mm512_sub_ps(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        // SAFETY: the caller guarantees AVX-512F.
        unsafe { Self(_mm512_mul_ps(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // The second operand is returned where one is NaN.
        // SAFETY: the caller guarantees AVX-512F.
        unsafe { Self(_mm512_max_ps(_mm512_setzero_ps(), self.0)) }
    }

    #[inline(always)]
    unsafe fn store_transposed(
        rows: &[Self; 16],
        count: usize,
        p: *mut f32,
        stride: usize,
        lanes: usize,
    ) {
        // SAFETY: the caller guarantees AVX-512F, and that the elements named are writable.
        unsafe {
            let mut r = [_mm512_setzero_ps(); 16];
            for i in 0..16 {
                r[i] = rows[i].0;
            }
            transpose(&mut r);
            let mask = first(count);
            if lanes == 16 {
                // A loop that can be unrolled: its registers need not go through memory.
                for l in 0..16 {
                    _mm512_mask_storeu_ps(p.add(l * stride), mask, r[l]);
                }
                return;
            }
            for (l, &r) in r.iter().enumerate().take(lanes) {
                _mm512_mask_storeu_ps(p.add(l * stride), mask, r);
            }
        }
    }

    #[inline(always)]
    unsafe fn mask(from: usize, to: usize) -> __mmask16 {
        first(to) & !first(from)
    }

    #[inline(always)]
    unsafe fn load_masked(p: *const f32, mask: __mmask16) -> Self {
        // SAFETY: the caller guarantees AVX-512F and readable elements in the lanes of the mask; the
        // others are masked off and not read.
        unsafe { Self(_mm512_maskz_loadu_ps(mask, p)) }
    }

    #[inline(always)]
    unsafe fn keep(self, mask: __mmask16) -> Self {
        // SAFETY: the caller guarantees AVX-512F.
        unsafe { Self(_mm512_maskz_mov_ps(mask, self.0)) }
    }

    #[inline(always)]
    unsafe fn unzip(self, b: Self) -> [Self; 2] {
        // SAFETY: the caller guarantees AVX-512F.
        unsafe {
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
            [
                Self(_mm512_permutex2var_ps(self.0, even, b.0)),
                Self(_mm512_permutex2var_ps(self.0, odd, b.0)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn store_by_2([a, b]: [Self; 2], p: *mut f32) {
        // SAFETY: the caller guarantees AVX-512F and 32 writable elements.
        unsafe {
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high =
                _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
            _mm512_storeu_ps(p, _mm512_permutex2var_ps(a.0, low, b.0));
            _mm512_storeu_ps(p.add(16), _mm512_permutex2var_ps(a.0, high, b.0));
        }
    }

    #[inline(always)]
    unsafe fn load_by_4(p: *const f32) -> [Self; 4] {
        // SAFETY: the caller guarantees AVX-512F and 64 readable elements.
        unsafe {
            let v = [0, 16, 32, 48].map(|i| _mm512_loadu_ps(p.add(i)));
            // Of two vectors: the elements 0 and 1 of each four, then 2 and 3.
            let low = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
            let high =
                _mm512_setr_epi32(2, 6, 10, 14, 18, 22, 26, 30, 3, 7, 11, 15, 19, 23, 27, 31);
            let a = _mm512_permutex2var_ps(v[0], low, v[1]);
            let b = _mm512_permutex2var_ps(v[2], low, v[3]);
            let c = _mm512_permutex2var_ps(v[0], high, v[1]);
            let d = _mm512_permutex2var_ps(v[2], high, v[3]);
            [
                Self(_mm512_shuffle_f32x4::<0x44>(a, b)),
                Self(_mm512_shuffle_f32x4::<0xee>(a, b)),
                Self(_mm512_shuffle_f32x4::<0x44>(c, d)),
                Self(_mm512_shuffle_f32x4::<0xee>(c, d)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn store_by_4([a, b, c, d]: [Self; 4], p: *mut f32) {
        // SAFETY: the caller guarantees AVX-512F and 64 writable elements.
        unsafe {
            // The inverse of `load_by_4`: first halves, then second halves of two vectors.
            let halves = |a: Self, b: Self| {
                (_mm512_shuffle_f32x4::<0x44>(a.0, b.0), _mm512_shuffle_f32x4::<0xee>(a.0, b.0))
            };
            let ((ab_low, ab_high), (cd_low, cd_high)) = (halves(a, b), halves(c, d));
            // Lanes 0 to 3 of each four: a, b, c, d of one position.
            let even = _mm512_setr_epi32(0, 8, 16, 24, 1, 9, 17, 25, 2, 10, 18, 26, 3, 11, 19, 27);
            let odd = _mm512_setr_epi32(4, 12, 20, 28, 5, 13, 21, 29, 6, 14, 22, 30, 7, 15, 23, 31);
            _mm512_storeu_ps(p, _mm512_permutex2var_ps(ab_low, even, cd_low));
            _mm512_storeu_ps(p.add(16), _mm512_permutex2var_ps(ab_low, odd, cd_low));
            _mm512_storeu_ps(p.add(32), _mm512_permutex2var_ps(ab_high, even, cd_high));
            _mm512_storeu_ps(p.add(48), _mm512_permutex2var_ps(ab_high, odd, cd_high));
        }
    }

    #[inline(always)]
    unsafe fn load_by_any<const N: usize>(p: *const f32) -> [Self; N] {
        // SAFETY: the caller guarantees AVX-512F and `16 * N` readable elements.
        unsafe {
            let mut vectors = [Self(_mm512_setzero_ps()); N];
            for part in 0..N {
                let v = _mm512_loadu_ps(p.add(16 * part));
                for k in 0..N {
                    let lanes = _mm512_loadu_si512(By::<N>::PICKED[k].as_ptr().cast());
                    let taken = By::<N>::PICKED_FROM[k][part];
                    vectors[k].0 = _mm512_mask_permutexvar_ps(vectors[k].0, taken, lanes, v);
                }
            }
            vectors
        }
    }

    #[inline(always)]
    unsafe fn store_by_any<const N: usize>(vectors: [Self; N], p: *mut f32) {
        // SAFETY: the caller guarantees AVX-512F and `16 * N` writable elements.
        unsafe {
            for part in 0..N {
                let lanes = _mm512_loadu_si512(By::<N>::DEALT[part].as_ptr().cast());
                let mut v = _mm512_setzero_ps();
                for k in 0..N {
                    let taken = By::<N>::DEALT_FROM[part][k];
                    v = _mm512_mask_permutexvar_ps(v, taken, lanes, vectors[k].0);
                }
                _mm512_storeu_ps(p.add(16 * part), v);
            }
        }
    }

    #[inline(always)]
    unsafe fn load_split(first_p: *const f32, second: *const f32, split: usize) -> Self {
        // SAFETY: the caller guarantees AVX-512F and readable elements in the lanes taken of each;
        // the others are masked off and not read.
        unsafe {
            let mask = first(split);
            let low = _mm512_maskz_loadu_ps(mask, first_p);
            Self(_mm512_mask_loadu_ps(low, !mask, second))
        }
    }

    #[inline(always)]
    unsafe fn first_max([a, a_tag]: [Self; 2], [b, b_tag]: [Self; 2]) -> [Self; 2] {
        // SAFETY: the caller guarantees AVX-512F.
        unsafe {
            // Not `b <= a`, which NaN in `b` makes true, where `a` is a number.
            let number = _mm512_cmp_ps_mask::<_CMP_ORD_Q>(a.0, a.0);
            let second = _mm512_mask_cmp_ps_mask::<_CMP_NLE_UQ>(number, b.0, a.0);
            [
                Self(_mm512_mask_blend_ps(second, a.0, b.0)),
                Self(_mm512_mask_blend_ps(second, a_tag.0, b_tag.0)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, p: *mut u8, count: usize) {
        // SAFETY: the caller guarantees AVX-512 with F, BW and VL, which the table asks for, and `count`
        // writable bytes; lanes that are masked off are not written.
        unsafe {
            let bytes = _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(self.0));
            _mm_mask_storeu_epi8(p.cast(), first(count), bytes);
        }
    }

    #[inline(always)]
    unsafe fn load_bytes(p: *const u8, count: usize) -> Self {
        // SAFETY: the caller guarantees AVX-512 with F, BW and VL, which the table asks for, and `count`
        // readable bytes; lanes that are masked off are not read.
        unsafe {
            let bytes = _mm_maskz_loadu_epi8(first(count), p.cast());
            Self(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)))
        }
    }

    #[inline(always)]
    unsafe fn where_active(self, y: Self) -> Self {
        // SAFETY: the caller guarantees AVX-512F.
        unsafe {
            let active = _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(y.0, _mm512_setzero_ps());
            Self(_mm512_maskz_mov_ps(active, self.0))
        }
    }

    #[inline(always)]
    unsafe fn where_equal(self, a: Self, b: Self) -> Self {
        // SAFETY: the caller guarantees AVX-512F.
        unsafe { Self(_mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a.0, b.0), self.0)) }
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

/// The transpose of a 16x16 matrix, in four rounds of 16 shuffles.
#[inline(always)]
unsafe fn transpose(r: &mut [__m512; 16]) {
    // SAFETY: the caller guarantees AVX-512F.
    unsafe {
        // Pairs of rows, then fours: a 4x4 transpose within each of the four 128-bit lanes.
        let mut t = [_mm512_setzero_ps(); 16];
        for i in 0..8 {
            t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
            t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
        }
        for i in 0..4 {
            let [a, b, c, d] =
                [t[4 * i], t[4 * i + 1], t[4 * i + 2], t[4 * i + 3]].map(|v| _mm512_castps_pd(v));
            r[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
            r[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
            r[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
            r[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
        }
        // Then the 128-bit lanes: r[4 i + j] holds columns j, 4 + j, 8 + j, 12 + j of rows 4 i..4 i + 4.
        for j in 0..4 {
            t[j] = _mm512_shuffle_f32x4::<0x88>(r[j], r[4 + j]);
            t[4 + j] = _mm512_shuffle_f32x4::<0xdd>(r[j], r[4 + j]);
            t[8 + j] = _mm512_shuffle_f32x4::<0x88>(r[8 + j], r[12 + j]);
            t[12 + j] = _mm512_shuffle_f32x4::<0xdd>(r[8 + j], r[12 + j]);
        }
        for j in 0..4 {
            r[j] = _mm512_shuffle_f32x4::<0x88>(t[j], t[8 + j]);
            r[8 + j] = _mm512_shuffle_f32x4::<0xdd>(t[j], t[8 + j]);
            r[4 + j] = _mm512_shuffle_f32x4::<0x88>(t[4 + j], t[12 + j]);
            r[12 + j] = _mm512_shuffle_f32x4::<0xdd>(t[4 + j], t[12 + j]);
        }
    }
}

/// Which lanes go where when every `N`th element of `N` registers is picked, and back.
struct By<const N: usize>;

impl<const N: usize> By<N> {
    /// The lane of each element that is picked into register `k`,
    const PICKED: [[i32; 16]; N] = Self::lanes(true);
    /// and which of them come from each register.
    const PICKED_FROM: [[__mmask16; N]; N] = Self::masks(true);
    /// The lane of each element of part `k` of what is stored,
    const DEALT: [[i32; 16]; N] = Self::lanes(false);
    /// and which of them come from each register.
    const DEALT_FROM: [[__mmask16; N]; N] = Self::masks(false);

    /// The register and lane from which lane `i` of register `k` comes.
    const fn place(k: usize, i: usize, picked: bool) -> (usize, usize) {
        if picked {
            ((N * i + k) / 16, (N * i + k) % 16)
        } else {
            ((16 * k + i) % N, (16 * k + i) / N)
        }
    }

    const fn lanes(picked: bool) -> [[i32; 16]; N] {
        let mut lanes = [[0; 16]; N];
        let mut at = 0;
        while at < 16 * N {
            lanes[at / 16][at % 16] = Self::place(at / 16, at % 16, picked).1 as i32;
            at += 1;
        }
        lanes
    }

    const fn masks(picked: bool) -> [[__mmask16; N]; N] {
        let mut masks = [[0; N]; N];
        let mut at = 0;
        while at < 16 * N {
            masks[at / 16][Self::place(at / 16, at % 16, picked).0] |= 1 << (at % 16);
            at += 1;
        }
        masks
    }
}
