//! The one error type of this crate.

use std::io;
use std::path::PathBuf;

/// Why weights can't be read or written. `path` is the file, or what the caller called the bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The system refused an operation on a file.
    #[error("{}: can't {operation}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The file ends before what it announces.
    #[error("{}: cut off: {what} needs {expected} bytes, found {actual}", path.display())]
    CutOff {
        /// The file.
        path: PathBuf,
        /// The part that is not complete.
        what: String,
        /// Its bytes.
        expected: u64,
        /// The bytes there are for it.
        actual: u64,
    },
    /// The file goes on after what it announces.
    #[error(
        "{}: there is more after {what}, which ends after {expected} bytes", path.display()
    )]
    TrailingBytes {
        /// The file.
        path: PathBuf,
        /// The part that should be the last.
        what: String,
        /// Its bytes.
        expected: u64,
    },
    /// A header that is larger than any that makes sense.
    #[error("{}: the header announces {len} bytes, at most {max} are read", path.display())]
    HeaderTooLong {
        /// The file.
        path: PathBuf,
        /// Its announced length in bytes.
        len: u64,
        /// The longest that is read.
        max: u64,
    },
    /// A header that is not what its format asks for.
    #[error("{}: the header can't be read: {message}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        message: String,
    },
    /// A file of none of the formats.
    #[error("{}: this is not {format}: it begins with {found:02x?}", path.display())]
    Magic {
        /// The file.
        path: PathBuf,
        /// The format that was expected.
        format: &'static str,
        /// The first bytes.
        found: Vec<u8>,
    },
    /// A version of npy that there is not yet.
    #[error("{}: npy version {major}.{minor}; 1.0, 2.0 and 3.0 can be read", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The number before the dot.
        major: u8,
        /// The number behind it.
        minor: u8,
    },
    /// Elements of a type that is not read.
    #[error(
        "{}: {name:?} holds {dtype}; 32-bit floats (little-endian), F16 and BF16 can be read: \
         convert it to float32 before it is saved",
        path.display()
    )]
    Dtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The type as the file names it.
        dtype: String,
    },
    /// Python objects, which could run any program when they are read.
    #[error(
        "{}: {name:?} is a Python pickle, which is never read: save the tensors as safetensors \
         (safetensors.torch.save_file) or with np.savez",
        path.display()
    )]
    Pickle {
        /// The file.
        path: PathBuf,
        /// The tensor, or the member of the archive.
        name: String,
    },
    /// More dimensions than tensors have.
    #[error("{}: {name:?} has {rank} dimensions, at most {max} are read", path.display())]
    Rank {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// How many dimensions it has.
        rank: usize,
        /// The most that are read.
        max: usize,
    },
    /// A shape with more elements than can be counted.
    #[error("{}: {name:?} of shape {dims:?} has more elements than can be addressed", path.display())]
    ShapeTooLarge {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its sizes.
        dims: Vec<u64>,
    },
    /// A tensor whose place in the file does not have the size of its shape.
    #[error(
        "{}: {name:?} of shape {dims:?} needs {expected} bytes, its place {start}..{end} does not \
         have that size",
        path.display()
    )]
    DataLen {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its sizes.
        dims: Vec<u64>,
        /// The bytes that these need.
        expected: u64,
        /// Where it begins, counted from the end of the header.
        start: u64,
        /// Where it ends.
        end: u64,
    },
    /// A tensor that does not begin where the one before it ends: a hole or an overlap.
    #[error(
        "{}: {name:?} begins at {start}, the tensor before it ends at {expected}: tensors must \
         follow each other without holes and overlaps",
        path.display()
    )]
    Order {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Where it begins, counted from the end of the header.
        start: u64,
        /// Where the one before it ends.
        expected: u64,
    },
    /// Two tensors, texts or members of one name.
    #[error("{}: there are two of the name {name:?}", path.display())]
    DuplicateName {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A name in an archive that is absolute, leads out of it, or is no name of an array.
    #[error(
        "{}: the archive has a member {name:?}; names must be relative, without .., and end in .npy",
        path.display()
    )]
    MemberName {
        /// The archive.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A zip archive whose directory is damaged.
    #[error("{}: the zip archive is damaged: {message}", path.display())]
    Zip {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A zip archive that uses what is not read here.
    #[error("{}: the zip archive uses {what}, which is not read here; np.savez writes without", path.display())]
    ZipFeature {
        /// The archive.
        path: PathBuf,
        /// What it uses.
        what: String,
    },
    /// A member of an archive can't be unpacked.
    #[error("{}: {name:?} can't be unpacked: {source}", path.display())]
    Unpack {
        /// The archive.
        path: PathBuf,
        /// The member.
        name: String,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// A member of an archive is not what it was when it was written.
    #[error(
        "{}: {name:?} is damaged: its checksum is {actual:08x}, the archive says {expected:08x}",
        path.display()
    )]
    Checksum {
        /// The archive.
        path: PathBuf,
        /// The member.
        name: String,
        /// The checksum in the archive.
        expected: u32,
        /// The checksum of what was unpacked.
        actual: u32,
    },
    /// An archive that unpacks to more than is read from a file of its size.
    #[error(
        "{}: unpacked it takes {bytes} bytes or more, at most {max} are taken from a file of this \
         size; np.savez writes it unpacked",
        path.display()
    )]
    TooLarge {
        /// The archive.
        path: PathBuf,
        /// What the headers so far announce, as 32-bit floats.
        bytes: u64,
        /// The most that is unpacked.
        max: u64,
    },
    /// There is no memory for a tensor.
    #[error("{}: there is no memory for the {bytes} bytes of {name:?}", path.display())]
    Memory {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// How much it needs.
        bytes: u64,
    },
    /// A tensor to be written whose shape and values don't agree, or whose name can't be written.
    #[error("{name:?} can't be written: {message}")]
    Unwritable {
        /// The tensor.
        name: String,
        /// What is wrong with it.
        message: String,
    },
}
