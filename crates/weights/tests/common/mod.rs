//! Small files that the tests damage.

// Each test file is a program of its own and uses its part of this.
#![allow(dead_code)]

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use weights::{TensorParts, npy, npz, safetensors};

pub(crate) const TENSORS: [TensorParts<'static>; 3] = [
    ("conv1.weight", &[2, 1, 1, 2], &[1.0, -2.0, 0.5, 3.25]),
    ("conv1.bias", &[2], &[0.0, 7.0]),
    ("none", &[0, 3], &[]),
];

/// A safetensors file with the given header, and so many bytes of data.
pub(crate) fn with_header(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

/// An npy of version 1 with the given header, and so many bytes of data.
pub(crate) fn npy_with(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

/// The header of an npy of the given shape, as Python writes it.
pub(crate) fn npy_header(descr: &str, shape: &str) -> String {
    format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n")
}

/// How the headers of a member of an archive lie.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// The name before the data, where it is another.
    pub(crate) local_name: Option<String>,
    pub(crate) deflated: bool,
    pub(crate) method: Option<u16>,
    pub(crate) flags: u16,
    pub(crate) data: Vec<u8>,
    pub(crate) crc: Option<u32>,
    pub(crate) packed: Option<u32>,
    pub(crate) unpacked: Option<u32>,
    /// Where the directory says that it begins.
    pub(crate) offset: Option<u32>,
}

impl Entry {
    pub(crate) fn new(name: &str, data: Vec<u8>) -> Self {
        let name = name.to_owned();
        Self {
            name,
            local_name: None,
            deflated: false,
            method: None,
            flags: 0,
            data,
            crc: None,
            packed: None,
            unpacked: None,
            offset: None,
        }
    }

    pub(crate) fn deflated(self) -> Self {
        Self { deflated: true, ..self }
    }
}

/// An archive of these members.
pub(crate) fn archive(entries: &[Entry]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let mut crc = flate2::Crc::new();
        crc.update(&entry.data);
        let packed = if entry.deflated {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&entry.data).unwrap();
            encoder.finish().unwrap()
        } else {
            entry.data.clone()
        };
        let method = entry.method.unwrap_or(if entry.deflated { 8 } else { 0 });
        let sizes = [
            entry.crc.unwrap_or(crc.sum()),
            entry.packed.unwrap_or(packed.len() as u32),
            entry.unpacked.unwrap_or(entry.data.len() as u32),
        ];
        let common = |name: &str| {
            let mut common = Vec::new();
            for field in [20, entry.flags, method, 0, 0x21] {
                common.extend(field.to_le_bytes());
            }
            common.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
            common.extend((name.len() as u16).to_le_bytes());
            common.extend([0; 2]);
            common
        };
        let offset = entry.offset.unwrap_or(bytes.len() as u32);
        let local_name = entry.local_name.as_ref().unwrap_or(&entry.name);
        bytes.extend(b"PK\x03\x04");
        bytes.extend(common(local_name));
        bytes.extend(local_name.as_bytes());
        bytes.extend(packed);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(common(&entry.name));
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(entry.name.as_bytes());
    }
    let (start, count) = (bytes.len() as u32, entries.len() as u16);
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0; 2]);
    bytes
}

/// The arrays of [`TENSORS`] as an archive, deflated.
pub(crate) fn deflated() -> Vec<u8> {
    let entries = TENSORS.map(|tensor| {
        Entry::new(&format!("{}.npy", tensor.0), npy::to_bytes(tensor).unwrap()).deflated()
    });
    archive(&entries)
}

/// A small file of each format, with its name.
pub(crate) fn files() -> Vec<(&'static str, Vec<u8>)> {
    let text = [("model", "simple-convnet")];
    let half = [npy_with(&npy_header("'<f2'", "(3,)"), 0), vec![0, 0x3c, 0, 0xc0, 1, 0]].concat();
    vec![
        ("safetensors", safetensors::to_bytes(TENSORS, text).unwrap()),
        ("npy", npy::to_bytes(TENSORS[0]).unwrap()),
        ("half.npy", half),
        ("npz", npz::to_bytes(TENSORS).unwrap()),
        ("deflated.npz", deflated()),
    ]
}
