//! Nothing touches memory beyond its operands, nor before them: each operand ends where memory that may be
//! touched ends, and once more begins where it begins. Results are those of the naive algorithm.
//!
//! Packed weights and scratch memory belong to the library; what becomes of those is for AddressSanitizer
//! (`cargo xtask sanitize`).

// Miri has no pages; it sees every access by itself.
#![cfg(all(unix, not(miri)))]

mod common;

use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::{
    Case, Inputs, Outputs, assert_outputs, assert_sums, case, on_every_set_of, run, slack,
    weights_slack, wide_case,
};
use conv::{
    Affine, Algorithm, Backward, Conv2dPlan, ConvScalar, Epilogue, KernelSet, MaxRow, PairShares,
    PairSums, PooledGradients, Update, Workspace, naive,
};
use proptest::prelude::*;
use tensor4::{Shape4, Tensor4, View4, ViewMut4};
use testkit::guarded::{Edge, Guarded, Plain, announce, assert_faults_are_found};
use testkit::{assert_close, cases, tensor, values};

/// How many random shapes of each kind are tried on each set.
const CASES: u32 = 200;

/// The message of a fault names what was announced last: so nothing runs beside it.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What goes in, what the ReLU behind the convolution has written, and what the naive algorithm makes of
/// it: without a ReLU, and the gradients behind one.
struct Prepared<T> {
    inputs: Inputs<T>,
    relu: Tensor4<T>,
    expected: Outputs<T>,
    masked: Outputs<T>,
}

impl<T: ConvScalar> Prepared<T> {
    fn new(case: &Case) -> Self {
        let (plan, inputs) = (case.plan(Algorithm::Naive), case.inputs::<T>());
        let relu = tensor::<T>(inputs.dy.shape(), case.seed ^ 4);
        let through = |dy, y| if y > T::ZERO { dy } else { T::ZERO };
        let dy = inputs.dy.zip_map(&relu, through).expect("of one shape");
        let expected = run(&plan, &inputs, &mut Workspace::new());
        let masked = run(&plan, &Inputs { dy, ..inputs.clone() }, &mut Workspace::new());
        Self { inputs, relu, expected, masked }
    }
}

/// A tensor at a forbidden page.
struct Operand<T> {
    shape: Shape4,
    data: Guarded<T>,
}

impl<T: ConvScalar + Plain> Operand<T> {
    fn new(from: &Tensor4<T>, edge: Edge) -> Self {
        Self { shape: from.shape(), data: Guarded::new(from.data(), edge) }
    }

    /// To be overwritten.
    fn nan(shape: Shape4, edge: Edge) -> Self {
        Self { shape, data: Guarded::filled(T::NAN, shape.len(), edge) }
    }

    fn view(&self) -> View4<'_, T> {
        View4::new(self.shape, &self.data).expect("its shape")
    }

    fn view_mut(&mut self) -> ViewMut4<'_, T> {
        ViewMut4::new(self.shape, &mut self.data).expect("its shape")
    }

    fn tensor(&self) -> Tensor4<T> {
        self.view().to_tensor()
    }
}

/// The operands of a convolution.
struct Operands<T> {
    edge: Edge,
    x: Operand<T>,
    w: Operand<T>,
    dy: Operand<T>,
    relu: Operand<T>,
    bias: Guarded<T>,
}

impl<T: ConvScalar + Plain> Operands<T> {
    fn new(prepared: &Prepared<T>, edge: Edge) -> Self {
        let Prepared { inputs: Inputs { x, w, bias, dy }, relu, .. } = prepared;
        let [x, w, dy, relu] = [x, w, dy, relu].map(|from| Operand::new(from, edge));
        Self { edge, x, w, dy, relu, bias: Guarded::new(bias, edge) }
    }

    /// All directions, one by one, or with weights that were packed before.
    fn run(&self, plan: &Conv2dPlan, packed: bool) -> Outputs<T> {
        let Self { edge, x, w, dy, bias, .. } = self;
        let workspace = &mut Workspace::new();
        let mut y = Operand::nan(dy.shape, *edge);
        if packed {
            let w = plan.pack_weights(w.view()).expect("they fit");
            let (to, epilogue) = (y.view_mut(), Epilogue::None);
            plan.forward_packed_into(x.view(), &w, Some(bias), epilogue, to, workspace)
        } else {
            plan.forward_into(x.view(), w.view(), Some(bias), y.view_mut(), workspace)
        }
        .expect("it fits");
        let mut dx = Operand::nan(x.shape, *edge);
        plan.backward_data_into(w.view(), dy.view(), dx.view_mut(), workspace).expect("it fits");
        let mut dw = Operand::nan(w.shape, *edge);
        let mut db = Guarded::filled(T::NAN, bias.len(), *edge);
        let (update, to) = (Update::Overwrite, dw.view_mut());
        plan.backward_weights_into(x.view(), dy.view(), to, Some(&mut db), update, workspace)
            .expect("it fits");
        Outputs { y: y.tensor(), dx: dx.tensor(), dw: dw.tensor(), db: db.to_vec() }
    }

