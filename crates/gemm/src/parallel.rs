//! Products on all threads of the current `rayon` pool.

use rayon::prelude::*;

use crate::product::{check, is_scaling, multiply, scale};
use crate::tiles::tile_sides;
use crate::{GemmError, GemmScalar, MatMut, MatRef};

/// How many columns of a tile are computed at a time where its result goes through a buffer: as
/// many as `matrixmultiply` packs at a time, and few enough for the buffer to stay in the cache.
const STRIP: usize = 1024;

/// `C <- alpha A B + beta C` on the current `rayon` pool: `(M, K) x (K, N) -> (M, N)`.
///
/// As [`gemm`](crate::gemm()), but over tiles of C. The tiles are a function of the sizes alone
/// and K is never divided, so that the result is the same to the last bit for every number of
/// threads. A small product runs on the calling thread.
///
/// Tiles that do not take up whole rows of a row-major C (whole columns of a column-major C) are
/// computed in a buffer and added to C from there, which costs one allocation of a tile per thread.
///
/// # Errors
///
/// As [`gemm`](crate::gemm()).
pub fn par_gemm<T: GemmScalar>(
    alpha: T,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    beta: T,
    c: MatMut<'_, T>,
) -> Result<(), GemmError> {
    check("par_gemm", a, b, &c)?;
    if is_scaling(alpha, a, &c) {
        scale(beta, c);
        return Ok(());
    }
    // C is cut across its larger stride without further ado. Let that be its rows:
    // C^T = B^T A^T.
    let (a, b, c) = if c.layout().is_col_major() { (b.t(), a.t(), c.t()) } else { (a, b, c) };
    let sides = tile_sides(a.rows(), a.cols(), b.cols());
    if sides == [c.rows(), c.cols()] {
        multiply(alpha, a, b, beta, c);
    } else {
        tiles(a, b, c, sides)
            .into_par_iter()
            .for_each_init(Vec::new, |buffer, tile| tile.multiply(alpha, beta, buffer));
    }
    Ok(())
}

/// One product of a batch: `(M, K) x (K, N) -> (M, N)`.
#[derive(Debug)]
pub struct Product<'a, T> {
    /// The left factor, `(M, K)`.
    pub a: MatRef<'a, T>,
    /// The right factor, `(K, N)`.
    pub b: MatRef<'a, T>,
    /// The result, `(M, N)`.
    pub c: MatMut<'a, T>,
}

/// `C <- alpha A B + beta C` for each product of a batch, on the current `rayon` pool, each on one
/// thread as by [`gemm`](crate::gemm()), whose result it has to the last bit. The products may be
/// of different sizes.
///
/// # Errors
///
/// [`GemmError::Batch`] with the place of the first product whose sizes do not fit together; all
/// of the batch is then unchanged.
pub fn par_gemm_batch<T: GemmScalar>(
    alpha: T,
    beta: T,
    products: Vec<Product<'_, T>>,
) -> Result<(), GemmError> {
    for (index, Product { a, b, c }) in products.iter().enumerate() {
        check("par_gemm_batch", *a, *b, c)
            .map_err(|source| GemmError::Batch { index, source: Box::new(source) })?;
    }
    products.into_par_iter().for_each(|Product { a, b, c }| multiply(alpha, a, b, beta, c));
    Ok(())
}

/// A tile of a product `(m, k) x (k, n)`: `(h, k) x (k, w) -> (h, w)`.
struct Tile<'a, T> {
    a: MatRef<'a, T>,
    b: MatRef<'a, T>,
    c: Target<'a, T>,
}

/// The tile of C.
enum Target<'a, T> {
    /// Whole rows of C.
    Band(MatMut<'a, T>),
    /// Parts of rows of C, whose elements are `col_stride` apart.
    Rows { rows: Vec<&'a mut [T]>, col_stride: usize },
}

/// The tiles of C, of the given height and width but for the last ones, top down and from left to
/// right. C must not be column-major.
fn tiles<'a, T>(
    a: MatRef<'a, T>,
    b: MatRef<'a, T>,
    c: MatMut<'a, T>,
    [height, width]: [usize; 2],
) -> Vec<Tile<'a, T>> {
    let (layout, k) = (c.layout(), a.cols());
    let (m, n) = (layout.rows, layout.cols);
    let within = "a tile lies within C";
    let mut pieces = c.into_pieces();
    let mut tiles = Vec::new();
    for top in (0..m).step_by(height) {
        let rows = top..m.min(top + height);
        let a = a.block(rows.clone(), 0..k).expect(within);
        if width >= n {
            let (band, range) = layout.sub(rows, 0..n);
            let c = Target::Band(MatMut::from_piece(pieces.take(range), band));
            tiles.push(Tile { a, b, c });
            continue;
        }
        let first = tiles.len();
        for left in (0..n).step_by(width) {
            let b = b.block(0..k, left..n.min(left + width)).expect(within);
            let rows = Vec::with_capacity(a.rows());
            let c = Target::Rows { rows, col_stride: layout.col_stride };
            tiles.push(Tile { a, b, c });
        }
        for row in rows {
            for (tile, left) in tiles[first..].iter_mut().zip((0..n).step_by(width)) {
                let (_, range) = layout.sub(row..row + 1, left..n.min(left + width));
                if let Target::Rows { rows, .. } = &mut tile.c {
                    rows.push(pieces.take(range));
                }
            }
        }
    }
    tiles
}

