//! The part of the zip format that npz needs: the directory at the end, members stored or deflated.
//!
//! PKWARE, *.ZIP File Format Specification*, 6.3.10, sections 4.3 and 4.4. The directory alone says
//! what there is: headers within the file are compared with it, so that no two readers see two
//! archives in one file.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::WeightsError;

/// How a member is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Stored,
    Deflated,
}

/// A member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) method: Method,
    pub(crate) crc: u32,
    /// Bytes as stored.
    pub(crate) packed: u64,
    /// Bytes as the directory announces them, unpacked.
    pub(crate) unpacked: u64,
    /// Where its header begins.
    header: u64,
    /// Where its data begin.
    pub(crate) start: u64,
}

const LOCAL_MAGIC: [u8; 4] = *b"PK\x03\x04";
const CENTRAL_MAGIC: [u8; 4] = *b"PK\x01\x02";
const END_MAGIC: [u8; 4] = *b"PK\x05\x06";
const LOCAL_LEN: usize = 30;
const CENTRAL_LEN: usize = 46;
const END_LEN: usize = 22;
/// What stands in the place of a size that only zip64 has.
const ZIP64: u32 = u32::MAX;
const ENCRYPTED: u16 = 1;

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The members, in the order of the file.
pub(crate) fn members(
    reader: &mut (impl Read + Seek),
    path: &Path,
) -> Result<Vec<Member>, WeightsError> {
    let io = |source| WeightsError::Io { path: path.to_owned(), operation: "read it", source };
    let bad = |message: String| WeightsError::Zip { path: path.to_owned(), message };
    let unread = |what: &str| WeightsError::ZipFeature { path: path.to_owned(), what: what.into() };
    let len = reader.seek(SeekFrom::End(0)).map_err(io)?;
    let tail_len = len.min((END_LEN + usize::from(u16::MAX)) as u64);
    let mut tail = Vec::new();
    reader.seek(SeekFrom::Start(len - tail_len)).map_err(io)?;
    reader.by_ref().take(tail_len).read_to_end(&mut tail).map_err(io)?;
    // The last record whose comment ends with the file.
    let end = (0..(tail.len() + 1).saturating_sub(END_LEN)).rev().find(|&at| {
        tail[at..].starts_with(&END_MAGIC)
            && at + END_LEN + usize::from(u16_at(&tail, at + 20)) == tail.len()
    });
    let Some(end) = end else {
        return Err(bad("it has no directory at its end: it may be cut off".to_owned()));
    };
    let record = &tail[end..];
    let end = len - tail_len + end as u64;
    let (count, size, start) = (u16_at(record, 10), u32_at(record, 12), u32_at(record, 16));
    if count == u16::MAX || size == ZIP64 || start == ZIP64 {
        return Err(unread("zip64"));
    }
    if [u16_at(record, 4), u16_at(record, 6)] != [0, 0] || u16_at(record, 8) != count {
        return Err(unread("several volumes"));
    }
    let (size, start) = (u64::from(size), u64::from(start));
    if start + size != end {
        return Err(bad(format!(
            "its directory of {size} bytes at {start} does not end where the record at {end} begins"
        )));
    }
    let mut directory = Vec::new();
    reader.seek(SeekFrom::Start(start)).map_err(io)?;
    reader.by_ref().take(size).read_to_end(&mut directory).map_err(io)?;
    let mut rest = directory.as_slice();
    let mut members = Vec::new();
    for _ in 0..count {
        members.push(central(&mut rest, path)?);
    }
    if !rest.is_empty() {
        return Err(bad(format!("its directory has {} bytes too many", rest.len())));
    }
    members.sort_by_key(|member| member.header);
    for member in &mut members {
        local(reader, member, path)?;
    }
    let ends = members.iter().map(|member| member.start + member.packed);
    let begins = members.iter().skip(1).map(|member| member.header).chain([start]);
    for ((member, ends), begins) in members.iter().zip(ends).zip(begins) {
        if ends > begins {
            let name = &member.name;
            return Err(bad(format!("{name:?} ends at {ends}, what follows begins at {begins}")));
        }
    }
    Ok(members)
}

