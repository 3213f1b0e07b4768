//! Products of operands that are packed beforehand, into buffers of the caller.
//!
//! A [`MicroKernel`] computes tiles of C, a few rows by a few registers of columns, from panels of A
//! and B. The panels are contiguous, so that one walks through them from beginning to end:
//!
//! - A panel of A is as high as a tile; element `(i, k)` of an A with `k_len` columns stands at
//!   `(i / rows * k_len + k) * rows + i % rows`.
//! - A panel of B is as wide as a tile; element `(k, j)` of a B with `k_len` rows stands at
//!   `(j / cols * k_len + k) * cols + j % cols`.
//!
//! What stands beyond the last row of A and the last column of B, to fill the last panel, may be
//! anything: no element of C depends on it.
//!
//! An operand is packed once for any number of products, by [`MicroKernel::pack_a`] and
//! [`MicroKernel::pack_b`] or by the caller, who may fill the panels in the first place. Nothing here
//! allocates, and everything runs on the calling thread. To divide a product among threads, divide
//! the panels: those of some rows of A (columns of B) stand together.
//!
//! ```
//! use gemm::packed::{self, MicroKernel};
//! use gemm::{MatMut, MatRef};
//!
//! let kernel = MicroKernel::<f32>::detect();
//! let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]; // (2, 3), row by row
//! let b = [1.0, 0.0, -1.0, 2.0, 1.0, 0.0]; // (2, 3), row by row
//! let mut a_panels = vec![0.0; kernel.packed_a_len(2, 3)];
//! let mut b_panels = vec![0.0; kernel.packed_b_len(3, 2)];
//! let a = kernel.pack_a(MatRef::row_major(&a, 2, 3)?, &mut a_panels)?;
//! let b = kernel.pack_b(MatRef::row_major(&b, 2, 3)?.t(), &mut b_panels)?;
//!
//! let mut c = [f32::NAN; 4];
//! packed::multiply(a, b, MatMut::row_major(&mut c, 2, 2)?)?;
//! assert_eq!(c, [-2.0, 4.0, -2.0, 13.0]);
//! packed::multiply_add(a, b, MatMut::row_major(&mut c, 2, 2)?)?;
//! assert_eq!(c, [-4.0, 8.0, -4.0, 26.0]);
//! # Ok::<(), gemm::GemmError>(())
//! ```
//!
//! Every element of C is one sum over ascending `k`, in whatever tile it falls; so the result does
//! not depend, to the last bit, on how A and B are cut into rows and columns. Where the instruction
//! set has fused multiply-adds, the sums are made of those.

mod pack;
mod set;

use crate::kernel::table::Table;
use crate::kernel::tile::{Onto, Tile};
use crate::{GemmError, GemmScalar, MatMut, MatRef};

pub use set::InstructionSet;

/// The most elements of a tile.
const MAX_TILE: usize = 384;

/// The innermost loops of a product, for the instruction set of a CPU.
#[derive(Debug)]
pub struct MicroKernel<T: 'static> {
    table: &'static Table<T>,
}

// Not derived: a derive would ask for `T: Copy`.
impl<T> Clone for MicroKernel<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for MicroKernel<T> {}

impl<T: GemmScalar> MicroKernel<T> {
    /// The fastest one that this CPU can run.
    #[must_use]
    pub fn detect() -> Self {
        Self::new(InstructionSet::detect()).expect("it was found to be available")
    }

    /// That of an instruction set, if this CPU has it.
    #[must_use]
    pub fn new(set: InstructionSet) -> Option<Self> {
        let table = T::table(set)?;
        assert!(table.rows * table.cols() <= MAX_TILE, "a tile of {set} is too large");
        Some(Self { table })
    }

    /// The instruction set.
    #[must_use]
    pub fn set(self) -> InstructionSet {
        self.table.set
    }

    /// Rows of a tile, and of a panel of A.
    #[must_use]
    pub fn rows(self) -> usize {
        self.table.rows
    }

    /// Columns of a tile, and of a panel of B.
    #[must_use]
    pub fn cols(self) -> usize {
        self.table.cols()
    }

    /// Elements that an A of `rows` x `k` takes when packed. Saturates.
    #[must_use]
    pub fn packed_a_len(self, rows: usize, k: usize) -> usize {
        panels_len(rows, self.rows(), k)
    }

    /// Elements that a B of `k` x `cols` takes when packed. Saturates.
    #[must_use]
    pub fn packed_b_len(self, k: usize, cols: usize) -> usize {
        panels_len(cols, self.cols(), k)
    }

