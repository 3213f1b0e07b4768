//! The IDX format, in which MNIST comes: images (three dimensions) and labels (one dimension) of
//! unsigned bytes, plain or gzipped.
//!
//! An IDX file is two zero bytes, the code of the element type, the number of dimensions, each
//! dimension as a big-endian `u32`, and the elements, the last dimension running fastest
//! (Y. LeCun, C. Cortes, C. Burges, *The MNIST database of handwritten digits*). Only unsigned
//! bytes, code 0x08, are read here.
//!
//! A header is a claim, not a fact. Memory grows with the data that arrives, never with the
//! sizes that a header announces, and no more than one byte past the announced end is unpacked;
//! a gzip stream is told by its first two bytes, whatever the file is called.
//!
//! ```
//! use dataset::idx;
//!
//! // Two images of 1 x 3 pixels.
//! let bytes = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 10, 20, 30, 40, 50, 60];
//! let images = idx::read_images(&bytes[..], "two-images")?;
//! assert_eq!((images.len(), images.rows(), images.cols()), (2, 1, 3));
//! assert_eq!(images.pixels(), [10, 20, 30, 40, 50, 60]);
//!
//! let error = idx::read_images(&bytes[..20], "two-images").unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "two-images: cut off: expected 22 bytes (a header and 2 x 1 x 3), found 20"
//! );
//! # Ok::<(), dataset::DatasetError>(())
//! ```

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::{DatasetError, ImageSet};

/// The largest amount of data, in bytes and unpacked, that a header may announce: 4 GiB, or what
/// can be addressed if that is less. MNIST has 47 MB.
pub const MAX_DATA_LEN: u64 =
    if usize::BITS > 32 { 1 << 32 } else { tensor4::Shape4::MAX_LEN as u64 };

/// The IDX code of unsigned bytes.
const UNSIGNED_BYTE: u8 = 0x08;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The images of an IDX file of three dimensions.
#[derive(Clone, PartialEq, Eq)]
pub struct Images {
    pub(crate) path: PathBuf,
    pub(crate) count: usize,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) pixels: Vec<u8>,
}

impl Images {
    /// Number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no image.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Rows of an image.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of an image.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All pixels, (len, rows, cols).
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }
}

/// Where they are from and their sizes, not the pixels.
impl fmt::Debug for Images {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, count, rows, cols, pixels: _ } = self;
        f.debug_struct("Images")
            .field("path", path)
            .field("len", count)
            .field("rows", rows)
            .field("cols", cols)
            .finish_non_exhaustive()
    }
}

/// The labels of an IDX file of one dimension.
#[derive(Clone, PartialEq, Eq)]
pub struct Labels {
    pub(crate) path: PathBuf,
    pub(crate) labels: Vec<u8>,
}

impl Labels {
    /// Number of labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// All labels.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }
}

/// Where they are from and how many, not the labels.
impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Labels")
            .field("path", &self.path)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// Reads a file of images and a file of labels into one set, one channel per image.
///
/// # Errors
///
/// As [`read_images`] and [`read_labels`]; [`DatasetError::Io`] if a file cannot be opened;
/// then as [`ImageSet::from_idx`].
pub fn load_set(
    images_path: impl AsRef<Path>,
    labels_path: impl AsRef<Path>,
    classes: usize,
) -> Result<ImageSet, DatasetError> {
    // The labels first: they are small, and as likely to be wrong.
    let labels = load_labels(labels_path)?;
    let images = load_images(images_path)?;
    ImageSet::from_idx(images, labels, classes)
}

/// Reads a file of images.
///
/// # Errors
///
/// As [`read_images`]; [`DatasetError::Io`] if the file cannot be opened.
pub fn load_images(path: impl AsRef<Path>) -> Result<Images, DatasetError> {
    let path = path.as_ref();
    read_images(crate::open(path)?, path)
}

/// Reads a file of labels.
///
/// # Errors
///
/// As [`read_labels`]; [`DatasetError::Io`] if the file cannot be opened.
pub fn load_labels(path: impl AsRef<Path>) -> Result<Labels, DatasetError> {
    let path = path.as_ref();
    read_labels(crate::open(path)?, path)
}

