//! The transforms of the forms along one dimension.

use super::super::vector::Vector;
use tensor4::Scalar;

/// The transforms on `IN` points, the last of which is infinity: tiles of `OUT` pixels under `R` taps,
/// `OUT + R = IN + 1`.
///
/// A tile is a product of two polynomials (Toom and Cook) read the other way round: `G` evaluates the
/// taps at the points, each over the product of its distances to the others; `A^T` has the powers of
/// the points; `B^T` depends on the points alone, however many of the pixels are taps.
///
/// # Safety
///
/// Every function needs the instruction set of `V`.
pub(crate) trait Points<const IN: usize> {
    /// `B^T d`.
    unsafe fn input<V: Vector>(d: [V; IN]) -> [V; IN];
    /// `A^T m`.
    unsafe fn output<V: Vector, const OUT: usize>(m: [V; IN]) -> [V; OUT];
    /// `G g`.
    unsafe fn filter<V: Vector, const R: usize>(g: [V; R]) -> [V; IN];
    /// `A y`.
    unsafe fn output_grad<V: Vector, const OUT: usize>(y: [V; OUT]) -> [V; IN];
    /// `G^T u`.
    unsafe fn filter_grad<V: Vector, const R: usize>(u: [V; IN]) -> [V; R];
}

/// The points {0, ±√2/2, ±√2, ∞}: with a = √2/2 and b = √2, and for three taps,
///
/// ```text
///       | 1   0   -5/2  0   1  0 |       |  1      0      0    |        | 1  1   1    1    1   0 |
///       | 0  -b    -2   a   1  0 |       | -2/3  -2a/3   -1/3  |        | 0  a  -a    b   -b   0 |
/// B^T = | 0   b    -2  -a   1  0 |   G = | -2/3   2a/3   -1/3  |  A^T = | 0 1/2 1/2   2    2   0 |
///       | 0  -a   -1/2  b   1  0 |       |  1/6   b/6     1/3  |        | 0 a/2 -a/2  2b  -2b  1 |
///       | 0   a   -1/2 -b   1  0 |       |  1/6  -b/6     1/3  |
///       | 0   1     0 -5/2  0  1 |       |  0      0      1    |
/// ```
pub(crate) struct Six;

/// The points {0, ±1, ∞}, for three taps:
///
/// ```text
///       | 1  0 -1  0 |       |  1    0    0  |        | 1  1  1  0 |
/// B^T = | 0  1  1  0 |   G = | 1/2  1/2  1/2 |  A^T = | 0  1 -1 -1 |
///       | 0 -1  1  0 |       | 1/2 -1/2  1/2 |
///       | 0  1  0 -1 |       |  0    0    1  |
/// ```
pub(crate) struct Four;

const A: f64 = std::f64::consts::FRAC_1_SQRT_2;
const B: f64 = std::f64::consts::SQRT_2;

#[inline(always)]
unsafe fn splat<V: Vector>(x: f64) -> V {
    // SAFETY: the caller guarantees the CPU.
    unsafe { V::splat(V::Elem::from_f64(x)) }
}

/// The even and the odd part of a polynomial at a point, times a factor.
#[inline(always)]
unsafe fn parts<V: Vector, const R: usize>(g: [V; R], point: f64, factor: f64) -> [V; 2] {
    let mut power = factor;
    // SAFETY: the caller guarantees the CPU.
    unsafe {
        let mut parts = [splat(0.0); 2];
        for i in 0..R {
            parts[i % 2] = match i {
                0 | 1 => g[i].mul(splat(power)),
                _ => g[i].mul_add(splat(power), parts[i % 2]),
            };
            power *= point;
        }
        parts
    }
}

impl Points<6> for Six {
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
    unsafe fn output<V: Vector, const OUT: usize>([m0, m1, m2, m3, m4, m5]: [V; 6]) -> [V; OUT] {
        // SAFETY: the caller guarantees the CPU.
        unsafe {
            let (a, b) = ([m1.add(m2), m1.sub(m2)], [m3.add(m4), m3.sub(m4)]);
            let mut y = [m0.add(a[0]).add(b[0]); OUT];
            let mut powers = (A, B);
            for i in 1..OUT {
                // What is multiplied by 1 where it is the last pixel.
                let first = a[i % 2];
                let first = if i + 1 == OUT {
                    first.mul_add(splat(powers.0), m5)
                } else {
                    first.mul(splat(powers.0))
                };
                y[i] = b[i % 2].mul_add(splat(powers.1), first);
                powers = (powers.0 * A, powers.1 * B);
            }
            y
        }
    }

