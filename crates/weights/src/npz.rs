//! NumPy's format npz: a zip archive with an npy for each array.
//!
//! Members are stored or deflated (`np.savez`, `np.savez_compressed`); those that are written are
//! stored. A name is the member's without `.npy`. Nothing is unpacked to disk, but names that would
//! lead out of a folder are errors all the same: no archive of arrays has them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use flate2::read::DeflateDecoder;

use crate::npy::{self, Header};
use crate::zip::{self, Checked, Member, Method, Written};
use crate::{Tensor, TensorParts, WeightsError};

/// How many bytes more than twice the size of the archive its arrays may take.
pub const MAX_GROWTH: u64 = 32 << 20;

/// Reads an archive that is held in memory; `name` is what errors call it.
///
/// # Errors
///
/// [`WeightsError::Zip`] if it is damaged, [`WeightsError::ZipFeature`] if it is encrypted, has
/// several volumes, needs zip64 (4 GiB or 65,535 members) or another compression than deflate;
/// [`WeightsError::MemberName`], [`WeightsError::DuplicateName`] or [`WeightsError::Pickle`] of a
/// member; [`WeightsError::Unpack`] or [`WeightsError::Checksum`] if a member is damaged;
/// [`WeightsError::TooLarge`] if the arrays take more than twice the size of the archive and
/// [`MAX_GROWTH`]; else as [`npy::read`].
pub fn read(bytes: &[u8], name: impl AsRef<Path>) -> Result<Vec<Tensor>, WeightsError> {
    read_from(Cursor::new(bytes), name.as_ref())
}

/// Reads a file.
///
/// # Errors
///
/// As [`read`], and [`WeightsError::Io`] if the file can't be read.
pub fn load(path: impl AsRef<Path>) -> Result<Vec<Tensor>, WeightsError> {
    let path = path.as_ref();
    let (file, _) = crate::open(path)?;
    read_from(BufReader::<File>::new(file), path)
}

pub(crate) fn read_from(
    mut reader: impl Read + Seek,
    path: &Path,
) -> Result<Vec<Tensor>, WeightsError> {
    let members = zip::members(&mut reader, path)?;
    // All names before anything is unpacked.
    let mut names = BTreeSet::new();
    for member in &members {
        let name = array_name(&member.name, path)?;
        if !names.insert(name) {
            let (path, name) = (path.to_owned(), name.to_owned());
            return Err(WeightsError::DuplicateName { path, name });
        }
    }
    let io = |source| WeightsError::Io { path: path.to_owned(), operation: "read it", source };
    let len = reader.seek(SeekFrom::End(0)).map_err(io)?;
    let max = len.saturating_mul(2).saturating_add(MAX_GROWTH);
    let mut taken = 0;
    let mut tensors = Vec::with_capacity(members.len());
    for member in &members {
        tensors.push(read_member(&mut reader, member, &mut taken, max, path)?);
    }
    Ok(tensors)
}

/// The name of the array in a member.
fn array_name<'a>(member: &'a str, path: &Path) -> Result<&'a str, WeightsError> {
    let (path, owned) = (|| path.to_owned(), || member.to_owned());
    let is_pickle = [".pkl", ".pickle", ".pt", ".pth"].iter().any(|end| member.ends_with(end));
    if is_pickle {
        return Err(WeightsError::Pickle { path: path(), name: owned() });
    }
    let leads_out = member.split('/').any(|part| matches!(part, "" | "." | ".."))
        || member.contains(|c: char| matches!(c, '\\' | ':') || c.is_control());
    match member.strip_suffix(".npy") {
        Some(name) if !leads_out && !name.is_empty() && !name.ends_with('/') => Ok(name),
        _ => Err(WeightsError::MemberName { path: path(), name: owned() }),
    }
}

/// The bytes of a member, unpacked.
enum Unpacked<R: Read> {
    Stored(R),
    Deflated(Box<DeflateDecoder<R>>),
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Stored(reader) => reader.read(buffer),
            Self::Deflated(reader) => reader.read(buffer),
        }
    }
}

fn open<'a, R: Read + Seek>(
    reader: &'a mut R,
    member: &Member,
) -> io::Result<Unpacked<io::Take<&'a mut R>>> {
    reader.seek(SeekFrom::Start(member.start))?;
    let packed = reader.take(member.packed);
    Ok(match member.method {
        Method::Stored => Unpacked::Stored(packed),
        Method::Deflated => Unpacked::Deflated(Box::new(DeflateDecoder::new(packed))),
    })
}

