//! What `--data` means: a name, or a path.

use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use dataset::image_folder::{self, FolderOptions};
use dataset::{Dataset, DatasetError, cifar10, fashion_mnist, mnist};

use super::catalog::DatasetName;
use crate::near::did_you_mean;

/// What the data set is called that is read if none is named.
pub(crate) const BUNDLED: &str = "bundled MNIST";

/// Why there is no data set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    #[error(
        "{} is not in {}; `colonnade data fetch {}` downloads it ({})",
        name.name(), folder.display(), name.name(), super::megabytes(name.size())
    )]
    NotFetched { name: DatasetName, folder: PathBuf },
    #[error(
        "there is no folder for fetched data sets: neither COLONNADE_DATA nor the home folder is \
         known; name a folder with --data"
    )]
    NoHome,
    #[error(
        "{}: {source}; --data takes {known}, or the path of a folder{hint}",
        path.display(), known = names()
    )]
    NoFolder { path: PathBuf, source: io::Error, hint: String },
}

fn names() -> String {
    DatasetName::value_variants().iter().map(|set| set.name()).collect::<Vec<_>>().join(", ")
}

/// The data set of a name, or at a path, and what to call it.
///
/// A path is a folder of IDX files named as MNIST's, of CIFAR-10's binary files or its archive,
/// that archive itself, or a folder of pictures, which `pictures` says how to read. A folder of
/// the name of a data set can be reached as `./NAME`.
pub(crate) fn resolve(
    data: Option<&Path>,
    pictures: &FolderOptions,
) -> Result<(Dataset, String), SourceError> {
    let Some(path) = data else { return named(DatasetName::Mnist) };
    let known = DatasetName::value_variants().iter().find(|set| path.as_os_str() == set.name());
    match known {
        Some(set) => named(*set),
        None => Ok((at(path, pictures)?, path.display().to_string())),
    }
}

fn named(set: DatasetName) -> Result<(Dataset, String), SourceError> {
    #[cfg(feature = "bundled-mnist")]
    if set == DatasetName::Mnist {
        return Ok((mnist::bundled()?, BUNDLED.to_owned()));
    }
    let folder = set.folder().ok_or(SourceError::NoHome)?;
    if !set.is_in(&folder) {
        return Err(SourceError::NotFetched { name: set, folder });
    }
    let data = match set {
        DatasetName::Mnist => mnist::from_folder(&folder)?,
        DatasetName::FashionMnist => fashion_mnist::from_folder(&folder)?,
        DatasetName::Cifar10 => cifar10::from_folder(&folder)?,
    };
    Ok((data, set.name().to_owned()))
}

fn at(path: &Path, pictures: &FolderOptions) -> Result<Dataset, SourceError> {
    if path.is_file() {
        return Ok(cifar10::from_archive(path)?);
    }
    let entries = path.read_dir().map_err(|source| SourceError::NoFolder {
        path: path.to_owned(),
        hint: did_you_mean(
            &path.to_string_lossy(),
            DatasetName::value_variants().iter().map(|set| set.name()),
        ),
        source,
    })?;
    let mut has_cifar10 = false;
    let mut has_folders = false;
    for entry in entries {
        let entry = entry.map_err(|source| DatasetError::Io {
            path: path.to_owned(),
            operation: "read the folder",
            source,
        })?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if ["train-images", "t10k-images"].iter().any(|stem| name.starts_with(stem)) {
            return Ok(mnist::from_folder(path)?);
        }
        has_cifar10 |=
            ["data_batch_1.bin", "cifar-10-batches-bin", cifar10::ARCHIVE].contains(&name.as_ref());
        has_folders |= !name.starts_with('.') && entry.path().is_dir();
    }
    if has_cifar10 {
        Ok(cifar10::from_folder(path)?)
    } else if has_folders {
        Ok(image_folder::from_folder(path, pictures)?)
    } else {
        // Says which files would have done.
        Ok(mnist::from_folder(path)?)
    }
}
