//! Dense matrix products, `C <- alpha A B + beta C`, for `f32` and `f64`, on one thread or on all.
//!
//! The arithmetic is that of the crate [`matrixmultiply`], except in [`packed`]; this crate puts checked types before
//! it, so that no call can read or write outside its matrices, and spreads products over the
//! current [`rayon`] pool.
//!
//! A matrix is a slice with two sizes and two strides: element `(i, j)` of a [`MatRef`] or a
//! [`MatMut`] stands at `i * row_stride + j * col_stride`. So the transpose ([`MatRef::t`]) and a
//! block ([`MatRef::block`]) cost nothing. Everything is checked when a matrix is made; a product
//! then only compares sizes.
//!
//! - [`gemm`]: one product, on the calling thread.
//! - [`par_gemm`]: one product, over tiles of C.
//! - [`par_gemm_batch`]: many products, each on one thread.
//! - [`packed`]: one product of operands that the caller has packed into buffers of their own, on a
//!   micro-kernel of this crate; it allocates nothing.
//! - [`naive::gemm`]: three loops, for reading and for testing the others.
//!
//! ```
//! use gemm::{MatMut, MatRef, gemm};
//!
//! let a = [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]; // (2, 3), row by row
//! let b = [1.0_f32, 0.0, -1.0, 2.0, 1.0, 0.0]; // (2, 3), row by row
//! let mut c = [f32::NAN; 4];
//!
//! let a = MatRef::row_major(&a, 2, 3)?;
//! let b = MatRef::row_major(&b, 2, 3)?;
//! // (2, 3) x (3, 2) -> (2, 2)
//! gemm(1.0, a, b.t(), 0.0, MatMut::row_major(&mut c, 2, 2)?)?;
//! assert_eq!(c, [-2.0, 4.0, -2.0, 13.0]);
//!
//! let mismatch = gemm(1.0, a, b, 0.0, MatMut::row_major(&mut c, 2, 2)?);
//! assert_eq!(
//!     mismatch.unwrap_err().to_string(),
//!     "gemm: A is 2 x 3 and B is 2 x 3; the columns of A must be as many as the rows of B"
//! );
//! # Ok::<(), gemm::GemmError>(())
//! ```
//!
//! # What alpha and beta mean
//!
//! - `beta = 0` overwrites: C is not read, and may hold anything, NaN included.
//! - `alpha = 0` leaves A and B unread (as in BLAS): C becomes `beta C`, even if A holds a NaN.
//!   So does an inner size of 0.
//! - Otherwise NaN and infinities go through the sums as usual: a NaN in row `i` of A makes row
//!   `i` of the product NaN, and a NaN in column `j` of B makes column `j` NaN.
//!
//! # Repeatability
//!
//! On one machine, the result of each function is the same to the last bit, however many threads
//! the pool has: tiles are cut by the sizes of the problem alone, and no sum is ever divided
//! among threads. The results of [`gemm`] and [`par_gemm`] may differ from one another in the last
//! bits, and so may those of machines with different vector instructions.

#![deny(unsafe_code)]

mod error;
mod kernel;
mod layout;
mod matrix;
pub mod naive;
pub mod packed;
mod parallel;
mod product;
mod scalar;
mod tiles;

pub use error::GemmError;
pub use matrix::{MatMut, MatRef};
pub use parallel::{Product, par_gemm, par_gemm_batch};
pub use product::gemm;
pub use scalar::GemmScalar;
