//! Contiguous NCHW tensors, the storage that every other crate of Colonnade stands on.
//!
//! A [`Tensor4`] holds a batch of images: `n` images of `c` channels of `h` rows of `w` columns,
//! the last index running fastest, so that element `(n, c, h, w)` stands at
//! `((n * C + c) * H + h) * W + w`. A matrix is the special case `(rows, cols, 1, 1)`.
//! There are no strides and no hidden copies: a tensor is always contiguous, and so are its
//! views ([`View4`], [`ViewMut4`]) over the whole of it or over a range of its batch.
//!
//! A [`Shape4`] is checked once, when it is made; its length can then be asked for without
//! a thought of overflow.
//!
//! ```
//! use tensor4::{Shape4, Tensor4};
//!
//! let shape = Shape4::new(2, 1, 2, 3)?;
//! let x = Tensor4::<f32>::from_fn(shape, |n, _c, h, w| (100 * n + 10 * h + w) as f32);
//! assert_eq!(x[(1, 0, 1, 2)], 112.0);
//! assert_eq!(x.view().batch(1..2)?.data(), &[100.0, 101.0, 102.0, 110.0, 111.0, 112.0]);
//! # Ok::<(), tensor4::TensorError>(())
//! ```
//!
//! # Features
//!
//! - `std` (default): elementary functions on [`Scalar`] (`exp`, `ln`, …). Without it the crate
//!   is `no_std` with `alloc`.
//! - `rand` (default): seeded random fills, [`Tensor4::uniform`] and [`Tensor4::normal`].
//! - `ndarray`: conversions from and to `ndarray::Array4`.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod display;
mod error;
#[cfg(feature = "ndarray")]
mod interop;
#[cfg(feature = "std")]
mod math;
#[cfg(feature = "rand")]
mod random;
mod scalar;
mod shape;
mod tensor;
mod view;

pub use error::TensorError;
pub use scalar::Scalar;
pub use shape::Shape4;
pub use tensor::Tensor4;
pub use view::{View4, ViewMut4};
