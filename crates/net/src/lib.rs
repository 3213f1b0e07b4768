//! Convolutional networks, put together from layers and trained by backpropagation.
//!
//! ```
//! use net::{Init, Sequential, layers};
//! use im2col::Window;
//! use tensor4::{Shape4, Tensor4};
//!
//! // One image: one channel, 28x28 pixels.
//! let net = Sequential::<f32>::builder(1, 28, 28)
//!     .init(Init::HeNormal)
//!     .add(layers::conv2d(8, Window::square(3).pad(1)))
//!     .add(layers::relu())
//!     .add(layers::max_pool2d(Window::square(2).stride(2)))
//!     .add(layers::affine(10))
//!     .build(1)?;
//! assert_eq!(net.parameter("conv1.weight").unwrap().dims(), [8, 1, 3, 3]);
//!
//! let x = Tensor4::normal(Shape4::new(5, 1, 28, 28)?, 0.0, 1.0, 2);
//! let logits = net.predict(x.view())?;
//! assert_eq!(logits.shape(), Shape4::matrix(5, 10)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`SimpleConvNet`](models::SimpleConvNet) is the network of the book's chapter on CNNs;
//! [`Trainer`] trains any network on any [`Samples`]; [`gradient_check`] compares
//! backpropagation with numerical differentiation.
//!
//! Every network runs in `f32` or `f64`. Results are bit-identical for every number of threads.

#![forbid(unsafe_code)]

mod average;
mod builder;
mod clock;
mod data;
mod error;
mod fusion;
mod gradcheck;
mod init;
mod layer;
pub mod layers;
mod loss;
pub mod models;
mod non_finite;
mod optim;
mod options;
mod parallel;
mod parameter;
mod passes;
mod plan;
mod schedule;
mod sequential;
mod session;
mod tape;
mod trainer;

pub use builder::Builder;
pub use clock::LayerTime;
pub use conv::ConvScalar as NetScalar;
pub use data::{Samples, TensorSamples};
pub use error::{Misfit, NetError};
pub use fusion::{Reads, Role, Tail};
pub use gradcheck::{GradientCheck, GradientError, gradient_check};
pub use init::{Init, Seeds};
pub use layer::{Gradient, Layer, LayerSpec, Mode, State};
pub use loss::{BatchLoss, SoftmaxCrossEntropy};
pub use non_finite::NonFinite;
pub use optim::{Optimizer, Rule};
pub use options::TrainOptions;
pub use parameter::Parameter;
pub use schedule::Schedule;
pub use sequential::{LayerSummary, Sequential};
pub use session::{Inference, Session};
pub use tape::Tape;
pub use trainer::{
    Checkpoint, Control, EpochReport, Evaluation, NamedTensor, Observer, Position, StepReport,
    Trainer, evaluate,
};

/// The examples of the README, compiled and run with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
