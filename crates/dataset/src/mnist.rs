//! MNIST: handwritten digits, 28 x 28 pixels, 60,000 to train and 10,000 to test.
//!
//! The data is the work of Yann LeCun and Corinna Cortes, under the Creative Commons
//! Attribution-ShareAlike 3.0 licence (CC BY-SA 3.0).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::{Dataset, DatasetError, ImageSet, idx};

/// Number of classes of MNIST: the digits.
pub const CLASSES: usize = 10;

/// MNIST as it is bundled with this crate, unpacked into memory (55 MB).
///
/// # Errors
///
/// None, unless the files were damaged when the crate was built: then as [`idx::load_set`].
#[cfg(feature = "bundled-mnist")]
pub fn bundled() -> Result<Dataset, DatasetError> {
    macro_rules! file {
        ($name:literal) => {{
            let bytes =
                include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/mnist/", $name));
            (bytes.as_slice(), concat!("bundled/", $name))
        }};
    }
    let set = |images: (&[u8], &str), labels: (&[u8], &str)| {
        let images = idx::read_images(images.0, images.1)?;
        let labels = idx::read_labels(labels.0, labels.1)?;
        ImageSet::from_idx(images, labels, CLASSES)
    };
    let train = set(file!("train-images-idx3-ubyte.gz"), file!("train-labels-idx1-ubyte.gz"))?;
    let test = set(file!("t10k-images-idx3-ubyte.gz"), file!("t10k-labels-idx1-ubyte.gz"))?;
    parts(Path::new("bundled"), train, test)
}

/// MNIST from a folder, or another set of ten classes under the same names (Fashion-MNIST,
/// Kuzushiji-MNIST, a selection of one's own): `train-images-idx3-ubyte`,
/// `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, each also
/// spelled with a dot (`train-images.idx3-ubyte`) and each also with `.gz`. Images may have any
/// size, one for the whole folder. Sets of other names or more classes: [`idx::load_set`].
///
/// # Errors
///
/// [`DatasetError::NotFound`], with the names that were looked for, if a file is missing;
/// [`DatasetError::Io`] if the folder or a file cannot be read; [`DatasetError::PartsDiffer`] if
/// training and test images differ in size; else as [`idx::load_set`].
pub fn from_folder(folder: impl AsRef<Path>) -> Result<Dataset, DatasetError> {
    let folder = folder.as_ref();
    crate::check_folder(folder)?;
    // All four before any is read: reading takes longer than looking.
    let train_images = find(folder, "train-images", "idx3-ubyte")?;
    let train_labels = find(folder, "train-labels", "idx1-ubyte")?;
    let test_images = find(folder, "t10k-images", "idx3-ubyte")?;
    let test_labels = find(folder, "t10k-labels", "idx1-ubyte")?;
    let train = idx::load_set(train_images, train_labels, CLASSES)?;
    let test = idx::load_set(test_images, test_labels, CLASSES)?;
    parts(folder, train, test)
}

fn parts(path: &Path, train: ImageSet, test: ImageSet) -> Result<Dataset, DatasetError> {
    let ([_, train_h, train_w], [_, test_h, test_w]) = (train.image_shape(), test.image_shape());
    if (train_h, train_w) != (test_h, test_w) {
        return Err(DatasetError::PartsDiffer {
            path: path.to_owned(),
            train: [train_h, train_w],
            test: [test_h, test_w],
        });
    }
    Ok(Dataset { train, test })
}

/// The first of the spellings of a file that `folder` has.
fn find(folder: &Path, stem: &str, format: &str) -> Result<PathBuf, DatasetError> {
    let names: Vec<String> = ["-", "."]
        .into_iter()
        .flat_map(|mark| ["", ".gz"].map(|suffix| format!("{stem}{mark}{format}{suffix}")))
        .collect();
    for name in &names {
        let path = folder.join(name);
        match fs::metadata(&path) {
            // Some archives unpack into a folder of the name of the file.
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(DatasetError::Io { path, operation: "open", source }),
        }
    }
    Err(DatasetError::NotFound { folder: folder.to_owned(), names })
}
