//! The layers.
//!
//! Each function gives the plan of a layer, to be added to a [`Builder`](crate::Builder), which
//! names it, works out its shapes and makes its weights.

mod activation;
mod affine;
mod conv2d;
mod dropout;
mod flatten;
mod pool;

pub use activation::{ActivationSpec, relu, sigmoid, tanh};
pub use affine::{AffineSpec, affine};
pub use conv2d::{Conv2dSpec, conv2d};
pub use dropout::{DropoutSpec, dropout};
pub use flatten::{FlattenSpec, flatten};
pub use pool::{AvgPool2dSpec, MaxPool2dSpec, avg_pool2d, max_pool2d};