    #[inline(always)]
    unsafe fn filter<V: Vector, const R: usize>(g: [V; R]) -> [V; 6] {
        // SAFETY: the caller guarantees the CPU.
        unsafe {
            let [even, odd] = parts(g, A, -2.0 / 3.0);
            let [even_b, odd_b] = parts(g, B, 1.0 / 6.0);
            [g[0], even.add(odd), even.sub(odd), even_b.add(odd_b), even_b.sub(odd_b), g[R - 1]]
        }
    }

    #[inline(always)]
    unsafe fn output_grad<V: Vector, const OUT: usize>(y: [V; OUT]) -> [V; 6] {
        // SAFETY: the caller guarantees the CPU.
        unsafe {
            let [even, odd] = parts(y, A, 1.0);
            let [even_b, odd_b] = parts(y, B, 1.0);
            [y[0], even.add(odd), even.sub(odd), even_b.add(odd_b), even_b.sub(odd_b), y[OUT - 1]]
        }
    }

    #[inline(always)]
    unsafe fn filter_grad<V: Vector, const R: usize>([u0, u1, u2, u3, u4, u5]: [V; 6]) -> [V; R] {
        // SAFETY: the caller guarantees the CPU.
        unsafe {
            let (a, b) = ([u1.add(u2), u1.sub(u2)], [u3.add(u4), u3.sub(u4)]);
            let mut g = [u0; R];
            let mut powers = (-2.0 / 3.0, 1.0 / 6.0);
            for i in 0..R {
                let first = a[i % 2];
                let first = match i {
                    0 => first.mul_add(splat(powers.0), u0),
                    _ if i + 1 == R => first.mul_add(splat(powers.0), u5),
                    _ => first.mul(splat(powers.0)),
                };
                g[i] = b[i % 2].mul_add(splat(powers.1), first);
                powers = (powers.0 * A, powers.1 * B);
            }
            g
        }
    }
}

impl Points<4> for Four {
    #[inline(always)]
    unsafe fn input<V: Vector>([d0, d1, d2, d3]: [V; 4]) -> [V; 4] {
        // SAFETY: the caller guarantees the CPU.
        unsafe { [d0.sub(d2), d1.add(d2), d2.sub(d1), d1.sub(d3)] }
    }

    #[inline(always)]
    unsafe fn output<V: Vector, const OUT: usize>([m0, m1, m2, m3]: [V; 4]) -> [V; OUT] {
        // SAFETY: the caller guarantees the CPU.
        unsafe {
            let parts = [m1.add(m2), m1.sub(m2)];
            let mut y = [m0.add(parts[0]); OUT];
            for i in 1..OUT {
                // The row of infinity in `B^T` has its sign turned.
                y[i] = if i + 1 == OUT { parts[i % 2].sub(m3) } else { parts[i % 2] };
            }
            y
        }
    }

    #[inline(always)]
    unsafe fn filter<V: Vector, const R: usize>(g: [V; R]) -> [V; 4] {
        // SAFETY: the caller guarantees the CPU.
        unsafe {
            let [even, odd] = parts(g, 1.0, 0.5);
            [g[0], even.add(odd), even.sub(odd), g[R - 1]]
        }
    }

    #[inline(always)]
    unsafe fn output_grad<V: Vector, const OUT: usize>(y: [V; OUT]) -> [V; 4] {
        // SAFETY: the caller guarantees the CPU.
        unsafe {
            let [even, odd] = parts(y, 1.0, 1.0);
            [y[0], even.add(odd), even.sub(odd), splat::<V>(0.0).sub(y[OUT - 1])]
        }
    }

    #[inline(always)]
    unsafe fn filter_grad<V: Vector, const R: usize>([u0, u1, u2, u3]: [V; 4]) -> [V; R] {
        // SAFETY: the caller guarantees the CPU.
        unsafe {
            let parts = [u1.add(u2), u1.sub(u2)].map(|part| part.mul(splat(0.5)));
            let mut g = [u0; R];
            for i in 0..R {
                g[i] = match i {
                    0 => u0.add(parts[0]),
                    _ if i + 1 == R => u3.add(parts[i % 2]),
                    _ => parts[i % 2],
                };
            }
            g
        }
    }
}

/// The pixels of `LANES` tiles: of tile `i` the first `OUT` from `from[0] + OUT * i` on, the next from
/// `from[1] + OUT * i` on, and so forth. Reads `OUT * LANES` elements of each.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, and the elements exist.
#[inline(always)]
pub(super) unsafe fn gather<V: Vector, const OUT: usize, const IN: usize>(
    from: &[*const V::Elem],
) -> [V; IN] {
    // SAFETY: that of the caller.
    unsafe {
        let mut d = [V::splat(V::Elem::default()); IN];
        for run in 0..IN.div_ceil(OUT) {
            let pixels = V::load_by::<OUT>(from[run]);
            for i in 0..OUT.min(IN - run * OUT) {
                d[run * OUT + i] = pixels[i];
            }
        }
        d
    }
}