    /// Both gradients in one call, behind a ReLU.
    fn run_backward(&self, plan: &Conv2dPlan, y: &Tensor4<T>) -> Outputs<T> {
        let Self { edge, x, w, dy, relu, bias } = self;
        let mut dx = Operand::nan(x.shape, *edge);
        let mut dw = Operand::nan(w.shape, *edge);
        let mut db = Guarded::filled(T::NAN, bias.len(), *edge);
        let (x, w, dy, relu) = (x.view(), w.view(), dy.view(), Some(relu.view()));
        let given = Backward { x, w, dy, relu, update: Update::Overwrite };
        let (to, db_to) = (Some(dx.view_mut()), Some(&mut db[..]));
        plan.backward_into(&given, to, dw.view_mut(), db_to, &mut Workspace::new())
            .expect("it fits");
        Outputs { y: y.clone(), dx: dx.tensor(), dw: dw.tensor(), db: db.to_vec() }
    }

    /// A forward pass that ends in a pool, and the way back through it.
    fn run_pool(&self, what: &str, plan: &Conv2dPlan, expected: &Tensor4<T>, terms: usize) {
        let Self { edge, x, w, bias, .. } = self;
        let Ok(shape) = plan.pooled_shape(x.shape.n()) else { return };
        let mut y = Operand::nan(shape, *edge);
        let mut argmax = Guarded::filled(9, shape.len(), *edge);
        let (bias, to) = (Some(&bias[..]), Some(&mut argmax[..]));
        let workspace = &mut Workspace::new();
        plan.forward_relu_pool_into(x.view(), w.view(), bias, y.view_mut(), to, workspace)
            .expect("it fits");
        let [_, _, out_h, out_w] = shape.dims();
        // The pixel that a tag of an output names.
        let pixel = |i: usize, tag: usize| {
            let (plane, row, col) = (i / (out_h * out_w), i / out_w % out_h, i % out_w);
            let [_, _, h, w] = expected.dims();
            (plane * h + 2 * row + tag / 2) * w + 2 * col + tag % 2
        };
        let greatest = |i| {
            let values = (0..4).map(|tag| expected.data()[pixel(i, tag)]);
            values.fold(T::ZERO, |max, value| if value > max { value } else { max })
        };
        let pooled: Vec<T> = (0..shape.len()).map(greatest).collect();
        assert_sums(&format!("{what} pooled"), &y.data, &pooled, terms * slack(plan));

        let dy = Operand::new(&tensor::<T>(shape, 11), *edge);
        let mut to = Operand::nan(expected.shape(), *edge);
        plan.backward_relu_pool_into(dy.view(), y.view(), &argmax, to.view_mut()).expect("it fits");
        let mut spread = vec![T::ZERO; expected.shape().len()];
        for (i, &tag) in argmax.iter().enumerate() {
            assert!(tag < 4, "{what}: {tag}");
            if y.data[i] > T::ZERO {
                spread[pixel(i, usize::from(tag))] = dy.data[i];
            }
        }
        assert!(*to.data == spread[..], "{what}: the way back through the pool");

        let channels = self.bias.len();
        let (mut dw, mut db) =
            (Operand::nan(w.shape, *edge), Guarded::filled(T::NAN, channels, *edge));
        let (x, dy, y, update) = (x.view(), dy.view(), y.view(), Update::Overwrite);
        let given = PooledGradients { x, dy, y, argmax: &argmax, update };
        plan.backward_relu_pool_weights_into(&given, dw.view_mut(), Some(&mut db), workspace)
            .expect("it fits");
        let unpooled = View4::new(expected.shape(), &spread).expect("it fits");
        let (mut dw_expected, mut db_expected) = (Tensor4::zeros(w.shape), vec![T::ZERO; channels]);
        let (to, db_to) = (dw_expected.view_mut(), Some(&mut db_expected[..]));
        naive::backward_weights(plan, x, unpooled, to, db_to, update);
        let terms = 2 * weights_slack(plan) * unpooled.data().len() / channels.max(1);
        assert_sums(&format!("{what}, dw of a pool"), &dw.data, dw_expected.data(), terms);
        assert_sums(&format!("{what}, db of a pool"), &db, &db_expected, terms);
    }
}

