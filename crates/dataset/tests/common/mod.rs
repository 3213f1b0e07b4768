//! What several test files need: IDX files made by hand, and gzip.

#![allow(dead_code, reason = "not every test file uses all of it")]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

/// An IDX file of the given magic, sizes and elements, right or wrong.
pub(crate) fn idx(magic: [u8; 4], dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    for size in dims {
        bytes.extend(size.to_be_bytes());
    }
    bytes.extend(data);
    bytes
}

/// A file of images.
pub(crate) fn idx3(dims: [u32; 3], pixels: &[u8]) -> Vec<u8> {
    idx([0, 0, 8, 3], &dims, pixels)
}

/// A file of as many labels as it says.
pub(crate) fn idx1(labels: &[u8]) -> Vec<u8> {
    idx([0, 0, 8, 1], &[labels.len() as u32], labels)
}

/// `bytes` as one gzip member.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}
