//! Weights in files: read without trust in what a file says of itself, written as a whole or not
//! at all.
//!
//! - [`safetensors`], [`npy`] and [`npz`]: tensors of 32-bit floats, read from bytes or files.
//!   16-bit floats (F16, and BF16 of safetensors) are widened, which loses nothing. All else,
//!   64-bit floats too, is an error that names the type: to narrow is to change, and is left to
//!   who saves.
//! - [`atomic`]: files that are replaced as a whole, so that a crash leaves the old one or the new.
//! - [`torchvision`]: the names of its state dicts, and ours.
//!
//! # What a read may take
//!
//! A read takes at most twice the size of the file and 64 MiB more. Every size that a header
//! announces is compared with the size of the file before anything is allocated for it; a
//! compressed member is unpacked once to count its bytes and compare its checksum, and once more
//! into memory of that size. Damaged files give a [`WeightsError`] with the numbers, never a panic.
//!
//! ```
//! let tensors = [("conv1.bias", &[2][..], &[0.5, -1.0][..])];
//! let bytes = weights::safetensors::to_bytes(tensors, [])?;
//! let contents = weights::read_bytes(&bytes, "two-biases")?;
//! assert_eq!(contents.tensors[0].name, "conv1.bias");
//! assert_eq!((&*contents.tensors[0].dims, &*contents.tensors[0].values), (&[2][..], &[0.5, -1.0][..]));
//!
//! let error = weights::read_bytes(&bytes[..20], "two-biases").unwrap_err();
//! assert!(error.to_string().starts_with("two-biases: cut off: the header needs"));
//! # Ok::<(), weights::WeightsError>(())
//! ```

#![forbid(unsafe_code)]

pub mod atomic;
mod element;
mod error;
pub mod npy;
pub mod npz;
pub mod safetensors;
pub mod torchvision;
mod zip;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

pub use error::WeightsError;

/// The most dimensions of a tensor.
pub const MAX_RANK: usize = 8;

/// A tensor of a file.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Tensor {
    /// Its name, such as `conv1.weight`.
    pub name: String,
    /// Its sizes, the last running fastest.
    pub dims: Vec<usize>,
    /// Its elements, as many as the product of the sizes.
    pub values: Vec<f32>,
}

impl Tensor {
    /// A tensor.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Unwritable`] if the sizes do not have as many elements as there are values,
    /// or if there are more than [`MAX_RANK`] of them.
    pub fn new(
        name: impl Into<String>,
        dims: Vec<usize>,
        values: Vec<f32>,
    ) -> Result<Self, WeightsError> {
        let tensor = Self { name: name.into(), dims, values };
        check_tensor(tensor.parts())?;
        Ok(tensor)
    }

    /// Name, sizes and values, as `net::Sequential::load` and the writers of this crate take them.
    #[must_use]
    pub fn parts(&self) -> TensorParts<'_> {
        (&self.name, &self.dims, &self.values)
    }
}

/// Name, sizes and values of a tensor.
pub type TensorParts<'a> = (&'a str, &'a [usize], &'a [f32]);

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Contents {
    /// The tensors, in the order of the file.
    pub tensors: Vec<Tensor>,
    /// Texts by their keys: the `__metadata__` of safetensors. Others have none.
    pub texts: BTreeMap<String, String>,
}

/// Reads a file of weights: safetensors, npz or npy, told by what it begins with. The one tensor
/// of an npy is named after the file.
///
/// # Errors
///
/// [`WeightsError::Io`] if the file can't be read, [`WeightsError::Pickle`] if it is one of
/// PyTorch's (`.pt`, `.pth`), else as [`safetensors::read`], [`npz::read`] or [`npy::read`].
pub fn read(path: impl AsRef<Path>) -> Result<Contents, WeightsError> {
    let path = path.as_ref();
    let (file, len) = open(path)?;
    read_any(BufReader::new(file), len, path)
}

