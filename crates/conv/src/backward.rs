//! Both gradients of a convolution, and of a ReLU behind it, in one call.

use tensor4::{View4, ViewMut4};

use crate::kernels::ReluGrad;
use crate::parallel::{piece, pieces};
use crate::plan::check;
use crate::weight_grad::Gradients;
use crate::{Algorithm, Conv2dPlan, ConvError, ConvScalar, Update, Workspace, weight_grad_lanes};

const OPERATION: &str = "conv2d backward";

/// About how many elements of `dy` go through the ReLU before the gradient by the data reads them: what a
/// third-level cache has room for beside `dx`.
const MASKED_LEN: usize = 1 << 20;

/// About how many elements a thread takes through the ReLU at a time.
const TASK_LEN: usize = 1 << 14;

/// What both gradients are computed from.
#[derive(Debug, Clone, Copy)]
pub struct Backward<'a, T> {
    /// The input of the forward pass.
    pub x: View4<'a, T>,
    /// The weights.
    pub w: View4<'a, T>,
    /// The gradient of the loss by the output, behind the ReLU if there is one.
    pub dy: View4<'a, T>,
    /// What the forward pass has written, if that was a convolution with
    /// [`Epilogue::Relu`](crate::Epilogue::Relu): the gradient counts only where it is above 0 or NaN,
    /// which is what `threshold_backward` of PyTorch does.
    pub relu: Option<View4<'a, T>>,
    /// Whether the gradients by weights and bias are overwritten or added to.
    pub update: Update,
}

/// Both gradients at once.
impl Conv2dPlan {
    /// The gradients of the loss by the weights, by the bias if `db` is given and by the input if `dx` is
    /// given. Overwrites `dx`; overwrites or accumulates the others, as `update` says.
    ///
    /// The same bytes as [`backward_weights_into`](Self::backward_weights_into) and
    /// [`backward_data_into`](Self::backward_data_into) of a `dy` in which all that the ReLU does not let
    /// through is 0. Such a `dy` is not written: by the weights, the ReLU is taken into account while
    /// `dy` is read (by [`Im2colGemm`](Algorithm::Im2colGemm) and [`Naive`](Algorithm::Naive) from a copy),
    /// by the data, some images at a time are copied, which stay in the cache.
    ///
    /// # Errors
    ///
    /// [`ConvError::Shape`] or [`ConvError::Bias`] if an argument does not fit the plan, and
    /// [`ConvError::Workspace`] if
    /// [`max_backward_workspace_bytes`](Self::max_backward_workspace_bytes) is above the limit of the
    /// plan.
    pub fn backward_into<T: ConvScalar>(
        &self,
        given: &Backward<'_, T>,
        dx: Option<ViewMut4<'_, T>>,
        dw: ViewMut4<'_, T>,
        db: Option<&mut [T]>,
        workspace: &mut Workspace<T>,
    ) -> Result<(), ConvError> {
        let &Backward { x, w, dy, relu, update } = given;
        let n = x.shape().n();
        self.check_weight_gradients(OPERATION, x, dy, dw.shape(), db.as_deref())?;
        check(OPERATION, "the weight", w.shape(), self.weight_shape())?;
        if let Some(y) = relu {
            check(OPERATION, "the output of the ReLU", y.shape(), self.output_shape(n)?)?;
        }
        if let Some(dx) = &dx {
            check(OPERATION, "dx", dx.shape(), self.input_shape(n)?)?;
        }
        self.check_backward_workspace(n)?;
        let Some(y) = relu else {
            self.weight_gradients(&Gradients { x, dy, relu, update }, dw, db, workspace);
            if let Some(dx) = dx {
                self.data_gradient(w, dy, dx, workspace);
            }
            return Ok(());
        };
        if !self.reads_relu(self.weight_gradient_for::<T>()) || n == 0 {
            workspace.with_masked(dy.shape().len(), |masked, workspace| {
                self.mask(dy.data(), y.data(), masked);
                let dy = View4::new(dy.shape(), masked).expect(FITS);
                let gradients = Gradients { x, dy, relu: None, update };
                self.weight_gradients(&gradients, dw, db, workspace);
                if let Some(dx) = dx {
                    self.data_gradient(w, dy, dx, workspace);
                }
            });
            return Ok(());
        }
        self.weight_gradients(&Gradients { x, dy, relu, update }, dw, db, workspace);
        if let Some(dx) = dx {
            self.masked_data_gradient((w, dy, y), dx, workspace);
        }
        Ok(())
    }

