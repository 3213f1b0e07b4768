//! The gradient by the weights, straight from that by the outputs of a pool.
//!
//! Of the four pixels under a maximum only one has a gradient. Where a window has few taps, the pixels under
//! it fill a register or two: then a product of them by each gradient is all that is to be summed, a quarter of
//! what there is to sum once the gradients stand among zeros.

use tensor4::{View4, ViewMut4};

use crate::kernels::dispatch::{MulAdd, Vectorised, vectorised_on};
use crate::parallel::pieces;
use crate::plan::check;
use crate::weight_grad::{Gradients, add_up};
use crate::{Algorithm, Conv2dPlan, ConvError, ConvScalar, KernelSet, Update, Workspace};

const OPERATION: &str = "conv2d backward of a pool by the weights";

/// The most taps of a window.
const TAPS: usize = 32;
/// Elements of a row that are copied at a time: the widest kernel.
const COPIED: usize = 8;
/// The parts that the images are cut into, each with sums of its own.
const PARTS: usize = 8;

/// What the gradient by the weights is computed from, if a ReLU and a pool follow the convolution.
#[derive(Debug, Clone, Copy)]
pub struct PooledGradients<'a, T> {
    /// The input of the forward pass.
    pub x: View4<'a, T>,
    /// The gradient of the loss by what [`Conv2dPlan::forward_relu_pool_into`] has written.
    pub dy: View4<'a, T>,
    /// What it has written,
    pub y: View4<'a, T>,
    /// and which pixel each output is.
    pub argmax: &'a [u8],
    /// Whether the gradients are overwritten or added to.
    pub update: Update,
}

impl Conv2dPlan {
    /// The gradients of the loss by the weights and, if `db` is given, by the bias. Overwrites or accumulates
    /// both, as `update` says.
    ///
    /// What [`backward_weights_into`](Self::backward_weights_into) computes from the result of
    /// [`backward_relu_pool_into`](Self::backward_relu_pool_into), up to rounding; under small windows
    /// without that result. There, a pixel that is no number counts only where a gradient falls on it.
    ///
    /// # Errors
    ///
    /// Those of these two.
    pub fn backward_relu_pool_weights_into<T: ConvScalar>(
        &self,
        given: &PooledGradients<'_, T>,
        dw: ViewMut4<'_, T>,
        db: Option<&mut [T]>,
        workspace: &mut Workspace<T>,
    ) -> Result<(), ConvError> {
        let &PooledGradients { x, dy, y, argmax, update } = given;
        let n = x.shape().n();
        let (shape, pooled) = (self.output_shape(n)?, self.pooled_shape(n)?);
        check(OPERATION, "the input", x.shape(), self.input_shape(n)?)?;
        check(OPERATION, "dy", dy.shape(), pooled)?;
        check(OPERATION, "y", y.shape(), pooled)?;
        check(OPERATION, "dw", dw.shape(), self.weight_shape())?;
        self.check_bias(OPERATION, "db", db.as_deref().map(<[T]>::len))?;
        if argmax.len() != pooled.len() {
            let (actual, expected) = (argmax.len(), pooled.len());
            return Err(ConvError::Argmax { operation: OPERATION, actual, expected });
        }
        if n > 0 && self.sums_pooled::<T>() {
            self.pooled_sums(given, dw, db, workspace);
            return Ok(());
        }
        workspace.with_masked(shape.len(), |unpooled, workspace| {
            self.backward_relu_pool_into(dy, y, argmax, ViewMut4::new(shape, unpooled)?)?;
            let dy = View4::new(shape, unpooled)?;
            self.weight_gradients(&Gradients { x, dy, relu: None, update }, dw, db, workspace);
            Ok(())
        })
    }

    /// Whether the products of taps and gradients are summed as they are.
    fn sums_pooled<T: ConvScalar>(&self) -> bool {
        let (g, options) = (self.group_geometry(), self.options());
        let window = g.window();
        options.algorithm == Algorithm::Auto
            && options.max_workspace_bytes.is_none()
            && self.kernels::<T>().set != KernelSet::Scalar
            && self.desc().groups == 1
            && window.padding == im2col::Padding::default()
            && (window.dilation_h, window.dilation_w) == (1, 1)
            && window.kernel_w <= COPIED
            && (1..=TAPS).contains(&g.patch_len())
    }

    fn pooled_sums<T: ConvScalar>(
        &self,
        given: &PooledGradients<'_, T>,
        dw: ViewMut4<'_, T>,
        db: Option<&mut [T]>,
        workspace: &mut Workspace<T>,
    ) {
        let (n, channels) = (given.x.shape().n(), self.desc().out_channels);
        let g = self.group_geometry();
        let [pooled_h, pooled_w] = [g.out_h() / 2, g.out_w() / 2];
        let image_len = channels * pooled_h * pooled_w;
        // A function of the batch alone, so that the sums don't depend on the threads.
        let parts = PARTS.min(n);
        let part_len = channels * (TAPS + 1);
        let band_len = 4 * pooled_w * TAPS;
        let scratch = workspace.prepare(band_len + image_len, parts * part_len);
        let set = self.kernels::<T>().set;
        pieces(scratch.shared, part_len, 1, &|part, sums| {
            sums.fill(T::ZERO);
            scratch.columns.with(|scratch| {
                let (patches, masked) = scratch.split_at_mut(band_len);
                for image in part * n / parts..(part + 1) * n / parts {
                    let pooled = image * image_len..(image + 1) * image_len;
                    let (dw, db) = sums.split_at_mut(channels * TAPS);
                    let (dw, _) = dw.as_chunks_mut();
                    let x = given.x.image(image);
                    let [dy, y] = [given.dy, given.y].map(|view| &view.data()[pooled.clone()]);
                    let argmax = &given.argmax[pooled];
                    vectorised_on(
                        set,
                        Image {
                            g,
                            many_registers: set == KernelSet::Avx512,
                            x,
                            dy,
                            y,
                            argmax,
                            pooled_h,
                            pooled_w,
                            masked,
                            patches,
                            dw,
                            db,
                        },
                    );
                }
            });
        });
        let (sums, accumulate) = (&*scratch.shared, given.update == Update::Accumulate);
        for (i, dw) in dw.into_data().chunks_exact_mut(g.patch_len()).enumerate() {
            add_up(&sums[i * TAPS..], part_len, dw, accumulate);
        }
        if let Some(db) = db {
            add_up(&sums[channels * TAPS..], part_len, db, accumulate);
        }
    }
}

