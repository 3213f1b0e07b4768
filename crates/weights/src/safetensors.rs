//! The safetensors format: the length of a JSON header as a little-endian `u64`, the header, and the
//! elements of the tensors, which follow each other without holes.
//!
//! Read strictly: what the format forbids is an error even where others let it pass, so that all
//! readers see the same in a file. A name that comes twice, tensors that overlap, a hole between
//! them or after the last, a shape that does not have the size of its place.
//!
//! `num_batches_tracked` of PyTorch's batch normalisation, a single I64, is passed over: no network
//! of ours has a use for it. All other tensors must be F32, F16 or BF16.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::element::{Element, count, reserve};
use crate::{Contents, MAX_RANK, Tensor, TensorParts, WeightsError};

/// The longest header that is read, in bytes: some 20,000 tensors. What is made of it takes up to
/// twenty times as much memory.
pub const MAX_HEADER_LEN: u64 = 2 << 20;

/// The key of the texts.
const TEXTS: &str = "__metadata__";

/// What PyTorch keeps beside normalised channels, and nothing here needs.
const PASSED_OVER: &str = ".num_batches_tracked";

/// Reads a file that is held in memory; `name` is what errors call it.
///
/// # Errors
///
/// [`WeightsError::CutOff`] or [`WeightsError::TrailingBytes`] if there are fewer or more bytes than
/// the header announces; [`WeightsError::HeaderTooLong`], [`WeightsError::Header`] if it is longer
/// than [`MAX_HEADER_LEN`] or not the JSON that it should be; [`WeightsError::Dtype`],
/// [`WeightsError::Rank`], [`WeightsError::ShapeTooLarge`], [`WeightsError::DataLen`],
/// [`WeightsError::Order`], [`WeightsError::DuplicateName`] of a tensor; [`WeightsError::Memory`] if
/// there is none.
pub fn read(bytes: &[u8], name: impl AsRef<Path>) -> Result<Contents, WeightsError> {
    read_from(bytes, bytes.len() as u64, name.as_ref())
}

/// Reads a file.
///
/// # Errors
///
/// As [`read`], and [`WeightsError::Io`] if the file can't be read.
pub fn load(path: impl AsRef<Path>) -> Result<Contents, WeightsError> {
    let path = path.as_ref();
    let (file, len) = crate::open(path)?;
    read_from(BufReader::<File>::new(file), len, path)
}

