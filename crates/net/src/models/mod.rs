//! Networks of the text, each as short as the table that describes it.

mod alexnet;
mod alexnet_small;
mod alexnet_torchvision;
mod deep_convnet;
mod lenet5;
mod registry;
mod simple_convnet;
mod vgg;

pub use alexnet::AlexNet;
pub use alexnet_small::AlexNetSmall;
pub use alexnet_torchvision::AlexNetTorchvision;
pub use deep_convnet::DeepConvNet;
pub use lenet5::LeNet5;
pub use registry::{Model, Recipe, UnknownModel};
pub use simple_convnet::SimpleConvNet;
pub use vgg::Vgg;

use im2col::Padding;

use crate::layers::{PadMode, pad2d};
use crate::{Builder, NetScalar, Sequential};

/// Begins the plan of a network for images of the given channels, rows and columns, of which
/// those with less than `side` rows or columns are padded with 0 to so many.
fn padded_to<T: NetScalar>(side: usize, [channels, height, width]: [usize; 3]) -> Builder<T> {
    let net = Sequential::builder(channels, height, width);
    let (h, w) = (side.saturating_sub(height), side.saturating_sub(width));
    if (h, w) == (0, 0) {
        return net;
    }
    let padding = Padding { top: h / 2, left: w / 2, bottom: h - h / 2, right: w - w / 2 };
    net.add(pad2d(padding, PadMode::Constant(0.0)))
}
