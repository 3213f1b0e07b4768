//! The layers.
//!
//! Each function gives the plan of a layer, to be added to a [`Builder`](crate::Builder), which
//! names it, works out its shapes and makes its weights.

mod activation;
mod affine;
mod avg_pool;
mod batch_norm;
mod conv2d;
mod dropout;
mod flatten;
mod log_softmax;
mod lrn;
mod max_pool;
mod pad2d;
mod subsample;
mod table_conv2d;
mod windows;

pub use activation::{ActivationSpec, leaky_relu, relu, sigmoid, tanh};
pub use affine::{AffineSpec, affine};
pub use avg_pool::{AvgPool2dSpec, avg_pool2d, global_avg_pool2d};
pub use batch_norm::{BatchNorm2dSpec, batch_norm2d};
pub use conv2d::{Conv2dSpec, conv2d};
pub use dropout::{DropoutSpec, dropout};
pub use flatten::{FlattenSpec, flatten};
pub use log_softmax::{LogSoftmaxSpec, log_softmax};
pub use lrn::{LrnSpec, local_response_norm};
pub use max_pool::{MaxPool2dSpec, max_pool2d};
pub use pad2d::{Pad2dSpec, PadMode, pad2d};
pub use subsample::{Subsample2dSpec, subsample2d};
pub use table_conv2d::{TableConv2dSpec, table_conv2d};