/// Unpacks a member once to see that all is there, and once more to keep it.
fn read_member(
    reader: &mut (impl Read + Seek),
    member: &Member,
    taken: &mut u64,
    max: u64,
    path: &Path,
) -> Result<Tensor, WeightsError> {
    let failed =
        |source| WeightsError::Unpack { path: path.to_owned(), name: member.name.clone(), source };
    let name = array_name(&member.name, path)?;
    let mut checked = Checked::new(open(reader, member).map_err(failed)?);
    let (header, header_len) = Header::read(&mut checked, path, name, &failed)?;
    *taken = taken.saturating_add(4 * header.count as u64);
    if *taken > max {
        return Err(WeightsError::TooLarge { path: path.to_owned(), bytes: *taken, max });
    }
    let expected = header_len + header.data_len;
    // One byte more than is announced, to see whether there is one.
    let mut rest = checked.by_ref().take(header.data_len + 1);
    io::copy(&mut rest, &mut io::sink()).map_err(failed)?;
    let what = || format!("{name:?} of shape {:?}", header.dims);
    if checked.len < expected {
        let (path, actual) = (path.to_owned(), checked.len);
        return Err(WeightsError::CutOff { path, what: what(), expected, actual });
    }
    if checked.len > expected {
        return Err(WeightsError::TrailingBytes { path: path.to_owned(), what: what(), expected });
    }
    if member.unpacked != expected {
        let message = format!(
            "the directory announces {} bytes of {name:?}, there are {expected}",
            member.unpacked
        );
        return Err(WeightsError::Zip { path: path.to_owned(), message });
    }
    if checked.crc.sum() != member.crc {
        return Err(WeightsError::Checksum {
            path: path.to_owned(),
            name: member.name.clone(),
            expected: member.crc,
            actual: checked.crc.sum(),
        });
    }
    let mut unpacked = open(reader, member).map_err(failed)?;
    io::copy(&mut unpacked.by_ref().take(header_len), &mut io::sink()).map_err(failed)?;
    header.read_values(&mut unpacked, path, name.to_owned(), &failed)
}

/// Writes tensors as F32, stored, in the given order: the same tensors give the same bytes.
///
/// # Errors
///
/// [`WeightsError::Unwritable`] if a shape does not have as many elements as there are values, a
/// name comes twice or could not be read again, or the archive would need zip64;
/// [`WeightsError::Io`] under the name `output` if writing fails.
pub fn write<'a>(
    to: &mut impl Write,
    tensors: impl IntoIterator<Item = TensorParts<'a>>,
) -> Result<(), WeightsError> {
    let bad = |name: &str, message: &str| WeightsError::Unwritable {
        name: name.to_owned(),
        message: message.to_owned(),
    };
    let (mut members, mut names, mut start) = (Vec::new(), BTreeSet::new(), 0_u64);
    for tensor in tensors {
        crate::check_tensor(tensor)?;
        let (name, dims, values) = tensor;
        let member = format!("{name}.npy");
        if array_name(&member, Path::new("")).is_err() || member.len() > usize::from(u16::MAX) {
            return Err(bad(name, "the name can't be that of a member of an archive"));
        }
        if !names.insert(name.to_owned()) {
            return Err(bad(name, "the name is taken"));
        }
        let header = npy::header(dims);
        let len = header.len() as u64 + 4 * values.len() as u64;
        let too_large = || bad(name, "the archive would have 4 GiB or more, which needs zip64");
        // A size of all ones says that zip64 has it.
        let small = |value: u64| u32::try_from(value).ok().filter(|&value| value != u32::MAX);
        let (len, offset) = small(len).zip(small(start)).ok_or_else(too_large)?;
        let mut crc = flate2::CrcWriter::new(io::sink());
        let summed = crc.write_all(&header).and_then(|()| crate::write_values(&mut crc, values));
        summed.map_err(crate::output_failed)?;
        let crc = crc.crc().sum();
        let written = Written { name: member, crc, len, header: offset };
        let local = written.local();
        let data = to.write_all(&local).and_then(|()| to.write_all(&header));
        let data = data.and_then(|()| crate::write_values(to, values));
        data.map_err(crate::output_failed)?;
        start += local.len() as u64 + u64::from(len);
        members.push(written);
    }
    let directory =
        zip::directory(&members, start).ok_or_else(|| bad("", "the archive would need zip64"))?;
    to.write_all(&directory).map_err(crate::output_failed)
}

/// As [`write()`], into memory.
///
/// # Errors
///
/// As [`write()`].
pub fn to_bytes<'a>(
    tensors: impl IntoIterator<Item = TensorParts<'a>>,
) -> Result<Vec<u8>, WeightsError> {
    let mut bytes = Vec::new();
    write(&mut bytes, tensors)?;
    Ok(bytes)
}

/// As [`write()`], into a file, which is replaced [as a whole](crate::atomic).
///
/// # Errors
///
/// As [`write()`]; those of the system name the file.
pub fn save<'a>(
    path: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = TensorParts<'a>>,
) -> Result<(), WeightsError> {
    crate::save(path.as_ref(), |mut file| write(&mut file, tensors))
}
