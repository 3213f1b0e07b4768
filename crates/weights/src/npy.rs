//! NumPy's format npy, versions 1 to 3: one array.
//!
//! Floats of 32 bits (`<f4`) and of 16 (`<f2`, widened) are read, in C order or Fortran's, which
//! becomes C order. Other types are errors: `<f8` because to narrow it would change it, `>f4`,
//! integers, and above all objects, which are Python pickles and are never read.

mod header;

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use crate::element::{count, reserve};
use crate::{Tensor, TensorParts, WeightsError};
pub(crate) use header::Header;

/// What a file begins with.
pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// The longest header that is read, in bytes. NumPy's own limit is 10,000.
pub const MAX_HEADER_LEN: u64 = 1 << 16;

/// Reads an array that is held in memory; `name` is what errors call the file, and the tensor.
///
/// # Errors
///
/// [`WeightsError::Magic`], [`WeightsError::Version`], [`WeightsError::HeaderTooLong`] or
/// [`WeightsError::Header`] if it is no npy of versions 1 to 3; [`WeightsError::Dtype`],
/// [`WeightsError::Pickle`], [`WeightsError::Rank`] or [`WeightsError::ShapeTooLarge`] if it is no
/// array that can be read; [`WeightsError::CutOff`] or [`WeightsError::TrailingBytes`] if it has
/// fewer or more bytes than its header announces; [`WeightsError::Memory`] if there is none.
pub fn read(bytes: &[u8], name: impl AsRef<Path>) -> Result<Tensor, WeightsError> {
    let path = name.as_ref();
    let name = path.to_string_lossy().into_owned();
    read_from(bytes, bytes.len() as u64, path, name)
}

/// Reads a file; the tensor is named after it.
///
/// # Errors
///
/// As [`read`], and [`WeightsError::Io`] if the file can't be read.
pub fn load(path: impl AsRef<Path>) -> Result<Tensor, WeightsError> {
    let path = path.as_ref();
    let (file, len) = crate::open(path)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    read_from(BufReader::<File>::new(file), len, path, name)
}

/// Reads from a stream of `len` bytes.
pub(crate) fn read_from(
    mut reader: impl Read,
    len: u64,
    path: &Path,
    name: String,
) -> Result<Tensor, WeightsError> {
    let failed = |source| WeightsError::Io { path: path.to_owned(), operation: "read it", source };
    let (header, header_len) = Header::read(&mut reader, path, &name, &failed)?;
    let data_len = len.saturating_sub(header_len);
    if data_len < header.data_len {
        let what = format!("{name:?} of shape {:?}", header.dims);
        return Err(WeightsError::CutOff {
            path: path.to_owned(),
            what,
            expected: header.data_len,
            actual: data_len,
        });
    }
    if data_len > header.data_len {
        let what = format!("{name:?} of shape {:?}", header.dims);
        let expected = header_len + header.data_len;
        return Err(WeightsError::TrailingBytes { path: path.to_owned(), what, expected });
    }
    header.read_values(&mut reader, path, name, &failed)
}

impl Header {
    /// Reads the elements, which the caller knows to be there.
    pub(crate) fn read_values(
        self,
        reader: &mut impl Read,
        path: &Path,
        name: String,
        failed: &impl Fn(io::Error) -> WeightsError,
    ) -> Result<Tensor, WeightsError> {
        let mut values = reserve(self.count, path, &name)?;
        let dims = &self.dims;
        // Fewer than two sizes above 1: both orders are the same.
        if self.fortran_order && dims.iter().filter(|&&dim| dim > 1).count() > 1 && self.count > 0 {
            values.resize(self.count, 0.0);
            let mut place = FortranOrder::new(dims);
            let read = self.element.read(reader, self.count, |chunk| {
                for &value in chunk {
                    values[place.next()] = value;
                }
            });
            read.map_err(failed)?;
        } else {
            let read =
                self.element.read(reader, self.count, |chunk| values.extend_from_slice(chunk));
            read.map_err(failed)?;
        }
        Ok(Tensor { name, dims: self.dims, values })
    }
}

/// Where the elements of an array in Fortran's order, the first index running fastest, stand in C
/// order.
struct FortranOrder {
    /// For each dimension: its size, its index, and how far apart its elements are in C order.
    dims: Vec<(usize, usize, usize)>,
    at: usize,
}

impl FortranOrder {
    fn new(dims: &[usize]) -> Self {
        let mut stride = 1;
        let mut places: Vec<_> = dims
            .iter()
            .rev()
            .map(|&dim| {
                let place = (dim, 0, stride);
                stride *= dim;
                place
            })
            .collect();
        places.reverse();
        Self { dims: places, at: 0 }
    }

    /// The place of the next element; after the last it begins anew.
    fn next(&mut self) -> usize {
        let at = self.at;
        for (dim, index, stride) in &mut self.dims {
            *index += 1;
            self.at += *stride;
            if *index < *dim {
                break;
            }
            self.at -= *stride * *dim;
            *index = 0;
        }
        at
    }
}

/// The header of an array of F32 in C order: version 1, so long that the elements begin at a
/// multiple of 64.
pub(crate) fn header(dims: &[usize]) -> Vec<u8> {
    let mut shape: String = dims.iter().map(|dim| format!("{dim}, ")).collect();
    // (2, 3), but (2,).
    let kept = if dims.len() > 1 { shape.len() - 2 } else { shape.trim_end().len() };
    shape.truncate(kept);
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    let len = (MAGIC.len() + 4 + text.len() + 1).next_multiple_of(64) - MAGIC.len() - 4;
    text += &" ".repeat(len - 1 - text.len());
    text.push('\n');
    // At most 8 sizes of 20 digits: far below 65,536.
    let len = text.len() as u16;
    [MAGIC, &[1, 0], &len.to_le_bytes(), text.as_bytes()].concat()
}

/// Writes an array of F32 (version 1, C order). Its name is not written.
///
/// # Errors
///
/// [`WeightsError::Unwritable`] if the shape does not have as many elements as there are values;
/// [`WeightsError::Io`] under the name `output` if writing fails.
pub fn write(to: &mut impl Write, tensor: TensorParts<'_>) -> Result<(), WeightsError> {
    crate::check_tensor(tensor)?;
    let (_, dims, values) = tensor;
    to.write_all(&header(dims)).map_err(crate::output_failed)?;
    crate::write_values(to, values).map_err(crate::output_failed)
}

/// As [`write()`], into memory.
///
/// # Errors
///
/// As [`write()`].
pub fn to_bytes(tensor: TensorParts<'_>) -> Result<Vec<u8>, WeightsError> {
    let mut bytes = Vec::new();
    write(&mut bytes, tensor)?;
    Ok(bytes)
}

/// As [`write()`], into a file, which is replaced [as a whole](crate::atomic).
///
/// # Errors
///
/// As [`write()`]; those of the system name the file.
pub fn save(path: impl AsRef<Path>, tensor: TensorParts<'_>) -> Result<(), WeightsError> {
    crate::save(path.as_ref(), |mut file| write(&mut file, tensor))
}

/// How many elements a shape has and the bytes they take; else the error.
fn counted(
    dims: &[u64],
    size: usize,
    path: &Path,
    name: &str,
) -> Result<(usize, u64), WeightsError> {
    count(dims, size).ok_or_else(|| WeightsError::ShapeTooLarge {
        path: path.to_owned(),
        name: name.to_owned(),
        dims: dims.to_vec(),
    })
}
