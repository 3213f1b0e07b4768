//! The bundled MNIST is MNIST, to the last bit.

#![cfg(feature = "bundled-mnist")]

mod common;
#[path = "common/sha256.rs"]
mod sha256;

use common::{idx1, idx3};
use dataset::{DatasetError, ImageSet, mnist};
use sha256::sha256;

#[test]
fn the_bundled_files_are_mnist() -> Result<(), DatasetError> {
    let mnist = mnist::bundled()?;
    assert_eq!((mnist.train.len(), mnist.test.len()), (60_000, 10_000));
    for set in [&mnist.train, &mnist.test] {
        assert_eq!((set.image_shape(), set.classes()), ([1, 28, 28], 10));
    }
    assert_eq!(mnist.test.label_counts(), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);

    // The files as they are unpacked, put together again.
    let images = |set: &ImageSet| sha256(&idx3([set.len() as u32, 28, 28], set.pixels()));
    let labels = |set: &ImageSet| sha256(&idx1(set.labels()));
    assert_eq!(
        images(&mnist.train),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    );
    assert_eq!(
        labels(&mnist.train),
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    );
    assert_eq!(
        images(&mnist.test),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    );
    assert_eq!(
        labels(&mnist.test),
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    );
    Ok(())
}

/// The examples of FIPS 180-2, and one that fills a block to where the length no longer fits.
#[test]
fn the_checksum_is_sha256() {
    for (message, expected) in [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
    ] {
        assert_eq!(sha256(message.as_bytes()), expected, "{message}");
    }
}
