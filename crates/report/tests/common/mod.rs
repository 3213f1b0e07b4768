//! A small network and images for it.

use im2col::Window;
use net::{Init, Sequential, TensorSamples, layers};
use tensor4::{Shape4, Tensor4};

/// conv - relu - pool - dropout - conv - relu - affine over images of 12x14.
pub(crate) fn network(seed: u64) -> Sequential<f32> {
    Sequential::builder(1, 12, 14)
        .init(Init::HeNormal)
        .add(layers::conv2d(5, Window::square(3).pad(1)))
        .add(layers::relu())
        .add(layers::max_pool2d(Window::square(2).stride(2)))
        .add(layers::dropout(0.5))
        .add(layers::conv2d(4, Window::square(3)))
        .add(layers::relu())
        .add(layers::affine(3))
        .build(seed)
        .expect("the layers fit")
}

/// So many images of pixels from 0 to 1, of three classes in turn.
pub(crate) fn samples(images: usize) -> TensorSamples<f32> {
    let shape = Shape4::new(images, 1, 12, 14).expect("small");
    let images = Tensor4::uniform(shape, 0.0, 1.0, 3);
    let labels = (0..images.shape().n()).map(|image| image % 3).collect();
    TensorSamples::new(images, labels).expect("a label each")
}