/// As [`read`], from bytes; `name` is what errors call them.
///
/// # Errors
///
/// As [`read`].
pub fn read_bytes(bytes: &[u8], name: impl AsRef<Path>) -> Result<Contents, WeightsError> {
    read_any(Cursor::new(bytes), bytes.len() as u64, name.as_ref())
}

fn read_any(mut reader: impl Read + Seek, len: u64, path: &Path) -> Result<Contents, WeightsError> {
    let io = |source| WeightsError::Io { path: path.to_owned(), operation: "read it", source };
    let mut start = Vec::new();
    reader.by_ref().take(9).read_to_end(&mut start).map_err(io)?;
    reader.seek(SeekFrom::Start(0)).map_err(io)?;
    match start.as_slice() {
        [b'P', b'K', ..] => {
            let tensors = npz::read_from(reader, path)?;
            Ok(Contents { tensors, texts: BTreeMap::new() })
        }
        start if start.starts_with(npy::MAGIC) => {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let tensor = npy::read_from(reader, len, path, name)?;
            Ok(Contents { tensors: vec![tensor], texts: BTreeMap::new() })
        }
        // A pickle of protocol 2 to 5, and no length that a safetensors header could have.
        &[0x80, 2..=5, _, _, c, d, e, f, ..] if [c, d, e, f] != [0; 4] => {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Err(WeightsError::Pickle { path: path.to_owned(), name })
        }
        // Where the header of safetensors begins.
        start if start.len() >= 8 && start.get(8) != Some(&b'{') => {
            let (path, found) = (path.to_owned(), start.to_vec());
            Err(WeightsError::Magic { path, format: "a safetensors file, npz or npy", found })
        }
        _ => safetensors::read_from(reader, len, path),
    }
}

/// Opens a file and says how long it is.
fn open(path: &Path) -> Result<(File, u64), WeightsError> {
    let failed =
        |operation| move |source| WeightsError::Io { path: path.to_owned(), operation, source };
    let file = File::open(path).map_err(failed("open it"))?;
    let metadata = file.metadata().map_err(failed("ask for its size"))?;
    if metadata.is_dir() {
        let source = std::io::ErrorKind::IsADirectory.into();
        return Err(failed("read it")(source));
    }
    Ok((file, metadata.len()))
}

/// Whether a tensor that is to be written has as many values as its sizes say.
fn check_tensor((name, dims, values): TensorParts<'_>) -> Result<(), WeightsError> {
    let count = dims.iter().try_fold(1_usize, |count, &dim| count.checked_mul(dim));
    let message = if count != Some(values.len()) {
        format!("there are {} values for the shape {dims:?}", values.len())
    } else if dims.len() > MAX_RANK {
        format!("it has {} dimensions, at most {MAX_RANK} are read again", dims.len())
    } else {
        return Ok(());
    };
    Err(WeightsError::Unwritable { name: name.to_owned(), message })
}

/// Writes values little-endian.
fn write_values(to: &mut impl Write, values: &[f32]) -> io::Result<()> {
    let mut bytes = Vec::new();
    for chunk in values.chunks(1 << 14) {
        bytes.clear();
        bytes.extend(chunk.iter().flat_map(|value| value.to_le_bytes()));
        to.write_all(&bytes)?;
    }
    Ok(())
}

/// Where the bytes went that could not be written, until somebody knows better.
const OUTPUT: &str = "output";

fn output_failed(source: io::Error) -> WeightsError {
    WeightsError::Io { path: OUTPUT.into(), operation: "write it", source }
}

/// A failure to write, to what is called `output`.
impl From<io::Error> for WeightsError {
    fn from(source: io::Error) -> Self {
        output_failed(source)
    }
}

/// Replaces a file by what is written; an error names it.
fn save(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), WeightsError>,
) -> Result<(), WeightsError> {
    atomic::write_with(path, write).map_err(|error| match error {
        WeightsError::Io { operation, source, .. } => {
            WeightsError::Io { path: path.to_owned(), operation, source }
        }
        other => other,
    })
}
