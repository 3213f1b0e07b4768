//! Data sets of labelled images for training and evaluation.
//!
//! An [`ImageSet`] keeps its pixels as the bytes they were read as; [`ImageSet::gather_into`]
//! turns any choice of images into a batch of floats in [0, 1]. A [`Loader`] also normalises them
//! and changes them at random ([`Augmentation`]) on the way. The order of the images is the
//! order of the file: shuffling is the business of whoever trains.
//!
//! - [`mnist`]: the handwritten digits, bundled with this crate or from a folder; others that use
//!   the same file names as well. [`fashion_mnist`]: clothes, in the same form.
//! - [`cifar10`]: small photographs, in binary form or still in their archive.
//! - [`image_folder`]: one's own pictures, png and jpeg, a folder for each class.
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

mod augment;
pub mod cifar10;
mod error;
pub mod fashion_mnist;
pub mod idx;
pub mod image_folder;
mod image_set;
mod loader;
pub mod mnist;
mod normalization;

use std::fs::{self, File};
use std::io;
use std::path::Path;

pub use augment::{Augmentation, Border};
pub use error::DatasetError;
pub use image_set::ImageSet;
pub use loader::Loader;
pub use normalization::Normalization;

/// The two parts of a data set. Their images have one shape and the same classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// To train with.
    pub train: ImageSet,
    /// To test with.
    pub test: ImageSet,
}

fn open(path: &Path) -> Result<File, DatasetError> {
    File::open(path).map_err(|source| DatasetError::Io {
        path: path.to_owned(),
        operation: "open",
        source,
    })
}

fn read_error(path: &Path, source: io::Error) -> DatasetError {
    DatasetError::Io { path: path.to_owned(), operation: "read", source }
}

/// So that a mistyped folder is not reported as one that lacks files.
fn check_folder(folder: &Path) -> Result<(), DatasetError> {
    fs::read_dir(folder).map(drop).map_err(|source| DatasetError::Io {
        path: folder.to_owned(),
        operation: "read the folder",
        source,
    })
}
