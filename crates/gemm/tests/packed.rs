//! Products of packed operands on every instruction set of this CPU, against the naive product:
//! whole numbers, whose sums are exact in whatever order.

mod support;

use gemm::packed::{self, InstructionSet, MicroKernel, PackedA, PackedB};
use gemm::{GemmError, MatMut, MatRef, naive};
use proptest::prelude::*;
use support::{Matrix, Order, Real};

fn kernels<T: Real>() -> Vec<MicroKernel<T>> {
    let all = InstructionSet::ALL.iter();
    all.filter(|set| set.is_available()).map(|&set| MicroKernel::new(set).unwrap()).collect()
}

/// Packs, multiplies onto nothing, the number of each row (`false`) or C (`true`), and compares; C holds
/// NaN beforehand where it is overwritten.
fn check<T: Real>(
    kernel: MicroKernel<T>,
    [m, k, n]: [usize; 3],
    orders: [Order; 3],
    onto: Option<bool>,
    seed: u64,
) -> Result<(), GemmError> {
    let a = Matrix::<T>::whole(m, k, orders[0], f32::NAN, seed);
    let b = Matrix::<T>::whole(k, n, orders[1], f32::NAN, seed ^ 1);
    let mut c = Matrix::<T>::whole(m, n, orders[2], 99.0, seed ^ 2);
    if onto == Some(false) {
        for i in 0..m {
            (0..n).for_each(|j| c.view_mut()[(i, j)] = (i as f32).into());
        }
    }
    let mut expected = c.clone();
    let beta = if onto.is_some() { 1.0 } else { 0.0 };
    naive::gemm(1.0.into(), a.view(), b.view(), beta.into(), expected.view_mut())?;

    let mut a_panels = vec![T::from(f32::NAN); kernel.packed_a_len(m, k)];
    let mut b_panels = vec![T::from(f32::NAN); kernel.packed_b_len(k, n)];
    let a = kernel.pack_a(a.view(), &mut a_panels)?;
    let b = kernel.pack_b(b.view(), &mut b_panels)?;
    if onto == Some(true) {
        packed::multiply_add(a, b, c.view_mut())?;
    } else {
        for i in 0..m {
            (0..n).for_each(|j| c.view_mut()[(i, j)] = f32::NAN.into());
        }
        let start: Vec<T> = (0..m).map(|i| (i as f32).into()).collect();
        match onto {
            None => packed::multiply(a, b, c.view_mut())?,
            Some(_) => packed::multiply_onto_rows(a, b, &start, c.view_mut())?,
        }
    }
    let what = format!("({m}, {k}) x ({k}, {n}) {orders:?} on {}", kernel.set());
    assert_eq!(c.data, expected.data, "{what}");
    Ok(())
}

fn on_every_set<T: Real>(
    size: [usize; 3],
    orders: [Order; 3],
    onto: Option<bool>,
    seed: u64,
) -> Result<(), GemmError> {
    kernels::<T>().into_iter().try_for_each(|k| check(k, size, orders, onto, seed))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(testkit::cases(500)))]

    #[test]
    fn products_are_naive(
        size in [0_usize..40, 0_usize..20, 0_usize..120],
        orders in [Order::any(), Order::any(), Order::any()],
        onto in any::<Option<bool>>(),
        seed in any::<u64>(),
    ) {
        on_every_set::<f32>(size, orders, onto, seed)?;
        on_every_set::<f64>(size, orders, onto, seed)?;
    }
}

