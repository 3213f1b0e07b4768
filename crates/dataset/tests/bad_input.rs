//! Files that are damaged or lie: each has its own error, with the numbers.

mod common;

use std::io::{self, Read};

use common::{gzip, idx, idx1, idx3};
use dataset::{DatasetError, ImageSet, idx as reader};

fn images_error(bytes: &[u8]) -> DatasetError {
    reader::read_images(bytes, "x").expect_err("this file is malformed")
}

fn labels_error(bytes: &[u8]) -> DatasetError {
    reader::read_labels(bytes, "x").expect_err("this file is malformed")
}

fn good() -> Vec<u8> {
    idx3([2, 2, 3], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
}

#[test]
fn a_file_cut_off_anywhere_says_what_is_missing() {
    let good = good();
    for len in 0..good.len() {
        let whole = if len < 16 { 16 } else { 28 };
        match images_error(&good[..len]) {
            DatasetError::CutOff { expected, actual, .. } => {
                assert_eq!((expected, actual), (whole, len as u64));
            }
            error => panic!("{len} bytes: {error}"),
        }
    }
    let error = images_error(&good[..20]).to_string();
    assert_eq!(error, "x: cut off: expected 28 bytes (a header and 2 x 2 x 3), found 20");
    let error = labels_error(&idx1(&[1, 2, 3])[..7]).to_string();
    assert_eq!(error, "x: cut off: expected 8 bytes (the header of labels), found 7");
}

#[test]
fn a_gzipped_file_cut_off_anywhere_is_an_error() {
    let packed = gzip(&good());
    for len in 0..packed.len() {
        let error = images_error(&packed[..len]);
        // Below two bytes it cannot be told that this was to be gzip. The last eight are the
        // checksum and the length: without them all the data may be there.
        match (len, &error) {
            (_, DatasetError::CutOff { expected: 16 | 28, actual, .. }) => assert!(*actual < 28),
            (_, DatasetError::Gzip { unpacked: 28, .. }) if len >= packed.len() - 9 => {}
            _ => panic!("{len} of {} bytes: {error:?}", packed.len()),
        }
    }
    let error = images_error(&gzip(&good()[..27])).to_string();
    assert_eq!(error, "x: cut off: expected 28 bytes (a header and 2 x 2 x 3, unpacked), found 27");
    // A file whose data is a single byte: that byte is missing, or the checksum after it.
    let packed = gzip(&idx1(&[5]));
    for len in 2..packed.len() {
        match labels_error(&packed[..len]) {
            DatasetError::CutOff { expected: 8 | 9, actual, .. } => assert!(actual < 9),
            DatasetError::Gzip { unpacked: 9, .. } if len >= packed.len() - 9 => {}
            error => panic!("{len} of {} bytes: {error:?}", packed.len()),
        }
    }
}

#[test]
fn every_flipped_bit_is_an_error_or_another_value() -> Result<(), DatasetError> {
    let whole = reader::read_images(&good()[..], "x")?;
    let mut bytes = good();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            match reader::read_images(&bytes[..], "x") {
                // Nothing guards a plain file but its sizes.
                Ok(images) => assert!(at >= 16 && images.pixels() != whole.pixels(), "{at} {bit}"),
                Err(error) => assert!(at < 16, "{at} {bit}: {error:?}"),
            }
            let _ = reader::read_labels(&bytes[..], "x");
            bytes[at] ^= 1 << bit;
        }
    }
    let mut bytes = idx1(&[1, 2, 3]);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            assert_eq!(reader::read_labels(&bytes[..], "x").is_ok(), at >= 8, "{at} {bit}");
            bytes[at] ^= 1 << bit;
        }
    }
    // A checksum guards a packed one: what is read is what was written.
    for packed in [gzip(&good()), gzip(&idx1(&[1, 2, 3]))] {
        let mut bytes = packed;
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                if let Ok(images) = reader::read_images(&bytes[..], "x") {
                    assert_eq!(images.pixels(), whole.pixels(), "{at} {bit}");
                }
                if let Ok(labels) = reader::read_labels(&bytes[..], "x") {
                    assert_eq!(labels.labels(), [1, 2, 3], "{at} {bit}");
                }
                bytes[at] ^= 1 << bit;
            }
        }
    }
    Ok(())
}

