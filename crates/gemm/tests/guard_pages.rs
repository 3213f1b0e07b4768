//! No product touches memory beyond its matrices, nor before them: each operand ends where memory that may
//! be touched ends, and once more begins where it begins. Results are those of the naive product.

// Miri has no pages; it sees every access by itself.
#![cfg(all(unix, not(miri)))]

mod support;

use gemm::packed::{self, InstructionSet, MicroKernel};
use gemm::{GemmError, MatMut, MatRef, naive};
use support::{Gemm, Order, Real, random};
use testkit::cases;
use testkit::guarded::{Edge, Guarded, Plain, announce, assert_faults_are_found};

/// How many random products of each kind are tried.
const CASES: u32 = 200;

/// The numbers of a random product.
struct Random<F>(F);

impl<F: FnMut() -> u64> Random<F> {
    fn below(&mut self, end: usize) -> usize {
        (self.0() % end as u64) as usize
    }

    fn order(&mut self) -> Order {
        let step = [1, 1, 1, 2, 3][self.below(5)];
        Order { transposed: self.below(2) == 1, step, padding: self.below(6) }
    }
}

/// A matrix of whole numbers in just as much memory as it spans.
struct Matrix<T> {
    size: [usize; 2],
    strides: (usize, usize),
    data: Guarded<T>,
}

impl<T: Real + Plain> Matrix<T> {
    fn new(size: [usize; 2], order: Order, edge: Edge, seed: u64) -> Self {
        let [rows, cols] = size;
        let all = support::Matrix::<T>::whole(rows, cols, order, f32::NAN, seed);
        let strides = all.strides;
        let empty = rows * cols == 0;
        let span = if empty { 0 } else { (rows - 1) * strides.0 + (cols - 1) * strides.1 + 1 };
        Self { size, strides, data: Guarded::new(&all.data[..span], edge) }
    }

    fn view(&self) -> MatRef<'_, T> {
        let [rows, cols] = self.size;
        MatRef::new(&self.data, rows, cols, self.strides.0, self.strides.1).expect("its span")
    }

    fn view_mut(&mut self) -> MatMut<'_, T> {
        let [rows, cols] = self.size;
        MatMut::new(&mut self.data, rows, cols, self.strides.0, self.strides.1).expect("its span")
    }

    /// Element by element: what stands between them is NaN.
    #[track_caller]
    fn assert_eq(&self, expected: &Self, what: &str) {
        for (i, (a, e)) in self.data.iter().zip(&*expected.data).enumerate() {
            assert!(a == e || (a.bits() == e.bits()), "{what}: element {i}");
        }
    }
}

/// What a product adds its sums to.
#[derive(Debug, Clone, Copy)]
enum Onto {
    Nothing,
    Rows,
    C,
}

fn packed_product<T: Real + Plain>(
    kernel: MicroKernel<T>,
    onto: Onto,
    case: u64,
) -> Result<(), GemmError> {
    let mut random = Random(random(case));
    // Around one tile and two.
    let (m, n) = (random.below(2 * kernel.rows() + 3), random.below(2 * kernel.cols() + 3));
    let k = random.below(20);
    let orders = [random.order(), random.order(), random.order()];
    for edge in Edge::ALL {
        let what = format!("{} {onto:?} ({m}, {k}) x ({k}, {n}) {orders:?} {edge:?}", kernel.set());
        announce(&what);
        let a = Matrix::<T>::new([m, k], orders[0], edge, case);
        let b = Matrix::<T>::new([k, n], orders[1], edge, !case);
        let mut c = Matrix::<T>::new([m, n], orders[2], edge, case ^ 0xff);
        let start: Vec<T> = (0..m).map(|i| (i as f32).into()).collect();
        let start = Guarded::new(&start, edge);

        let mut expected = Matrix::<T>::new([m, n], orders[2], edge, case ^ 0xff);
        if let Onto::Rows = onto {
            for i in 0..m {
                (0..n).for_each(|j| expected.view_mut()[(i, j)] = start[i]);
            }
        }
        let beta = if let Onto::Nothing = onto { 0.0 } else { 1.0 };
        naive::gemm(1.0.into(), a.view(), b.view(), beta.into(), expected.view_mut())?;

        let nan = T::from(f32::NAN);
        let mut a_panels = Guarded::filled(nan, kernel.packed_a_len(m, k), edge);
        let mut b_panels = Guarded::filled(nan, kernel.packed_b_len(k, n), edge);
        let a = kernel.pack_a(a.view(), &mut a_panels)?;
        let b = kernel.pack_b(b.view(), &mut b_panels)?;
        match onto {
            Onto::Nothing => packed::multiply(a, b, c.view_mut())?,
            Onto::Rows => packed::multiply_onto_rows(a, b, &start, c.view_mut())?,
            Onto::C => packed::multiply_add(a, b, c.view_mut())?,
        }
        c.assert_eq(&expected, &what);
    }
    Ok(())
}

fn packed_products<T: Real + Plain>() -> Result<(), GemmError> {
    let mut ran = 0;
    for kernel in InstructionSet::ALL.iter().filter_map(|&set| MicroKernel::<T>::new(set)) {
        for onto in [Onto::Nothing, Onto::Rows, Onto::C] {
            for case in 0..cases(CASES) {
                packed_product(kernel, onto, u64::from(case))?;
                ran += 1;
            }
        }
    }
    assert!(ran > 0, "no set can be run");
    Ok(())
}

fn products<T: Real + Plain>(
    name: &str,
    gemm: Gemm<T>,
    sizes: [usize; 3],
    usual: u32,
) -> Result<(), GemmError> {
    for case in 0..u64::from(cases(usual)) {
        let mut random = Random(random(case));
        let [m, k, n] = sizes.map(|size| random.below(size));
        let orders = [random.order(), random.order(), random.order()];
        let alpha = [1.0, -0.5, 0.0][random.below(3)];
        let beta = [1.0, 0.5, 0.0][random.below(3)];
        for edge in Edge::ALL {
            let what =
                format!("{name}: {alpha}, ({m}, {k}) x ({k}, {n}), {beta} {orders:?} {edge:?}");
            announce(&what);
            let a = Matrix::<T>::new([m, k], orders[0], edge, case);
            let b = Matrix::<T>::new([k, n], orders[1], edge, !case);
            let mut c = Matrix::<T>::new([m, n], orders[2], edge, case ^ 0xff);
            let mut expected = Matrix::<T>::new([m, n], orders[2], edge, case ^ 0xff);
            naive::gemm(alpha.into(), a.view(), b.view(), beta.into(), expected.view_mut())?;
            gemm(alpha.into(), a.view(), b.view(), beta.into(), c.view_mut())?;
            c.assert_eq(&expected, &what);
        }
    }
    Ok(())
}

/// One test, because a fault names what was announced last.
#[test]
fn no_product_touches_what_is_not_its_own() -> Result<(), GemmError> {
    packed_products::<f32>()?;
    packed_products::<f64>()?;
    products::<f32>("gemm", gemm::gemm, [50, 30, 90], CASES)?;
    products::<f64>("gemm", gemm::gemm, [50, 30, 90], CASES)?;
    // Large enough for several tiles, now and then.
    products::<f32>("par_gemm", gemm::par_gemm, [300, 40, 500], CASES / 8)?;
    products::<f64>("par_gemm", gemm::par_gemm, [300, 40, 500], CASES / 8)
}

#[test]
fn a_read_beyond_a_slice_is_found() {
    assert_faults_are_found("a_read_beyond_a_slice_is_found");
}