fn check<T: ConvScalar + Plain>(case: &Case, prepared: &Prepared<T>, plan: &Conv2dPlan) {
    let Prepared { expected, masked, .. } = prepared;
    for edge in Edge::ALL {
        let what = format!("{} {edge:?} {}: {case:?}", T::NAME, plan.kernel_set());
        announce(&format!("{what} {}", plan.describe()));
        let operands = Operands::new(prepared, edge);
        for packed in [false, true] {
            assert_outputs(&what, case, plan, &operands.run(plan, packed), expected);
        }
        let actual = operands.run_backward(plan, &masked.y);
        assert_outputs(&format!("{what}, at once"), case, plan, &actual, masked);
        operands.run_pool(&what, plan, &expected.y, case.terms()[0]);
    }
}

/// Each case runs some hundred times: edges are found by small ones.
fn is_quick(case: &Case) -> bool {
    case.plan(Algorithm::Naive).multiply_adds(case.n) <= 1 << 17
}

/// Vector kernels are for `f32`; of `f64` only the product of matrices has any.
fn serves_doubles(plan: &Conv2dPlan) -> bool {
    plan.kernel_set() == KernelSet::Scalar || plan.algorithm() == Algorithm::Im2colGemm
}

#[test]
fn no_convolution_touches_what_is_not_its_own() {
    let _alone = alone();
    let prepare = |case: &Case| Some((Prepared::<f32>::new(case), Prepared::<f64>::new(case)));
    let kind = prop_oneof![case(), wide_case()].prop_filter("quick", is_quick);
    on_every_set_of(kind, cases(CASES) as usize, prepare, |case, (singles, doubles), plan| {
        check(case, singles, plan);
        if serves_doubles(plan) {
            check(case, doubles, plan);
        }
    });
}

/// Random sizes below the given ones, the first draws of a seed.
fn sizes<const N: usize>(ends: [usize; N], seed: u64) -> [usize; N] {
    let drawn = values::<f64>(N, seed);
    std::array::from_fn(|i| ((drawn[i] + 1.0) / 2.0 * ends[i] as f64) as usize)
}

fn affine<T: ConvScalar + Plain>(set: KernelSet, seed: u64, tolerance: f64) {
    let [images, inputs, outputs] = sizes([40, 300, 60], seed);
    let doubles = |len, salt| values::<f64>(len, seed ^ salt);
    let (x, w) = (doubles(images * inputs, 1), doubles(inputs * outputs, 2));
    let (bias, dy) = (doubles(outputs, 3), doubles(images * outputs, 4));
    let (mut y, mut dx) = (vec![0.0; images * outputs], vec![0.0; images * inputs]);
    let mut dw = vec![0.0; w.len()];
    if inputs > 0 && outputs > 0 {
        naive::affine(&x, &w, &bias, &mut y);
        naive::affine_gradients(inputs, [&x, &w, &dy], &mut dw, &mut dx);
    } else if outputs > 0 {
        y.chunks_exact_mut(outputs).for_each(|y| y.copy_from_slice(&bias));
    }
    for edge in Edge::ALL {
        let what = format!("{} {set} {images} x {inputs} -> {outputs} {edge:?}", T::NAME);
        announce(&what);
        let cast = |from: &[f64]| {
            let cast: Vec<T> = from.iter().map(|&value| T::from_f64(value)).collect();
            Guarded::new(&cast, edge)
        };
        let nan = |len| Guarded::filled(T::NAN, len, edge);
        let (tx, tw, tbias, tdy) = (cast(&x), cast(&w), cast(&bias), cast(&dy));
        let (mut ty, mut tdx, mut tdw) = (nan(y.len()), nan(dx.len()), nan(dw.len()));
        let (map, scratch) = (Affine::new(inputs, outputs).on(set), &mut Vec::new());
        map.forward(&tx, &tw, &tbias, &mut ty, scratch);
        map.backward_weights(&tx, &tdy, &mut tdw);
        map.backward_data(&tw, &tdy, &mut tdx, scratch);
        for (name, actual, expected) in [("y", &ty, &y), ("dw", &tdw, &dw), ("dx", &tdx, &dx)] {
            for (a, e) in actual.iter().zip(expected) {
                let error = (a.to_f64() - e).abs();
                assert!(error <= tolerance, "{name}, {what}: {a} instead of {e}");
            }
        }
    }
}

