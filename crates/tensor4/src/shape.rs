//! Shapes whose length is known to be addressable.

use core::fmt;

use crate::TensorError;

/// The sizes of a tensor in NCHW order: images, channels, rows, columns.
///
/// The four sizes are checked in [`Shape4::new`], so that every partial product of them
/// (`h * w`, `c * h * w`, `n * c * h * w`) fits, and a buffer of that many `f64` can be addressed.
/// A size may be 0.
///
/// ```
/// use tensor4::Shape4;
///
/// let shape = Shape4::new(100, 1, 28, 28)?;
/// let [n, c, h, w] = shape.dims();
/// assert_eq!(shape.len(), n * c * h * w);
/// assert!(Shape4::new(usize::MAX, 2, 1, 1).is_err());
/// # Ok::<(), tensor4::TensorError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape4 {
    n: usize,
    c: usize,
    h: usize,
    w: usize,
}

impl Shape4 {
    /// The largest number of elements of a tensor: as many `f64` as fit in `isize::MAX` bytes.
    pub const MAX_LEN: usize = isize::MAX as usize / size_of::<f64>();

    /// The shape of `n` images of `c` channels of `h` x `w` elements.
    ///
    /// # Errors
    ///
    /// [`TensorError::TooLarge`] if a product of the sizes exceeds [`Shape4::MAX_LEN`]; sizes of 0
    /// do not hide an overflow of the others.
    pub const fn new(n: usize, c: usize, h: usize, w: usize) -> Result<Self, TensorError> {
        let too_large = TensorError::TooLarge { n, c, h, w };
        let mut len = 1_usize;
        let dims = [w, h, c, n];
        let mut i = 0;
        while i < dims.len() {
            // A 0 counts as 1, so that `(0, huge, huge, huge)` is refused as well: its
            // `image_len` would overflow.
            let size = if dims[i] == 0 { 1 } else { dims[i] };
            len = match len.checked_mul(size) {
                Some(len) if len <= Self::MAX_LEN => len,
                _ => return Err(too_large),
            };
            i += 1;
        }
        Ok(Self { n, c, h, w })
    }

    /// The shape of a `rows` x `cols` matrix: `(rows, cols, 1, 1)`.
    ///
    /// # Errors
    ///
    /// As [`Shape4::new`].
    pub const fn matrix(rows: usize, cols: usize) -> Result<Self, TensorError> {
        Self::new(rows, cols, 1, 1)
    }

    /// Number of images.
    #[must_use]
    pub const fn n(self) -> usize {
        self.n
    }

    /// Number of channels.
    #[must_use]
    pub const fn c(self) -> usize {
        self.c
    }

    /// Number of rows.
    #[must_use]
    pub const fn h(self) -> usize {
        self.h
    }

    /// Number of columns.
    #[must_use]
    pub const fn w(self) -> usize {
        self.w
    }

    /// All four sizes, `[n, c, h, w]`, to be destructured.
    #[must_use]
    pub const fn dims(self) -> [usize; 4] {
        [self.n, self.c, self.h, self.w]
    }

    /// Number of elements, `n * c * h * w`.
    #[must_use]
    pub const fn len(self) -> usize {
        self.n * self.c * self.h * self.w
    }

    /// Whether there is no element at all.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Number of elements of one image, `c * h * w`.
    #[must_use]
    pub const fn image_len(self) -> usize {
        self.c * self.h * self.w
    }

    /// Number of elements of one channel of one image, `h * w`.
    #[must_use]
    pub const fn plane_len(self) -> usize {
        self.h * self.w
    }

    /// The same images in a batch of `n`.
    ///
    /// # Errors
    ///
    /// As [`Shape4::new`].
    pub const fn with_n(self, n: usize) -> Result<Self, TensorError> {
        Self::new(n, self.c, self.h, self.w)
    }
}

impl fmt::Display for Shape4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { n, c, h, w } = self;
        write!(f, "({n}, {c}, {h}, {w})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_that_overflow_are_refused_even_behind_a_zero() {
        let huge = usize::MAX / 2;
        for (n, c, h, w) in [
            (huge, 4, 1, 1),
            (1, huge, huge, 1),
            (0, huge, huge, 1),
            (1, 1, 0, usize::MAX),
            (1 << 20, 1 << 20, 1 << 20, 1 << 20),
            (1, 1, 1, Shape4::MAX_LEN + 1),
        ] {
            let expected = Err(TensorError::TooLarge { n, c, h, w });
            assert_eq!(Shape4::new(n, c, h, w), expected, "({n}, {c}, {h}, {w})");
        }
        assert!(Shape4::new(1, 1, 1, Shape4::MAX_LEN).is_ok());
    }

    #[test]
    fn lengths_are_products() -> Result<(), TensorError> {
        let shape = Shape4::new(2, 3, 5, 7)?;
        assert_eq!((shape.len(), shape.image_len(), shape.plane_len()), (210, 105, 35));
        assert_eq!(shape.with_n(4)?.dims(), [4, 3, 5, 7]);
        assert!(Shape4::new(0, 3, 5, 7)?.is_empty());
        Ok(())
    }
}
