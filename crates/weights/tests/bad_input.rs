//! Files that are damaged by chance: an error or a value, never a panic.

mod common;

use common::{TENSORS, files};
use weights::{Contents, WeightsError, npy, npz, read_bytes, safetensors};

type Reader = fn(&[u8]) -> Result<(), WeightsError>;

/// All that reads bytes.
const READERS: [(&str, Reader); 4] = [
    ("any", |bytes| read_bytes(bytes, "x").map(|contents| check(&contents))),
    ("safetensors", |bytes| safetensors::read(bytes, "x").map(|contents| check(&contents))),
    ("npy", |bytes| npy::read(bytes, "x").map(|tensor| check_size(&tensor))),
    ("npz", |bytes| npz::read(bytes, "x").map(|tensors| tensors.iter().for_each(check_size))),
];

fn check(contents: &Contents) {
    contents.tensors.iter().for_each(check_size);
}

/// What is read is always whole.
fn check_size(tensor: &weights::Tensor) {
    assert_eq!(tensor.dims.iter().product::<usize>(), tensor.values.len(), "{}", tensor.name);
}

#[test]
fn whole_files_are_read() {
    for (name, bytes) in files() {
        let contents = read_bytes(&bytes, name).unwrap_or_else(|e| panic!("{e}"));
        check(&contents);
        if name.contains("npy") {
            continue;
        }
        assert_eq!(contents.tensors.len(), TENSORS.len(), "{name}");
        for tensor in TENSORS {
            let found = contents.tensors.iter().any(|read| read.parts() == tensor);
            assert!(found, "{name}: {}", tensor.0);
        }
    }
}

#[test]
fn a_file_cut_off_anywhere_is_an_error() {
    for (name, bytes) in files() {
        for len in 0..bytes.len() {
            for (reader, read) in READERS {
                assert!(read(&bytes[..len]).is_err(), "{name} as {reader}: {len} bytes");
            }
        }
    }
}

#[test]
fn a_file_that_goes_on_is_an_error() {
    for (name, mut bytes) in files() {
        for _ in 0..3 {
            bytes.push(0);
            assert!(read_bytes(&bytes, name).is_err(), "{name}: {} bytes", bytes.len());
        }
    }
}

#[test]
fn every_flipped_bit_is_an_error_or_a_value() {
    for (name, mut bytes) in files() {
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                for (_, read) in READERS {
                    // Of a value the size is checked.
                    let _ = read(&bytes);
                }
                bytes[at] ^= 1 << bit;
            }
        }
        assert!(read_bytes(&bytes, name).is_ok(), "{name} is as before");
    }
}

/// A checksum guards each array of an archive: what is read is what was written.
#[test]
fn a_flipped_bit_in_an_archive_changes_no_value() {
    for (name, mut bytes) in files().into_iter().filter(|(name, _)| name.ends_with("npz")) {
        let whole = npz::read(&bytes, name).unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                if let Ok(tensors) = npz::read(&bytes, name) {
                    let values = |tensors: &[weights::Tensor]| {
                        tensors
                            .iter()
                            .map(|t| (t.dims.clone(), t.values.clone()))
                            .collect::<Vec<_>>()
                    };
                    assert_eq!(values(&tensors), values(&whole), "{name}: bit {bit} of byte {at}");
                }
                bytes[at] ^= 1 << bit;
            }
        }
    }
}