#[test]
fn damage_to_a_gzip_stream_is_found() {
    let packed = gzip(&good());
    let len = packed.len();
    let mut wrong_checksum = packed.clone();
    wrong_checksum[len - 8] ^= 1;
    let mut wrong_length = packed.clone();
    wrong_length[len - 4] ^= 1;
    let mut wrong_method = packed.clone();
    wrong_method[2] = 7;
    let mut rubbish_after = packed.clone();
    rubbish_after.extend(b"rubbish, and more of it");
    let cases = [
        ("checksum", wrong_checksum, 28),
        ("length", wrong_length, 28),
        ("method", wrong_method, 0),
        ("rubbish", rubbish_after, 28),
    ];
    for (name, bytes, after) in cases {
        match images_error(&bytes) {
            DatasetError::Gzip { unpacked, .. } => assert_eq!(unpacked, after, "{name}"),
            error => panic!("{name}: {error:?}"),
        }
    }
}

#[test]
fn the_members_of_a_gzip_stream_are_one_file() -> Result<(), DatasetError> {
    let good = good();
    let mut packed = gzip(&good[..9]);
    packed.extend(gzip(&[]));
    packed.extend(gzip(&good[9..]));
    assert_eq!(reader::read_images(&packed[..], "x")?.pixels(), &good[16..]);
    packed.extend(gzip(&[0]));
    assert!(matches!(images_error(&packed), DatasetError::TrailingBytes { expected: 28, .. }));
    Ok(())
}

#[test]
fn very_many_empty_members_do_not_exhaust_the_stack() {
    let packed = gzip(&[]).repeat(100_000);
    let error = images_error(&packed);
    assert!(matches!(error, DatasetError::CutOff { expected: 16, actual: 0, .. }), "{error:?}");
}

#[test]
fn trailing_bytes_are_refused() {
    for extra in [1, 1000] {
        let mut bytes = good();
        bytes.resize(bytes.len() + extra, 0);
        for bytes in [gzip(&bytes), bytes] {
            let error = images_error(&bytes);
            assert!(
                matches!(error, DatasetError::TrailingBytes { expected: 28, .. }),
                "{extra}: {error:?}"
            );
        }
    }
}

#[test]
fn another_magic_type_or_number_of_dimensions_is_named() {
    let error = images_error(b"<!DOCTYPE html><html>not found</html>").to_string();
    assert_eq!(error, "x: not an IDX file: it begins with 0x3c21444f, expected 0x00000803");
    // Zeros in front, but a type that IDX does not have.
    assert!(matches!(
        labels_error(&idx([0, 0, 7, 1], &[1], &[0])),
        DatasetError::WrongMagic { expected: 0x0801, actual: 0x0701, .. }
    ));
    for code in [0x09, 0x0b, 0x0c, 0x0d, 0x0e] {
        let error = images_error(&idx([0, 0, code, 3], &[1, 1, 1], &[0; 8]));
        match error {
            DatasetError::ElementType { code: found, .. } => assert_eq!(found, code),
            error => panic!("{code}: {error:?}"),
        }
    }
    let error = images_error(&idx1(&[0; 20])).to_string();
    assert_eq!(error, "x: the file has 1 dimension(s), images have 3");
    let error = labels_error(&good()).to_string();
    assert_eq!(error, "x: the file has 3 dimension(s), labels have 1");
}

#[test]
fn a_header_of_two_thousand_million_images_without_data_is_an_error_at_once() {
    const COUNT: u32 = 1 << 31;
    // More than is ever read: refused for what it says.
    for bytes in [idx3([COUNT, 28, 28], &[]), idx3([COUNT, COUNT, COUNT], &[1, 2, 3])] {
        for bytes in [gzip(&bytes), bytes] {
            match images_error(&bytes) {
                DatasetError::TooLarge { dims, max, .. } => {
                    assert_eq!((dims[0], max), (COUNT, reader::MAX_DATA_LEN));
                }
                error => panic!("{error:?}"),
            }
        }
    }
    let error = images_error(&idx3([COUNT, 28, 28], &[])).to_string();
    assert!(error.contains("the header announces 2147483648 x 28 x 28 bytes"), "{error}");
    // A size that could be: refused for what is there.
    for bytes in [idx3([COUNT, 1, 1], &[]), idx([0, 0, 8, 1], &[COUNT], &[1, 2, 3])] {
        let error = if bytes[3] == 3 { images_error(&bytes) } else { labels_error(&bytes) };
        match error {
            DatasetError::CutOff { expected, actual, .. } => {
                let head_len = 4 + 4 * u64::from(bytes[3]);
                assert_eq!((expected, actual), (head_len + (1 << 31), bytes.len() as u64));
            }
            error => panic!("{error:?}"),
        }
    }
}

