//! Damaged and lying files of CIFAR-10.

mod common;

use std::fs;
use std::path::Path;

use common::gzip;
use dataset::cifar10::{self, MAX_RECORDS, RECORD_LEN};
use dataset::{Dataset, DatasetError};
use tar::{EntryType, Header};
use tempfile::tempdir;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn published() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/images");
    fs::read(path.join(cifar10::ARCHIVE)).expect("it was committed")
}

/// So many records with the label 3.
fn records(count: usize) -> Vec<u8> {
    let mut record = vec![7; RECORD_LEN];
    record[0] = 3;
    record.repeat(count)
}

fn read(bytes: &[u8]) -> Result<Dataset, DatasetError> {
    cifar10::read_archive(bytes, "archive")
}

/// A member with any name, kind and announced size.
fn member(to: &mut Vec<u8>, name: &str, kind: EntryType, size: u64, data: &[u8]) {
    let mut header = Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    to.extend(header.as_bytes());
    to.extend(data);
    to.resize(to.len().next_multiple_of(512), 0);
}

const NAMES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];

/// All six files under a prefix, with one record each, after what is there already.
fn complete(mut tar: Vec<u8>, prefix: &str) -> Vec<u8> {
    for name in NAMES {
        let data = records(1);
        member(&mut tar, &format!("{prefix}{name}"), EntryType::Regular, data.len() as u64, &data);
    }
    tar.resize(tar.len() + 1024, 0);
    gzip(&tar)
}

#[test]
fn a_file_cut_off_anywhere_is_an_error_except_between_records() {
    let whole = records(2);
    for len in 0..=whole.len() {
        match cifar10::read_batch(&whole[..len], "x") {
            Ok(set) => assert!(len > 0 && set.len() * RECORD_LEN == len, "{len}"),
            Err(DatasetError::CutOff { expected, actual, .. }) => {
                let next = (len / RECORD_LEN + 1) * RECORD_LEN;
                assert_eq!((expected, actual), (next as u64, len as u64));
            }
            Err(error) => panic!("{len}: {error:?}"),
        }
    }
    let error = cifar10::read_batch(&whole[..RECORD_LEN + 5], "x").expect_err("cut off");
    assert_eq!(
        error.to_string(),
        "x: cut off: expected 6146 bytes (2 x a label and 3 x 32 x 32), found 3078"
    );
}

#[test]
fn labels_and_the_number_of_records_are_checked() {
    let mut bytes = records(2);
    bytes[RECORD_LEN] = 10;
    let error = cifar10::read_batch(&bytes[..], "x").expect_err("10 of 10");
    assert!(
        matches!(error, DatasetError::LabelRange { index: 1, label: 10, classes: 10, .. }),
        "{error:?}"
    );
    // Endless, and not read to the end.
    let endless = std::io::repeat(0);
    let error = cifar10::read_batch(endless, "x").expect_err("too many");
    let most = (MAX_RECORDS * RECORD_LEN) as u64;
    assert!(
        matches!(error, DatasetError::TrailingBytes { expected, .. } if expected == most),
        "{error:?}"
    );
}

#[test]
fn an_archive_cut_off_anywhere_is_an_error() {
    let whole = published();
    for len in 0..whole.len() {
        let error = read(&whole[..len]).expect_err("cut off");
        assert!(
            matches!(
                error,
                DatasetError::Tar { .. }
                    | DatasetError::CutOff { .. }
                    | DatasetError::ArchiveFile { .. }
            ),
            "{len}: {error:?}"
        );
    }
}

#[test]
fn an_archive_with_a_flipped_bit_is_an_error_or_the_same_set() -> Outcome {
    let whole = published();
    let expected = read(&whole)?;
    let mut bytes = whole.clone();
    for at in 0..whole.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            if let Ok(set) = read(&bytes) {
                assert!(set == expected, "bit {bit} of byte {at}");
            }
            bytes[at] ^= 1 << bit;
        }
    }
    Ok(())
}

#[test]
fn a_file_with_a_flipped_bit_is_an_error_or_another_set() -> Outcome {
    let whole = records(2);
    let expected = cifar10::read_batch(&whole[..], "x")?;
    let mut bytes = whole.clone();
    for at in 0..whole.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            match cifar10::read_batch(&bytes[..], "x") {
                Ok(set) => assert!(set.len() == 2 && set != expected, "bit {bit} of byte {at}"),
                // Of 3, these bits make a label that there is not.
                Err(DatasetError::LabelRange { label, .. }) => {
                    assert!(at % RECORD_LEN == 0 && label == 3 ^ 1 << bit && label > 9);
                }
                Err(error) => panic!("bit {bit} of byte {at}: {error:?}"),
            }
            bytes[at] ^= 1 << bit;
        }
    }
    Ok(())
}

