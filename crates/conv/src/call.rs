//! What a forward pass is given.

use tensor4::{Shape4, View4};

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
}

impl<T: ConvScalar> PackedWeights<T> {
    /// The memory held, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.len * size_of::<T>()
    }

    /// The algorithm that they were packed for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.key.algorithm
    }
}

/// What the form of packed weights depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackedKey {
    pub(crate) algorithm: Algorithm,
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

impl<T> Weights<'_, T> {
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
}

impl<T: ConvScalar> Call<'_, T> {
    pub(crate) fn relu(&self) -> bool {
        self.epilogue == Epilogue::Relu
    }

    /// Weights that the algorithm reads as they are.
    pub(crate) fn plain(&self) -> &[T] {
        match self.weights {
            Weights::Plain(w) | Weights::Packed(w) => w,
        }
    }
}

/// `max(y, 0)` of every element; NaN stays NaN.
pub(crate) fn relu_in_place<T: ConvScalar>(y: &mut [T]) {
    for y in y {
        if *y < T::ZERO {
            *y = T::ZERO;
        }
    }
}
