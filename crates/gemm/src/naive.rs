//! The product as its definition has it, for reading and for testing.

use crate::product::check;
use crate::{GemmError, GemmScalar, MatMut, MatRef};

/// `C <- alpha A B + beta C` by three loops: `(M, K) x (K, N) -> (M, N)`.
///
/// `c_ij <- alpha * sum_p a_ip b_pj + beta * c_ij`, the sum taken in `T` from `p = 0` up. As in
/// [`gemm`](crate::gemm()), C is not read if `beta` is 0, nor are A and B if `alpha` is 0.
///
/// # Errors
///
/// As [`gemm`](crate::gemm()).
pub fn gemm<T: GemmScalar>(
    alpha: T,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    beta: T,
    mut c: MatMut<'_, T>,
) -> Result<(), GemmError> {
    check("naive::gemm", a, b, &c)?;
    let zero = T::default();
    // With alpha = 0 the sum is empty.
    let k = if alpha == zero { 0 } else { a.cols() };
    for i in 0..c.rows() {
        for j in 0..c.cols() {
            let sum = (0..k).fold(zero, |sum, p| sum + a[(i, p)] * b[(p, j)]);
            let kept = if beta == zero { zero } else { beta * c[(i, j)] };
            c[(i, j)] = if k == 0 { kept } else { alpha * sum + kept };
        }
    }
    Ok(())
}