/// The sums of an image, added to those before.
struct Image<'a, T> {
    g: &'a im2col::ConvGeometry,
    /// Whether the sums of four channels fit into the registers.
    many_registers: bool,
    x: &'a [T],
    dy: &'a [T],
    y: &'a [T],
    argmax: &'a [u8],
    pooled_h: usize,
    pooled_w: usize,
    /// Memory for gradients behind the ReLU,
    masked: &'a mut [T],
    /// and for the pixels under each output of two rows.
    patches: &'a mut [T],
    /// The sums of each output channel.
    dw: &'a mut [[T; TAPS]],
    db: &'a mut [T],
}

impl<T: ConvScalar> Vectorised for Image<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<M: MulAdd>(mut self) {
        self.mask();
        for row in 0..self.pooled_h {
            self.unfold(2 * row);
            let mut channel = 0;
            while channel < self.dw.len() {
                // Several chains of sums at a time, whose additions don't wait for each other, and no more than
                // there are registers for.
                channel += match self.dw.len() - channel {
                    1 => self.sum::<M, 1>(row, channel),
                    2 => self.sum::<M, 2>(row, channel),
                    4.. if self.many_registers => self.sum::<M, 4>(row, channel),
                    _ => self.sum::<M, 3>(row, channel),
                };
            }
        }
    }
}

impl<T: ConvScalar> Image<'_, T> {
    /// Takes the gradients through the ReLU.
    #[inline(always)]
    fn mask(&mut self) {
        for ((masked, &dy), &y) in self.masked.iter_mut().zip(self.dy).zip(self.y) {
            *masked = if y <= T::ZERO { T::ZERO } else { dy };
        }
    }

    /// Copies the pixels under each output of two rows, as many as are pooled.
    #[inline(always)]
    fn unfold(&mut self, top: usize) {
        let (g, window) = (self.g, self.g.window());
        let (kernel_w, stride) = (window.kernel_w, window.stride_w);
        let quads = quads_mut(self.patches);
        for below in [0, 1] {
            let mut to = 0..kernel_w;
            let top = (top + below) * window.stride_h;
            for plane in self.x.chunks_exact(g.in_h() * g.in_w()) {
                for x in plane.chunks_exact(g.in_w()).skip(top).take(window.kernel_h) {
                    let mut col = 0;
                    if to.start + COPIED <= TAPS {
                        // What is copied beyond the row of the kernel is overwritten by the next.
                        let to = to.start..to.start + COPIED;
                        let pairs = x.windows(COPIED + stride).step_by(2 * stride);
                        for (quad, x) in quads.iter_mut().zip(pairs) {
                            quad[2 * below][to.clone()].copy_from_slice(&x[..COPIED]);
                            quad[2 * below + 1][to.clone()].copy_from_slice(&x[stride..]);
                            col += 1;
                        }
                    }
                    for (quad, col) in quads[col..].iter_mut().zip(col..) {
                        let x = &x[2 * col * stride..][..stride + kernel_w];
                        quad[2 * below][to.clone()].copy_from_slice(&x[..kernel_w]);
                        quad[2 * below + 1][to.clone()].copy_from_slice(&x[stride..]);
                    }
                    to = to.end..to.end + kernel_w;
                }
            }
        }
    }

    /// Adds the products under a row of outputs to the sums of `N` channels; returns `N`.
    #[inline(always)]
    fn sum<M: MulAdd, const N: usize>(&mut self, row: usize, channel: usize) -> usize {
        let (cols, plane) = (self.pooled_w, self.pooled_h * self.pooled_w);
        let quads = &quads_mut(self.patches)[..cols];
        let at: [_; N] = std::array::from_fn(|i| (channel + i) * plane + row * cols);
        let dy = at.map(|at| &self.masked[at..at + cols]);
        let argmax = at.map(|at| &self.argmax[at..at + cols]);
        let mut sums: [[T; TAPS]; N] = std::array::from_fn(|i| self.dw[channel + i]);
        let mut bias: [T; N] = std::array::from_fn(|i| self.db[channel + i]);
        for (col, quad) in quads.iter().enumerate() {
            for i in 0..N {
                let dy = dy[i][col];
                let patch = &quad[usize::from(argmax[i][col]) & 3];
                for (sum, &x) in sums[i].iter_mut().zip(patch) {
                    *sum = M::mul_add(dy, x, *sum);
                }
                bias[i] += dy;
            }
        }
        self.dw[channel..channel + N].copy_from_slice(&sums);
        self.db[channel..channel + N].copy_from_slice(&bias);
        N
    }
}

/// The pixels under the four outputs that one maximum is of, for each maximum of a row.
#[inline(always)]
fn quads_mut<T>(patches: &mut [T]) -> &mut [[[T; TAPS]; 4]] {
    patches.as_chunks_mut().0.as_chunks_mut().0
}
