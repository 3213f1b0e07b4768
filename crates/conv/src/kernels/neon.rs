//! NEON: 4 elements of f32.

use std::arch::aarch64::*;

use super::vector::Vector;

/// 4 elements of f32.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct F32x4(float32x4_t);

impl F32x4 {
    #[inline(always)]
    unsafe fn to_array(self) -> [f32; 4] {
        let mut array = [0.0; 4];
        // SAFETY: the caller guarantees NEON; the array has four elements.
        unsafe { vst1q_f32(array.as_mut_ptr(), self.0) };
        array
    }
}

impl Vector for F32x4 {
    type Elem = f32;
    type Mask = (usize, usize);
    const LANES: usize = 4;
    const REGISTERS: usize = 32;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the caller guarantees NEON, here and below.
        unsafe { Self(vdupq_n_f32(x)) }
    }

    #[inline(always)]
    unsafe fn splat_pair(p: *const f32) -> Self {
        // SAFETY: the caller guarantees NEON and two readable elements; any alignment will do.
        unsafe { Self(vreinterpretq_f32_f64(vdupq_n_f64(p.cast::<f64>().read_unaligned()))) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller guarantees four readable elements; any alignment will do.
        unsafe { Self(vld1q_f32(p)) }
    }

    #[inline(always)]
    unsafe fn load_first(p: *const f32, count: usize) -> Self {
        // SAFETY: the caller guarantees `count` readable elements; no other is read.
        let array =
            std::array::from_fn::<f32, 4, _>(
                |i| if i < count { unsafe { *p.add(i) } } else { 0.0 },
            );
        // SAFETY: the array has four elements.
        unsafe { Self(vld1q_f32(array.as_ptr())) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller guarantees four writable elements; any alignment will do.
        unsafe { vst1q_f32(p, self.0) }
    }

    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, count: usize) {
        // SAFETY: the caller guarantees NEON and `count` writable elements; no other is written.
        unsafe {
            for (i, x) in self.to_array().into_iter().enumerate().take(count) {
                *p.add(i) = x;
            }
        }
    }

    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: the caller guarantees NEON.
        unsafe { Self(vfmaq_f32(c.0, self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: the caller guarantees NEON.
        unsafe { Self(vaddq_f32(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        // SAFETY: the caller guarantees NEON.
        unsafe { Self(vsubq_f32(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        // SAFETY: the caller guarantees NEON.
        unsafe { Self(vmulq_f32(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // NaN in either operand gives NaN.
        // SAFETY: the caller guarantees NEON.
        unsafe { Self(vmaxq_f32(self.0, vdupq_n_f32(0.0))) }
    }

    #[inline(always)]
    unsafe fn store_transposed(
        rows: &[Self; 16],
        count: usize,
        p: *mut f32,
        stride: usize,
        lanes: usize,
    ) {
        // SAFETY: the caller guarantees NEON, and that the elements named are writable.
        unsafe {
            if count == 4 && lanes == 4 {
                let ab = vtrnq_f32(rows[0].0, rows[1].0);
                let cd = vtrnq_f32(rows[2].0, rows[3].0);
                let low = |a, b| vcombine_f32(vget_low_f32(a), vget_low_f32(b));
                let high = |a, b| vcombine_f32(vget_high_f32(a), vget_high_f32(b));
                vst1q_f32(p, low(ab.0, cd.0));
                vst1q_f32(p.add(stride), low(ab.1, cd.1));
                vst1q_f32(p.add(2 * stride), high(ab.0, cd.0));
                vst1q_f32(p.add(3 * stride), high(ab.1, cd.1));
                return;
            }
            for (r, row) in rows.iter().enumerate().take(count) {
                for (l, x) in row.to_array().into_iter().enumerate().take(lanes) {
                    *p.add(l * stride + r) = x;
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn mask(from: usize, to: usize) -> (usize, usize) {
        (from, to)
    }

    #[inline(always)]
    unsafe fn load_masked(p: *const f32, (from, to): (usize, usize)) -> Self {
        let array = std::array::from_fn::<f32, 4, _>(|i| {
            // SAFETY: the caller guarantees readable elements in the lanes of the mask.
            if (from..to).contains(&i) { unsafe { *p.wrapping_add(i) } } else { 0.0 }
        });
        // SAFETY: the array has four elements.
        unsafe { Self(vld1q_f32(array.as_ptr())) }
    }

    #[inline(always)]
    unsafe fn keep(self, mask: (usize, usize)) -> Self {
        // SAFETY: the caller guarantees NEON; an array has four elements.
        unsafe { Self::load_masked(self.to_array().as_ptr(), mask) }
    }

    #[inline(always)]
    unsafe fn unzip(self, b: Self) -> [Self; 2] {
        // SAFETY: the caller guarantees NEON.
        unsafe { [Self(vuzp1q_f32(self.0, b.0)), Self(vuzp2q_f32(self.0, b.0))] }
    }

    #[inline(always)]
    unsafe fn store_by_2([a, b]: [Self; 2], p: *mut f32) {
        // SAFETY: the caller guarantees NEON and 8 writable elements.
        unsafe { vst2q_f32(p, float32x4x2_t(a.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn load_by_4(p: *const f32) -> [Self; 4] {
        // SAFETY: the caller guarantees NEON and 16 readable elements.
        unsafe {
            let float32x4x4_t(a, b, c, d) = vld4q_f32(p);
            [Self(a), Self(b), Self(c), Self(d)]
        }
    }

    #[inline(always)]
    unsafe fn store_by_4([a, b, c, d]: [Self; 4], p: *mut f32) {
        // SAFETY: the caller guarantees NEON and 16 writable elements.
        unsafe { vst4q_f32(p, float32x4x4_t(a.0, b.0, c.0, d.0)) }
    }

    #[inline(always)]
    unsafe fn load_split(first: *const f32, second: *const f32, split: usize) -> Self {
        let array = std::array::from_fn::<f32, 4, _>(|i| {
            // SAFETY: the caller guarantees readable elements in the lanes taken of each.
            unsafe { if i < split { *first.add(i) } else { *second.wrapping_add(i) } }
        });
        // SAFETY: the array has four elements.
        unsafe { Self(vld1q_f32(array.as_ptr())) }
    }

    #[inline(always)]
    unsafe fn first_max([a, a_tag]: [Self; 2], [b, b_tag]: [Self; 2]) -> [Self; 2] {
        // SAFETY: the caller guarantees NEON.
        unsafe {
            // Not `b <= a`, which NaN in `b` makes true, where `a` is a number.
            let number = vceqq_f32(a.0, a.0);
            let second = vbicq_u32(number, vcleq_f32(b.0, a.0));
            [Self(vbslq_f32(second, b.0, a.0)), Self(vbslq_f32(second, b_tag.0, a_tag.0))]
        }
    }

    #[inline(always)]
    unsafe fn where_active(self, y: Self) -> Self {
        // SAFETY: the caller guarantees NEON.
        unsafe {
            let passive = vcleq_f32(y.0, vdupq_n_f32(0.0));
            Self(vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(self.0), passive)))
        }
    }

    #[inline(always)]
    unsafe fn where_equal(self, a: Self, b: Self) -> Self {
        // SAFETY: the caller guarantees NEON.
        unsafe {
            let kept = vandq_u32(vreinterpretq_u32_f32(self.0), vceqq_f32(a.0, b.0));
            Self(vreinterpretq_f32_u32(kept))
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, p: *mut u8, count: usize) {
        // SAFETY: the caller guarantees NEON and `count` writable bytes; no other is written.
        unsafe {
            for (i, x) in self.to_array().into_iter().enumerate().take(count) {
                *p.add(i) = x as u8;
            }
        }
    }
}