/// Counts what is read from it.
struct Counting<'a> {
    bytes: &'a [u8],
    read: usize,
}

impl Read for Counting<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buf)?;
        self.read += count;
        Ok(count)
    }
}

#[test]
fn a_gzip_bomb_is_not_unpacked() {
    let mut bytes = idx3([10, 28, 28], &[]);
    bytes.resize(256 << 20, 0);
    let packed = gzip(&bytes);
    assert!(packed.len() > 200_000, "{}", packed.len());
    let mut counting = Counting { bytes: &packed, read: 0 };
    let error = reader::read_images(&mut counting, "bomb").expect_err("it has trailing bytes");
    assert!(matches!(error, DatasetError::TrailingBytes { expected: 7856, .. }), "{error:?}");
    assert!(counting.read < packed.len() / 4, "{} of {}", counting.read, packed.len());
}

/// A member after the other, without end: they unpack to 10 GB and more.
struct Repeated<'a> {
    header: &'a [u8],
    member: &'a [u8],
    at: usize,
    /// How much was read, packed.
    read: usize,
}

impl Read for Repeated<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut count = self.header.read(buf)?;
        if count == 0 {
            assert!(self.read < 20 << 20, "it is read on and on");
            count = (&self.member[self.at..]).read(buf)?;
            self.at = (self.at + count) % self.member.len();
        }
        self.read += count;
        Ok(count)
    }
}

#[test]
fn a_bomb_of_ten_gigabytes_is_read_to_its_bound() {
    let member = gzip(&vec![0; 64 << 20]);
    // 160 of them have 10 GB, in some 10 MB.
    assert!(member.len() * 160 < 20 << 20);
    for dims in [[1, 1, 1], [60_000, 28, 28]] {
        let header = gzip(&idx3(dims, &[]));
        let mut bomb = Repeated { header: &header, member: &member, at: 0, read: 0 };
        let error = reader::read_images(&mut bomb, "bomb").expect_err("it has trailing bytes");
        let expected = 16 + dims.iter().map(|&dim| u64::from(dim)).product::<u64>();
        assert!(
            matches!(error, DatasetError::TrailingBytes { expected: found, .. } if found == expected),
            "{error:?}"
        );
        // At its own rate of packing the bound takes as many bytes, and a buffer more.
        let bound = expected as usize / (64 << 20) * member.len() + member.len() + (64 << 10);
        assert!(bomb.read <= bound, "{} of {bound}", bomb.read);
    }
}

#[test]
fn a_reader_that_fails_hands_its_error_on() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::ConnectionReset, "the line went dead"))
        }
    }
    for bytes in [good(), gzip(&good())] {
        for len in [0, 1, 2, 12, 20] {
            let error = reader::read_images(bytes[..len].chain(Failing), "x").expect_err("fails");
            let DatasetError::Io { source, .. } = error else { panic!("{len}: {error:?}") };
            assert_eq!(source.to_string(), "the line went dead");
        }
    }
}

#[test]
fn images_and_labels_must_belong_together() -> Result<(), DatasetError> {
    let images = reader::read_images(&good()[..], "pictures")?;
    let labels = |labels: &[u8]| reader::read_labels(&idx1(labels)[..], "names");
    let error = ImageSet::from_idx(images.clone(), labels(&[1, 2, 3])?, 10).expect_err("2 and 3");
    assert_eq!(
        error.to_string(),
        "the counts differ: pictures holds 2 images, names holds 3 labels"
    );
    let error = ImageSet::from_idx(images.clone(), labels(&[9, 10])?, 10).expect_err("10 of 10");
    assert_eq!(
        error.to_string(),
        "names: label 10 of image 1 is not below the number of classes, 10"
    );
    let set = ImageSet::from_idx(images, labels(&[9, 0])?, 10)?;
    assert_eq!((set.len(), set.image_shape(), set.classes()), (2, [1, 2, 3], 10));
    assert_eq!((set.image(1), set.label(0)), (&[7, 8, 9, 10, 11, 12][..], 9));
    Ok(())
}
