//! The one error type of this crate.

use net::NetError;
use tensor4::TensorError;

/// Why a picture or a page can't be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The network can't be run on these images.
    #[error(transparent)]
    Net(#[from] NetError),
    /// A tensor of such a size can't be made.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// There is no convolution whose filters could be shown.
    #[error("the network has no convolution: there are no filters to show")]
    NoFilters,
    /// A layer that the network does not have, or that has no units to excite.
    #[error("there is no layer {name} with weights; {known} would fit")]
    NoLayer {
        /// The name asked for.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The two networks are not of the same kind.
    #[error("{parameter} has the shape {before} before training and {after} after it")]
    OtherNetwork {
        /// The parameter.
        parameter: String,
        /// Its sizes before training.
        before: String,
        /// Its sizes after training.
        after: String,
    },
    /// There is nothing to look at.
    #[error("there are no images to show")]
    NoImages,
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
    /// Columns of a table of metrics that are missing or hold no numbers.
    #[error("line {line} of the metrics: {message}")]
    Metrics {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// A page that would be too large to send around.
    #[error("the page would have {bytes} bytes, {limit} at most; show fewer channels")]
    TooLarge {
        /// How many it would have.
        bytes: usize,
        /// How many it may have.
        limit: usize,
    },
}
