//! A few products, each small enough that Miri interprets it in seconds, through every function: what
//! `cargo xtask sanitize` runs under Miri, with the packed products. Here they are compared with the
//! naive one.

mod support;

use gemm::{GemmError, Product, gemm, naive, par_gemm, par_gemm_batch};
use support::{Case, Matrix, Order, Real};

const SIZES: [[usize; 3]; 8] =
    [[1, 1, 1], [9, 5, 10], [4, 3, 17], [13, 2, 4], [5, 0, 7], [0, 3, 4], [4, 3, 0], [0, 0, 0]];

fn small_products<T: Real>() {
    for (i, size) in SIZES.into_iter().enumerate() {
        for (shift, order) in Order::ALL.into_iter().enumerate() {
            let other = |by: usize| Order::ALL[(shift + by) % Order::ALL.len()];
            let (alpha, beta) = [(1.0, 0.0), (-0.5, 0.5), (1.0, 1.0), (0.0, 0.5)][(i + shift) % 4];
            let case = Case { size, orders: [order, other(1), other(3)], alpha, beta, seed: 5 };
            let expected = case.run::<T>(naive::gemm);
            assert_eq!(case.run::<T>(gemm), expected, "gemm {case:?}");
            assert_eq!(case.run::<T>(par_gemm), expected, "par_gemm {case:?}");
        }
    }
}

#[test]
fn small_products_are_naive() {
    small_products::<f32>();
    small_products::<f64>();
}

#[test]
fn small_batches_are_their_products() -> Result<(), GemmError> {
    let matrix = |rows, cols, seed| Matrix::<f32>::whole(rows, cols, Order::PADDED, 9.0, seed);
    let (a, b) = (matrix(5, 3, 1), matrix(3, 6, 2));
    let mut c = [matrix(5, 6, 3), matrix(5, 6, 4)];
    let mut expected = c.clone();
    for c in &mut expected {
        naive::gemm(0.5, a.view(), b.view(), 1.0, c.view_mut())?;
    }
    let product = |c| Product { a: a.view(), b: b.view(), c: Matrix::view_mut(c) };
    par_gemm_batch(0.5, 1.0, c.iter_mut().map(product).collect())?;
    assert_eq!(c, expected);
    Ok(())
}
