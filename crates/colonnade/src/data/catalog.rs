//! The data sets that are known by name, and where they are published.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

/// A data set that `--data` and `data fetch` know by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DatasetName {
    /// Handwritten digits, 28 x 28, grey.
    Mnist,
    /// Clothes, 28 x 28, grey.
    FashionMnist,
    /// Photographs, 32 x 32, in colour.
    Cifar10,
}

/// A file that can be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoteFile {
    pub(crate) name: String,
    /// Its bytes.
    pub(crate) size: u64,
    /// In hexadecimal.
    pub(crate) sha256: String,
    /// Where it can be had, in the order in which these places are tried.
    pub(crate) urls: Vec<String>,
}

/// Name, size and SHA-256 of the files as they are published.
type Files = &'static [(&'static str, u64, &'static str)];

const MNIST: Files = &[
    (
        "train-images-idx3-ubyte.gz",
        9_912_422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    (
        "train-labels-idx1-ubyte.gz",
        28_881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    (
        "t10k-images-idx3-ubyte.gz",
        1_648_877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    (
        "t10k-labels-idx1-ubyte.gz",
        4_542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
];

const FASHION_MNIST: Files = &[
    (
        "train-images-idx3-ubyte.gz",
        26_421_880,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    ),
    (
        "train-labels-idx1-ubyte.gz",
        29_515,
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    ),
    (
        "t10k-images-idx3-ubyte.gz",
        4_422_102,
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    ),
    (
        "t10k-labels-idx1-ubyte.gz",
        5_148,
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
];

const CIFAR10: Files = &[(
    "cifar-10-binary.tar.gz",
    170_052_171,
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)];

impl DatasetName {
    /// The name on the command line, and of the folder.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
            Self::Cifar10 => "cifar10",
        }
    }

    /// What it shows.
    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::Mnist => "handwritten digits, 28 x 28 grey, 60,000 + 10,000, 10 classes",
            Self::FashionMnist => "clothes, 28 x 28 grey, 60,000 + 10,000, 10 classes",
            Self::Cifar10 => "photographs, 32 x 32 in colour, 50,000 + 10,000, 10 classes",
        }
    }

    const fn published(self) -> Files {
        match self {
            Self::Mnist => MNIST,
            Self::FashionMnist => FASHION_MNIST,
            Self::Cifar10 => CIFAR10,
        }
    }

    /// The folders on the network that have the files. What comes from them is only kept if its
    /// digest is right, so that a place without encryption can't do more harm than to fail.
    const fn places(self) -> &'static [&'static str] {
        match self {
            Self::Mnist => &[
                "http://ossci-datasets.s3.amazonaws.com/mnist",
                "http://storage.googleapis.com/cvdf-datasets/mnist",
                "https://ossci-datasets.s3.amazonaws.com/mnist",
            ],
            Self::FashionMnist => &[
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
                "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
            ],
            Self::Cifar10 => {
                &["https://www.cs.toronto.edu/~kriz", "http://www.cs.toronto.edu/~kriz"]
            }
        }
    }

    /// The files as they are published, at the official places or at another.
    pub(crate) fn files(self, mirror: Option<&str>) -> Vec<RemoteFile> {
        let mirror = mirror.map(|url| url.trim_end_matches('/'));
        let urls = |name: &str| match mirror {
            Some(place) => vec![format!("{place}/{name}")],
            None => self.places().iter().map(|place| format!("{place}/{name}")).collect(),
        };
        let file = |&(name, size, sha256): &(&str, u64, &str)| RemoteFile {
            name: name.to_owned(),
            size,
            sha256: sha256.to_owned(),
            urls: urls(name),
        };
        self.published().iter().map(file).collect()
    }

    /// The bytes of all files.
    pub(crate) fn size(self) -> u64 {
        self.published().iter().map(|(_, size, _)| size).sum()
    }

    /// The folder that its files are fetched to, and looked for in, by default.
    pub(crate) fn folder(self) -> Option<PathBuf> {
        home().map(|home| home.join(self.name()))
    }

    /// Whether a folder has the files, by their names.
    pub(crate) fn is_in(self, folder: &Path) -> bool {
        self.published().iter().all(|(name, ..)| folder.join(name).is_file())
    }
}

/// Where fetched data sets are kept: `$COLONNADE_DATA`, or a folder for caches of the user.
fn home() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(folder) = set("COLONNADE_DATA") {
        return Some(folder.into());
    }
    let caches = if cfg!(windows) {
        set("LOCALAPPDATA").map(PathBuf::from)
    } else if cfg!(target_os = "macos") {
        std::env::home_dir().map(|home| home.join("Library/Caches"))
    } else {
        let given = set("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        given.or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
    };
    caches.map(|caches| caches.join("colonnade"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_and_places_are_well_formed() {
        for set in DatasetName::value_variants() {
            for file in set.files(None) {
                assert_eq!(file.sha256.len(), 64, "{}", file.name);
                assert!(file.sha256.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')));
                assert!(!file.urls.is_empty());
            }
            let value = set.to_possible_value().expect("none is hidden");
            assert_eq!(value.get_name(), set.name());
        }
        let files = DatasetName::Cifar10.files(Some("http://here/data/"));
        assert_eq!(files[0].urls, ["http://here/data/cifar-10-binary.tar.gz"]);
    }
}