/// Reads images from a stream that ends with them; `name` is what errors call it.
///
/// # Errors
///
/// [`DatasetError::WrongMagic`], [`DatasetError::ElementType`] or [`DatasetError::Dimensions`] if
/// this is not an IDX file of images of unsigned bytes; [`DatasetError::TooLarge`] if it announces
/// more than [`MAX_DATA_LEN`] bytes; [`DatasetError::CutOff`] or [`DatasetError::TrailingBytes`]
/// if it has fewer or more bytes than it announces; [`DatasetError::Gzip`] if the gzip stream is
/// damaged; [`DatasetError::Io`] if reading fails.
pub fn read_images(reader: impl Read, name: impl AsRef<Path>) -> Result<Images, DatasetError> {
    let path = name.as_ref();
    let ([count, rows, cols], pixels) = read_idx(reader, path, "images")?;
    Ok(Images { path: path.to_owned(), count, rows, cols, pixels })
}

/// Reads labels from a stream that ends with them; `name` is what errors call it.
///
/// # Errors
///
/// As [`read_images`], of labels.
pub fn read_labels(reader: impl Read, name: impl AsRef<Path>) -> Result<Labels, DatasetError> {
    let path = name.as_ref();
    let ([_], labels) = read_idx(reader, path, "labels")?;
    Ok(Labels { path: path.to_owned(), labels })
}

/// The sizes and the elements of an IDX file of `D` dimensions.
fn read_idx<const D: usize>(
    reader: impl Read,
    path: &Path,
    kind: &'static str,
) -> Result<([usize; D], Vec<u8>), DatasetError> {
    let mut stream = Stream::new(reader, path)?;

    let head_len = 4 + 4 * D as u64;
    let header = format!("the header of {kind}");
    let mut head = Vec::new();
    stream.read_up_to(4, &mut head)?;
    if head.len() < 4 {
        return Err(stream.cut_off(&header, head_len));
    }
    check_magic::<D>([head[0], head[1], head[2], head[3]], path, kind)?;
    stream.read_up_to(head_len - 4, &mut head)?;
    if stream.position < head_len {
        return Err(stream.cut_off(&header, head_len));
    }
    let dims: [u32; D] = std::array::from_fn(|i| {
        let at = 4 + 4 * i;
        u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
    });

    let data_len = data_len(&dims).ok_or_else(|| DatasetError::TooLarge {
        path: path.to_owned(),
        dims: dims.to_vec(),
        max: MAX_DATA_LEN,
    })?;
    let content = format!("a header and {}", dims.map(|size| size.to_string()).join(" x "));
    let expected = head_len + data_len;
    let mut data = Vec::new();
    if stream.read_up_to(data_len, &mut data)? < data_len {
        return Err(stream.cut_off(&content, expected));
    }
    // Also where a gzip stream has its checksum compared.
    if !stream.is_over()? {
        let content = stream.content(&content);
        return Err(DatasetError::TrailingBytes { path: path.to_owned(), content, expected });
    }
    data.shrink_to_fit();
    // At most MAX_DATA_LEN, hence within usize, each of them.
    Ok((dims.map(|size| size as usize), data))
}

/// The product of the sizes, unless it exceeds [`MAX_DATA_LEN`]. A size of 0 does not hide the
/// others.
fn data_len(dims: &[u32]) -> Option<u64> {
    let mut len = 1_u64;
    for &size in dims {
        len = len.checked_mul(u64::from(size.max(1))).filter(|&len| len <= MAX_DATA_LEN)?;
    }
    Some(if dims.contains(&0) { 0 } else { len })
}

fn check_magic<const D: usize>(
    magic: [u8; 4],
    path: &Path,
    kind: &'static str,
) -> Result<(), DatasetError> {
    let [zero0, zero1, code, dimensions] = magic;
    let path = path.to_owned();
    let name = match code {
        UNSIGNED_BYTE => "unsigned bytes",
        0x09 => "signed bytes",
        0x0b => "16-bit integers",
        0x0c => "32-bit integers",
        0x0d => "32-bit floats",
        0x0e => "64-bit floats",
        _ => "unknown",
    };
    let expected_dimensions = D as u8;
    if [zero0, zero1] != [0, 0] || name == "unknown" {
        Err(DatasetError::WrongMagic {
            path,
            expected: u32::from_be_bytes([0, 0, UNSIGNED_BYTE, expected_dimensions]),
            actual: u32::from_be_bytes(magic),
        })
    } else if code != UNSIGNED_BYTE {
        Err(DatasetError::ElementType { path, code, name })
    } else if dimensions != expected_dimensions {
        Err(DatasetError::Dimensions {
            path,
            kind,
            expected: expected_dimensions,
            actual: dimensions,
        })
    } else {
        Ok(())
    }
}

/// An unpacked stream that knows its position and its name.
struct Stream<'a, R: Read> {
    reader: Unpacked<R>,
    path: &'a Path,
    /// Bytes handed out so far.
    position: u64,
}

