//! Convolution as a matrix product over unfolded images: `(OC, C*KH*KW) x (C*KH*KW, pixels)`.
//!
//! Forward, pixels are unfolded straight into the panels that the micro-kernel of [`gemm::packed`]
//! reads, a chunk at a time that stays in the second-level cache; the whole batch is never
//! unfolded. A chunk may span several small images, so that the weights are packed once for all of
//! them and tiles are full. Weights are packed as many at a time as [`cut`] says.

mod cut;
mod forward;
mod gradients;
mod unfold;

pub(crate) use cut::{describe, workspace_len};
pub(crate) use forward::{forward, pack, packed_len};
pub(crate) use gradients::{
    backward_data, backward_data_len, backward_weights, weights_workspace_len,
};