    /// The most bytes of workspace that [`backward_into`](Self::backward_into) takes in `f32` for `n`
    /// images on the threads of the current pool, with a ReLU and `dx`.
    ///
    /// It depends on `n` only where [`Im2colGemm`](Algorithm::Im2colGemm) or [`Naive`](Algorithm::Naive)
    /// computes the gradient by the weights. Saturates.
    #[must_use]
    pub fn max_backward_workspace_bytes(&self, n: usize) -> usize {
        let algorithm = self.backward_weights_algorithm();
        let images = if self.reads_relu(algorithm) { self.masked_images().min(n) } else { n };
        let mut masked = images.saturating_mul(self.output_len()) + Workspace::<f32>::SPARE;
        if algorithm == Algorithm::Depthwise {
            let len = weight_grad_lanes::masked_len(self, self.kernels::<f32>());
            masked = masked.saturating_add(len * rayon::current_num_threads());
        }
        self.max_backward_data_workspace_bytes()
            .saturating_add(self.max_backward_weights_workspace_bytes())
            .saturating_add(masked.saturating_mul(size_of::<f32>()))
    }

    fn check_backward_workspace(&self, n: usize) -> Result<(), ConvError> {
        let Some(max) = self.options().max_workspace_bytes else { return Ok(()) };
        let needed = self.max_backward_workspace_bytes(n);
        if needed <= max {
            return Ok(());
        }
        let (algorithm, threads) =
            (self.backward_weights_algorithm(), rayon::current_num_threads());
        Err(ConvError::Workspace { algorithm, needed, max, threads })
    }

    /// Whether an algorithm takes a ReLU into account while it reads the gradients by the outputs.
    fn reads_relu(&self, algorithm: Algorithm) -> bool {
        !matches!(algorithm, Algorithm::Im2colGemm | Algorithm::Naive)
    }

    /// Elements of an image of the output.
    fn output_len(&self) -> usize {
        self.desc().out_channels * self.group_geometry().out_plane_len()
    }

    /// How many images go through the ReLU at a time before the gradient by the data reads them.
    fn masked_images(&self) -> usize {
        let (images, threads) =
            (MASKED_LEN / self.output_len().max(1), rayon::current_num_threads());
        if images > threads { images / threads * threads } else { images.max(1) }
    }

    /// The gradient by the data behind a ReLU, some images at a time.
    fn masked_data_gradient<T: ConvScalar>(
        &self,
        (w, dy, y): (View4<'_, T>, View4<'_, T>, View4<'_, T>),
        dx: ViewMut4<'_, T>,
        workspace: &mut Workspace<T>,
    ) {
        let (n, len) = (dy.shape().n(), dx.shape().image_len());
        let images = self.masked_images().min(n);
        let mut rest = dx.into_data();
        workspace.with_masked(images * self.output_len(), |masked, workspace| {
            for first in (0..n).step_by(images) {
                let batch = first..n.min(first + images);
                let masked = &mut masked[..batch.len() * self.output_len()];
                let [dy, y] = [dy, y].map(|view| view.batch(batch.clone()).expect(FITS));
                self.mask(dy.data(), y.data(), masked);
                let dy = View4::new(dy.shape(), masked).expect(FITS);
                let (dx, others) = std::mem::take(&mut rest).split_at_mut(batch.len() * len);
                rest = others;
                let shape = self.input_shape(batch.len()).expect(FITS);
                let dx = ViewMut4::new(shape, dx).expect(FITS);
                self.data_gradient(w, dy, dx, workspace);
            }
        });
    }

    /// The gradients that the ReLU lets through, 0 in all other places; overwrites `to`.
    fn mask<T: ConvScalar>(&self, dy: &[T], y: &[T], to: &mut [T]) {
        let kernels = self.kernels::<T>();
        pieces(to, TASK_LEN, 1, &|i, to| {
            let [dy, y] = [dy, y].map(|all| piece(all, i, TASK_LEN));
            kernels.relu_grad(ReluGrad { dy, y, to });
        });
    }
}

const FITS: &str = "the plan has checked every size";
