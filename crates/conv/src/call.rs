//! What a forward pass is given.

use std::ops::Range;

use tensor4::{Shape4, View4};

use crate::awake::is_awake;
use crate::kernels::winograd::Form;
use crate::workspace::Aligned;
use crate::{Algorithm, ConvScalar, KernelSet};

/// What is done to each output before it is written, while it is still in a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Epilogue {
    /// Nothing beyond the bias.
    #[default]
    None,
    /// `max(y, 0)`; NaN stays NaN.
    Relu,
}

/// Weights as the algorithm of a plan reads them, transformed where it transforms them.
///
/// To be had from [`Conv2dPlan::pack_weights`](crate::Conv2dPlan::pack_weights), and to be kept for as
/// long as the weights don't change: inference then packs once and not at every call.
#[derive(Debug)]
pub struct PackedWeights<T> {
    pub(crate) key: PackedKey,
    pub(crate) data: Aligned<T>,
    pub(crate) len: usize,
    /// For so few images that another algorithm runs them, if there is one.
    pub(crate) few_data: Aligned<T>,
    pub(crate) few_len: usize,
}

impl<T: ConvScalar> PackedWeights<T> {
    /// The memory held, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        (self.len + self.few_len) * size_of::<T>()
    }

    /// The weights of a call, of few images or more.
    pub(crate) fn serve(&self, few: bool) -> Weights<'_, T> {
        Weights::Packed(match self.few_len {
            len if few && len > 0 => self.few_data.view(len),
            _ => self.data.view(self.len),
        })
    }

    /// The algorithm that they were packed for; see [`Conv2dPlan::algorithm_of`](crate::Conv2dPlan::algorithm_of).
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.key.algorithm
    }
}

/// What the form of packed weights depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackedKey {
    pub(crate) algorithm: Algorithm,
    /// That of Winograd's algorithm.
    pub(crate) form: Option<Form>,
    pub(crate) kernels: KernelSet,
    pub(crate) weight_shape: Shape4,
    pub(crate) groups: usize,
}

/// The weights of a call: as they are, or packed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Weights<'a, T> {
    Plain(&'a [T]),
    Packed(&'a [T]),
}

impl<'a, T> Weights<'a, T> {
    /// The packed weights: as they are, or packed by `pack` into `scratch`, which has the length
    /// of [`scratch_len`](Self::scratch_len).
    pub(crate) fn packed<'s>(
        self,
        scratch: &'s mut [T],
        pack: impl FnOnce(&[T], &mut [T]),
    ) -> &'s [T]
    where
        'a: 's,
    {
        match self {
            Self::Plain(w) => {
                pack(w, scratch);
                scratch
            }
            Self::Packed(packed) => packed,
        }
    }

    /// How much scratch memory they need if packing takes so many elements.
    pub(crate) fn scratch_len(&self, packed_len: usize) -> usize {
        match self {
            Self::Plain(_) => packed_len,
            Self::Packed(_) => 0,
        }
    }
}

/// The arguments of a forward pass, checked against the plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a, T> {
    pub(crate) x: View4<'a, T>,
    pub(crate) weights: Weights<'a, T>,
    pub(crate) bias: Option<&'a [T]>,
    pub(crate) epilogue: Epilogue,
    /// Whether the output is pooled.
    pub(crate) pool: bool,
    /// Whether this is part of a batch so small that another algorithm runs it.
    pub(crate) few: bool,
}

impl<T: ConvScalar> Call<'_, T> {
    pub(crate) fn relu(&self) -> bool {
        self.epilogue == Epilogue::Relu
    }

    /// Writes the bias of each block of output channels, 0 where there is none, to `width` elements
    /// of `padded`. `channels` gives the output channels of a block.
    pub(crate) fn pad_bias(
        &self,
        padded: &mut [T],
        width: usize,
        channels: impl Fn(usize) -> Range<usize>,
    ) {
        for (block, padded) in padded.chunks_exact_mut(width).enumerate() {
            padded.fill(T::ZERO);
            if let Some(bias) = self.bias {
                let bias = &bias[channels(block)];
                padded[..bias.len()].copy_from_slice(bias);
            }
        }
    }

    /// Weights that the algorithm reads as they are.
    pub(crate) fn plain(&self) -> &[T] {
        match self.weights {
            Weights::Plain(w) | Weights::Packed(w) => w,
        }
    }
}

/// Whether so many tasks keep all threads busy, each on one thread.
pub(crate) fn keep_threads_busy(tasks: usize) -> bool {
    let threads = rayon::current_num_threads();
    tasks.is_multiple_of(threads) || tasks >= 4 * threads
}

/// Multiply-adds that one thread has done before another would be awake to help.
const SMALL: u64 = 1 << 22;
/// And before another that is awake has taken its share.
const SMALL_AWAKE: u64 = 1 << 18;

/// How many pieces of a call of so many multiply-adds a thread takes at least: all of them, if the
/// call is small.
pub(crate) fn least_pieces(multiply_adds: u64) -> usize {
    if multiply_adds < SMALL { usize::MAX / 4 } else { 1 }
}

/// As [`least_pieces`], where a piece reads nothing that another thread has written within the call.
pub(crate) fn least_pieces_awake(multiply_adds: u64) -> usize {
    let small = if is_awake() { SMALL_AWAKE } else { SMALL };
    if multiply_adds < small { usize::MAX / 4 } else { 1 }
}

/// `max(y, 0)` of every element; NaN stays NaN.
pub(crate) fn relu_in_place<T: ConvScalar>(y: &mut [T]) {
    for y in y {
        if *y < T::ZERO {
            *y = T::ZERO;
        }
    }
}
