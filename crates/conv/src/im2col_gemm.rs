//! Convolution as a matrix product over unfolded images: `(OC, C*KH*KW) x (C*KH*KW, pixels)`.
//!
//! Forward, pixels are unfolded straight into the panels that the micro-kernel of [`gemm::packed`]
//! reads, a chunk at a time that stays in the second-level cache; the whole batch is never
//! unfolded. A chunk may span several small images, so that the weights are packed once for all of
//! them and tiles are full. Weights are packed as many at a time as [`cut`] says.
//!
//! Both gradients are products of packed operands as well: by the data `W^T dY`, whose columns are
//! folded back by col2im; by the weights `dY X^T`, of unfolded pixels.

mod cut;
mod data_gradient;
mod forward;
mod unfold;
mod weight_gradient;

use crate::parallel::pieces;
pub(crate) use cut::{describe, workspace_len};
pub(crate) use data_gradient::{backward_data, data_workspace_len};
pub(crate) use forward::{forward, pack, packed_len};
pub(crate) use weight_gradient::{backward_weights, weights_workspace_len};

const FITS: &str = "the plan has checked every length";

/// Calls `f` with each block of so many elements and its number, on all threads or on this one.
fn for_each_block<T: Send>(
    parallel: bool,
    data: &mut [T],
    len: usize,
    f: &(dyn Fn(usize, &mut [T]) + Sync),
) {
    if parallel {
        pieces(data, len, 1, f);
    } else {
        data.chunks_mut(len).enumerate().for_each(|(i, block)| f(i, block));
    }
}
