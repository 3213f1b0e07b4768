//! What the tests of this crate share.

// Each test is a crate of its own and uses but a part of this.
#![allow(dead_code)]

pub(crate) mod golden;

use net::{LayerSpec, Mode, NetScalar, Sequential, Tape, TensorSamples};
use tensor4::{Shape4, Tensor4};
use testkit::{shape, tensor};

/// The network of the one layer `layer` that takes the images of `input`.
#[track_caller]
pub(crate) fn one_layer<T: NetScalar>(
    input: Shape4,
    layer: impl LayerSpec<T> + 'static,
) -> Sequential<T> {
    let [_, c, h, w] = input.dims();
    Sequential::builder(c, h, w).add_named("layer", layer).build(1).expect("the layer fits")
}

/// A name, the sizes and the values of a tensor.
pub(crate) type Named<T> = (String, Vec<usize>, Vec<T>);

/// Replaces the parameters of the network.
#[track_caller]
pub(crate) fn load<T: NetScalar>(net: &mut Sequential<T>, tensors: &[Named<T>]) {
    net.load(tensors.iter().map(|(name, dims, values)| (name.as_str(), &dims[..], &values[..])))
        .expect("the weights fit");
}

/// The output of a pass in training mode, as step 1, and the gradient by the input; those by the
/// parameters are in the network.
#[track_caller]
pub(crate) fn run<T: NetScalar>(
    net: &mut Sequential<T>,
    x: &Tensor4<T>,
    dy: &Tensor4<T>,
    tape: &mut Tape<T>,
) -> (Tensor4<T>, Tensor4<T>) {
    let y = net.forward(x.view(), tape, Mode::Train { step: 1 }).expect("x fits").to_tensor();
    let dx = net.backward_to_input(dy.view(), tape).expect("dy fits");
    (y, dx)
}

/// The bits of values, which tell 0 from -0 and compare NaN. An `f32` is exact as `f64`.
pub(crate) fn bits<T: NetScalar>(values: &[T]) -> Vec<u64> {
    values.iter().map(|value| value.to_f64().to_bits()).collect()
}

/// The bits of all parameters.
pub(crate) fn parameter_bits<T: NetScalar>(net: &Sequential<T>) -> Vec<u64> {
    net.parameters().flat_map(|parameter| bits(parameter.value().data())).collect()
}

/// The bits of the gradients by all parameters.
pub(crate) fn gradient_bits<T: NetScalar>(net: &Sequential<T>) -> Vec<u64> {
    net.parameters().flat_map(|parameter| bits(parameter.grad().data())).collect()
}

/// Random images with random labels: nothing to be learnt, but to be run on.
pub(crate) fn noise<T: NetScalar>(
    images: usize,
    [c, h, w]: [usize; 3],
    classes: usize,
    seed: u64,
) -> TensorSamples<T> {
    let x = tensor(shape(images, c, h, w), seed);
    let labels = (0..images).map(|i| (i * 7 + 3) % classes).collect();
    TensorSamples::new(x, labels).expect("a label for each image")
}
