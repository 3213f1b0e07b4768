//! The gradients of a plan: which algorithm computes that by the weights, and how both run.

use tensor4::{Shape4, View4, ViewMut4};

use super::check;
use super::mirror::DataGradient;
use crate::weight_grad::Gradients;
use crate::{
    Affine, Algorithm, Conv2dPlan, ConvError, ConvScalar, KernelSet, Options, Workspace,
    data_gradient, im2col_gemm, naive, weight_grad, weight_grad_lanes, winograd,
};

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

    /// Checks what goes into the gradients by weights and bias.
    pub(crate) fn check_weight_gradients<T: ConvScalar>(
        &self,
        operation: &'static str,
        x: View4<'_, T>,
        dy: View4<'_, T>,
        dw: Shape4,
        db: Option<&[T]>,
    ) -> Result<(), ConvError> {
        let n = x.shape().n();
        check(operation, "the input", x.shape(), self.input_shape(n)?)?;
        check(operation, "dy", dy.shape(), self.output_shape(n)?)?;
        check(operation, "dw", dw, self.weight_shape)?;
        self.check_bias(operation, "db", db.map(<[T]>::len))
    }

    /// The gradients by weights and bias. The baseline and the naive one know of no ReLU.
    pub(crate) fn weight_gradients<T: ConvScalar>(
        &self,
        gradients: &Gradients<'_, T>,
        dw: ViewMut4<'_, T>,
        db: Option<&mut [T]>,
        workspace: &mut Workspace<T>,
    ) {
        let &Gradients { x, dy, update, .. } = gradients;
        let n = x.shape().n();
        match self.weight_gradient_for::<T>() {
            Algorithm::Naive => naive::backward_weights(self, x, dy, dw, db, update),
            Algorithm::Winograd if n > 0 && winograd::gradient_pays::<T>(self, n) => {
                winograd::backward_weights(self, gradients, dw, db, workspace);
            }
            Algorithm::Direct | Algorithm::Winograd if n > 0 => {
                weight_grad::backward_weights(self, gradients, dw, db, workspace);
            }
            Algorithm::Depthwise if n > 0 => {
                weight_grad_lanes::backward_weights(self, gradients, dw, db, workspace);
            }
            _ => {
                im2col_gemm::backward_weights(self, x, dy, dw, db, update, workspace);
            }
        }
    }

    /// The gradient by the data.
    pub(crate) fn data_gradient<T: ConvScalar>(
        &self,
        w: View4<'_, T>,
        dy: View4<'_, T>,
        dx: ViewMut4<'_, T>,
        workspace: &mut Workspace<T>,
    ) {
        match self.data_gradient_for::<T>() {
            DataGradient::Naive => naive::backward_data(self, w, dy, dx),
            DataGradient::Im2colGemm => im2col_gemm::backward_data(self, w, dy, dx, workspace),
            DataGradient::AllPhases => data_gradient::run_all_phases(self, w, dy, dx, workspace),
            DataGradient::Product => {
                let map = Affine::new(self.group.in_len(), self.desc.out_channels);
                map.on(self.kernels).data_by_strips(w.data(), dy.data(), dx.into_data());
            }
            DataGradient::Phases(asked) => {
                data_gradient::run(self, asked, w, dy, dx, workspace);
            }
        }
    }

    /// The algorithm that computes the gradient by the weights for an element type.
    pub(crate) fn weight_gradient_for<T: ConvScalar>(&self) -> Algorithm {
        let vector = self.kernels::<T>().set != KernelSet::Scalar;
        match self.options {
            Options { algorithm: Algorithm::Auto, max_workspace_bytes: None, .. } if !vector => {
                Algorithm::Im2colGemm
            }
            _ => self.weight_gradient,
        }
    }
}
