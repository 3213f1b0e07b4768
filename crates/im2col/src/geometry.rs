//! The only arithmetic of output sizes.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use tensor4::Shape4;

use crate::axis::Axis;
use crate::{GeometryError, Layout, Window};

/// A window laid over images of one size: the sizes of the output and of the columns, all checked.
///
/// The output has `(in + pad_before + pad_after - dilation * (kernel - 1) - 1) / stride + 1` rows
/// (columns), rounded down; it is never empty. A position of the kernel that lies wholly in the
/// padding is legal, and reads zeros. So is an input of no channels, or of no rows or columns if
/// it is padded enough for the kernel.
///
/// ```
/// use im2col::{ConvGeometry, Window};
///
/// // The first layer of AlexNet.
/// let g = ConvGeometry::new(3, 227, 227, Window::square(11).stride(4))?;
/// assert_eq!((g.out_h(), g.out_w()), (55, 55));
/// assert_eq!((g.patch_len(), g.columns_len()), (363, 363 * 55 * 55));
///
/// let error = ConvGeometry::new(1, 3, 5, Window::square(5)).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "geometry: a kernel of height 5 with dilation 1 covers 5, \
///      but the input's height with padding is only 3 (3 + 0 + 0)"
/// );
/// # Ok::<(), im2col::GeometryError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConvGeometry {
    in_c: usize,
    window: Window,
    rows: Axis,
    cols: Axis,
}

impl ConvGeometry {
    /// The window over images of `in_c` channels of `in_h` x `in_w` pixels.
    ///
    /// # Errors
    ///
    /// [`GeometryError`] if the kernel, the stride or the dilation is 0, if the kernel covers
    /// more than the padded input, or if a length (padded input, image, output, patch, columns)
    /// exceeds [`Shape4::MAX_LEN`]; sizes of 0 do not hide an overflow of the others.
    pub fn new(
        in_c: usize,
        in_h: usize,
        in_w: usize,
        window: Window,
    ) -> Result<Self, GeometryError> {
        let Window { kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, padding } =
            window;
        for (what, h, w) in [
            ("kernel", kernel_h, kernel_w),
            ("stride", stride_h, stride_w),
            ("dilation", dilation_h, dilation_w),
        ] {
            if h == 0 || w == 0 {
                return Err(GeometryError::Zero { what, h, w });
            }
        }
        let too_large = |what| {
            let window = Box::new(window);
            GeometryError::TooLarge { what, in_c, in_h, in_w, window }
        };
        let axis = |dimension, input: usize, kernel, stride, dilation, pad_before, pad_after| {
            let padded = checked_sum([input, pad_before, pad_after])
                .ok_or_else(|| too_large("padded input"))?;
            // Not `checked_len`: the dilation of a kernel of one tap says nothing.
            let extent = usize::checked_mul(dilation, kernel - 1)
                .and_then(|last| last.checked_add(1))
                .ok_or_else(|| too_large("extent of the dilated kernel"))?;
            if extent > padded {
                return Err(GeometryError::KernelTooLarge {
                    dimension,
                    kernel,
                    dilation,
                    extent,
                    input,
                    pad_before,
                    pad_after,
                });
            }
            let output = (padded - extent) / stride + 1;
            Ok(Axis { input, output, kernel, stride, dilation, pad: pad_before })
        };
        let rows =
            axis("height", in_h, kernel_h, stride_h, dilation_h, padding.top, padding.bottom)?;
        let cols =
            axis("width", in_w, kernel_w, stride_w, dilation_w, padding.left, padding.right)?;
        for (what, sizes) in [
            ("image", [in_c, in_h, in_w, 1, 1]),
            ("output", [rows.output, cols.output, 1, 1, 1]),
            ("patch", [in_c, kernel_h, kernel_w, 1, 1]),
            ("matrix of columns", [in_c, kernel_h, kernel_w, rows.output, cols.output]),
        ] {
            checked_len(sizes).ok_or_else(|| too_large(what))?;
        }
        Ok(Self { in_c, window, rows, cols })
    }

    /// The same window over images of `c` channels.
    ///
    /// # Errors
    ///
    /// As [`ConvGeometry::new`], if there are too many channels.
    pub fn with_channels(&self, c: usize) -> Result<Self, GeometryError> {
        Self::new(c, self.in_h(), self.in_w(), self.window)
    }

    /// Channels of the input.
    #[must_use]
    pub const fn in_c(&self) -> usize {
        self.in_c
    }

    /// Rows of the input, without padding.
    #[must_use]
    pub const fn in_h(&self) -> usize {
        self.rows.input
    }

    /// Columns of the input, without padding.
    #[must_use]
    pub const fn in_w(&self) -> usize {
        self.cols.input
    }

