//! What slides over the image.

use core::fmt;

/// Rows and columns of zeros around an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Padding {
    /// Rows above the first.
    pub top: usize,
    /// Columns left of the first.
    pub left: usize,
    /// Rows below the last.
    pub bottom: usize,
    /// Columns right of the last.
    pub right: usize,
}

impl Padding {
    /// The same padding on all four sides.
    #[must_use]
    pub const fn uniform(p: usize) -> Self {
        Self::symmetric(p, p)
    }

    /// `h` rows above and below, `w` columns left and right.
    #[must_use]
    pub const fn symmetric(h: usize, w: usize) -> Self {
        Self { top: h, left: w, bottom: h, right: w }
    }
}

/// A kernel's size, its steps over the image, the spacing of its taps, and the padding.
///
/// A plain description: nothing is checked before [`ConvGeometry::new`](crate::ConvGeometry::new)
/// lays it over an image.
///
/// ```
/// use im2col::{Padding, Window};
///
/// let window = Window::new(3, 5).stride(2).padding(Padding::symmetric(1, 2));
/// assert_eq!((window.kernel_h, window.kernel_w), (3, 5));
/// assert_eq!((window.stride_h, window.dilation_h), (2, 1));
/// assert_eq!((window.padding.top, window.padding.right), (1, 2));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Window {
    /// Rows of the kernel.
    pub kernel_h: usize,
    /// Columns of the kernel.
    pub kernel_w: usize,
    /// Input rows from one output row to the next.
    pub stride_h: usize,
    /// Input columns from one output column to the next.
    pub stride_w: usize,
    /// Input rows from one row of the kernel to the next; 1 for a dense kernel.
    pub dilation_h: usize,
    /// Input columns from one column of the kernel to the next; 1 for a dense kernel.
    pub dilation_w: usize,
    /// Zeros around the image.
    pub padding: Padding,
}

impl Window {
    /// A kernel of the given size, with stride 1, dilation 1 and no padding.
    #[must_use]
    pub const fn new(kernel_h: usize, kernel_w: usize) -> Self {
        Self {
            kernel_h,
            kernel_w,
            stride_h: 1,
            stride_w: 1,
            dilation_h: 1,
            dilation_w: 1,
            padding: Padding { top: 0, left: 0, bottom: 0, right: 0 },
        }
    }

    /// A kernel of `k` rows and `k` columns, with stride 1, dilation 1 and no padding.
    #[must_use]
    pub const fn square(k: usize) -> Self {
        Self::new(k, k)
    }

    /// The same window with this stride in both directions.
    #[must_use]
    pub const fn stride(self, s: usize) -> Self {
        self.strides(s, s)
    }

    /// The same window with these strides.
    #[must_use]
    pub const fn strides(mut self, h: usize, w: usize) -> Self {
        (self.stride_h, self.stride_w) = (h, w);
        self
    }

    /// The same window with this dilation in both directions.
    #[must_use]
    pub const fn dilation(self, d: usize) -> Self {
        self.dilations(d, d)
    }

    /// The same window with these dilations.
    #[must_use]
    pub const fn dilations(mut self, h: usize, w: usize) -> Self {
        (self.dilation_h, self.dilation_w) = (h, w);
        self
    }

    /// The same window with this padding.
    #[must_use]
    pub const fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// The same window with `p` rows or columns of padding on all four sides.
    #[must_use]
    pub const fn pad(self, p: usize) -> Self {
        self.padding(Padding::uniform(p))
    }

    /// The same window with as much padding as makes the output `ceil(in / stride)` in both
    /// directions: ONNX's `SAME_UPPER`, and at stride 1 PyTorch's `padding="same"`. Where the padding
    /// of two sides is odd, the bottom and the right have one more.
    ///
    /// Set stride and dilation first.
    ///
    /// ```
    /// use im2col::{ConvGeometry, Window};
    ///
    /// let window = Window::square(3).stride(2).same_upper(8, 7);
    /// assert_eq!((window.padding.top, window.padding.bottom), (0, 1));
    /// assert_eq!((window.padding.left, window.padding.right), (1, 1));
    /// let g = ConvGeometry::new(1, 8, 7, window)?;
    /// assert_eq!((g.out_h(), g.out_w()), (4, 4));
    /// # Ok::<(), im2col::GeometryError>(())
    /// ```
    #[must_use]
    pub const fn same_upper(self, in_h: usize, in_w: usize) -> Self {
        let h = same(in_h, self.kernel_h, self.stride_h, self.dilation_h);
        let w = same(in_w, self.kernel_w, self.stride_w, self.dilation_w);
        let (top, left) = (h / 2, w / 2);
        self.padding(Padding { top, left, bottom: h - top, right: w - left })
    }