#[test]
fn paths_are_compared_and_never_followed() -> Outcome {
    for prefix in ["", "./", "cifar-10-batches-bin/", "./cifar-10-batches-bin/"] {
        assert_eq!(read(&complete(Vec::new(), prefix))?.train.len(), 5, "{prefix}");
    }
    for prefix in ["../", "/", "/elsewhere/", "cifar-10-batches-bin/../", "other/"] {
        let error = read(&complete(Vec::new(), prefix)).expect_err("none of the six");
        assert!(
            matches!(error, DatasetError::ArchiveFile { name: "data_batch_1.bin", count: 0, .. }),
            "{prefix}: {error:?}"
        );
    }
    // Links of the right name are no files.
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Directory, EntryType::Fifo] {
        let mut tar = Vec::new();
        member(&mut tar, NAMES[0], kind, 0, &[]);
        assert_eq!(read(&complete(tar, ""))?.train.len(), 5);
    }
    let mut tar = Vec::new();
    member(&mut tar, NAMES[2], EntryType::Regular, RECORD_LEN as u64, &records(1));
    let error = read(&complete(tar, "")).expect_err("twice");
    assert!(
        matches!(error, DatasetError::ArchiveFile { name: "data_batch_3.bin", count: 2, .. }),
        "{error:?}"
    );
    Ok(())
}

#[test]
fn sizes_that_lie_are_errors() {
    for size in [1 << 33, u64::MAX >> 1, u64::MAX] {
        for name in ["batches.meta.txt", NAMES[0]] {
            for kind in [EntryType::Regular, EntryType::GNULongName, EntryType::XHeader] {
                let mut tar = Vec::new();
                member(&mut tar, name, kind, size, &records(1));
                let error = read(&complete(tar, "")).expect_err("there is not so much");
                assert!(
                    matches!(
                        error,
                        DatasetError::Tar { .. }
                            | DatasetError::CutOff { .. }
                            | DatasetError::LabelRange { .. }
                    ),
                    "{size} {name} {kind:?}: {error:?}"
                );
            }
        }
    }
}

/// A thousand times as large as it seems.
#[test]
fn a_bomb_is_not_unpacked() {
    const LEN: usize = 400 << 20;
    let mut tar = Vec::new();
    member(&mut tar, NAMES[0], EntryType::Regular, LEN as u64, &[]);
    tar.resize(LEN, 0);
    let error = read(&gzip(&tar)).expect_err("more records than are read");
    assert!(matches!(error, DatasetError::TrailingBytes { .. }), "{error:?}");
    tar[..10].copy_from_slice(b"readme.htm");
    let header = Header::from_byte_slice(&tar[..512]).clone();
    let mut header = header;
    header.set_cksum();
    tar[..512].copy_from_slice(header.as_bytes());
    let error = read(&gzip(&tar)).expect_err("more than is unpacked");
    assert!(matches!(error, DatasetError::Tar { .. }), "{error:?}");
}

#[test]
fn a_folder_without_the_files_says_what_it_should_have() -> Outcome {
    let folder = tempdir()?;
    let path = folder.path();
    let error = cifar10::from_folder(path).expect_err("it is empty");
    assert!(
        error.to_string().ends_with(
            "none of data_batch_1.bin, cifar-10-batches-bin/data_batch_1.bin, \
             cifar-10-binary.tar.gz"
        ),
        "{error}"
    );
    for (i, name) in NAMES.into_iter().enumerate() {
        fs::write(path.join(name), records(i + 1))?;
        let result = cifar10::from_folder(path);
        match (i, result) {
            (5, Ok(set)) => assert_eq!((set.train.len(), set.test.len()), (15, 6)),
            (_, Err(DatasetError::Io { path: missing, operation: "open", .. })) => {
                assert_eq!(missing, path.join(NAMES[i + 1]));
            }
            (_, result) => panic!("{i}: {result:?}"),
        }
    }
    // The same in a folder of its own.
    let outer = tempdir()?;
    fs::rename(path, outer.path().join("cifar-10-batches-bin"))?;
    assert_eq!(cifar10::from_folder(outer.path())?.test.label_counts()[3], 6);
    let error = cifar10::from_folder(outer.path().join("missing")).expect_err("no folder");
    assert!(matches!(error, DatasetError::Io { operation: "read the folder", .. }), "{error:?}");
    Ok(())
}
