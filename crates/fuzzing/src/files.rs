//! Files that somebody else wrote: read, or refused with an error that can be printed.

use std::fmt::Display;
use std::io::Cursor;

use dataset::image_folder::{FolderOptions, read_image};
use dataset::{ImageSet, cifar10 as cifar, idx};

/// An error is text for a person: it must be printable, and say something.
pub(crate) fn refused(error: &(impl Display + ?Sized)) {
    assert!(!error.to_string().is_empty());
}

/// What every set of images keeps.
fn check_set(set: &ImageSet) {
    assert_eq!(set.pixels().len(), set.len() * set.image_shape().iter().product::<usize>());
    assert_eq!(set.labels().len(), set.len());
    assert!(set.labels().iter().all(|&label| usize::from(label) < set.classes()));
}

/// Images and labels of an IDX file, plain or gzipped.
///
/// # Panics
///
/// If what was read contradicts itself.
pub fn idx_gz(bytes: &[u8]) {
    let images = idx::read_images(bytes, "fuzzed");
    let labels = idx::read_labels(bytes, "fuzzed");
    match &images {
        Ok(images) => {
            assert_eq!(images.pixels().len(), images.len() * images.rows() * images.cols());
            check_with_labels(images);
        }
        Err(error) => refused(error),
    }
    match &labels {
        Ok(labels) => assert_eq!(labels.labels().len(), labels.len()),
        Err(error) => refused(error),
    }
    assert!(images.is_err() || labels.is_err(), "one file has one number of dimensions");
}

/// Images with as many labels, each of them a class.
fn check_with_labels(images: &idx::Images) {
    // A header may announce any number of images without a pixel.
    if images.len() > 1 << 16 {
        return;
    }
    let header = [&[0, 0, 8, 1][..], &(images.len() as u32).to_be_bytes()].concat();
    let labels = [header, vec![3; images.len()]].concat();
    let labels = idx::read_labels(&labels[..], "ours").expect("it is well formed");
    match ImageSet::from_idx(images.clone(), labels, 10) {
        Ok(set) => check_set(&set),
        Err(error) => refused(&error),
    }
}

/// A batch of CIFAR-10, and the archive of all.
///
/// # Panics
///
/// If what was read contradicts itself.
pub fn cifar10(bytes: &[u8]) {
    match cifar::read_batch(bytes, "fuzzed") {
        Ok(set) => {
            check_set(&set);
            assert_eq!(set.len() * cifar::RECORD_LEN, bytes.len());
        }
        Err(error) => refused(&error),
    }
    match cifar::read_archive(bytes, "fuzzed") {
        Ok(set) => [set.train, set.test].iter().for_each(check_set),
        Err(error) => refused(&error),
    }
}

/// A picture as it stands in a folder of them, PNG or JPEG.
///
/// # Panics
///
/// If what was read contradicts itself.
pub fn image(bytes: &[u8]) {
    let options = FolderOptions::new(12, 10);
    match read_image(Cursor::new(bytes), "fuzzed", &options) {
        Ok(pixels) => assert_eq!(pixels.len(), 3 * 12 * 10),
        Err(error) => refused(&error),
    }
}
