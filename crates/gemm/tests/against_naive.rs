//! `gemm` and `par_gemm` against the three loops, over random sizes, layouts and factors.

mod support;

use gemm::{Product, gemm, naive, par_gemm, par_gemm_batch};
use proptest::prelude::*;
use support::{Case, Matrix, Order, Real};

/// Sizes from 0 to 70.
fn small() -> impl Strategy<Value = [usize; 3]> {
    [0_usize..=70, 0_usize..=70, 0_usize..=70]
}

/// One size around a block of `matrixmultiply` (64 rows, 256 summands, 1024 columns), the others
/// small.
fn around_blocks() -> impl Strategy<Value = [usize; 3]> {
    let long = prop_oneof![Just(255_usize), Just(257), Just(513), Just(1023), Just(1025)];
    (1_usize..20, 1_usize..20, long, 0_usize..3).prop_map(|(x, y, long, axis)| {
        let mut size = [x, y, x + y];
        size[axis] = long;
        size
    })
}

fn agree<T: Real>(case: &Case) -> Result<(), TestCaseError> {
    // Equal without a tolerance, padding included.
    let expected = case.run::<T>(naive::gemm);
    prop_assert_eq!(&case.run::<T>(gemm), &expected, "gemm");
    prop_assert_eq!(&case.run::<T>(par_gemm), &expected, "par_gemm");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(testkit::cases(192)))]

    #[test]
    fn small_products_are_exact(case in Case::any(small())) {
        agree::<f32>(&case)?;
        agree::<f64>(&case)?;
    }

    #[test]
    fn sizes_around_the_blocks_are_exact(case in Case::any(around_blocks())) {
        agree::<f32>(&case)?;
        agree::<f64>(&case)?;
    }

    #[test]
    fn blocks_and_transposes_are_views_of_the_same_elements(
        [m, k, n] in [1_usize..40, 1_usize..40, 1_usize..40],
        [top, left, inner] in [0_usize..9, 0_usize..9, 0_usize..9],
        orders in [Order::any(), Order::any(), Order::any()],
        seed in any::<u64>(),
    ) {
        let a = Matrix::<f32>::whole(m + top, k + inner, orders[0], f32::NAN, seed);
        let b = Matrix::<f32>::whole(n + left, k + inner, orders[1], f32::NAN, !seed);
        let mut c = Matrix::<f32>::whole(m + top, n + left, orders[2], 99.0, 7);
        let before = c.clone();

        // C[top.., left..] <- A[top.., inner..] B[left.., inner..]^T, by blocks; then the same
        // elements one by one.
        let a_block = a.view().block(top..m + top, inner..k + inner)?;
        let b_block = b.view().block(left..n + left, inner..k + inner)?.t();
        let mut c_all = c.view_mut();
        let c_block = c_all.block_mut(top..m + top, left..n + left)?;
        prop_assert_eq!((c_block.rows(), c_block.cols()), (m, n));
        // C^T = B^T A^T
        gemm(1.0, b_block.t(), a_block.t(), 0.0, c_block.t())?;

        let mut expected = before;
        for i in top..m + top {
            for j in left..n + left {
                let sum = (inner..k + inner).map(|p| a.view()[(i, p)] * b.view()[(j, p)]).sum();
                expected.view_mut()[(i, j)] = sum;
            }
        }
        prop_assert_eq!(c, expected);
    }

    #[test]
    fn a_batch_is_its_products_one_by_one(
        cases in proptest::collection::vec((small(), any::<u64>()), 0..12),
        orders in [Order::any(), Order::any(), Order::any()],
        beta in prop_oneof![Just(0.0_f32), Just(0.5)],
    ) {
        let alpha = -0.5;
        let mut batch: Vec<_> = cases
            .iter()
            .map(|&([m, k, n], seed)| {
                let a = Matrix::<f32>::real(m, k, orders[0], f32::NAN, seed);
                let b = Matrix::<f32>::real(k, n, orders[1], f32::NAN, !seed);
                let c = Matrix::<f32>::real(m, n, orders[2], 99.0, seed / 2);
                (a, b, c)
            })
            .collect();
        let mut expected = batch.clone();
        for (a, b, c) in &mut expected {
            gemm(alpha, a.view(), b.view(), beta, c.view_mut())?;
        }
        let products = batch
            .iter_mut()
            .map(|(a, b, c)| Product { a: a.view(), b: b.view(), c: c.view_mut() })
            .collect();
        par_gemm_batch(alpha, beta, products)?;
        for ((.., c), (.., expected)) in batch.iter().zip(&expected) {
            prop_assert_eq!(c.bits(), expected.bits());
        }
    }
}

