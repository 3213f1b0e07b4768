//! The one error type of this crate.

use im2col::GeometryError;
use tensor4::{Shape4, TensorError};

use crate::Algorithm;

/// Why a convolution can't be planned, or a tensor does not fit its plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvError {
    /// The window does not fit the image.
    #[error("conv2d: {0}")]
    Geometry(#[from] GeometryError),
    /// A tensor of the convolution would be too large.
    #[error("conv2d: {0}")]
    Tensor(#[from] TensorError),
    /// The groups do not divide the channels.
    #[error(
        "conv2d: {in_channels} input and {out_channels} output channels can't be split into \
         {groups} groups of equal size"
    )]
    Groups {
        /// Groups asked for.
        groups: usize,
        /// Channels of the input.
        in_channels: usize,
        /// Channels of the output.
        out_channels: usize,
    },
    /// A tensor has another shape than the plan expects.
    #[error("{operation}: {what} has the shape {actual}, the plan expects {expected}")]
    Shape {
        /// The call.
        operation: &'static str,
        /// The argument.
        what: &'static str,
        /// Its shape.
        actual: Shape4,
        /// The shape that would fit.
        expected: Shape4,
    },
    /// A bias or its gradient has another length than there are output channels.
    #[error("{operation}: {what} has {actual} values, there are {out_channels} output channels")]
    Bias {
        /// The call.
        operation: &'static str,
        /// The argument.
        what: &'static str,
        /// Its length.
        actual: usize,
        /// The length that would fit.
        out_channels: usize,
    },
    /// The places of the maxima of a pool have another length than its output.
    #[error("{operation}: {actual} places of maxima, there are {expected} maxima")]
    Argmax {
        /// The call.
        operation: &'static str,
        /// The length.
        actual: usize,
        /// The length that would fit.
        expected: usize,
    },
    /// Kernels that are not known, or that this CPU can't run.
    #[error(
        "conv2d: there are no kernels {name:?} for this CPU; it can run {}",
        .available.join(", ")
    )]
    Kernels {
        /// The name asked for.
        name: String,
        /// The names that would do.
        available: Vec<&'static str>,
    },
    /// An algorithm that does not serve the convolution.
    #[error("conv2d: the algorithm {algorithm} does not serve this convolution: {reason}")]
    Unsupported {
        /// The algorithm asked for.
        algorithm: Algorithm,
        /// What it would need.
        reason: String,
    },
    /// Weights that were packed for another kind of plan.
    #[error("conv2d forward: the weights were packed for {packed}, the plan needs {plan}")]
    Packed {
        /// What they were packed for.
        packed: String,
        /// What the plan would take.
        plan: String,
    },
    /// An algorithm that needs more scratch memory than it may take.
    #[error(
        "conv2d: the algorithm {algorithm} needs {needed} bytes of workspace on {threads} threads, \
         {max} are allowed"
    )]
    Workspace {
        /// The algorithm.
        algorithm: Algorithm,
        /// The bytes that would do.
        needed: usize,
        /// The bytes that are allowed.
        max: usize,
        /// The threads that they were counted for.
        threads: usize,
    },
}
