//! The transforms of the forms along one dimension.

use super::super::vector::Vector;
use tensor4::Scalar;

/// The transforms of a form: input tiles of `IN` pixels, output tiles of `OUT = IN - 2`.
///
/// # Safety
///
/// Every function needs the instruction set of `V`; the pointers are valid for the elements named.
pub(crate) trait Transform<const OUT: usize, const IN: usize> {
    /// `B^T d`.
    unsafe fn input<V: Vector>(d: [V; IN]) -> [V; IN];
    /// `A^T m`.
    unsafe fn output<V: Vector>(m: [V; IN]) -> [V; OUT];
    /// `G g`.
    unsafe fn filter<V: Vector>(g: [V; 3]) -> [V; IN];
    /// The pixels of `LANES` tiles: of tile `i` the first `OUT` from `near + OUT * i` on, the others
    /// from `far + OUT * i` on. Reads `OUT * LANES` elements of both.
    unsafe fn gather<V: Vector>(near: *const V::Elem, far: *const V::Elem) -> [V; IN];
    /// Writes the pixels of `LANES` tiles: `OUT * LANES` elements, those of a tile side by side.
    unsafe fn scatter<V: Vector>(y: [V; OUT], p: *mut V::Elem);
}

/// F(4x4, 3x3) on the points {0, ±√2/2, ±√2, ∞}: with a = √2/2 and b = √2,
///
/// ```text
///       | 1   0   -5/2  0   1  0 |       |  1      0      0    |        | 1  1   1    1    1   0 |
///       | 0  -b    -2   a   1  0 |       | -2/3  -2a/3   -1/3  |        | 0  a  -a    b   -b   0 |
/// B^T = | 0   b    -2  -a   1  0 |   G = | -2/3   2a/3   -1/3  |  A^T = | 0 1/2 1/2   2    2   0 |
///       | 0  -a   -1/2  b   1  0 |       |  1/6   b/6     1/3  |        | 0 a/2 -a/2  2b  -2b  1 |
///       | 0   a   -1/2 -b   1  0 |       |  1/6  -b/6     1/3  |
///       | 0   1     0 -5/2  0  1 |       |  0      0      1    |
/// ```
pub(crate) struct Four;

/// F(2x2, 3x3) on the points {0, ±1, ∞}:
///
/// ```text
///       | 1  0 -1  0 |       |  1    0    0  |        | 1  1  1  0 |
/// B^T = | 0  1  1  0 |   G = | 1/2  1/2  1/2 |  A^T = | 0  1 -1 -1 |
///       | 0 -1  1  0 |       | 1/2 -1/2  1/2 |
///       | 0  1  0 -1 |       |  0    0    1  |
/// ```
pub(crate) struct Two;

const A: f64 = std::f64::consts::FRAC_1_SQRT_2;
const B: f64 = std::f64::consts::SQRT_2;

#[inline(always)]
unsafe fn splat<V: Vector>(x: f64) -> V {
    // SAFETY: the caller guarantees the CPU.
    unsafe { V::splat(V::Elem::from_f64(x)) }
}

impl Transform<4, 6> for Four {
    #[inline(always)]
    unsafe fn input<V: Vector>([d0, d1, d2, d3, d4, d5]: [V; 6]) -> [V; 6] {
        // SAFETY: the caller guarantees the CPU.
        unsafe {
            let even = d2.mul_add(splat(-2.0), d4);
            let odd = d1.mul_add(splat(-2.0), d3).mul(splat(A));
            let even_b = d2.mul_add(splat(-0.5), d4);
            let odd_b = d1.mul_add(splat(-0.5), d3).mul(splat(B));
            [
                d2.mul_add(splat(-2.5), d0.add(d4)),
                even.add(odd),
                even.sub(odd),
                even_b.add(odd_b),
                even_b.sub(odd_b),
                d3.mul_add(splat(-2.5), d1.add(d5)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn output<V: Vector>([m0, m1, m2, m3, m4, m5]: [V; 6]) -> [V; 4] {
        // SAFETY: the caller guarantees the CPU.
        unsafe {
            let (sum_a, dif_a) = (m1.add(m2), m1.sub(m2));
            let (sum_b, dif_b) = (m3.add(m4), m3.sub(m4));
            [
                m0.add(sum_a).add(sum_b),
                dif_b.mul_add(splat(B), dif_a.mul(splat(A))),
                sum_b.mul_add(splat(2.0), sum_a.mul(splat(0.5))),
                dif_b.mul_add(splat(2.0 * B), dif_a.mul_add(splat(0.5 * A), m5)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn filter<V: Vector>([g0, g1, g2]: [V; 3]) -> [V; 6] {
        // SAFETY: the caller guarantees the CPU.
        unsafe {
            let even = g2.mul_add(splat(-1.0 / 3.0), g0.mul(splat(-2.0 / 3.0)));
            let odd = g1.mul(splat(-2.0 / 3.0 * A));
            let even_b = g2.mul_add(splat(1.0 / 3.0), g0.mul(splat(1.0 / 6.0)));
            let odd_b = g1.mul(splat(B / 6.0));
            [g0, even.add(odd), even.sub(odd), even_b.add(odd_b), even_b.sub(odd_b), g2]
        }
    }

    #[inline(always)]
    unsafe fn gather<V: Vector>(near: *const V::Elem, far: *const V::Elem) -> [V; 6] {
        // SAFETY: the caller guarantees the CPU and the elements.
        unsafe {
            let [d0, d1, d2, d3] = V::load_by_4(near);
            let [d4, d5, ..] = V::load_by_4(far);
            [d0, d1, d2, d3, d4, d5]
        }
    }

    #[inline(always)]
    unsafe fn scatter<V: Vector>(y: [V; 4], p: *mut V::Elem) {
        // SAFETY: the caller guarantees the CPU and the elements.
        unsafe { V::store_by_4(y, p) }
    }
}

impl Transform<2, 4> for Two {
    #[inline(always)]
    unsafe fn input<V: Vector>([d0, d1, d2, d3]: [V; 4]) -> [V; 4] {
        // SAFETY: the caller guarantees the CPU.
        unsafe { [d0.sub(d2), d1.add(d2), d2.sub(d1), d1.sub(d3)] }
    }

    #[inline(always)]
    unsafe fn output<V: Vector>([m0, m1, m2, m3]: [V; 4]) -> [V; 2] {
        // SAFETY: the caller guarantees the CPU.
        unsafe { [m0.add(m1.add(m2)), m1.sub(m2).sub(m3)] }
    }

    #[inline(always)]
    unsafe fn filter<V: Vector>([g0, g1, g2]: [V; 3]) -> [V; 4] {
        // SAFETY: the caller guarantees the CPU.
        unsafe {
            let (even, odd) = (g0.add(g2).mul(splat(0.5)), g1.mul(splat(0.5)));
            [g0, even.add(odd), even.sub(odd), g2]
        }
    }

    #[inline(always)]
    unsafe fn gather<V: Vector>(near: *const V::Elem, far: *const V::Elem) -> [V; 4] {
        // SAFETY: the caller guarantees the CPU and the elements.
        unsafe {
            let ([d0, d1], [d2, d3]) = (V::load_by_2(near), V::load_by_2(far));
            [d0, d1, d2, d3]
        }
    }

    #[inline(always)]
    unsafe fn scatter<V: Vector>(y: [V; 2], p: *mut V::Elem) {
        // SAFETY: the caller guarantees the CPU and the elements.
        unsafe { V::store_by_2(y, p) }
    }
}
