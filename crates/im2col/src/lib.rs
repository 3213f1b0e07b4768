//! Unfolding of images into columns (im2col), and its adjoint (col2im).
//!
//! A convolution is a matrix product in disguise: copy the patch under each position of the
//! kernel into a matrix, and multiply it by the kernels. [`unfold`] makes that matrix, in either
//! of the two layouts in use ([`Layout`]); [`fold`] brings a matrix of that kind back into the
//! shape of the images, as the backward pass needs it.
//!
//! ```
//! use im2col::{ConvGeometry, Layout, Window, unfold};
//! use tensor4::{Shape4, Tensor4};
//!
//! // One image of one channel of 3 x 3 pixels, and a 2 x 2 kernel: four positions.
//! let x = Tensor4::<f32>::from_vec(
//!     Shape4::new(1, 1, 3, 3)?,
//!     vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
//! )?;
//! let window = Window::square(2);
//! let geometry = ConvGeometry::new(1, 3, 3, window)?;
//! assert_eq!((geometry.out_h(), geometry.out_w()), (2, 2));
//!
//! // One row per output pixel, holding the patch under it: (N*OH*OW, C*KH*KW).
//! let patches = unfold(&x, window, Layout::PixelRows)?;
//! assert_eq!(patches.shape(), Shape4::matrix(4, 4)?);
//! assert_eq!(patches.image(0), [1.0, 2.0, 4.0, 5.0]);
//! assert_eq!(patches.image(3), [5.0, 6.0, 8.0, 9.0]);
//!
//! // Its transpose, image by image: (N, 1, C*KH*KW, OH*OW).
//! let columns = unfold(&x, window, Layout::PatchRows)?;
//! assert_eq!(columns.shape(), Shape4::new(1, 1, 4, 4)?);
//! assert_eq!(columns.data()[..4], [1.0, 2.0, 4.0, 5.0]);
//! assert_eq!(columns.data()[4..8], [2.0, 3.0, 5.0, 6.0]);
//! # Ok::<(), im2col::Im2colError>(())
//! ```
//!
//! # col2im is the adjoint of unfold, not its inverse
//!
//! A pixel under several positions of the kernel is copied several times by [`unfold`].
//! [`fold`], [`col2im`] and their kin *add up* those copies; they do not undo the copying. So
//! `<unfold(x), y> = <x, col2im(y)>` for all `x` and `y`, which is what a gradient needs, and
//! `col2im(unfold(x))` is `x` times the number of windows over each pixel. That number is
//! [`overlap_counts`], and dividing by it gives the average:
//!
//! ```
//! use im2col::{ConvGeometry, Layout, Window, fold, overlap_counts, unfold};
//! use tensor4::{Shape4, Tensor4};
//!
//! let shape = Shape4::new(1, 1, 3, 3)?;
//! let x = Tensor4::<f32>::from_fn(shape, |_, _, h, w| (3 * h + w) as f32);
//! let window = Window::square(2);
//!
//! let columns = unfold(&x, window, Layout::PatchRows)?;
//! let sums = fold(&columns, shape, window, Layout::PatchRows)?;
//! let counts = overlap_counts(&ConvGeometry::new(1, 3, 3, window)?);
//! assert_eq!(counts, [1, 2, 1, 2, 4, 2, 1, 2, 1]);
//! for ((x, sum), &count) in x.data().iter().zip(sums.data()).zip(&counts) {
//!     assert_eq!(*sum / count as f32, *x);
//! }
//! # Ok::<(), im2col::Im2colError>(())
//! ```
//!
//! The sums are the same bit for bit in both layouts and however the output rows are cut into
//! chunks (from the first to the last): each pixel adds its windows up row by row, from left to
//! right.
//!
//! # Which function
//!
//! | | unfold | col2im |
//! |---|---|---|
//! | a batch, allocating | [`unfold`] | [`fold`] |
//! | a batch, into a buffer | [`unfold_batch_into`] | [`col2im_batch_into`] |
//! | an image, into a buffer | [`unfold_into`] | [`col2im_into`] |
//! | some output rows of an image | [`unfold_rows_into`] | [`col2im_rows_add`] |
//! | with the arguments of the book | [`im2col`] | [`col2im`] |
//! | slow and obvious | [`naive`] | [`naive`] |
//!
//! Every size is checked once, in [`ConvGeometry::new`], which also tells how long each result
//! will be ([`ConvGeometry::columns_len`] and its neighbours).
//!
//! # Features
//!
//! - `std` (default): switches on `std` in `tensor4`. Without it the crate is `no_std` with
//!   `alloc`, and nothing is missing.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod axis;
mod batch;
mod book;
mod check;
mod col2im;
mod error;
mod geometry;
mod layout;
pub mod naive;
mod unfold;
mod window;

pub use batch::{col2im_batch_into, fold, unfold, unfold_batch_into};
pub use book::{col2im, im2col};
pub use col2im::{col2im_into, col2im_rows_add};
pub use error::{GeometryError, Im2colError};
pub use geometry::{ConvGeometry, overlap_counts};
pub use layout::Layout;
pub use unfold::{unfold_into, unfold_rows_into};
pub use window::{Padding, Window};
