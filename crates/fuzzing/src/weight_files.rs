//! Files of weights: read, or refused; and what was read, loaded into a network, or not at all.

use std::path::Path;

use colonnade::untrusted;
use im2col::Window;
use net::layers::{affine, batch_norm2d, conv2d, max_pool2d, relu};
use net::{Mode, NetError, Position, Rule, Sequential, TensorSamples, TrainOptions, Trainer};
use tensor4::{Shape4, Tensor4};
use weights::torchvision::{self, Network};
use weights::{Contents, Tensor, WeightsError, npy, npz, safetensors};

use crate::files::refused;

/// What errors and tensors without a name are called after.
const NAME: &str = "fuzzed";

/// Names, sizes and bits, in the order of the names: what must survive writing and reading. NaN is
/// not equal to itself.
type Bits<'a> = Vec<(&'a str, &'a [usize], Vec<u32>)>;

fn bits(tensors: &[Tensor]) -> Bits<'_> {
    let values = |tensor: &Tensor| tensor.values.iter().map(|value| value.to_bits()).collect();
    let mut all: Bits<'_> =
        tensors.iter().map(|t| (t.name.as_str(), t.dims.as_slice(), values(t))).collect();
    all.sort();
    all
}

/// What every tensor that was read keeps.
fn check_tensors(tensors: &[Tensor]) {
    for Tensor { name, dims, values, .. } in tensors {
        assert!(dims.len() <= weights::MAX_RANK, "{name} {dims:?}");
        assert_eq!(values.len(), dims.iter().product::<usize>(), "{name} {dims:?}");
    }
}

/// The reader that looks at the first bytes finds what the reader of the format does.
fn check_told_apart(bytes: &[u8], tensors: &[Tensor]) {
    let contents = weights::read_bytes(bytes, NAME).expect("the reader of its format took it");
    assert_eq!(bits(&contents.tensors), bits(tensors));
}

/// An array of NumPy, or an archive of them. What is read can be written, and read again.
///
/// # Panics
///
/// If what was read contradicts itself or what is read again.
pub fn npy_npz(bytes: &[u8]) {
    match npy::read(bytes, NAME) {
        Ok(tensor) => {
            let again = npy::to_bytes(tensor.parts()).and_then(|bytes| npy::read(&bytes, NAME));
            let tensors = [tensor];
            check_tensors(&tensors);
            check_told_apart(bytes, &tensors);
            assert_eq!(bits(&[again.expect("it was written by us")]), bits(&tensors));
        }
        Err(error) => refused(&error),
    }
    match npz::read(bytes, NAME) {
        Ok(tensors) => {
            check_tensors(&tensors);
            // An archive may stand behind other bytes, which then decide what it is taken for.
            if bytes.starts_with(b"PK") {
                check_told_apart(bytes, &tensors);
            }
            let again = npz::to_bytes(tensors.iter().map(Tensor::parts));
            let again = again.and_then(|bytes| npz::read(&bytes, NAME));
            assert_eq!(bits(&again.expect("it was written by us")), bits(&tensors));
        }
        Err(error) => refused(&error),
    }
}

/// A network whose weights, some of them not trained, fill less than a kilobyte.
fn small() -> Result<Sequential<f32>, NetError> {
    let conv = Sequential::builder(1, 6, 6).add(conv2d(2, Window::square(3))).add(batch_norm2d());
    let pool = conv.add(relu()).add(max_pool2d(Window::square(2).stride(2)));
    pool.add(affine(3)).add(relu()).add(affine(2)).build(1)
}

/// The bits of all parameters, one after the other.
fn weights_of(net: &Sequential<f32>) -> Vec<u32> {
    net.parameters().flat_map(|p| p.value().data()).map(|value| value.to_bits()).collect()
}

/// Tensors for a network: it has all of them, or those that it had.
fn check_load(net: &mut Sequential<f32>, tensors: &[Tensor]) {
    let before = weights_of(net);
    match net.load(tensors.iter().map(Tensor::parts)) {
        Ok(()) => {
            let named = |name: &str| tensors.iter().find(|tensor| tensor.name == name);
            for parameter in net.parameters() {
                let tensor = named(parameter.name()).expect("it was loaded");
                let same = parameter.value().data().iter().zip(&tensor.values);
                assert!(same.into_iter().all(|(a, b)| a.to_bits() == b.to_bits()));
            }
            assert_eq!(tensors.len(), net.parameters().count());
            check_answer(net);
        }
        Err(error) => {
            refused(&error);
            assert_eq!(weights_of(net), before, "weights were changed in spite of: {error}");
        }
    }
}

