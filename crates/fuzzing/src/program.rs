//! What the program reads beside weights and data sets: settings, and pictures to be recognised.

use std::sync::LazyLock;

use colonnade::untrusted;
use net::models::SimpleConvNet;
use net::{Sequential, SoftmaxCrossEntropy};
use tensor4::{Shape4, Tensor4};

use crate::files::refused;

/// The settings of a training as TOML, and those of a run as JSON.
///
/// # Panics
///
/// If a reader does.
pub fn config_toml(bytes: &[u8]) {
    for read in [untrusted::settings, untrusted::run_settings] {
        if let Err(error) = read(bytes) {
            refused(&*error);
        }
    }
}

/// What a picture becomes an image of: the digits of MNIST, and sizes and channels that divide
/// nothing evenly.
const IMAGES: [([usize; 3], bool); 4] =
    [([1, 28, 28], true), ([1, 28, 28], false), ([3, 9, 7], false), ([1, 1, 1], true)];

/// The network for digits, small: what it answers is not the question.
static DIGITS: LazyLock<Sequential<f32>> = LazyLock::new(|| {
    let net = SimpleConvNet::default().filters(2).hidden(5).weight_std(0.5);
    net.build(1).expect("its layers fit")
});

/// A picture as `predict` takes it, up to the probabilities.
///
/// # Panics
///
/// If a pixel is outside of what it can be, or the network gives no probabilities.
pub fn image_predict(bytes: &[u8]) {
    for (shape, digit) in IMAGES {
        match untrusted::picture(bytes, shape, digit) {
            Ok(pixels) => {
                assert_eq!(pixels.len(), shape.iter().product::<usize>());
                assert!(pixels.iter().all(|pixel| (0.0..=1.0).contains(pixel)), "{pixels:?}");
                if shape == [1, 28, 28] {
                    check_answer(pixels);
                }
            }
            // What can't be decoded is refused for all of them.
            Err(error) if !digit => return refused(&*error),
            Err(error) => refused(&*error),
        }
    }
}

fn check_answer(pixels: Vec<f32>) {
    let x = Shape4::new(1, 1, 28, 28).and_then(|shape| Tensor4::from_vec(shape, pixels));
    let logits = DIGITS.predict(x.expect("they are as many").view()).expect("it takes them");
    let probabilities = SoftmaxCrossEntropy.probabilities(logits.view()).into_vec();
    let sum: f32 = probabilities.iter().sum();
    assert!((sum - 1.0).abs() < 1e-5, "{probabilities:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/config_toml");
        let path = std::path::Path::new(folder).join(name);
        std::fs::read(path).expect("it was committed")
    }

    /// A search that starts from settings that are refused would never see what lies behind.
    #[test]
    fn the_seeds_are_settings() {
        for name in ["all.toml", "few.toml"] {
            untrusted::settings(&seed(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        for name in ["run.json", "least.json"] {
            untrusted::run_settings(&seed(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
}