/// Sizes at, below and above those of the tiles.
#[test]
fn products_at_the_edges_of_tiles_are_naive() -> Result<(), GemmError> {
    for kernel in kernels::<f32>() {
        let around = |size: usize| [size - 1, size, size + 1, 2 * size, 2 * size + 1];
        for m in around(kernel.rows()) {
            for n in around(kernel.cols()).into_iter().chain([1, kernel.cols() / 2]) {
                for k in [0, 1, 2, 3, 4, 5, 33] {
                    for order in [Order::ROWS, Order::COLS, Order::PADDED] {
                        let onto = [None, Some(false), Some(true)][k % 3];
                        check(kernel, [m, k, n], [order, Order::ROWS, order], onto, 3)?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// What fills the last panels may be anything.
#[test]
fn nothing_depends_on_what_fills_the_panels() -> Result<(), GemmError> {
    for kernel in kernels::<f64>() {
        let (m, k, n) = (kernel.rows() + 1, 7, kernel.cols() + 1);
        let mut a = vec![f64::NAN; kernel.packed_a_len(m, k)];
        let mut b = vec![f64::NAN; kernel.packed_b_len(k, n)];
        // The order that the documentation gives.
        for i in 0..k {
            for row in 0..m {
                let (panel, place) = (row / kernel.rows(), row % kernel.rows());
                a[(panel * k + i) * kernel.rows() + place] = (row + 2 * i) as f64;
            }
            for col in 0..n {
                let (panel, place) = (col / kernel.cols(), col % kernel.cols());
                b[(panel * k + i) * kernel.cols() + place] = col as f64 - i as f64;
            }
        }
        let a = PackedA::new(kernel, &a, m, k)?;
        let b = PackedB::new(kernel, &b, k, n)?;
        let mut c = vec![f64::NAN; m * n];
        packed::multiply(a, b, MatMut::row_major(&mut c, m, n)?)?;
        for row in 0..m {
            for col in 0..n {
                let terms = (0..k).map(|i| (row + 2 * i) as f64 * (col as f64 - i as f64));
                assert_eq!(c[row * n + col], terms.sum::<f64>(), "({row}, {col})");
            }
        }
    }
    Ok(())
}

/// However the columns fall into tiles, each element has the same bits.
#[test]
fn results_do_not_depend_on_how_operands_are_cut() -> Result<(), GemmError> {
    for kernel in kernels::<f32>() {
        let (m, k, n) = (kernel.rows() * 2 + 3, 100, kernel.cols() * 2 + 5);
        let a = Matrix::<f32>::real(m, k, Order::ROWS, 0.0, 1);
        let b = Matrix::<f32>::real(k, n, Order::ROWS, 0.0, 2);
        let mut panels = vec![0.0; kernel.packed_a_len(m, k)];
        let a = kernel.pack_a(a.view(), &mut panels)?;
        let product = |from: usize, to: usize| -> Result<Vec<f32>, GemmError> {
            let mut panels = vec![0.0; kernel.packed_b_len(k, to - from)];
            let b = kernel.pack_b(b.view().block(0..k, from..to)?, &mut panels)?;
            let mut c = vec![0.0; m * (to - from)];
            packed::multiply(a, b, MatMut::row_major(&mut c, m, to - from)?)?;
            Ok(c)
        };
        let whole = product(0, n)?;
        for cut in [1, 7, n / 2, n - 1] {
            let (left, right) = (product(0, cut)?, product(cut, n)?);
            for row in 0..m {
                let parts = left[row * cut..][..cut].iter().chain(&right[row * (n - cut)..]);
                for (part, whole) in parts.zip(&whole[row * n..][..n]) {
                    assert_eq!(part.to_bits(), whole.to_bits(), "cut at {cut}, {}", kernel.set());
                }
            }
        }
    }
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused() -> Result<(), GemmError> {
    let kernel = MicroKernel::<f32>::detect();
    let data = [1.0; 12];
    let matrix = MatRef::row_major(&data, 3, 4)?;
    let (mut a, mut b) =
        (vec![0.0; kernel.packed_a_len(3, 4)], vec![0.0; kernel.packed_b_len(4, 3)]);
    let short = a.len() - 1;
    assert!(matches!(kernel.pack_a(matrix, &mut a[1..]), Err(GemmError::Length { .. })));
    assert!(matches!(kernel.pack_b(matrix, &mut b), Err(GemmError::Length { .. })));
    assert!(matches!(PackedA::new(kernel, &a[..short], 3, 4), Err(GemmError::Length { .. })));
    let huge = PackedB::new(kernel, &b, usize::MAX, usize::MAX);
    assert!(matches!(huge, Err(GemmError::Length { .. })));

    let packed_a = kernel.pack_a(matrix, &mut a)?;
    let packed_b = kernel.pack_b(matrix.t(), &mut b)?;
    let mut c = [7.0; 9];
    let error = packed::multiply(packed_a, packed_b, MatMut::row_major(&mut c[..6], 3, 2)?);
    assert!(matches!(error, Err(GemmError::Outer { .. })), "{error:?}");
    let error =
        packed::multiply_onto_rows(packed_a, packed_b, &[0.0; 2], MatMut::row_major(&mut c, 3, 3)?);
    assert!(matches!(error, Err(GemmError::Length { .. })), "{error:?}");
    let mut few = vec![0.0; kernel.packed_b_len(3, 3)];
    let few = kernel.pack_b(matrix.block(0..3, 0..3)?, &mut few)?;
    let error = packed::multiply_add(packed_a, few, MatMut::row_major(&mut c, 3, 3)?);
    assert!(matches!(error, Err(GemmError::Inner { .. })), "{error:?}");

    let scalar = MicroKernel::new(InstructionSet::Scalar).expect("it runs everywhere");
    if scalar.set() != kernel.set() {
        let mut panels = vec![0.0; scalar.packed_b_len(4, 3)];
        let other = scalar.pack_b(matrix.t(), &mut panels)?;
        let error = packed::multiply(packed_a, other, MatMut::row_major(&mut c, 3, 3)?);
        assert!(matches!(error, Err(GemmError::Kernels { .. })), "{error:?}");
    }
    assert_eq!(c, [7.0; 9]);
    Ok(())
}

#[test]
fn sets_are_found_by_their_names() {
    for &set in InstructionSet::ALL {
        assert_eq!(InstructionSet::named(set.name()), Some(set));
        assert_eq!(MicroKernel::<f32>::new(set).is_some(), set.is_available());
        assert_eq!(set.to_string(), set.name());
    }
    assert_eq!(InstructionSet::named("sse"), None);
    assert!(InstructionSet::detect().is_available());
}

/// Every set that the CPU has is used: without one, products are right, and slow.
#[test]
#[cfg(target_arch = "x86_64")]
fn sets_are_those_of_the_cpu() {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = is_x86_feature_detected!("avx512f") && avx2;
    let sets = [InstructionSet::Avx512, InstructionSet::Avx2, InstructionSet::Neon];
    assert_eq!(sets.map(InstructionSet::is_available), [avx512, avx2, false]);
    assert!(InstructionSet::Scalar.is_available());
}