impl<T: GemmScalar> Tile<'_, T> {
    /// `C <- alpha A B + beta C` for this tile. What `buffer` holds does not matter.
    fn multiply(self, alpha: T, beta: T, buffer: &mut Vec<T>) {
        let Self { a, b, c } = self;
        match c {
            Target::Band(c) => multiply(alpha, a, b, beta, c),
            Target::Rows { mut rows, col_stride } => {
                let (height, k, width) = (a.rows(), a.cols(), b.cols());
                for left in (0..width).step_by(STRIP) {
                    let width = STRIP.min(width - left);
                    let b = b.block(0..k, left..left + width).expect("a strip of the tile");
                    if buffer.len() < height * width {
                        buffer.resize(height * width, T::default());
                    }
                    let product = &mut buffer[..height * width];
                    let strip = MatMut::row_major(product, height, width).expect("its length");
                    // (h, k) x (k, w) -> (h, w)
                    multiply(alpha, a, b, T::default(), strip);
                    for (row, product) in rows.iter_mut().zip(product.chunks_exact(width)) {
                        let row = row[left * col_stride..].iter_mut();
                        if col_stride == 1 {
                            merge(beta, row, product);
                        } else {
                            merge(beta, row.step_by(col_stride), product);
                        }
                    }
                }
            }
        }
    }
}

/// `c <- product + beta c`; `c` is not read if `beta` is 0.
fn merge<'c, T: GemmScalar>(beta: T, c: impl Iterator<Item = &'c mut T>, product: &[T]) {
    if beta == T::default() {
        c.zip(product).for_each(|(c, &product)| *c = product);
    } else {
        c.zip(product).for_each(|(c, &product)| *c = product + beta * *c);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::naive;

    proptest! {
        #![proptest_config(ProptestConfig::default())]

        /// Tiles far smaller than any that are cut in earnest.
        #[test]
        fn tiles_of_any_sides_make_up_the_product(
            [m, k, n] in [1_usize..30, 1_usize..6, 1_usize..30],
            [height, width] in [1_usize..32, 1_usize..32],
            [step, padding] in [1_usize..4, 0_usize..4],
            beta in prop_oneof![Just(0.0_f32), Just(0.5)],
        ) {
            // Whole numbers, so that every order of summation gives the same.
            let a: Vec<_> = (0..m * k).map(|i| (i * 7 % 11) as f32 - 5.0).collect();
            let b: Vec<_> = (0..k * n).map(|i| (i * 5 % 13) as f32 - 6.0).collect();
            let (a, b) = (MatRef::row_major(&a, m, k)?, MatRef::row_major(&b, k, n)?);
            let row_stride = n * step + padding;
            let mut c: Vec<_> = (0..m * row_stride).map(|i| (i % 17) as f32).collect();

            let mut expected = c.clone();
            let c_expected = MatMut::new(&mut expected, m, n, row_stride, step)?;
            naive::gemm(-0.5, a, b, beta, c_expected)?;

            let target = MatMut::new(&mut c, m, n, row_stride, step)?;
            // A row or a column alone may count as column-major: its stride is forgotten.
            prop_assume!(!target.layout().is_col_major());
            let (height, width) = (height.min(m), width.min(n));
            let tiles = tiles(a, b, target, [height, width]);
            prop_assert_eq!(tiles.len(), m.div_ceil(height) * n.div_ceil(width));
            let mut buffer = Vec::new();
            // In reverse: no tile depends on another.
            for tile in tiles.into_iter().rev() {
                tile.multiply(-0.5, beta, &mut buffer);
                buffer.fill(f32::NAN);
            }
            prop_assert_eq!(c, expected);
        }
    }
}
