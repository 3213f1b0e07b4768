//! How much workspace a plan takes, and what runs if that is too much.

use super::Conv2dPlan;
use crate::{Algorithm, ConvError, Workspace, direct, im2col_gemm, lanes, winograd};

impl Conv2dPlan {
    /// The plan within so much workspace: another algorithm, if this one was not asked for.
    pub(super) fn within(self, max: usize) -> Result<Self, ConvError> {
        let needed = self.max_workspace_bytes();
        if needed <= max {
            return Ok(self);
        }
        if self.options.algorithm != Algorithm::Auto {
            let (algorithm, threads) = (self.algorithm, rayon::current_num_threads());
            return Err(ConvError::Workspace { algorithm, needed, max, threads });
        }
        // The naive one needs none.
        let reason = "the faster ones need more workspace than is allowed";
        let fitting = [Algorithm::Direct, Algorithm::Im2colGemm, Algorithm::Naive]
            .into_iter()
            .filter(|&algorithm| algorithm != Algorithm::Direct || direct::fits(&self.group))
            .map(|algorithm| Self { algorithm, reason, ..self })
            .find(|plan| plan.max_workspace_bytes() <= max);
        Ok(fitting.expect("the last needs none"))
    }

    /// The most bytes of workspace that a forward pass in `f32` takes, packed weights included, for
    /// a batch of any size on the threads of the current pool. What a pool at its end takes is part of
    /// it, except for [`Im2colGemm`](Algorithm::Im2colGemm); see
    /// [`max_relu_pool_workspace_bytes`](Self::max_relu_pool_workspace_bytes).
    #[must_use]
    pub fn max_workspace_bytes(&self) -> usize {
        match self.algorithm {
            Algorithm::Naive => 0,
            _ => Self::workspace_bytes(self.workspace_len(), 0),
        }
    }

    /// Elements of workspace in `f32`: of each thread, and shared.
    pub(super) fn workspace_len(&self) -> (usize, usize) {
        let kernels = self.kernels::<f32>();
        match self.algorithm {
            Algorithm::Naive => (0, 0),
            _ if self.group.in_len() == 0 => im2col_gemm::workspace_len(self),
            Algorithm::Direct => direct::workspace_len(self, kernels),
            // The few images that run directly take less.
            Algorithm::Winograd => winograd::workspace_len(self, kernels),
            Algorithm::Depthwise => lanes::workspace_len(self, kernels),
            Algorithm::Im2colGemm | Algorithm::Auto => im2col_gemm::workspace_len(self),
        }
    }

    /// The bytes of so many elements of each thread, shared, and of what is not yet in its place.
    pub(crate) fn workspace_bytes((own, shared): (usize, usize), interim: usize) -> usize {
        // Each piece of memory begins at a line of the cache.
        let begun = |len: usize| len + Workspace::<f32>::SPARE;
        let interim = if interim == 0 { 0 } else { begun(interim) };
        let threads = rayon::current_num_threads();
        (threads * begun(own) + begun(shared) + interim) * size_of::<f32>()
    }
}
