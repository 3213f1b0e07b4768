//! Which algorithm computes the gradient by the weights.

use crate::{Algorithm, Conv2dPlan, ConvScalar, KernelSet, Options, weight_grad};

impl Conv2dPlan {
    /// The algorithm that computes the gradient by the weights for `f32`. (For `f64`, `Auto` runs
    /// [`Im2colGemm`](Algorithm::Im2colGemm).)
    ///
    /// Where that is [`Winograd`](Algorithm::Winograd) by [`Auto`](Algorithm::Auto), batches of fewer than
    /// twelve tiles run directly.
    #[must_use]
    pub fn backward_weights_algorithm(&self) -> Algorithm {
        self.weight_gradient
    }

    /// The most bytes of workspace that the gradient by the weights takes in `f32`, for a batch of any
    /// size on the threads of the current pool. If that is more than
    /// [`Options::max_workspace_bytes`], an algorithm that needs less computes it.
    #[must_use]
    pub fn max_backward_weights_workspace_bytes(&self) -> usize {
        weight_grad::workspace_bytes(self, self.weight_gradient)
    }

    /// The algorithm that computes the gradient by the weights for an element type.
    pub(super) fn weight_gradient_for<T: ConvScalar>(&self) -> Algorithm {
        let vector = self.kernels::<T>().set != KernelSet::Scalar;
        match self.options {
            Options { algorithm: Algorithm::Auto, max_workspace_bytes: None, .. } if !vector => {
                Algorithm::Im2colGemm
            }
            _ => self.weight_gradient,
        }
    }
}
