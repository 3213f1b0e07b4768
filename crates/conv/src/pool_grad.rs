//! The gradient of what may follow a convolution: ReLU and the maximum of squares of two by two pixels.

use tensor4::{View4, ViewMut4};

use crate::kernels::Unpool;
use crate::parallel::pieces;
use crate::plan::check;
use crate::{Conv2dPlan, ConvError, ConvScalar};

const OPERATION: &str = "conv2d backward of a pool";

/// About how many pixels a thread writes at a time.
const UNPOOLED_LEN: usize = 1 << 15;

impl Conv2dPlan {
    /// The gradient of the loss by the output of the convolution, given that by what
    /// [`forward_relu_pool_into`](Self::forward_relu_pool_into) has made of it; overwrites `to`, of
    /// [`output_shape`](Self::output_shape).
    ///
    /// `dy` and `y` have [`pooled_shape`](Self::pooled_shape): `y` and `argmax` are what the forward pass
    /// has written. Of the four pixels under an output the one that `argmax` names gets its gradient if
    /// the output is above 0 or NaN (as in `threshold_backward` of PyTorch); every other pixel is 0, those
    /// of an odd last row or column too.
    ///
    /// # Errors
    ///
    /// [`ConvError::Shape`] or [`ConvError::Argmax`] if an argument does not fit the plan, and those of
    /// [`pooled_shape`](Self::pooled_shape).
    pub fn backward_relu_pool_into<T: ConvScalar>(
        &self,
        dy: View4<'_, T>,
        y: View4<'_, T>,
        argmax: &[u8],
        to: ViewMut4<'_, T>,
    ) -> Result<(), ConvError> {
        let n = dy.shape().n();
        let shape = self.pooled_shape(n)?;
        check(OPERATION, "dy", dy.shape(), shape)?;
        check(OPERATION, "y", y.shape(), shape)?;
        check(OPERATION, "the gradient", to.shape(), self.output_shape(n)?)?;
        if argmax.len() != shape.len() {
            let (actual, expected) = (argmax.len(), shape.len());
            return Err(ConvError::Argmax { operation: OPERATION, actual, expected });
        }
        let (g, kernels) = (self.group_geometry(), self.kernels::<T>());
        let [_, _, out_h, out_w] = shape.dims();
        let (plane, pooled) = (g.out_plane_len(), out_h * out_w);
        let planes = (UNPOOLED_LEN / plane).max(1);
        pieces(to.into_data(), planes * plane, 1, &|i, to| {
            let range = i * planes * pooled..(i * planes + to.len() / plane) * pooled;
            kernels.unpool(Unpool {
                dy: &dy.data()[range.clone()],
                y: &y.data()[range.clone()],
                argmax: &argmax[range],
                out_h,
                out_w,
                to,
                in_h: g.out_h(),
                in_w: g.out_w(),
            });
        });
        Ok(())
    }
}