    /// Packs A into panels; overwrites `panels`.
    ///
    /// # Errors
    ///
    /// [`GemmError::Length`] if `panels` does not have [`packed_a_len`](Self::packed_a_len) elements.
    pub fn pack_a<'p>(
        self,
        a: MatRef<'_, T>,
        panels: &'p mut [T],
    ) -> Result<PackedA<'p, T>, GemmError> {
        let (rows, k) = (a.rows(), a.cols());
        let expected = self.packed_a_len(rows, k);
        check_len("MicroKernel::pack_a", [rows, k], expected, panels.len())?;
        pack::pack(a, self.rows(), panels);
        Ok(PackedA { kernel: self, panels, rows, k })
    }

    /// Packs B into panels; overwrites `panels`.
    ///
    /// # Errors
    ///
    /// [`GemmError::Length`] if `panels` does not have [`packed_b_len`](Self::packed_b_len) elements.
    pub fn pack_b<'p>(
        self,
        b: MatRef<'_, T>,
        panels: &'p mut [T],
    ) -> Result<PackedB<'p, T>, GemmError> {
        let (k, cols) = (b.rows(), b.cols());
        let expected = self.packed_b_len(k, cols);
        check_len("MicroKernel::pack_b", [k, cols], expected, panels.len())?;
        pack::pack(b.t(), self.cols(), panels);
        Ok(PackedB { kernel: self, panels, k, cols })
    }
}

fn panels_len(size: usize, width: usize, k: usize) -> usize {
    size.checked_next_multiple_of(width).unwrap_or(usize::MAX).saturating_mul(k)
}

fn check_len(
    operation: &'static str,
    [rows, cols]: [usize; 2],
    expected: usize,
    actual: usize,
) -> Result<(), GemmError> {
    if expected == actual {
        Ok(())
    } else {
        Err(GemmError::Length { operation, rows, cols, expected, actual })
    }
}

/// An A in panels, `rows` x `k`.
#[derive(Debug)]
pub struct PackedA<'p, T: 'static> {
    kernel: MicroKernel<T>,
    // Invariant: `panels.len() == kernel.packed_a_len(rows, k)`.
    panels: &'p [T],
    rows: usize,
    k: usize,
}

/// A B in panels, `k` x `cols`.
#[derive(Debug)]
pub struct PackedB<'p, T: 'static> {
    kernel: MicroKernel<T>,
    // Invariant: `panels.len() == kernel.packed_b_len(k, cols)`.
    panels: &'p [T],
    k: usize,
    cols: usize,
}

impl<T> Clone for PackedA<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for PackedA<'_, T> {}

impl<T> Clone for PackedB<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for PackedB<'_, T> {}

impl<'p, T: GemmScalar> PackedA<'p, T> {
    /// An A of `rows` x `k` that stands in `panels`, in the order that the
    /// [module](self) documents.
    ///
    /// # Errors
    ///
    /// [`GemmError::Length`] if there are not [`MicroKernel::packed_a_len`] elements.
    pub fn new(
        kernel: MicroKernel<T>,
        panels: &'p [T],
        rows: usize,
        k: usize,
    ) -> Result<Self, GemmError> {
        check_len("PackedA::new", [rows, k], kernel.packed_a_len(rows, k), panels.len())?;
        Ok(Self { kernel, panels, rows, k })
    }
}

impl<'p, T: GemmScalar> PackedB<'p, T> {
    /// A B of `k` x `cols` that stands in `panels`, in the order that the
    /// [module](self) documents.
    ///
    /// # Errors
    ///
    /// [`GemmError::Length`] if there are not [`MicroKernel::packed_b_len`] elements.
    pub fn new(
        kernel: MicroKernel<T>,
        panels: &'p [T],
        k: usize,
        cols: usize,
    ) -> Result<Self, GemmError> {
        check_len("PackedB::new", [k, cols], kernel.packed_b_len(k, cols), panels.len())?;
        Ok(Self { kernel, panels, k, cols })
    }
}

/// `C <- A B`: `(M, K) x (K, N) -> (M, N)`. C is not read, and may hold anything; if K is 0, it
/// becomes 0.
///
/// It is fastest where the columns of C are contiguous.
///
/// # Errors
///
/// [`GemmError::Inner`] or [`GemmError::Outer`] if the sizes do not fit together,
/// [`GemmError::Kernels`] if the operands were packed for different instruction sets; C is then
/// unchanged.
pub fn multiply<T: GemmScalar>(
    a: PackedA<'_, T>,
    b: PackedB<'_, T>,
    c: MatMut<'_, T>,
) -> Result<(), GemmError> {
    check("packed::multiply", &a, &b, &c)?;
    product(a, b, Onto::Nothing, c);
    Ok(())
}

