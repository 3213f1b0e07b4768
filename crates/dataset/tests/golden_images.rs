//! Pictures and an archive that other programs wrote, read as those programs read them.

use std::fs;
use std::path::{Path, PathBuf};

use dataset::cifar10;
use dataset::image_folder::{self, FolderOptions};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/images")
}

/// The largest and the mean difference between a picture as we read it and as Pillow does.
fn difference(picture: &str, options: FolderOptions, expected: &str) -> (u8, f64) {
    let ours = image_folder::load_image(folder().join(picture), &options).expect("a good picture");
    let theirs = fs::read(folder().join(expected)).expect("it was committed");
    assert_eq!(ours.len(), theirs.len(), "{picture}");
    let differences = ours.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b));
    let sum: u64 = differences.clone().map(u64::from).sum();
    (differences.max().unwrap_or(0), sum as f64 / ours.len() as f64)
}

#[test]
fn png_is_decoded_to_the_last_bit() {
    for name in ["rgb", "rgba", "grey", "bits", "palette"] {
        let (picture, expected) = (format!("{name}.png"), format!("{name}.rgb"));
        assert_eq!(difference(&picture, FolderOptions::new(18, 26), &expected), (0, 0.0), "{name}");
    }
    // Sixteen bits are rounded to eight.
    let (most, _) = difference("grey16.png", FolderOptions::new(18, 26), "grey16.rgb");
    assert!(most <= 1, "{most}");
}

/// The standard of jpeg leaves the last bits of a decoder open, and how colours are interpolated.
#[test]
fn jpeg_is_decoded_and_turned() {
    for (name, height, width) in
        [("colour", 18, 26), ("luma", 18, 26), ("progressive", 18, 26), ("turned", 26, 18)]
    {
        let (picture, expected) = (format!("{name}.jpg"), format!("{name}.rgb"));
        let (most, mean) = difference(&picture, FolderOptions::new(height, width), &expected);
        assert!(most <= 4 && mean < 0.5, "{name}: {most} {mean}");
    }
}

#[test]
fn pictures_are_cropped_and_resized() {
    for (picture, options, expected) in [
        ("wide.png", FolderOptions::new(8, 8), "fit-wide-8x8.rgb"),
        ("wide.png", FolderOptions::new(30, 40), "fit-wide-30x40.rgb"),
        ("tall.png", FolderOptions::new(6, 9), "fit-tall-6x9.rgb"),
        ("tall.png", FolderOptions::new(8, 8).resize(10), "fit-tall-8x8-of-10.rgb"),
    ] {
        let (most, mean) = difference(picture, options, expected);
        assert!(most <= 1 && mean < 0.25, "{expected}: {most} {mean}");
    }
}

#[test]
fn an_archive_is_read_as_it_was_written() -> Outcome {
    let set = cifar10::from_folder(folder())?;
    assert_eq!(set, cifar10::from_archive(folder().join(cifar10::ARCHIVE))?);
    assert_eq!((set.train.len(), set.test.len()), (10, 2));
    assert_eq!(set.train.class_names()[9], "truck");
    assert_eq!(set.test.image_shape(), cifar10::IMAGE_SHAPE);
    let images = (0..10).map(|i| (&set.train, i)).chain((0..2).map(|i| (&set.test, i)));
    for (i, (set, at)) in images.enumerate() {
        assert_eq!(set.label(at), i % 10);
        let expected = (0..3 * 32 * 32).map(|p| {
            let (c, y, x) = (p / 1024, p / 32 % 32, p % 32);
            ((17 * i + 85 * c + 3 * y + x) % 256) as u8
        });
        assert!(set.image(at).iter().copied().eq(expected), "{i}");
    }
    Ok(())
}
