//! Data sets of labelled images for training and evaluation.
//!
//! An [`ImageSet`] keeps its pixels as the bytes they were read as; [`ImageSet::gather_into`]
//! turns any choice of images into a batch of floats in [0, 1]. The order of the images is the
//! order of the file: shuffling is the business of whoever trains.
//!
//! - [`mnist`]: the handwritten digits, bundled with this crate or from a folder; Fashion-MNIST
//!   and others that use the same file names as well.
//! - [`idx`]: the file format of MNIST, plain or gzipped, read with bounds on everything that a
//!   damaged or lying file could ask for.
//!
//! ```
//! use dataset::ImageSet;
//!
//! // Three images of one channel, 1 x 2 pixels, of two classes.
//! let set = ImageSet::new(vec![0, 255, 51, 102, 153, 204], [1, 1, 2], vec![0, 1, 1], 2)?;
//! assert_eq!((set.len(), set.image(1), set.label(1)), (3, &[51, 102][..], 1));
//!
//! // Images 2 and 0, as a batch of shape (2, 1, 1, 2).
//! let (x, labels) = set.gather(&[2, 0])?;
//! assert_eq!(x.data(), &[0.6, 0.8, 0.0, 1.0]);
//! assert_eq!(labels, [1, 0]);
//! # Ok::<(), dataset::DatasetError>(())
//! ```
//!
//! # Features
//!
//! - `bundled-mnist` (default): `mnist::bundled`, with MNIST (11 MB, gzipped) inside the binary.
//!   MNIST is the work of Yann LeCun and Corinna Cortes, under CC BY-SA 3.0.

#![forbid(unsafe_code)]

mod error;
pub mod idx;
mod image_set;
pub mod mnist;

pub use error::DatasetError;
pub use image_set::ImageSet;
