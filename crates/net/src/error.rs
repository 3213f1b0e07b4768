//! The one error type of this crate.

use conv::ConvError;
use im2col::GeometryError;
use tensor4::{Shape4, TensorError};

use crate::NonFinite;

/// Why a network can't be built, run or trained.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// A layer does not fit what comes before it.
    #[error("layer {layer} does not take images of shape ({in_c}, {in_h}, {in_w}): {reason}")]
    Layer {
        /// The name of the layer.
        layer: String,
        /// Channels that reach it.
        in_c: usize,
        /// Rows that reach it.
        in_h: usize,
        /// Columns that reach it.
        in_w: usize,
        /// What does not fit (boxed, to keep a `Result` small).
        reason: Box<Misfit>,
    },
    /// Two layers were given the same name.
    #[error("two layers are named {name}; parameters are found by the name of their layer")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A network without layers.
    #[error("a network needs at least one layer")]
    NoLayers,
    /// A tensor has another shape than expected.
    #[error("{operation}: {what} has the shape {actual}, {expected} would fit")]
    Shape {
        /// The call, or the layer.
        operation: String,
        /// The argument.
        what: &'static str,
        /// Its shape.
        actual: Shape4,
        /// The shape that would fit.
        expected: Shape4,
    },
    /// `backward` without a `forward` in training mode on the same tape before it.
    #[error("backward: the tape holds no forward pass of {n} images in training mode")]
    NoForward {
        /// Images of the gradient given.
        n: usize,
    },
    /// A layer that the network does not have.
    #[error("there is no layer {layer}: the network has {layers}, counted from 0")]
    NoLayer {
        /// The layer asked for.
        layer: usize,
        /// How many there are.
        layers: usize,
    },
    /// There are not as many labels as images.
    #[error("{operation}: {images} images, but {labels} labels")]
    LabelCount {
        /// The call.
        operation: &'static str,
        /// How many images.
        images: usize,
        /// How many labels.
        labels: usize,
    },
    /// A label that the network has no output for.
    #[error("label {label} of image {image}: the network has {classes} classes, counted from 0")]
    Label {
        /// The image within its batch.
        image: usize,
        /// Its label.
        label: usize,
        /// Outputs of the network.
        classes: usize,
    },
    /// The loss is infinite or not a number.
    #[error("the loss of step {step} (epoch {epoch}) is {loss}: {origin}; {}", .origin.advice())]
    NonFiniteLoss {
        /// The step, counted from 1 over the whole training.
        step: u64,
        /// The epoch, counted from 1.
        epoch: usize,
        /// The loss.
        loss: f64,
        /// Where it came from.
        origin: NonFinite,
    },
    /// An output of the network is infinite or not a number.
    #[error("the network gives no answer: {origin}")]
    NonFiniteOutput {
        /// Where it came from.
        origin: NonFinite,
    },
    /// A weight became infinite or not a number.
    #[error(
        "{parameter} holds {value} after step {step}: training has diverged; \
         a smaller learning rate may help"
    )]
    NonFiniteParameter {
        /// The parameter.
        parameter: String,
        /// The value.
        value: f64,
        /// The step after which it was found, counted from 1 over the whole training.
        step: u64,
    },
    /// A batch that is to be normalised and has one value per channel.
    #[error(
        "{layer}: one value per channel has no variance to be normalised by; \
         a batch of at least 2 images would fit"
    )]
    NoVariance {
        /// The layer.
        layer: String,
    },
    /// A setting out of its range.
    #[error("{setting} is {value}; {allowed}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// What would be allowed.
        allowed: &'static str,
    },
    /// Named tensors that do not fit the network, all of them.
    #[error("the weights do not fit the network: {}", .problems.join("; "))]
    Weights {
        /// One line for each tensor that is missing, left over, or of another shape.
        problems: Vec<String>,
    },
    /// A training that can't be gone on with, and why.
    #[error("the state does not fit the training: {}", .problems.join("; "))]
    Checkpoint {
        /// One line for each tensor that is missing, left over, or of another shape; or the one
        /// about the step.
        problems: Vec<String>,
    },
    /// The samples could not be read.
    #[error("samples: {message}")]
    Samples {
        /// What went wrong.
        message: String,
    },
    /// The observer stopped the training with a failure of its own.
    #[error("{message}")]
    Observer {
        /// What went wrong.
        message: String,
    },
    /// From the tensors.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// From a convolution.
    #[error(transparent)]
    Conv(#[from] ConvError),
}

/// Why a layer does not fit its input.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// The window does not fit.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// The convolution does not fit.
    #[error(transparent)]
    Conv(#[from] ConvError),
    /// The output would be too large.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// A pooling window that sees no pixel at all.
    #[error(
        "pool: the window at output ({out_h}, {out_w}) lies in the padding, without one pixel of \
         the image; a smaller padding would fit"
    )]
    EmptyWindow {
        /// Output row.
        out_h: usize,
        /// Output column.
        out_w: usize,
    },
    /// More padding than the image can give pixels for.
    #[error("{pad} rows or columns of {mode} padding {side}; at most {limit} would fit")]
    Padding {
        /// The kind of padding.
        mode: &'static str,
        /// Where: `above`, `below`, `left` or `right`.
        side: &'static str,
        /// How many rows or columns.
        pad: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A filter of a connection table that sees nothing.
    #[error("filter {filter} of the connection table sees no channel; at least one would fit")]
    Unconnected {
        /// The filter, from 0.
        filter: usize,
    },
    /// A filter of a connection table that sees a channel that does not arrive.
    #[error(
        "filter {filter} of the connection table sees channel {channel}, counted from 0, \
         but {channels} channels arrive"
    )]
    NoSuchChannel {
        /// The filter, from 0.
        filter: usize,
        /// The channel, from 0.
        channel: usize,
        /// How many channels arrive.
        channels: usize,
    },
    /// A filter of a connection table that names a channel twice.
    #[error("filter {filter} of the connection table sees channel {channel} twice; once would do")]
    ConnectedTwice {
        /// The filter, from 0.
        filter: usize,
        /// The channel, from 0.
        channel: usize,
    },
    /// An affine layer was told to expect another number of features.
    #[error("affine: {actual} features arrive, {expected} are expected")]
    Features {
        /// What arrives, `C * H * W`.
        actual: usize,
        /// What the layer was told to expect.
        expected: usize,
    },
    /// A setting out of its range.
    #[error("{setting} is {value}; {allowed}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// What would be allowed.
        allowed: &'static str,
    },
}
