//! One product, on the calling thread.

use crate::{GemmError, GemmScalar, MatMut, MatRef};

/// `C <- alpha A B + beta C`, on the calling thread: `(M, K) x (K, N) -> (M, N)`.
///
/// C is overwritten if `beta` is 0, without being read; A and B are not read if `alpha` is 0
/// (see the [crate documentation](crate#what-alpha-and-beta-mean)). Any of the sizes may be 0.
///
/// # Errors
///
/// [`GemmError::Inner`] or [`GemmError::Outer`] if the sizes do not fit together; C is then
/// unchanged.
pub fn gemm<T: GemmScalar>(
    alpha: T,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    beta: T,
    c: MatMut<'_, T>,
) -> Result<(), GemmError> {
    check("gemm", a, b, &c)?;
    multiply(alpha, a, b, beta, c);
    Ok(())
}

/// Whether the sizes fit together.
pub(crate) fn check<T>(
    operation: &'static str,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    c: &MatMut<'_, T>,
) -> Result<(), GemmError> {
    let [a_rows, a_cols, b_rows, b_cols] = [a.rows(), a.cols(), b.rows(), b.cols()];
    if a_cols != b_rows {
        return Err(GemmError::Inner { operation, a_rows, a_cols, b_rows, b_cols });
    }
    if (a_rows, b_cols) != (c.rows(), c.cols()) {
        let (c_rows, c_cols) = (c.rows(), c.cols());
        return Err(GemmError::Outer { operation, m: a_rows, n: b_cols, c_rows, c_cols });
    }
    Ok(())
}

/// [`gemm`] of sizes that fit together.
pub(crate) fn multiply<T: GemmScalar>(
    alpha: T,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    beta: T,
    c: MatMut<'_, T>,
) {
    if is_scaling(alpha, a, &c) {
        scale(beta, c);
    } else {
        T::multiply(alpha, a, b, beta, c);
    }
}

/// Whether nothing is left of the product but `C <- beta C`.
pub(crate) fn is_scaling<T: GemmScalar>(alpha: T, a: MatRef<'_, T>, c: &MatMut<'_, T>) -> bool {
    alpha == T::default() || a.cols() == 0 || c.rows() == 0 || c.cols() == 0
}

/// `C <- beta C`; C is not read if `beta` is 0.
pub(crate) fn scale<T: GemmScalar>(beta: T, c: MatMut<'_, T>) {
    let zero = T::default();
    // The inner loop runs along the smaller stride.
    let mut c = if c.layout().is_col_major() { c.t() } else { c };
    let layout = c.layout();
    for i in 0..layout.rows {
        let (_, range) = layout.sub(i..i + 1, 0..layout.cols);
        let row = &mut c.data_mut()[range];
        if beta == zero && layout.col_stride <= 1 {
            row.fill(zero);
        } else {
            // A stride of 0 stands where there is one column.
            for c in row.iter_mut().step_by(layout.col_stride.max(1)) {
                *c = if beta == zero { zero } else { beta * *c };
            }
        }
    }
}
