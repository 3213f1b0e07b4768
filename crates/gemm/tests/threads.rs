//! The same bytes for every number of threads.

mod support;

use gemm::{Product, par_gemm, par_gemm_batch};
use rayon::ThreadPoolBuilder;
use support::{Matrix, Order, Real};

const THREADS: [usize; 4] = [1, 2, 3, 8];

/// Runs `f` on pools of several sizes, which must agree.
fn same_on_all_pools(what: &str, f: impl Fn() -> Vec<u64> + Sync) {
    let results = THREADS.map(|threads| {
        ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool").install(&f)
    });
    for (threads, result) in THREADS.iter().zip(&results) {
        assert!(*result == results[0], "{what}: {threads} threads and 1 thread differ");
    }
}

fn one_product<T: Real>() {
    for ([m, k, n], what) in [
        ([530, 300, 130], "rows"),
        ([30, 300, 1500], "columns"),
        ([300, 290, 700], "rows and columns"),
        ([16, 64, 20_001], "columns in strips"),
        ([60, 61, 62], "one tile"),
    ] {
        let a = Matrix::<T>::real(m, k, Order::ROWS, 0.0, 1);
        let b = Matrix::<T>::real(k, n, Order::COLS, 0.0, 2);
        for order in Order::ALL {
            for beta in [0.0, 0.3] {
                same_on_all_pools(what, || {
                    let mut c = Matrix::<T>::real(m, n, order, 99.0, 3);
                    par_gemm(T::from(0.7), a.view(), b.view(), T::from(beta), c.view_mut())
                        .expect("fits");
                    c.bits()
                });
            }
        }
    }
}

#[test]
fn one_product_is_the_same_on_any_number_of_threads() {
    one_product::<f32>();
    one_product::<f64>();
}

#[test]
fn a_batch_is_the_same_on_any_number_of_threads() {
    let (m, k, n) = (33, 70, 90);
    let matrices = |rows, cols, seed: u64| -> Vec<_> {
        (0..20).map(|i| Matrix::<f32>::real(rows, cols, Order::ROWS, 0.0, seed + i)).collect()
    };
    let (a, b) = (matrices(m, k, 100), matrices(k, n, 200));
    same_on_all_pools("batch", || {
        let mut c = matrices(m, n, 300);
        let products = a
            .iter()
            .zip(&b)
            .zip(&mut c)
            .map(|((a, b), c)| Product { a: a.view(), b: b.view(), c: c.view_mut() })
            .collect();
        par_gemm_batch(0.7, 0.3, products).expect("fits");
        c.iter().flat_map(Matrix::bits).collect()
    });
}