#[test]
fn no_affine_map_touches_what_is_not_its_own() {
    let _alone = alone();
    for set in KernelSet::available() {
        for seed in 0..u64::from(cases(CASES)) {
            // Sums of 300 products, each at most 1.
            affine::<f32>(set, seed, 300.0 * 2e-7);
            affine::<f64>(set, seed, 300.0 * 4e-16);
        }
    }
}

/// The variable that forces an instruction set; pools have no other choice.
const KERNELS: &str = "COLONNADE_KERNELS";

fn max_row<T: ConvScalar + Plain>(seed: u64) {
    let [rows, cols, stride, dilation, len, gap] = sizes([5, 5, 4, 3, 70, 9], seed);
    let (kernel, stride, dilation) = ([rows + 1, cols + 1], stride + 1, dilation + 1);
    let reach = kernel[0].max(1) - 1;
    let width = cols * dilation + len * stride + 1;
    let row_stride = width + gap;
    // To the last pixel of the last window, and no further.
    let x = values::<T>(reach * row_stride + width, seed);
    let len = len + 1;
    for edge in Edge::ALL {
        let what = format!("{} maxima {kernel:?} {stride} {dilation} {len} {edge:?}", T::NAME);
        announce(&what);
        let x = Guarded::new(&x, edge);
        let (mut y, mut taps) =
            (Guarded::filled(T::NAN, len, edge), Guarded::filled(99, len, edge));
        let (to, taps_to) = (&mut y[..], &mut taps[..]);
        MaxRow { x: &x, row_stride, stride, dilation, kernel, y: to, taps: taps_to }.run();
        for i in 0..len {
            let value = |tap: usize| {
                let (row, col) = (tap / kernel[1], tap % kernel[1]);
                x[i * stride + row * row_stride + col * dilation]
            };
            let first =
                (0..kernel[0] * kernel[1]).reduce(|a, b| if value(b) > value(a) { b } else { a });
            assert_eq!(Some(usize::from(taps[i])), first, "{what}: {i}");
            assert!(y[i] == value(usize::from(taps[i])), "{what}: {i}");
        }
    }
}

fn pairs<T: ConvScalar + Plain>(seed: u64) {
    let [rows, cols] = sizes([6, 80], seed);
    let (cols, factor) = (cols + 1, T::from_f64(0.25));
    let (small, large) = (values::<T>(rows * cols, seed), values::<T>(4 * rows * cols, !seed));
    for edge in Edge::ALL {
        announce(&format!("{} pairs {rows} x {cols} {edge:?}", T::NAME));
        let (dy, x) = (Guarded::new(&small, edge), Guarded::new(&large, edge));
        let mut y = Guarded::filled(T::NAN, dy.len(), edge);
        let mut dx = Guarded::filled(T::NAN, x.len(), edge);
        PairSums { x: &x, cols, factor, y: &mut y }.run();
        PairShares { dy: &dy, cols, factor, dx: &mut dx }.run();
        let mut sums = vec![0.0; y.len()];
        for (i, &x) in x.iter().enumerate() {
            let of = i / (4 * cols) * cols + i % (2 * cols) / 2;
            sums[of] += 0.25 * x.to_f64();
            assert!(dx[i] == factor * dy[of], "{rows} x {cols} {edge:?}: {i}");
        }
        let y: Vec<f64> = y.iter().map(|y| y.to_f64()).collect();
        assert_close("sums", &y, &sums, 1e-6);
    }
}

#[test]
fn no_row_of_a_pool_touches_what_is_not_its_own() {
    let _alone = alone();
    if std::env::var_os(KERNELS).is_some() {
        for seed in 0..u64::from(cases(CASES)) {
            max_row::<f32>(seed);
            max_row::<f64>(seed);
            pairs::<f32>(seed);
            pairs::<f64>(seed);
        }
        return;
    }
    // The variable is read once: a process for each set.
    for set in KernelSet::available() {
        let mut again = Command::new(std::env::current_exe().expect("a test knows its program"));
        again.args(["no_row_of_a_pool_touches_what_is_not_its_own", "--exact"]);
        let output = again.env(KERNELS, set.name()).output().expect("a test starts its program");
        let text = [output.stdout, output.stderr].map(|s| String::from_utf8_lossy(&s).into_owned());
        assert!(output.status.success(), "{set}: {}", text.concat());
        assert!(text[0].contains("1 passed"), "{set}: {}", text.concat());
    }
}

#[test]
fn a_read_beyond_a_slice_is_found() {
    assert_faults_are_found("a_read_beyond_a_slice_is_found");
}