/// Products large enough to be cut: into bands of rows, into columns, into both; with strips
/// within a tile.
#[test]
fn tiles_make_up_the_whole_product() {
    let orders = Order::ALL;
    let sizes =
        [[530, 130, 130], [270, 40, 800], [30, 260, 1100], [1, 3000, 3000], [3000, 3000, 1]];
    for (case, size) in (0..).zip(sizes) {
        for (shift, order) in orders.into_iter().enumerate() {
            let (alpha, beta) = [(1.0, 0.0), (-0.5, 0.5), (1.0, 1.0)][(shift + case) % 3];
            let orders = [orders[(shift + 1) % 5], orders[(shift + 3) % 5], order];
            let case = Case { size, orders, alpha, beta, seed: 3 };
            assert_eq!(case.run::<f32>(par_gemm), case.run(naive::gemm), "{case:?}");
        }
    }
    // `gemm` stands in for the three loops, which would take long.
    for size in [[16, 64, 20_001], [20_001, 64, 16]] {
        for order in orders {
            let orders = [Order::PADDED, Order::COLS, order];
            let case = Case { size, orders, alpha: 1.0, beta: 0.5, seed: 4 };
            assert!(case.run::<f64>(par_gemm) == case.run(gemm), "{case:?}");
        }
    }
}

/// Rounding: sums of `k` products of reals stay within the classical bound,
/// `|error| <= (k + 2) u (|alpha| |A| |B| + |beta| |C|)` (Higham, Accuracy and Stability of
/// Numerical Algorithms, section 3.5), against a product in f64.
#[test]
fn rounding_stays_within_its_bound() {
    let (m, k, n) = (70, 700, 400);
    let (alpha, beta) = (-0.5_f32, 0.3_f32);
    let a = Matrix::<f32>::real(m, k, Order::ROWS, 0.0, 1);
    let b = Matrix::<f32>::real(k, n, Order::ROWS, 0.0, 2);
    let c = Matrix::<f32>::real(m, n, Order::ROWS, 0.0, 3);
    let wide = |x: &Matrix<f32>, f: fn(f64) -> f64| Matrix::<f64> {
        rows: x.rows,
        cols: x.cols,
        strides: x.strides,
        data: x.data.iter().map(|&x| f(x.into())).collect(),
    };
    let product = |alpha: f32, beta: f32, f| {
        let [a, b, mut c] = [&a, &b, &c].map(|x| wide(x, f));
        naive::gemm(alpha.into(), a.view(), b.view(), beta.into(), c.view_mut()).expect("fits");
        c
    };
    let exact = product(alpha, beta, |x| x);
    let scale = product(alpha.abs(), beta.abs(), f64::abs);
    let unit = f64::from(f32::EPSILON) / 2.0;
    for (name, gemm) in [("gemm", gemm as support::Gemm<f32>), ("par_gemm", par_gemm)] {
        let mut c = c.clone();
        gemm(alpha, a.view(), b.view(), beta, c.view_mut()).expect("fits");
        for i in 0..m {
            for j in 0..n {
                let error = (f64::from(c.view()[(i, j)]) - exact.view()[(i, j)]).abs();
                let bound = (k + 2) as f64 * unit * scale.view()[(i, j)];
                assert!(error <= bound, "{name} ({i}, {j}): {error:e} > {bound:e}");
            }
        }
    }
}
