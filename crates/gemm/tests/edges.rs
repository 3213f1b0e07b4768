//! What alpha and beta mean at their edges, empty matrices, and bad input.

mod support;

use gemm::{GemmError, MatMut, MatRef, Product, gemm, naive, par_gemm, par_gemm_batch};
use support::{Gemm, Matrix, Order, Real};

fn functions<T: Real>() -> [(&'static str, Gemm<T>); 3] {
    [("gemm", gemm), ("par_gemm", par_gemm), ("naive::gemm", naive::gemm)]
}

/// The last ones are cut into tiles by `par_gemm`.
const SIZES: [[usize; 3]; 9] = [
    [1, 1, 1],
    [16, 5, 16],
    [17, 300, 33],
    [5, 0, 7],
    [0, 3, 4],
    [4, 3, 0],
    [0, 0, 0],
    [270, 40, 800],
    [700, 0, 700],
];

fn beta_0_overwrites_nan<T: Real>() {
    for [m, k, n] in SIZES {
        for order in Order::ALL {
            let a = Matrix::<T>::whole(m, k, Order::ROWS, 0.0, 1);
            let b = Matrix::<T>::whole(k, n, Order::ROWS, 0.0, 2);
            let mut expected = Matrix::<T>::new(m, n, order, 99.0, || 0.0);
            naive::gemm(T::from(1.0), a.view(), b.view(), T::from(1.0), expected.view_mut())
                .expect("fits");
            for (name, gemm) in functions::<T>() {
                for zero in [0.0, -0.0] {
                    let mut c = Matrix::<T>::new(m, n, order, 99.0, || f32::NAN);
                    gemm(T::from(1.0), a.view(), b.view(), T::from(zero), c.view_mut())
                        .expect("fits");
                    assert_eq!(c, expected, "{name} ({m}, {k}) x ({k}, {n}) {order:?}");
                }
            }
        }
    }
}

#[test]
fn with_beta_0_c_is_not_read() {
    beta_0_overwrites_nan::<f32>();
    beta_0_overwrites_nan::<f64>();
}

#[test]
fn with_alpha_0_a_and_b_are_not_read() {
    for [m, k, n] in SIZES {
        for order in Order::ALL {
            let a = Matrix::<f32>::new(m, k, Order::ROWS, f32::NAN, || f32::NAN);
            let b = Matrix::<f32>::new(k, n, Order::ROWS, f32::NAN, || f32::INFINITY);
            for (name, gemm) in functions::<f32>() {
                for (beta, old, new) in
                    [(0.0, f32::NAN, 0.0), (1.0, 3.0, 3.0), (0.5, 3.0, 1.5), (-2.0, 3.0, -6.0)]
                {
                    let mut c = Matrix::new(m, n, order, 99.0, || old);
                    gemm(0.0, a.view(), b.view(), beta, c.view_mut()).expect("fits");
                    let expected = Matrix::new(m, n, order, 99.0, || new);
                    assert_eq!(c, expected, "{name} ({m}, {k}) x ({k}, {n}), beta = {beta}");
                }
            }
        }
    }
}

#[test]
fn an_inner_size_of_0_scales_c() {
    for (name, gemm) in functions::<f64>() {
        for (beta, expected) in [(0.0, 0.0), (0.5, 1.0), (1.0, 2.0)] {
            let mut c = [2.0; 6];
            let a = MatRef::row_major(&[], 2, 0).expect("empty");
            let b = MatRef::row_major(&[], 0, 3).expect("empty");
            gemm(1.0, a, b, beta, MatMut::row_major(&mut c, 2, 3).expect("2 x 3")).expect("fits");
            assert_eq!(c, [expected; 6], "{name}");
        }
    }
}

#[test]
fn nan_stays_in_its_row_and_its_column() {
    let (m, k, n) = (270, 100, 700);
    let mut a = Matrix::<f32>::whole(m, k, Order::ROWS, 0.0, 1);
    let mut b = Matrix::<f32>::whole(k, n, Order::COLS, 0.0, 2);
    a.view_mut()[(269, 3)] = f32::NAN;
    b.view_mut()[(99, 17)] = f32::NAN;
    for (name, gemm) in [("gemm", gemm as Gemm<f32>), ("par_gemm", par_gemm)] {
        let mut c = Matrix::new(m, n, Order::ROWS, 0.0, || 0.0);
        gemm(1.0, a.view(), b.view(), 1.0, c.view_mut()).expect("fits");
        for i in 0..m {
            for j in 0..n {
                assert_eq!(c.view()[(i, j)].is_nan(), i == 269 || j == 17, "{name} ({i}, {j})");
            }
        }
    }
}

#[test]
fn rows_may_repeat_in_a_and_b() -> Result<(), GemmError> {
    // Stride 0: one row, read again and again. Overlapping rows: a Hankel matrix.
    let x = [1.0_f32, 2.0, 3.0, 4.0];
    let repeated = MatRef::new(&x, 3, 2, 0, 1)?;
    let hankel = MatRef::new(&x, 2, 3, 1, 1)?;
    for (name, gemm) in functions::<f32>() {
        let mut c = [0.0; 9];
        gemm(1.0, repeated, hankel, 0.0, MatMut::row_major(&mut c, 3, 3)?)?;
        assert_eq!(c, [5.0, 8.0, 11.0, 5.0, 8.0, 11.0, 5.0, 8.0, 11.0], "{name}");
    }
    Ok(())
}

#[test]
fn sizes_that_do_not_fit_are_errors_and_change_nothing() -> Result<(), GemmError> {
    let x = [1.0_f32; 12];
    let a = MatRef::row_major(&x, 3, 4)?;
    let b = MatRef::row_major(&x[..8], 4, 2)?;
    for (operation, gemm) in functions::<f32>() {
        let mut c = [7.0; 6];
        let inner = gemm(1.0, a, b.t(), 0.0, MatMut::row_major(&mut c, 3, 2)?);
        let expected = GemmError::Inner { operation, a_rows: 3, a_cols: 4, b_rows: 2, b_cols: 4 };
        assert_eq!(inner, Err(expected));
        let outer = gemm(1.0, a, b, 0.0, MatMut::row_major(&mut c, 2, 3)?);
        let expected = GemmError::Outer { operation, m: 3, n: 2, c_rows: 2, c_cols: 3 };
        assert_eq!(outer, Err(expected));
        assert_eq!(c, [7.0; 6], "{operation}");
    }

    let mut cs = [[7.0; 6], [7.0; 6]];
    let [c0, c1] = &mut cs;
    let products = vec![
        Product { a, b, c: MatMut::row_major(c0, 3, 2)? },
        Product { a, b, c: MatMut::row_major(c1, 2, 3)? },
    ];
    let error = par_gemm_batch(1.0, 0.0, products).expect_err("the second does not fit");
    assert_eq!(
        error.to_string(),
        "product 1 of the batch: par_gemm_batch: A B is 3 x 2, C is 2 x 3"
    );
    assert_eq!(cs, [[7.0; 6]; 2]);
    Ok(())
}

#[test]
fn matrices_that_reach_beyond_their_slice_are_errors() {
    let mut x = [0.0_f64; 10];
    // 3 x 4, rows 4 apart: 12 elements; padded: the last at 2 * 5 + 3.
    for (row_stride, col_stride, needed) in [(4, 1, 12), (5, 1, 14), (1, 3, 12), (1, 4, 15)] {
        let expected = |operation| GemmError::TooShort {
            operation,
            rows: 3,
            cols: 4,
            row_stride,
            col_stride,
            needed,
            actual: 10,
        };
        let error = MatRef::new(&x, 3, 4, row_stride, col_stride).expect_err("too short");
        assert_eq!(error, expected("MatRef::new"));
        let error = MatMut::new(&mut x, 3, 4, row_stride, col_stride).expect_err("too short");
        assert_eq!(error, expected("MatMut::new"));
    }
    // The last row needs no padding.
    assert!(MatRef::new(&x, 2, 4, 6, 1).is_ok());
    assert!(MatRef::new(&x[..9], 2, 4, 6, 1).is_err());

    for (rows, cols) in [(3, 4), (3, 3), (0, 1), (11, 1)] {
        let expected = |operation| {
            let expected = rows * cols;
            GemmError::Length { operation, rows, cols, expected, actual: 10 }
        };
        let error = MatRef::row_major(&x, rows, cols).expect_err("another length");
        assert_eq!(error, expected("MatRef::row_major"));
        let error = MatMut::row_major(&mut x, rows, cols).expect_err("another length");
        assert_eq!(error, expected("MatMut::row_major"));
    }
}

#[test]
fn offsets_that_overflow_are_errors() {
    let huge = usize::MAX;
    let mut x = [0.0_f32; 4];
    for (rows, cols, row_stride, col_stride) in [
        (3, 2, huge, 1),
        (2, 3, 1, huge),
        (2, 2, huge, huge),
        (2, 2, huge / 2 + 1, huge / 2 + 1),
        (2, 2, huge - 1, 1),
        (huge, 2, 2, 1),
        (huge, huge, 1, 1),
    ] {
        let expected =
            |operation| GemmError::TooLarge { operation, rows, cols, row_stride, col_stride };
        let error = MatRef::new(&x, rows, cols, row_stride, col_stride).expect_err("overflow");
        assert_eq!(error, expected("MatRef::new"));
        let error = MatMut::new(&mut x, rows, cols, row_stride, col_stride).expect_err("overflow");
        assert_eq!(error, expected("MatMut::new"));
    }
    assert!(matches!(
        MatRef::row_major(&x, huge, 2),
        Err(GemmError::TooLarge { rows, cols: 2, .. }) if rows == huge
    ));
    assert!(matches!(
        MatMut::row_major(&mut x, 2, huge),
        Err(GemmError::TooLarge { rows: 2, cols, .. }) if cols == huge
    ));
    // Where there is no step to take, a stride is nothing but a number.
    assert!(MatRef::new(&x, 1, 1, huge, huge).is_ok());
    assert!(MatMut::new(&mut x, 1, 4, huge, 1).is_ok());
    assert!(MatMut::new(&mut x, 0, huge, huge, huge).is_ok());
}

#[test]
fn a_matrix_whose_rows_and_columns_overlap_cannot_be_written() {
    let mut x = [0.0_f32; 100];
    for (rows, cols, row_stride, col_stride) in [
        (2, 2, 0, 0),
        (3, 4, 0, 1),
        (3, 4, 4, 0),
        (3, 1, 0, 1),
        (1, 4, 4, 0),
        (3, 4, 3, 1),
        (3, 4, 1, 2),
        (3, 4, 1, 1),
        (3, 4, 6, 2),
        (3, 2, 2, 3), // interleaved
    ] {
        let expected =
            GemmError::Overlap { operation: "MatMut::new", rows, cols, row_stride, col_stride };
        let error = MatMut::new(&mut x, rows, cols, row_stride, col_stride).expect_err("overlap");
        assert_eq!(error, expected);
        assert!(MatRef::new(&x, rows, cols, row_stride, col_stride).is_ok());
    }
    for (rows, cols, row_stride, col_stride) in
        [(3, 4, 4, 1), (3, 4, 1, 3), (3, 4, 7, 2), (1, 4, 0, 1), (4, 1, 1, 0), (0, 4, 0, 0)]
    {
        assert!(MatMut::new(&mut x, rows, cols, row_stride, col_stride).is_ok());
    }
}

#[test]
fn blocks_beyond_a_matrix_are_errors() -> Result<(), GemmError> {
    let mut x = [0.0_f32; 12];
    #[allow(clippy::reversed_empty_ranges)] // One of the errors to be found.
    let beyond = [(0..4, 0..1), (0..1, 0..5), (2..1, 0..1), (0..1, 3..2), (4..4, 0..0)];
    for (row_range, col_range) in beyond {
        let expected = |operation| GemmError::Block {
            operation,
            row_range: row_range.clone(),
            col_range: col_range.clone(),
            rows: 3,
            cols: 4,
        };
        let error = MatRef::row_major(&x, 3, 4)?.block(row_range.clone(), col_range.clone());
        assert_eq!(error.expect_err("beyond"), expected("MatRef::block"));
        let mut matrix = MatMut::row_major(&mut x, 3, 4)?;
        let error = matrix.block_mut(row_range.clone(), col_range.clone());
        assert_eq!(error.expect_err("beyond"), expected("MatMut::block_mut"));
    }
    for (rows, cols) in [(3..3, 0..4), (0..3, 4..4), (2..3, 3..4), (0..0, 0..0)] {
        assert!(MatRef::row_major(&x, 3, 4)?.block(rows.clone(), cols.clone()).is_ok());
        assert!(MatMut::row_major(&mut x, 3, 4)?.block_mut(rows, cols).is_ok());
    }
    Ok(())
}

#[test]
#[should_panic(expected = "element (1, 2) of a 3 x 2 matrix")]
fn an_index_beyond_the_matrix_panics_even_within_the_slice() {
    let _ = MatRef::row_major(&[0.0_f32; 6], 3, 2).expect("3 x 2")[(1, 2)];
}

#[test]
fn messages_name_the_operation_and_the_numbers() {
    let mut x = [0.0_f32; 10];
    for (error, message) in [
        (
            MatMut::new(&mut x, 3, 4, 2, 1).expect_err("overlap"),
            "MatMut::new: the rows and columns of a 3 x 4 matrix with strides (2, 1) overlap; to \
             be written, it needs strides such as (4, 1) or (1, 3), or larger ones for padding",
        ),
        (
            MatRef::new(&x, 3, 4, 5, 1).map(|_| ()).expect_err("short"),
            "MatRef::new: a 3 x 4 matrix with strides (5, 1) reaches over 14 elements, the slice \
             has 10",
        ),
        (
            MatRef::row_major(&x, 3, 4).map(|_| ()).expect_err("length"),
            "MatRef::row_major: a 3 x 4 matrix needs 12 elements, the slice has 10",
        ),
    ] {
        assert_eq!(error.to_string(), message);
    }
}