/// Images as [`small`] takes them.
fn images(n: usize) -> Tensor4<f32> {
    let shape = Shape4::new(n, 1, 6, 6).expect("it is small");
    Tensor4::from_fn(shape, |n, _, h, w| (n * h + w) as f32 / 20.0)
}

/// Whatever the weights, there is an answer, and where it is no number the layer is found.
fn check_answer(net: &Sequential<f32>) {
    let x = images(3);
    let logits = net.predict(x.view()).expect("it takes such images");
    if !logits.data().iter().all(|logit| logit.is_finite()) {
        let origin = net.find_non_finite(x.view(), Mode::Eval).expect("it takes such images");
        assert!(origin.is_some(), "it began nowhere: {:?}", logits.data());
    }
}

/// Two epochs of two steps.
fn training() -> Trainer<f32> {
    let options = TrainOptions::default().epochs(2).batch_size(2).average(Some(0.5));
    Trainer::new(options, Rule::adam(0.001)).expect("these settings make sense")
}

/// Tensors for a training that is gone on with to its end: all of them, or the network as it was.
fn check_resume(net: &mut Sequential<f32>, tensors: &[Tensor], position: Position) {
    let mut trainer = training();
    let before = weights_of(net);
    if let Err(error) = trainer.resume(net, position, tensors.iter().map(Tensor::parts)) {
        refused(&error);
        assert_eq!(weights_of(net), before, "weights were changed in spite of: {error}");
        return;
    }
    let samples = TensorSamples::new(images(4), vec![0, 1, 1, 0]).expect("each has a label");
    if let Err(error) = trainer.fit(net, &samples, None, &mut ()) {
        refused(&error);
    }
}

/// What is read is read again when it was written.
fn check_written(contents: &Contents) -> Result<(), WeightsError> {
    let texts = contents.texts.iter().map(|(key, text)| (key.as_str(), text.as_str()));
    let written = safetensors::to_bytes(contents.tensors.iter().map(Tensor::parts), texts)?;
    let again = safetensors::read(&written, NAME)?;
    assert_eq!(bits(&again.tensors), bits(&contents.tensors));
    assert_eq!(again.texts, contents.texts);
    Ok(())
}

/// A safetensors file: as the weights of a network, under our names and torchvision's, and as the
/// state of a training.
///
/// # Panics
///
/// If what was read contradicts itself, or a network changed in spite of an error.
pub fn safetensors_load(bytes: &[u8]) {
    let position = untrusted::state(bytes).unwrap_or_else(|error| {
        refused(&*error);
        Position::default()
    });
    let contents = match safetensors::read(bytes, Path::new(NAME)) {
        Ok(contents) => contents,
        Err(error) => return refused(&error),
    };
    check_tensors(&contents.tensors);
    check_written(&contents).expect("what was read can be written");
    let mut net = small().expect("its layers fit");
    check_load(&mut net, &contents.tensors);
    check_resume(&mut net, &contents.tensors, position);
    if torchvision::is_state_dict(&contents.tensors) {
        let mut tensors = contents.tensors;
        Network::of_model("vgg11").expect("it is one of torchvision's").rename(&mut tensors);
        check_load(&mut net, &tensors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A seed of `fuzz/corpus`, written for [`small`].
    fn seed(name: &str) -> Contents {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/safetensors_load");
        weights::read(Path::new(folder).join(name)).expect("it is well formed")
    }

    /// A search that starts from files for another network would never pass the first check.
    #[test]
    fn the_seeds_fit_the_network() {
        let mut net = small().unwrap();
        net.load(seed("network").tensors.iter().map(Tensor::parts)).unwrap();
        let mut theirs = seed("torchvision").tensors;
        assert!(torchvision::is_state_dict(&theirs));
        Network::Vgg11.rename(&mut theirs);
        net.load(theirs.iter().map(Tensor::parts)).unwrap_err();
        let state = seed("state");
        let bytes = safetensors::to_bytes([], [("state", state.texts["state"].as_str())]).unwrap();
        let (mut trainer, position) = (training(), untrusted::state(&bytes).unwrap());
        trainer.resume(&mut net, position, state.tensors.iter().map(Tensor::parts)).unwrap();
        let samples = TensorSamples::new(images(4), vec![0, 1, 1, 0]).unwrap();
        let epochs = trainer.fit(&mut net, &samples, None, &mut ()).unwrap();
        assert_eq!(epochs.last().map(|epoch| epoch.step), Some(4));
    }
}
