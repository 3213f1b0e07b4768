//! Tensors for people to read.

use core::fmt;

use crate::{Scalar, Tensor4};

/// At most this many rows and columns of a plane, planes and images are printed.
const MOST: usize = 8;

impl<T: Scalar> fmt::Display for Tensor4<T> {
    /// The shape, then each plane under its image and channel, one row per line. Beyond eight
    /// of a kind the rest is counted, not printed. A precision (`{:.2}`) sets the decimals
    /// (4 otherwise).
    ///
    /// A matrix `(rows, cols, 1, 1)` is printed as one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [n, c, h, w] = self.dims();
        writeln!(f, "Tensor4<{}> {}", T::NAME, self.shape())?;
        if (h, w) == (1, 1) {
            return plane(f, self.data(), n, c, "");
        }
        for image in 0..n.min(MOST) {
            for channel in 0..c.min(MOST) {
                writeln!(f, "image {image}, channel {channel}")?;
                plane(f, self.plane(image, channel), h, w, "  ")?;
            }
            more(f, c, "channels", "")?;
        }
        more(f, n, "images", "")
    }
}

fn plane<T: Scalar>(
    f: &mut fmt::Formatter<'_>,
    data: &[T],
    rows: usize,
    cols: usize,
    indent: &str,
) -> fmt::Result {
    let decimals = f.precision().unwrap_or(4);
    let width = decimals + 5;
    for row in 0..rows.min(MOST) {
        write!(f, "{indent}")?;
        for x in data[row * cols..][..cols].iter().take(MOST) {
            write!(f, "{x:width$.decimals$} ")?;
        }
        if cols > MOST {
            write!(f, "... {} more", cols - MOST)?;
        }
        writeln!(f)?;
    }
    more(f, rows, "rows", indent)
}

fn more(f: &mut fmt::Formatter<'_>, count: usize, what: &str, indent: &str) -> fmt::Result {
    if count > MOST {
        writeln!(f, "{indent}... {} more {what}", count - MOST)?;
    }
    Ok(())
}
