//! Convolution, bias, ReLU and the maximum of squares of two by two pixels in one pass.

use im2col::{ConvGeometry, Window};
use tensor4::{Shape4, View4, ViewMut4};

use crate::call::{Call, Weights};
use crate::kernels::Pool;
use crate::out::Out;
use crate::plan::check;
use crate::{
    Algorithm, Conv2dPlan, ConvError, ConvScalar, Epilogue, PackedWeights, Workspace, naive,
};

const OPERATION: &str = "conv2d forward with a pool";

/// Images are computed as many at a time as there are threads, if they have at most this many elements
/// before they are pooled; else one at a time.
const UNPOOLED_LEN: usize = 1 << 19;

/// About how many pixels a thread pools at a time.
const POOL_LEN: usize = 1 << 14;

/// Forward passes that end in a pool.
impl Conv2dPlan {
    /// The shape of the output for `n` images of a forward pass that ends in a pool, `(n, OC, OH / 2,
    /// OW / 2)`, rounded down.
    ///
    /// # Errors
    ///
    /// [`ConvError::Geometry`] if the convolution has an output of less than two rows or columns, or if
    /// the shape overflows.
    pub fn pooled_shape(&self, n: usize) -> Result<Shape4, ConvError> {
        let g = self.group_geometry();
        let pooled = ConvGeometry::new(1, g.out_h(), g.out_w(), Window::square(2).stride(2))?;
        Ok(Shape4::new(n, self.desc().out_channels, pooled.out_h(), pooled.out_w())?)
    }

    /// The convolution of a batch with bias and ReLU, and of each 2x2 of its pixels the greatest;
    /// overwrites `y`, which has the shape that [`pooled_shape`](Self::pooled_shape) gives, and `argmax`,
    /// which has as many elements.
    ///
    /// The same bytes as [`forward_fused_into`](Self::forward_fused_into) with [`Epilogue::Relu`] and a
    /// pool after it, up to the sign and payload of NaN, but what is pooled never leaves the cache. An odd
    /// last row or column is dropped.
    /// `argmax` says which of the four pixels under an output it is, row by row: 0, 1, 2 or 3. Of
    /// equal values the first wins, and so 0 where none is positive; NaN wins over everything, the first
    /// of them.
    ///
    /// # Errors
    ///
    /// Those of [`forward_into`](Self::forward_into) and [`pooled_shape`](Self::pooled_shape),
    /// [`ConvError::Argmax`] if `argmax` has another length than `y`, and [`ConvError::Workspace`] if
    /// [`max_relu_pool_workspace_bytes`](Self::max_relu_pool_workspace_bytes) is above the limit of the
    /// plan.
    pub fn forward_relu_pool_into<T: ConvScalar>(
        &self,
        x: View4<'_, T>,
        w: View4<'_, T>,
        bias: Option<&[T]>,
        y: ViewMut4<'_, T>,
        argmax: Option<&mut [u8]>,
        workspace: &mut Workspace<T>,
    ) -> Result<(), ConvError> {
        self.check_forward(x, w, bias)?;
        let (weights, few) = (Weights::Plain(w.data()), self.is_few(x.shape().n()));
        let call = Call { x, weights, bias, epilogue: Epilogue::Relu, pool: true, few };
        self.relu_pool(&call, y, argmax, workspace)
    }

    /// As [`forward_relu_pool_into`](Self::forward_relu_pool_into), with weights packed as for
    /// [`forward_packed_into`](Self::forward_packed_into).
    ///
    /// # Errors
    ///
    /// [`ConvError::Packed`] if they were packed for another kind of plan; else as
    /// [`forward_relu_pool_into`](Self::forward_relu_pool_into).
    pub fn forward_packed_relu_pool_into<T: ConvScalar>(
        &self,
        x: View4<'_, T>,
        w: &PackedWeights<T>,
        bias: Option<&[T]>,
        y: ViewMut4<'_, T>,
        argmax: Option<&mut [u8]>,
        workspace: &mut Workspace<T>,
    ) -> Result<(), ConvError> {
        self.check_packed(x, w, bias)?;
        let few = self.is_few(x.shape().n());
        let weights = w.serve(few);
        let call = Call { x, weights, bias, epilogue: Epilogue::Relu, pool: true, few };
        self.relu_pool(&call, y, argmax, workspace)
    }

    /// The most bytes of workspace that a forward pass in `f32` that ends in a pool takes, as
    /// [`max_workspace_bytes`](Self::max_workspace_bytes).
    #[must_use]
    pub fn max_relu_pool_workspace_bytes(&self) -> usize {
        self.relu_pool_bytes(self.unpooled_images())
    }

    fn relu_pool_bytes(&self, images: usize) -> usize {
        let algorithm = self.algorithm_for::<f32>();
        let unpooled = if algorithm == Algorithm::Naive || self.pools_itself(algorithm) {
            0
        } else {
            images * self.unpooled_len() + Workspace::<f32>::SPARE
        };
        self.max_workspace_bytes() + unpooled * size_of::<f32>()
    }

