//! Fashion-MNIST: pictures of clothes, 28 x 28 grey pixels, 60,000 to train and 10,000 to test, in
//! files named as those of MNIST (H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST: a novel image
//! dataset for benchmarking machine learning algorithms*, 2017).

use std::path::Path;

use crate::{Dataset, DatasetError, mnist};

/// The names of the classes, in the order of the labels.
pub const CLASS_NAMES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

/// Fashion-MNIST from a folder: as [`mnist::from_folder`], and the classes have their names.
///
/// # Errors
///
/// As [`mnist::from_folder`].
pub fn from_folder(folder: impl AsRef<Path>) -> Result<Dataset, DatasetError> {
    let Dataset { train, test } = mnist::from_folder(folder)?;
    Ok(Dataset {
        train: train.with_class_names(CLASS_NAMES)?,
        test: test.with_class_names(CLASS_NAMES)?,
    })
}
