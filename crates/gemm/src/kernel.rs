//! The calls into `matrixmultiply`, and the micro-kernels of `packed`: all unsafe code of this crate.

#[allow(unsafe_code)]
pub(crate) mod table;
// Arrays of registers are indexed by constants once their loops are unrolled.
#[allow(unsafe_code, clippy::needless_range_loop)]
pub(crate) mod tile;
#[allow(unsafe_code)]
mod vector;

use crate::{MatMut, MatRef};

/// A type that `matrixmultiply` multiplies. Private to this crate, which seals
/// [`GemmScalar`](crate::GemmScalar).
pub trait Kernel: Sized {
    /// `C <- alpha A B + beta C` on the calling thread; C is not read if `beta` is 0.
    ///
    /// # Panics
    ///
    /// If the sizes do not fit together or one of them is 0: the callers have checked them.
    fn multiply(
        alpha: Self,
        a: MatRef<'_, Self>,
        b: MatRef<'_, Self>,
        beta: Self,
        c: MatMut<'_, Self>,
    );
}

/// Implements [`Kernel`] by a function of `matrixmultiply` with the signature
/// `(m, k, n, alpha, a, rsa, csa, b, rsb, csb, beta, c, rsc, csc)`.
macro_rules! kernel {
    ($t:ty, $function:path) => {
        impl Kernel for $t {
            #[allow(unsafe_code)]
            fn multiply(
                alpha: Self,
                a: MatRef<'_, Self>,
                b: MatRef<'_, Self>,
                beta: Self,
                mut c: MatMut<'_, Self>,
            ) {
                let (m, k, n) = (a.rows(), a.cols(), b.cols());
                assert!(m > 0 && k > 0 && n > 0, "({m}, {k}) x ({k}, {n}) is empty");
                assert_eq!((b.rows(), c.rows(), c.cols()), (k, m, n), "rows of B, sizes of C");
                let [rsa, csa] = a.signed_strides();
                let [rsb, csb] = b.signed_strides();
                let [rsc, csc] = c.as_ref().signed_strides();
                // SAFETY: `matrixmultiply` asks that its pointers and strides describe an
                // (m, k), a (k, n) and an (m, n) matrix, A and B readable and C writable.
                //
                // - Bounds: it touches the elements (i, j) of each matrix with i and j below the
                //   sizes passed, at `pointer + i * rs + j * cs`, and the pointers on the way
                //   there (to a row, then to a column) lie between the first element and that
                //   one, as no stride is negative. The sizes passed are those of `a`, `b` and
                //   `c`: `m`, `k`, `n` are read off `a` and `b`, the rest is asserted above. It
                //   is an invariant of `MatRef` and `MatMut`, set up by their constructors and
                //   kept by `t`, `block` and the cutting into tiles, that `data` holds exactly
                //   `(rows - 1) * row_stride + (cols - 1) * col_stride + 1` elements where there
                //   are any, and there are, as no size is 0. So all of it lies within `data`.
                // - Aliasing: `c` owns its `&mut` slice for the duration of the call, so that
                //   neither `a` nor `b` (shared borrows) nor another thread can reach it. No two
                //   elements of C stand at one place (`Layout::is_nested`, checked wherever a
                //   `MatMut` is made of a slice; blocks and transposes keep it), and where C has
                //   more than one row (column) its row (column) stride is hence not 0, as
                //   `matrixmultiply` demands. A and B may alias themselves and each other: they
                //   are only read.
                // - Initialisation: all three are slices of initialised floats. (It writes C
                //   before it reads it, if `beta` is 0; we do not depend on that for soundness.)
                // - Strides: a stride is either 0 or at most the length of its slice, which is at
                //   most `isize::MAX`; `signed_strides` converts with a check all the same.
                // - CPU features: `matrixmultiply` looks for them itself.
                unsafe {
                    $function(
                        m,
                        k,
                        n,
                        alpha,
                        a.data().as_ptr(),
                        rsa,
                        csa,
                        b.data().as_ptr(),
                        rsb,
                        csb,
                        beta,
                        c.data_mut().as_mut_ptr(),
                        rsc,
                        csc,
                    );
                }
            }
        }
    };
}

kernel!(f32, matrixmultiply::sgemm);
kernel!(f64, matrixmultiply::dgemm);