/// The first bytes, which were read to tell gzip from plain, and the rest.
type Rejoined<R> = io::Chain<io::Cursor<Vec<u8>>, R>;

enum Unpacked<R: Read> {
    Plain(Rejoined<R>),
    Gzip(Box<MultiGzDecoder<Rejoined<R>>>),
}

impl<'a, R: Read> Stream<'a, R> {
    fn new(mut reader: R, path: &'a Path) -> Result<Self, DatasetError> {
        let mut start = Vec::new();
        reader
            .by_ref()
            .take(GZIP_MAGIC.len() as u64)
            .read_to_end(&mut start)
            .map_err(|source| crate::read_error(path, source))?;
        let gzip = start == GZIP_MAGIC;
        let rejoined = io::Cursor::new(start).chain(reader);
        let reader = if gzip {
            Unpacked::Gzip(Box::new(MultiGzDecoder::new(rejoined)))
        } else {
            Unpacked::Plain(rejoined)
        };
        Ok(Self { reader, path, position: 0 })
    }

    /// Appends the next `len` bytes to `to`, or fewer where the stream ends, and says how many.
    /// `to` grows as bytes arrive, by doubling when it is full.
    ///
    /// A gzip stream that is cut off ends where its last byte could be unpacked.
    fn read_up_to(&mut self, len: u64, to: &mut Vec<u8>) -> Result<u64, DatasetError> {
        let (count, result) = self.fill(len, to);
        match (&self.reader, result) {
            (Unpacked::Gzip(_), Err(source)) if source.kind() == io::ErrorKind::UnexpectedEof => {
                Ok(count)
            }
            (_, Err(source)) => Err(self.failed(source)),
            (_, Ok(())) => Ok(count),
        }
    }

    /// Whether the stream is over, and its checksums right. Unpacks one byte at most.
    fn is_over(&mut self) -> Result<bool, DatasetError> {
        match self.fill(1, &mut Vec::new()) {
            (_, Err(source)) => Err(self.failed(source)),
            (count, Ok(())) => Ok(count == 0),
        }
    }

    /// As `read_up_to`, the error as it came, beside the number of bytes that came before it.
    fn fill(&mut self, len: u64, to: &mut Vec<u8>) -> (u64, io::Result<()>) {
        let before = to.len();
        let result = match &mut self.reader {
            Unpacked::Plain(reader) => reader.take(len).read_to_end(to),
            Unpacked::Gzip(reader) => reader.take(len).read_to_end(to),
        };
        let count = (to.len() - before) as u64;
        self.position += count;
        (count, result.map(drop))
    }

    fn failed(&self, source: io::Error) -> DatasetError {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        match (&self.reader, source.kind()) {
            (Unpacked::Gzip(_), UnexpectedEof | InvalidInput | InvalidData) => {
                DatasetError::Gzip { path: self.path.to_owned(), unpacked: self.position, source }
            }
            _ => crate::read_error(self.path, source),
        }
    }

    fn cut_off(&self, content: &str, expected: u64) -> DatasetError {
        let content = self.content(content);
        DatasetError::CutOff {
            path: self.path.to_owned(),
            content,
            expected,
            actual: self.position,
        }
    }

    /// Says where needed that sizes are not those of the file as it is stored.
    fn content(&self, content: &str) -> String {
        match self.reader {
            Unpacked::Plain(_) => content.to_owned(),
            Unpacked::Gzip(_) => format!("{content}, unpacked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a header announces must not be reserved before it arrives.
    #[test]
    fn memory_grows_with_the_data_and_not_with_the_announcement() -> Result<(), DatasetError> {
        let bytes = [7; 1000];
        let mut stream = Stream::new(&bytes[..], Path::new("x"))?;
        let mut data = Vec::new();
        assert_eq!(stream.read_up_to(1 << 40, &mut data)?, 1000);
        assert_eq!(data, bytes);
        assert!(data.capacity() < 1 << 16, "{}", data.capacity());
        Ok(())
    }

    #[test]
    fn sizes_are_multiplied_with_care() {
        assert_eq!(data_len(&[60_000, 28, 28]), Some(47_040_000));
        assert_eq!(data_len(&[]), Some(1));
        assert_eq!(data_len(&[0, 28, 28]), Some(0));
        assert_eq!(data_len(&[1 << 31, 1 << 31, 1 << 31]), None);
        assert_eq!(data_len(&[0, u32::MAX, u32::MAX]), None);
        if usize::BITS > 32 {
            assert_eq!(data_len(&[1 << 16, 1 << 16]), Some(MAX_DATA_LEN));
            assert_eq!(data_len(&[1 << 16, (1 << 16) + 1]), None);
        }
    }
}