    /// As [`same_upper`](Self::same_upper), but it is the top and the left that have one more: ONNX's
    /// `SAME_LOWER`.
    #[must_use]
    pub const fn same_lower(self, in_h: usize, in_w: usize) -> Self {
        let Self { padding: Padding { top, left, bottom, right }, .. } =
            self.same_upper(in_h, in_w);
        self.padding(Padding { top: bottom, left: right, bottom: top, right: left })
    }

    /// The same window with as much more padding at the bottom and the right as gives the rows and
    /// columns that do not fill a window an output of their own: PyTorch's `ceil_mode` of pools. A
    /// window that would begin beyond the image and the padding before it is not added.
    ///
    /// Set stride, dilation and padding first.
    ///
    /// ```
    /// use im2col::{ConvGeometry, Window};
    ///
    /// let window = Window::square(3).stride(2);
    /// let g = ConvGeometry::new(1, 8, 7, window)?;
    /// assert_eq!((g.out_h(), g.out_w()), (3, 3));
    /// let g = ConvGeometry::new(1, 8, 7, window.complete(8, 7))?;
    /// assert_eq!((g.out_h(), g.out_w()), (4, 3));
    /// # Ok::<(), im2col::GeometryError>(())
    /// ```
    #[must_use]
    pub const fn complete(self, in_h: usize, in_w: usize) -> Self {
        let Padding { top, left, bottom, right } = self.padding;
        let h = completed(in_h, self.kernel_h, self.stride_h, self.dilation_h, [top, bottom]);
        let w = completed(in_w, self.kernel_w, self.stride_w, self.dilation_w, [left, right]);
        self.padding(Padding { top, left, bottom: h, right: w })
    }
}

/// The padding after `len` pixels that completes the last window that they reach into. What the
/// geometry refuses is left as it is.
const fn completed(
    len: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    [before, after]: [usize; 2],
) -> usize {
    if kernel == 0 || stride == 0 {
        return after;
    }
    let padded = len.saturating_add(before).saturating_add(after);
    let extent = (kernel - 1).saturating_mul(dilation).saturating_add(1);
    let Some(reach) = padded.saturating_add(stride - 1).checked_sub(extent) else { return after };
    let mut start = reach / stride * stride;
    if start >= len.saturating_add(before) {
        start = start.saturating_sub(stride);
    }
    after.saturating_add(start.saturating_add(extent).saturating_sub(padded))
}

/// The padding of both sides together that makes the output `ceil(len / stride)`:
/// `max(0, (out - 1) * stride + (kernel - 1) * dilation + 1 - len)`.
///
/// Saturates, and gives 0 for a window of nothing: both are refused when the window is laid over
/// an image.
const fn same(len: usize, kernel: usize, stride: usize, dilation: usize) -> usize {
    if kernel == 0 || stride == 0 || len == 0 {
        return 0;
    }
    let reach = (len.div_ceil(stride) - 1).saturating_mul(stride);
    let extent = (kernel - 1).saturating_mul(dilation).saturating_add(1);
    reach.saturating_add(extent).saturating_sub(len)
}

impl fmt::Display for Window {
    /// Such as `kernel 3x3, stride 1x1, dilation 1x1, padding top 1 left 1 bottom 1 right 1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Padding { top, left, bottom, right } = self.padding;
        write!(
            f,
            "kernel {}x{}, stride {}x{}, dilation {}x{}, \
             padding top {top} left {left} bottom {bottom} right {right}",
            self.kernel_h,
            self.kernel_w,
            self.stride_h,
            self.stride_w,
            self.dilation_h,
            self.dilation_w,
        )
    }
}