    /// Whether an algorithm pools what it computes while it is in the cache.
    fn pools_itself(&self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::Direct | Algorithm::Depthwise => true,
            // A square of pixels must lie within a tile.
            Algorithm::Winograd => {
                let window = self.group_geometry().window();
                (window.dilation_h, window.dilation_w) == (1, 1)
                    && self.winograd_form().is_some_and(|form| form.out().is_multiple_of(2))
            }
            _ => false,
        }
    }

    /// Elements of the output of an image before it is pooled.
    fn unpooled_len(&self) -> usize {
        self.desc().out_channels * self.group_geometry().out_plane_len()
    }

    /// How many images are computed before they are pooled.
    fn unpooled_images(&self) -> usize {
        let threads = rayon::current_num_threads();
        let fits = threads.saturating_mul(self.unpooled_len()) <= UNPOOLED_LEN;
        let max = self.options().max_workspace_bytes;
        if fits && max.is_none_or(|max| self.relu_pool_bytes(threads) <= max) { threads } else { 1 }
    }

    fn relu_pool<T: ConvScalar>(
        &self,
        call: &Call<'_, T>,
        y: ViewMut4<'_, T>,
        argmax: Option<&mut [u8]>,
        workspace: &mut Workspace<T>,
    ) -> Result<(), ConvError> {
        let shape = self.pooled_shape(call.x.shape().n())?;
        check(OPERATION, "the output", y.shape(), shape)?;
        let expected = shape.len();
        if let Some(actual) = argmax.as_deref().map(<[u8]>::len)
            && actual != expected
        {
            return Err(ConvError::Argmax { operation: OPERATION, actual, expected });
        }
        let needed = self.max_relu_pool_workspace_bytes();
        if let Some(max) = self.options().max_workspace_bytes
            && needed > max
        {
            let (algorithm, threads) = (self.algorithm(), rayon::current_num_threads());
            return Err(ConvError::Workspace { algorithm, needed, max, threads });
        }
        if shape.is_empty() {
            return Ok(());
        }
        let out = Out { y: y.into_data(), argmax: argmax.unwrap_or_default() };
        match self.algorithm_for::<T>() {
            Algorithm::Naive => self.pool_naively(call, shape, out),
            algorithm if self.pools_itself(algorithm) => {
                self.run_vectorised(call, out, workspace);
            }
            _ => self.pool_images(call, shape, out, workspace),
        }
        Ok(())
    }

    /// Computes each pixel when its square is pooled.
    fn pool_naively<T: ConvScalar>(&self, call: &Call<'_, T>, shape: Shape4, out: Out<'_, T>) {
        let [_, channels, out_h, out_w] = shape.dims();
        for (i, y) in out.y.iter_mut().enumerate() {
            let (plane, row, col) = (i / (out_h * out_w), i / out_w % out_h, i % out_w);
            let pixel = |tag: usize| {
                let (oh, ow) = (2 * row + tag / 2, 2 * col + tag % 2);
                let at = [plane / channels, plane % channels, oh, ow];
                let sum = naive::output(self, call.x.data(), call.plain(), call.bias, at);
                if sum < T::ZERO { T::ZERO } else { sum }
            };
            let mut argmax = 0;
            *y = pixel(0);
            for tag in 1..4 {
                let value = pixel(tag);
                if value > *y || (value.is_nan() && !y.is_nan()) {
                    (*y, argmax) = (value, tag);
                }
            }
            if let Some(to) = out.argmax.get_mut(i) {
                *to = argmax as u8;
            }
        }
    }

    /// Computes some images at a time, and pools them.
    fn pool_images<T: ConvScalar>(
        &self,
        call: &Call<'_, T>,
        shape: Shape4,
        out: Out<'_, T>,
        workspace: &mut Workspace<T>,
    ) {
        let n = shape.n();
        let images = self.unpooled_images().min(n);
        let pieces = out.chunks(images * shape.image_len()).enumerate();
        workspace.with_interim(images * self.unpooled_len(), |unpooled, workspace| {
            for (i, out) in pieces {
                let batch = i * images..n.min((i + 1) * images);
                let unpooled = &mut unpooled[..batch.len() * self.unpooled_len()];
                let shape = self.output_shape(batch.len()).expect(FITS);
                let y = ViewMut4::new(shape, unpooled).expect(FITS);
                let call = Call { x: call.x.batch(batch).expect(FITS), pool: false, ..*call };
                self.run_forward(&call, y, workspace);
                self.pool_planes(unpooled, out);
            }
        });
    }

    /// Pools planes of the output.
    fn pool_planes<T: ConvScalar>(&self, x: &[T], out: Out<'_, T>) {
        let g = self.group_geometry();
        let (in_w, x_stride, out_h, out_w) =
            (g.out_w(), g.out_plane_len(), g.out_h() / 2, g.out_w() / 2);
        let kernels = self.kernels::<T>();
        let planes = (POOL_LEN / x_stride).max(1);
        out.par_chunks(planes * out_h * out_w, 1, &|i, out| {
            kernels.pool(Pool {
                x: &x[i * planes * x_stride..],
                x_stride,
                in_w,
                planes: out.len() / (out_h * out_w),
                out_h,
                out_w,
                y: out.y,
                argmax: out.argmax,
                y_stride: out_h * out_w,
            });
        });
    }
}

const FITS: &str = "the plan has checked every size";
