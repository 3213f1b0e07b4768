//! State dicts of PyTorch in torchvision's layout give PyTorch's logits.

use std::path::{Path, PathBuf};

use net::models::{AlexNetTorchvision, Vgg};
use net::{Builder, Init, Sequential};
use tensor4::{Shape4, Tensor4};
use weights::Tensor;
use weights::torchvision::{Network, is_state_dict};

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/torch/torchvision").join(name)
}

/// Tensor `t` as the script beside the files computes it.
fn numbers(t: u64, count: usize, bound: f32) -> Vec<f32> {
    let number = |i: u64| {
        let z = ((t << 40) + i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let z = z ^ z >> 31;
        let half = (1 << 23) as f32;
        ((z >> 40) as f32 - half) / half * bound
    };
    (0..count as u64).map(number).collect()
}

/// The state dict of a network under torchvision's names, with the script's weights.
fn state_dict(net: &Sequential<f32>, network: Network) -> Vec<Tensor> {
    let names = network.names();
    assert_eq!(net.parameters().count(), names.len());
    let tensors = net.parameters().zip(0..).map(|(parameter, t)| {
        let (theirs, _) =
            names.iter().find(|(_, ours)| ours == parameter.name()).expect("it is in the table");
        let dims = parameter.dims().to_vec();
        let bound = match &dims[1..] {
            [] => 0.1,
            inputs => (6.0 / inputs.iter().product::<usize>() as f64).sqrt() as f32,
        };
        let values = numbers(t, dims.iter().product(), bound);
        Tensor::new(theirs.as_str(), dims, values).expect("a parameter has its size")
    });
    tensors.collect()
}

fn empty(plan: Builder<f32>) -> Sequential<f32> {
    plan.init(Init::Zeros).build(0).expect("the layers fit")
}

/// Loads a state dict and compares the logits for two images with PyTorch's.
fn compare(mut net: Sequential<f32>, mut tensors: Vec<Tensor>, network: Network, name: &str) {
    assert!(is_state_dict(&tensors));
    network.rename(&mut tensors);
    net.load(tensors.iter().map(Tensor::parts)).expect("all tensors and no others");
    let shape = Shape4::new(2, 3, 224, 224).unwrap();
    let images = Tensor4::from_vec(shape, numbers(100, shape.len(), 1.0)).unwrap();
    let y = net.predict(images.view()).unwrap();
    let answers = weights::read(testdata("answers.safetensors")).unwrap();
    let expected = answers.tensors.iter().find(|tensor| tensor.name == name).expect("it is there");
    assert_eq!(expected.dims, [2, y.len() / 2]);
    let largest = expected.values.iter().fold(0.0, |max: f32, value| max.max(value.abs()));
    // A logit may be 0 by chance, and is as exact as the others.
    let mut worst = 0.0_f32;
    for (y, expected) in y.data().iter().zip(&expected.values) {
        worst = worst.max((y - expected).abs() / largest);
    }
    println!("{name}: {worst:.1e} of the largest logit, {largest}");
    assert!(worst <= 1e-5, "{name}: {worst:e}");
    let relative = |(y, expected): (&f32, &f32)| (y - expected).abs() / expected.abs();
    let large = y.data().iter().zip(&expected.values).filter(|(_, e)| e.abs() > 0.05 * largest);
    let worst = large.map(relative).fold(0.0, f32::max);
    println!("{name}: {worst:.1e} of each logit above a twentieth of that");
    assert!(worst <= 1e-4, "{name}: {worst:e}");
}

fn small() -> Sequential<f32> {
    empty(AlexNetTorchvision::default().filters([4, 6, 8, 6, 5]).hidden(16).classes(10).plan())
}

#[test]
fn a_small_alexnet_saved_by_pytorch() {
    for file in ["small.safetensors", "small.npz", "small-compressed.npz"] {
        let tensors = weights::read(testdata(file)).unwrap().tensors;
        // The formula is the script's, to the bit.
        let mut expected = state_dict(&small(), Network::AlexNet);
        expected.sort_by(|a, b| a.name.cmp(&b.name));
        let mut sorted = tensors.clone();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(sorted, expected, "{file}");
        compare(small(), tensors, Network::AlexNet, "small");
    }
}

#[test]
fn torchvisions_alexnet_in_its_full_size() {
    let net = empty(AlexNetTorchvision::default().plan());
    let tensors = state_dict(&net, Network::AlexNet);
    compare(net, tensors, Network::AlexNet, "alexnet");
}

#[test]
fn torchvisions_vgg11() {
    let net = empty(Vgg::vgg11().hidden(64).classes(10).plan());
    let tensors = state_dict(&net, Network::Vgg11);
    compare(net, tensors, Network::Vgg11, "vgg11");
}