/// Takes an entry of the directory off its beginning.
fn central(rest: &mut &[u8], path: &Path) -> Result<Member, WeightsError> {
    let bad = |message: &str| WeightsError::Zip { path: path.to_owned(), message: message.into() };
    let unread = |what: String| WeightsError::ZipFeature { path: path.to_owned(), what };
    let record = rest.get(..CENTRAL_LEN).filter(|record| record.starts_with(&CENTRAL_MAGIC));
    let record = record.ok_or_else(|| bad("an entry of its directory is cut off"))?;
    let [name_len, extra_len, comment_len] = [28, 30, 32].map(|at| usize::from(u16_at(record, at)));
    let all = CENTRAL_LEN + name_len + extra_len + comment_len;
    let whole = rest.get(..all).ok_or_else(|| bad("an entry of its directory is cut off"))?;
    *rest = &rest[all..];
    let name = whole[CENTRAL_LEN..CENTRAL_LEN + name_len].to_vec();
    let name = String::from_utf8(name).map_err(|_| bad("a name in it is no UTF-8"))?;
    let [crc, packed, unpacked] = [16, 20, 24].map(|at| u32_at(record, at));
    let header = u32_at(record, 42);
    if [packed, unpacked, header].contains(&ZIP64) {
        return Err(unread("zip64".to_owned()));
    }
    if u16_at(record, 8) & ENCRYPTED != 0 {
        return Err(unread(format!("encryption, of {name:?}")));
    }
    let method = match u16_at(record, 10) {
        0 => Method::Stored,
        8 => Method::Deflated,
        other => return Err(unread(format!("the compression method {other}, of {name:?}"))),
    };
    if method == Method::Stored && packed != unpacked {
        return Err(bad(&format!(
            "{name:?} is stored, but {packed} bytes should become {unpacked}"
        )));
    }
    let (packed, unpacked, header) = (packed.into(), unpacked.into(), header.into());
    Ok(Member { name, method, crc, packed, unpacked, header, start: 0 })
}

/// Compares the header before the data with the directory, and finds where the data begin.
fn local(
    reader: &mut (impl Read + Seek),
    member: &mut Member,
    path: &Path,
) -> Result<(), WeightsError> {
    let io = |source| WeightsError::Io { path: path.to_owned(), operation: "read it", source };
    let name = &member.name;
    let bad = || WeightsError::Zip {
        path: path.to_owned(),
        message: format!("the header of {name:?} is not as the directory says"),
    };
    reader.seek(SeekFrom::Start(member.header)).map_err(io)?;
    let mut header = Vec::new();
    let len = LOCAL_LEN + name.len();
    reader.by_ref().take(len as u64).read_to_end(&mut header).map_err(io)?;
    let method = match member.method {
        Method::Stored => 0,
        Method::Deflated => 8,
    };
    let same = header.len() == len
        && header.starts_with(&LOCAL_MAGIC)
        && u16_at(&header, 6) & ENCRYPTED == 0
        && u16_at(&header, 8) == method
        && usize::from(u16_at(&header, 26)) == name.len()
        && header[LOCAL_LEN..] == *name.as_bytes();
    if !same {
        return Err(bad());
    }
    member.start = member.header + len as u64 + u64::from(u16_at(&header, 28));
    Ok(())
}

/// What a member is written with: a header before the data and an entry of the directory.
pub(crate) struct Written {
    pub(crate) name: String,
    pub(crate) crc: u32,
    pub(crate) len: u32,
    pub(crate) header: u32,
}

impl Written {
    /// What both headers have: version, flags (names are UTF-8), method, a time (the first that
    /// the format can tell), checksum, twice the length, the lengths of name and extra field.
    fn common(&self) -> Vec<u8> {
        let flags = if self.name.is_ascii() { 0_u16 } else { 1 << 11 };
        let mut bytes = Vec::new();
        for field in [20, flags, 0, 0, 0x21] {
            bytes.extend(field.to_le_bytes());
        }
        for field in [self.crc, self.len, self.len] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend((self.name.len() as u16).to_le_bytes());
        bytes.extend([0, 0]);
        bytes
    }

    pub(crate) fn local(&self) -> Vec<u8> {
        [&LOCAL_MAGIC, &*self.common(), self.name.as_bytes()].concat()
    }

    fn central(&self) -> Vec<u8> {
        let rest = [&[0; 10][..], &self.header.to_le_bytes()].concat();
        [&CENTRAL_MAGIC, &20_u16.to_le_bytes()[..], &self.common(), &rest, self.name.as_bytes()]
            .concat()
    }
}

/// The directory, which begins at `start`, and the record after it; `None` if there are too many
/// members, or too many bytes, for an archive without zip64.
pub(crate) fn directory(members: &[Written], start: u64) -> Option<Vec<u8>> {
    let mut bytes: Vec<u8> = members.iter().flat_map(Written::central).collect();
    let small = |value: u64| u32::try_from(value).ok().filter(|&value| value != ZIP64);
    let (size, start) = (small(bytes.len() as u64)?, small(start)?);
    let count = u16::try_from(members.len()).ok().filter(|&count| count != u16::MAX)?;
    bytes.extend(END_MAGIC);
    bytes.extend([0; 4]);
    bytes.extend([count.to_le_bytes(), count.to_le_bytes()].as_flattened());
    bytes.extend([size.to_le_bytes(), start.to_le_bytes()].as_flattened());
    bytes.extend([0; 2]);
    Some(bytes)
}

/// Passes on what is read and keeps its checksum and length.
pub(crate) struct Checked<R> {
    pub(crate) reader: R,
    pub(crate) crc: flate2::Crc,
    pub(crate) len: u64,
}

impl<R> Checked<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, crc: flate2::Crc::new(), len: 0 }
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.crc.update(&buffer[..count]);
        self.len += count as u64;
        Ok(count)
    }
}
