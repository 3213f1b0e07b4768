//! A few products, each small enough that Miri interprets it in seconds, through every function: what
//! `cargo xtask sanitize` runs under Miri. Here they are compared with the naive one.

mod support;

use gemm::packed::{self, InstructionSet, MicroKernel};
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

/// Products of whole tiles and of less, onto nothing, onto the number of each row and onto C.
fn small_packed_products<T: Real>() -> Result<(), GemmError> {
    let kernel = MicroKernel::<T>::new(InstructionSet::Scalar).expect("it runs everywhere");
    let (height, width) = (kernel.rows(), kernel.cols());
    for (m, n) in [(height, width), (height + 1, width - 1), (height - 1, width + 1), (1, 1)] {
        for (k, order) in [(0, Order::ROWS), (3, Order::COLS), (2, Order::PADDED)] {
            let a = Matrix::<T>::whole(m, k, order, f32::NAN, 1);
            let b = Matrix::<T>::whole(k, n, order, f32::NAN, 2);
            let mut a_panels = vec![T::from(f32::NAN); kernel.packed_a_len(m, k)];
            let mut b_panels = vec![T::from(f32::NAN); kernel.packed_b_len(k, n)];
            let packed_a = kernel.pack_a(a.view(), &mut a_panels)?;
            let packed_b = kernel.pack_b(b.view(), &mut b_panels)?;
            let start: Vec<T> = (0..m).map(|i| (i as f32).into()).collect();
            for onto in 0..3 {
                let mut c = Matrix::<T>::whole(m, n, order, 99.0, 3);
                let mut expected = c.clone();
                if onto == 1 {
                    for (i, &start) in start.iter().enumerate() {
                        (0..n).for_each(|j| expected.view_mut()[(i, j)] = start);
                    }
                }
                let beta = if onto == 0 { 0.0 } else { 1.0 };
                naive::gemm(1.0.into(), a.view(), b.view(), beta.into(), expected.view_mut())?;
                match onto {
                    0 => packed::multiply(packed_a, packed_b, c.view_mut())?,
                    1 => packed::multiply_onto_rows(packed_a, packed_b, &start, c.view_mut())?,
                    _ => packed::multiply_add(packed_a, packed_b, c.view_mut())?,
                }
                assert_eq!(c, expected, "({m}, {k}) x ({k}, {n}) {onto}");
            }
        }
    }
    Ok(())
}

#[test]
fn small_packed_products_are_naive() -> Result<(), GemmError> {
    small_packed_products::<f32>()?;
    small_packed_products::<f64>()
}