    /// The window.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// Rows of the output, at least 1.
    #[must_use]
    pub const fn out_h(&self) -> usize {
        self.rows.output
    }

    /// Columns of the output, at least 1.
    #[must_use]
    pub const fn out_w(&self) -> usize {
        self.cols.output
    }

    /// Elements of an input image, `C*H*W`.
    #[must_use]
    pub const fn in_len(&self) -> usize {
        self.in_c * self.in_h() * self.in_w()
    }

    /// Pixels of an output plane, `OH*OW`.
    #[must_use]
    pub const fn out_plane_len(&self) -> usize {
        self.out_h() * self.out_w()
    }

    /// Elements under one position of the kernel, `C*KH*KW`.
    #[must_use]
    pub const fn patch_len(&self) -> usize {
        self.in_c * self.rows.kernel * self.cols.kernel
    }

    /// Elements of the columns of one image, `C*KH*KW * OH*OW`.
    #[must_use]
    pub const fn columns_len(&self) -> usize {
        self.patch_len() * self.out_plane_len()
    }

    /// Elements of the columns of `rows` output rows of one image, `C*KH*KW * rows*OW`.
    ///
    /// For at most [`out_h`](Self::out_h) rows; beyond that the result saturates at `usize::MAX`.
    #[must_use]
    pub const fn rows_columns_len(&self, rows: usize) -> usize {
        (self.patch_len() * self.out_w()).saturating_mul(rows)
    }

    /// Elements of the columns of `n` images.
    ///
    /// # Errors
    ///
    /// [`GeometryError::BatchTooLarge`] if that exceeds [`Shape4::MAX_LEN`].
    pub fn batch_columns_len(&self, n: usize) -> Result<usize, GeometryError> {
        let columns_len = self.columns_len();
        checked_len([n, columns_len])
            .map(|_| n * columns_len)
            .ok_or(GeometryError::BatchTooLarge { n, columns_len })
    }

    /// The shape of the columns of `n` images: `(N, 1, C*KH*KW, OH*OW)` for
    /// [`Layout::PatchRows`], the matrix `(N*OH*OW, C*KH*KW, 1, 1)` for [`Layout::PixelRows`].
    ///
    /// # Errors
    ///
    /// [`GeometryError::BatchTooLarge`] if its length exceeds [`Shape4::MAX_LEN`].
    pub fn columns_shape(&self, n: usize, layout: Layout) -> Result<Shape4, GeometryError> {
        let (patch, plane) = (self.patch_len(), self.out_plane_len());
        let too_large = GeometryError::BatchTooLarge { n, columns_len: self.columns_len() };
        match layout {
            Layout::PatchRows => Shape4::new(n, 1, patch, plane).map_err(|_| too_large),
            Layout::PixelRows => match n.checked_mul(plane) {
                Some(rows) => Shape4::matrix(rows, patch).map_err(|_| too_large),
                None => Err(too_large),
            },
        }
    }

    /// Kernel, stride and so on along the height.
    pub(crate) const fn rows(&self) -> Axis {
        self.rows
    }

    /// Kernel, stride and so on along the width.
    pub(crate) const fn cols(&self) -> Axis {
        self.cols
    }
}

/// How many windows cover each pixel of the input, `(H, W)`: what
/// [`fold`](crate::fold) makes of an [`unfold`](crate::unfold) of ones, and the divisor for the
/// average of the overlaps instead of their sum.
///
/// 0 where no window reaches (between strides that are longer than the kernel, between dilated
/// taps, beyond the last window).
#[must_use]
pub fn overlap_counts(g: &ConvGeometry) -> Vec<usize> {
    let (rows, cols) = (axis_counts(g.rows()), axis_counts(g.cols()));
    // A window covers a pixel if it does so along both dimensions.
    rows.iter().flat_map(|&r| cols.iter().map(move |&c| r * c)).collect()
}

fn axis_counts(axis: Axis) -> Vec<usize> {
    let mut counts = vec![0; axis.input];
    for k in 0..axis.kernel {
        for o in axis.outputs(k) {
            counts[axis.input_at(o, k)] += 1;
        }
    }
    counts
}

/// The product, where sizes of 0 count as 1 so that they do not hide an overflow of the others;
/// `None` beyond [`Shape4::MAX_LEN`].
fn checked_len<const N: usize>(sizes: [usize; N]) -> Option<usize> {
    let product = |len: usize, size: usize| len.checked_mul(size.max(1));
    sizes.into_iter().try_fold(1, product).filter(|&len| len <= Shape4::MAX_LEN)
}

/// The sum; `None` beyond [`Shape4::MAX_LEN`].
fn checked_sum<const N: usize>(sizes: [usize; N]) -> Option<usize> {
    sizes.into_iter().try_fold(0, usize::checked_add).filter(|&sum| sum <= Shape4::MAX_LEN)
}