/// `C[i, j] <- (A B)[i, j] + start[i]`: `(M, K) x (K, N) -> (M, N)`, with a number for each row. C is
/// not read.
///
/// # Errors
///
/// As [`multiply`], and [`GemmError::Length`] if there are not M numbers.
pub fn multiply_onto_rows<T: GemmScalar>(
    a: PackedA<'_, T>,
    b: PackedB<'_, T>,
    start: &[T],
    c: MatMut<'_, T>,
) -> Result<(), GemmError> {
    const OPERATION: &str = "packed::multiply_onto_rows";
    check_len(OPERATION, [a.rows, 1], a.rows, start.len())?;
    check(OPERATION, &a, &b, &c)?;
    product(a, b, Onto::Rows(start), c);
    Ok(())
}

/// `C <- A B + C`: `(M, K) x (K, N) -> (M, N)`.
///
/// It is fastest where the columns of C are contiguous.
///
/// # Errors
///
/// As [`multiply`].
pub fn multiply_add<T: GemmScalar>(
    a: PackedA<'_, T>,
    b: PackedB<'_, T>,
    c: MatMut<'_, T>,
) -> Result<(), GemmError> {
    check("packed::multiply_add", &a, &b, &c)?;
    product(a, b, Onto::C, c);
    Ok(())
}

fn check<T: GemmScalar>(
    operation: &'static str,
    a: &PackedA<'_, T>,
    b: &PackedB<'_, T>,
    c: &MatMut<'_, T>,
) -> Result<(), GemmError> {
    let sets = [a.kernel.set(), b.kernel.set()];
    if sets[0] != sets[1] {
        let [a, b] = sets.map(InstructionSet::name);
        return Err(GemmError::Kernels { operation, a, b });
    }
    if a.k != b.k {
        let [a_rows, a_cols, b_rows, b_cols] = [a.rows, a.k, b.k, b.cols];
        return Err(GemmError::Inner { operation, a_rows, a_cols, b_rows, b_cols });
    }
    if (a.rows, b.cols) != (c.rows(), c.cols()) {
        let (c_rows, c_cols) = (c.rows(), c.cols());
        return Err(GemmError::Outer { operation, m: a.rows, n: b.cols, c_rows, c_cols });
    }
    Ok(())
}

/// A panel of A stays in the first-level cache while all of B passes by.
fn product<T: GemmScalar>(
    a: PackedA<'_, T>,
    b: PackedB<'_, T>,
    onto: Onto<'_, T>,
    mut c: MatMut<'_, T>,
) {
    let (table, k) = (a.kernel.table, a.k);
    let (height, width) = (table.rows, table.cols());
    let layout = c.layout();
    // The stride of a single column is stored as 0.
    let contiguous = layout.col_stride == 1 || layout.cols == 1;
    let mut scratch = [T::default(); MAX_TILE];
    for top in (0..a.rows).step_by(height) {
        let rows = height.min(a.rows - top);
        let a = &a.panels[top * k..][..height * k];
        let onto = match onto {
            Onto::Rows(start) => Onto::Rows(&start[top..top + rows]),
            other => other,
        };
        for left in (0..b.cols).step_by(width) {
            let cols = width.min(b.cols - left);
            let b = &b.panels[left * k..][..width * k];
            let vectors = cols.div_ceil(table.lanes);
            let whole = contiguous && rows == height && cols == vectors * table.lanes;
            let c = &mut c.data_mut()[layout.offset(top, left)..];
            if whole {
                let row_stride = layout.row_stride;
                table.tile(Tile { a, b, k, c, row_stride, vectors, onto });
                continue;
            }
            let (tile, row_stride) = (&mut scratch[..height * width], width);
            table.tile(Tile { a, b, k, c: tile, row_stride, vectors, onto: Onto::Nothing });
            for (row, sums) in scratch.chunks_exact(width).take(rows).enumerate() {
                let c = &mut c[row * layout.row_stride..];
                if contiguous {
                    merge(c[..cols].iter_mut(), &sums[..cols], onto, row);
                } else {
                    merge(c.iter_mut().step_by(layout.col_stride), &sums[..cols], onto, row);
                }
            }
        }
    }
}

/// Writes the sums of a row of C, added to what they are to be added to.
#[inline(always)]
fn merge<'c, T: GemmScalar>(
    c: impl Iterator<Item = &'c mut T>,
    sums: &[T],
    onto: Onto<'_, T>,
    row: usize,
) {
    match onto {
        Onto::Nothing => c.zip(sums).for_each(|(c, &sum)| *c = sum),
        Onto::Rows(start) => c.zip(sums).for_each(|(c, &sum)| *c = sum + start[row]),
        Onto::C => c.zip(sums).for_each(|(c, &sum)| *c = sum + *c),
    }
}