/// A tensor as the header announces it.
#[derive(Debug, Deserialize)]
struct Announced {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The header, with all that has the same name twice.
#[derive(Debug, Default)]
struct Header {
    tensors: Vec<(String, Announced)>,
    texts: Vec<Vec<(String, String)>>,
}

/// The pairs of a JSON object of texts, in their order.
struct Texts(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Texts(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Header::default();
                while let Some(name) = map.next_key::<String>()? {
                    if name == TEXTS {
                        let texts = map.next_value::<Option<Texts>>()?;
                        header.texts.push(texts.map_or(Vec::new(), |Texts(pairs)| pairs));
                    } else {
                        header.tensors.push((name, map.next_value()?));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// A tensor whose place has been checked.
struct Placed {
    name: String,
    dims: Vec<usize>,
    /// `None` if it is passed over.
    element: Option<Element>,
    count: usize,
    start: u64,
    end: u64,
}

/// Reads from a stream of `len` bytes.
pub(crate) fn read_from(
    mut reader: impl Read,
    len: u64,
    path: &Path,
) -> Result<Contents, WeightsError> {
    let cut_off = |expected: u64, actual: u64| WeightsError::CutOff {
        path: path.to_owned(),
        what: "the header".to_owned(),
        expected,
        actual,
    };
    let io = |source: io::Error| WeightsError::Io {
        path: path.to_owned(),
        operation: "read it",
        source,
    };
    let mut prefix = [0; 8];
    if len < 8 {
        return Err(cut_off(8, len));
    }
    reader.read_exact(&mut prefix).map_err(io)?;
    let header_len = u64::from_le_bytes(prefix);
    if header_len > MAX_HEADER_LEN {
        let path = path.to_owned();
        return Err(WeightsError::HeaderTooLong { path, len: header_len, max: MAX_HEADER_LEN });
    }
    if header_len > len - 8 {
        return Err(cut_off(8 + header_len, len));
    }
    let mut text = vec![0; header_len as usize];
    reader.read_exact(&mut text).map_err(io)?;
    if text.first() != Some(&b'{') {
        let message = "it does not begin with {".to_owned();
        return Err(WeightsError::Header { path: path.to_owned(), message });
    }
    let Header { tensors, texts } = serde_json::from_slice(&text)
        .map_err(|e| WeightsError::Header { path: path.to_owned(), message: e.to_string() })?;
    drop(text);
    let texts = unique_texts(texts, path)?;
    let placed = place(tensors, len - 8 - header_len, path)?;

    let mut tensors = Vec::with_capacity(placed.len());
    for Placed { name, dims, element, count, start, end } in placed {
        let Some(element) = element else {
            io::copy(&mut reader.by_ref().take(end - start), &mut io::sink()).map_err(io)?;
            continue;
        };
        let mut values = reserve(count, path, &name)?;
        let read = element.read(&mut reader, count, |chunk| values.extend_from_slice(chunk));
        read.map_err(io)?;
        tensors.push(Tensor { name, dims, values });
    }
    Ok(Contents { tensors, texts })
}

fn unique_texts(
    texts: Vec<Vec<(String, String)>>,
    path: &Path,
) -> Result<BTreeMap<String, String>, WeightsError> {
    let twice = |name: String| Err(WeightsError::DuplicateName { path: path.to_owned(), name });
    if texts.len() > 1 {
        return twice(TEXTS.to_owned());
    }
    let mut unique = BTreeMap::new();
    for (key, text) in texts.into_iter().flatten() {
        if unique.contains_key(&key) {
            return twice(key);
        }
        unique.insert(key, text);
    }
    Ok(unique)
}

/// Checks what is announced against the bytes that there are, in the order of the file.
fn place(
    tensors: Vec<(String, Announced)>,
    data_len: u64,
    path: &Path,
) -> Result<Vec<Placed>, WeightsError> {
    let mut names: Vec<&str> = tensors.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let name = pair[0].to_owned();
        return Err(WeightsError::DuplicateName { path: path.to_owned(), name });
    }
    let mut placed = Vec::with_capacity(tensors.len());
    for (name, announced) in tensors {
        placed.push(check(name, announced, path)?);
    }
    // Tensors without elements come before those that begin at the same place.
    placed.sort_by_key(|tensor| (tensor.start, tensor.end));
    let mut end = 0;
    for tensor in &placed {
        if tensor.start != end {
            let (name, start) = (tensor.name.clone(), tensor.start);
            return Err(WeightsError::Order { path: path.to_owned(), name, start, expected: end });
        }
        end = tensor.end;
    }
    let what = || "the header and its tensors".to_owned();
    if end > data_len {
        let (path, what) = (path.to_owned(), "the data of the tensors".to_owned());
        return Err(WeightsError::CutOff { path, what, expected: end, actual: data_len });
    }
    if end < data_len {
        return Err(WeightsError::TrailingBytes {
            path: path.to_owned(),
            what: what(),
            expected: end,
        });
    }
    Ok(placed)
}

fn check(name: String, announced: Announced, path: &Path) -> Result<Placed, WeightsError> {
    let Announced { dtype, shape, data_offsets: (start, end) } = announced;
    let path = path.to_owned();
    if shape.len() > MAX_RANK {
        return Err(WeightsError::Rank { path, name, rank: shape.len(), max: MAX_RANK });
    }
    let (element, size) = match dtype.as_str() {
        "F32" => (Some(Element::F32), 4),
        "F16" => (Some(Element::F16), 2),
        "BF16" => (Some(Element::BF16), 2),
        "I64" if shape.is_empty() && name.ends_with(PASSED_OVER) => (None, 8),
        _ => return Err(WeightsError::Dtype { path, name, dtype }),
    };
    let Some((count, expected)) = count(&shape, size) else {
        return Err(WeightsError::ShapeTooLarge { path, name, dims: shape });
    };
    if end.checked_sub(start) != Some(expected) {
        return Err(WeightsError::DataLen { path, name, dims: shape, expected, start, end });
    }
    // The product of the sizes fits, though one beside a 0 may not.
    let dims = shape.iter().map(|&dim| usize::try_from(dim)).collect::<Result<_, _>>();
    let Ok(dims) = dims else {
        return Err(WeightsError::ShapeTooLarge { path, name, dims: shape });
    };
    Ok(Placed { name, dims, element, count, start, end })
}

/// One entry of a header that is written.
#[derive(Serialize)]
struct Entry<'a> {
    dtype: &'static str,
    shape: &'a [usize],
    data_offsets: (u64, u64),
}

/// Writes tensors of F32 in the order of their names, and texts in the order of their keys: the
/// same tensors give the same bytes.
///
/// # Errors
///
/// [`WeightsError::Unwritable`] if a shape does not have as many elements as there are values, a
/// name comes twice or is that of the texts, or the header gets longer than [`MAX_HEADER_LEN`];
/// [`WeightsError::Io`] under the name `output` if writing fails.
pub fn write<'a>(
    to: &mut impl Write,
    tensors: impl IntoIterator<Item = TensorParts<'a>>,
    texts: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), WeightsError> {
    let mut tensors: Vec<TensorParts<'_>> = tensors.into_iter().collect();
    tensors.sort_by_key(|(name, ..)| *name);
    let bad =
        |name: &str, message: String| WeightsError::Unwritable { name: name.to_owned(), message };
    let mut header = String::from("{");
    let texts: BTreeMap<&str, &str> = texts.into_iter().collect();
    let json = |value: serde_json::Result<String>| value.map_err(|e| bad(TEXTS, e.to_string()));
    if !texts.is_empty() {
        header += &format!("\"{TEXTS}\":{}", json(serde_json::to_string(&texts))?);
    }
    let (mut start, mut last) = (0, None);
    for &(name, dims, values) in &tensors {
        crate::check_tensor((name, dims, values))?;
        if name == TEXTS || last == Some(name) {
            return Err(bad(name, "the name is taken".to_owned()));
        }
        last = Some(name);
        let end = start + 4 * values.len() as u64;
        let entry = Entry { dtype: "F32", shape: dims, data_offsets: (start, end) };
        if header.len() > 1 {
            header.push(',');
        }
        header += &json(serde_json::to_string(name))?;
        header.push(':');
        header += &json(serde_json::to_string(&entry))?;
        start = end;
    }
    header.push('}');
    // The data begin at a multiple of 8, as the format recommends.
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    if header.len() as u64 > MAX_HEADER_LEN {
        let message = format!("the header has {} bytes, {MAX_HEADER_LEN} fit", header.len());
        return Err(bad(TEXTS, message));
    }
    let mut write = || {
        to.write_all(&(header.len() as u64).to_le_bytes())?;
        to.write_all(header.as_bytes())?;
        tensors.iter().try_for_each(|(_, _, values)| crate::write_values(to, values))
    };
    write().map_err(crate::output_failed)
}

/// As [`write()`], into memory.
///
/// # Errors
///
/// As [`write()`].
pub fn to_bytes<'a>(
    tensors: impl IntoIterator<Item = TensorParts<'a>>,
    texts: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<u8>, WeightsError> {
    let mut bytes = Vec::new();
    write(&mut bytes, tensors, texts)?;
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
    texts: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), WeightsError> {
    crate::save(path.as_ref(), |mut file| write(&mut file, tensors, texts))
}
