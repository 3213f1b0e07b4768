//! A forward pass that ends in a pool is a forward pass and a pool, bit for bit.

mod common;

use common::{
    Case, Inputs, Pooled, all_options, large_cases, naive_pool, on_every_set, plan, plans, seeded,
    try_options, wide_case,
};
use conv::{
    Algorithm, Conv2d, Conv2dPlan, ConvError, ConvScalar, Epilogue, KernelSet, Options, Workspace,
};
use im2col::Window;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use rayon::ThreadPoolBuilder;
use tensor4::Tensor4;
use testkit::{cases, relative_rms};

/// How many random convolutions each algorithm runs on each set.
const CASES: u32 = 150;

/// A forward pass and then a pool.
fn one_by_one<T: ConvScalar>(plan: &Conv2dPlan, inputs: &Inputs<T>) -> Pooled<T> {
    let Inputs { x, w, bias, dy } = inputs;
    let mut y = Tensor4::full(dy.shape(), T::NAN);
    let (x, w, bias) = (x.view(), w.view(), Some(&bias[..]));
    plan.forward_fused_into(x, w, bias, Epilogue::Relu, y.view_mut(), &mut Workspace::new())
        .expect("it fits");
    naive_pool(y.view())
}

/// Both in one pass, with or without `argmax` and packed weights.
fn at_once<T: ConvScalar>(
    plan: &Conv2dPlan,
    inputs: &Inputs<T>,
    (argmax, packed): (bool, bool),
    workspace: &mut Workspace<T>,
) -> Pooled<T> {
    let Inputs { x, w, bias, .. } = inputs;
    let mut y = Tensor4::full(plan.pooled_shape(x.shape().n()).expect("it fits"), T::NAN);
    let mut places = vec![9; if argmax { y.shape().len() } else { 0 }];
    let to = argmax.then_some(&mut places[..]);
    let (x, w, bias, out) = (x.view(), w.view(), Some(&bias[..]), y.view_mut());
    if packed {
        let w = plan.pack_weights(w).expect("it fits");
        plan.forward_packed_relu_pool_into(x, &w, bias, out, to, workspace).expect("it fits");
    } else {
        plan.forward_relu_pool_into(x, w, bias, out, to, workspace).expect("it fits");
    }
    (y.data().to_vec(), places)
}

/// -0 is not 0 here, and every NaN is equal to every other: which of two NaNs a sum becomes depends on the
/// order of its operands, which is the compiler's to choose.
fn bits<T: ConvScalar>(values: &[T]) -> Vec<u64> {
    let bits = |v: f64| if v.is_nan() { f64::NAN.to_bits() } else { v.to_bits() };
    values.iter().map(|v| bits(v.to_f64())).collect()
}

/// Fails unless both ways give the same bytes.
#[track_caller]
fn assert_same<T: ConvScalar>(
    what: &str,
    plan: &Conv2dPlan,
    inputs: &Inputs<T>,
    workspace: &mut Workspace<T>,
) {
    let expected = one_by_one(plan, inputs);
    for choices in [(true, false), (false, true), (true, true)] {
        let actual = at_once(plan, inputs, choices, workspace);
        let what = format!("{what}, {choices:?}: {}", plan.describe());
        assert_eq!(bits(&actual.0), bits(&expected.0), "{what}");
        if choices.0 {
            assert_eq!(actual.1, expected.1, "{what}");
        }
    }
}

fn pools(conv: Conv2d) -> bool {
    plan(conv, Algorithm::Naive).pooled_shape(1).is_ok()
}

#[test]
fn every_algorithm_on_every_set_pools_what_it_computes() {
    let mut workspace = Workspace::new();
    let prepare = |case: &Case| {
        let inputs = case.inputs::<f32>();
        pools(case.conv).then(|| (one_by_one(&case.plan(Algorithm::Naive), &inputs), inputs))
    };
    on_every_set(cases(CASES) as usize, prepare, |case, (naive, inputs), plan| {
        assert_same(&format!("{case:?}"), plan, inputs, &mut workspace);
        let (y, _) = at_once(plan, inputs, (false, false), &mut workspace);
        let wide = |y: &[f32]| y.iter().map(|&y| f64::from(y)).collect::<Vec<_>>();
        let error = relative_rms(&y, &wide(&naive.0));
        assert!(error <= 1e-4, "{error:e}: {} {case:?}", plan.describe());
    });
}

#[test]
fn doubles_are_pooled_as_well() {
    let mut runner = TestRunner::new(seeded());
    let mut ran = 0;
    while ran < 100 {
        let case = wide_case().new_tree(&mut runner).expect("most cases fit").current();
        if !pools(case.conv) {
            continue;
        }
        let inputs = case.inputs::<f64>();
        for options in all_options(KernelSet::Scalar) {
            let Some(plan) = try_options(case.conv, options) else { continue };
            assert_same(&format!("{case:?}"), &plan, &inputs, &mut Workspace::new());
            ran += 1;
        }
    }
}

/// Windows with a path of their own: rows that fill registers and such that don't, channels that stand
/// alone, areas of one row.
fn special_cases() -> Vec<(&'static str, Case)> {
    let same = Window::square(3).pad(1);
    vec![
        ("the first layer of LeNet", Case::new(2, Conv2d::new(1, 28, 28, 30, Window::square(5)))),
        ("a wide image", Case::new(1, Conv2d::new(3, 21, 331, 20, same))),
        ("a very wide image", Case::new(1, Conv2d::new(2, 5, 4099, 3, same))),
        ("many channels", Case::new(2, Conv2d::new(140, 15, 17, 70, same))),
        ("many tiles", Case::new(8, Conv2d::new(20, 30, 27, 50, same))),
        ("an odd image", Case::new(3, Conv2d::new(18, 33, 35, 40, same))),
        ("two groups", Case::new(2, Conv2d::new(34, 17, 19, 36, same).groups(2))),
        ("depthwise", Case::new(3, Conv2d::new(18, 23, 19, 18, same).groups(18))),
        ("depthwise, large", Case::new(1, Conv2d::new(3, 75, 130, 3, same).groups(3))),
        ("depthwise, dilated", {
            let window = Window::square(3).dilation(2).pad(2);
            Case::new(2, Conv2d::new(6, 23, 40, 6, window).groups(6))
        }),
        ("kernel of one pixel", Case::new(2, Conv2d::new(40, 14, 14, 70, Window::square(1)))),
        ("kernel of one pixel, wide", Case::new(1, Conv2d::new(9, 15, 57, 33, Window::square(1)))),
        ("stride 2", Case::new(2, Conv2d::new(40, 23, 25, 50, Window::square(3).stride(2).pad(1)))),
    ]
}

#[test]
fn special_shapes_pool_what_they_compute() {
    for (name, case) in special_cases().into_iter().chain(large_cases()) {
        if !pools(case.conv) {
            continue;
        }
        let inputs = case.inputs::<f32>();
        for plan in plans(case.conv).filter(|plan| plan.algorithm() != Algorithm::Naive) {
            assert_same(name, &plan, &inputs, &mut Workspace::new());
        }
    }
}

#[test]
fn of_equal_values_the_first_wins() {
    for (name, case) in special_cases() {
        let mut inputs = case.inputs::<f32>();
        // Every output is the bias: all squares are tied.
        inputs.w.fill(0.0);
        for bias in [0.5, 0.0, -0.5] {
            inputs.bias.fill(bias);
            for plan in plans(case.conv).filter(|plan| plan.algorithm() != Algorithm::Naive) {
                let (y, argmax) = at_once(&plan, &inputs, (true, false), &mut Workspace::new());
                let what = format!("{name}, {bias}: {}", plan.describe());
                assert!(y.iter().all(|&y| y == f32::max(bias, 0.0)), "{what}");
                assert!(argmax.iter().all(|&argmax| argmax == 0), "{what}");
                assert_same(name, &plan, &inputs, &mut Workspace::new());
            }
        }
        // Integers between which there are ties, within rows and columns and across.
        for (i, x) in inputs.x.data_mut().iter_mut().enumerate() {
            *x = (i * i % 7 % 3) as f32 - 1.0;
        }
        inputs.w.fill(1.0);
        for plan in plans(case.conv).filter(|plan| plan.algorithm() != Algorithm::Naive) {
            assert_same(name, &plan, &inputs, &mut Workspace::new());
        }
    }
}

#[test]
fn nan_and_infinity_come_through() {
    for (name, case) in special_cases() {
        let mut inputs = case.inputs::<f32>();
        for (i, x) in inputs.x.data_mut().iter_mut().enumerate() {
            match i * i % 101 {
                5 => *x = f32::NAN,
                16 => *x = f32::INFINITY,
                36 => *x = f32::NEG_INFINITY,
                _ => {}
            }
        }
        for plan in plans(case.conv).filter(|plan| plan.algorithm() != Algorithm::Naive) {
            let (y, _) = at_once(&plan, &inputs, (true, false), &mut Workspace::new());
            assert!(y.iter().any(|y| y.is_nan()), "{name}: {}", plan.describe());
            assert_same(name, &plan, &inputs, &mut Workspace::new());
        }
    }
}

#[test]
fn pooled_results_are_the_same_bytes_for_every_number_of_threads() {
    let pools = [1, 2, 3, 8]
        .map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().expect("a few"));
    let mut workspace = Workspace::new();
    for (name, case) in special_cases() {
        let inputs = case.inputs::<f32>();
        for options in all_options(KernelSet::available()[0]) {
            let Some(plan) = try_options(case.conv, options) else { continue };
            let expected = one_by_one(&plan, &inputs);
            for pool in &pools {
                let actual =
                    pool.install(|| at_once(&plan, &inputs, (true, false), &mut workspace));
                let threads = pool.current_num_threads();
                let what = format!("{name}, {threads} threads: {}", plan.describe());
                assert_eq!(bits(&actual.0), bits(&expected.0), "{what}");
                assert_eq!(actual.1, expected.1, "{what}");
            }
        }
    }
}

#[test]
fn a_pass_that_pools_stays_below_the_limit_or_says_so() {
    for threads in [1, 2, 3] {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("a few threads");
        pool.install(|| {
            for (name, case) in special_cases().into_iter().chain(large_cases()) {
                if !pools(case.conv) {
                    continue;
                }
                let inputs = case.inputs::<f32>();
                for options in all_options(KernelSet::available()[0]) {
                    let Some(plan) = try_options(case.conv, options) else { continue };
                    if plan.algorithm() == Algorithm::Naive {
                        continue; // Slow, and without a workspace.
                    }
                    let mut workspace = Workspace::new();
                    at_once(&plan, &inputs, (true, false), &mut workspace);
                    let (used, most) = (workspace.bytes(), plan.max_relu_pool_workspace_bytes());
                    let what = format!("{name}, {threads} threads: {}", plan.describe());
                    assert!(used <= most, "{used} > {most}: {what}");
                }
                for limit in [0, 10_000, 100_000, 1 << 20] {
                    let options = Options::default().max_workspace_bytes(limit);
                    let plan = Conv2dPlan::new(case.conv, options).expect("one needs nothing");
                    let mut workspace = Workspace::new();
                    let shape = plan.pooled_shape(case.n).expect("it fits");
                    let mut y = Tensor4::full(shape, f32::NAN);
                    let (x, w, bias) = (inputs.x.view(), inputs.w.view(), Some(&inputs.bias[..]));
                    let out = y.view_mut();
                    match plan.forward_relu_pool_into(x, w, bias, out, None, &mut workspace) {
                        Ok(()) => assert!(workspace.bytes() <= limit, "{name}, {limit}"),
                        Err(ConvError::Workspace { needed, max, .. }) => {
                            assert_eq!(
                                (needed, max),
                                (plan.max_relu_pool_workspace_bytes(), limit)
                            );
                            assert!(needed > max && workspace.bytes() == 0);
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        });
    }
}

#[test]
fn what_cannot_be_pooled_is_a_typed_error() {
    for (h, w) in [(1, 5), (5, 1), (1, 1)] {
        let plan = plan(Conv2d::new(2, h, w, 3, Window::square(1)), Algorithm::Auto);
        let error = plan.pooled_shape(2).unwrap_err();
        assert!(matches!(error, ConvError::Geometry(_)), "{error}");
        let x = Tensor4::<f32>::zeros(plan.input_shape(2).expect("it fits"));
        let weight = Tensor4::zeros(plan.weight_shape());
        let mut y = Tensor4::zeros(plan.output_shape(2).expect("it fits"));
        let (x, weight, out) = (x.view(), weight.view(), y.view_mut());
        let result = plan.forward_relu_pool_into(x, weight, None, out, None, &mut Workspace::new());
        assert_eq!(result, Err(error));
    }
}

#[test]
fn arguments_that_do_not_fit_are_typed_errors() {
    let plan = plan(Conv2d::new(2, 6, 7, 3, Window::square(3).pad(1)), Algorithm::Auto);
    let x = Tensor4::<f32>::zeros(plan.input_shape(2).expect("it fits"));
    let w = Tensor4::zeros(plan.weight_shape());
    let mut y = Tensor4::zeros(plan.pooled_shape(2).expect("it fits"));
    let mut unpooled = Tensor4::zeros(plan.output_shape(2).expect("it fits"));
    let mut workspace = Workspace::new();
    let (x, w, shape) = (x.view(), w.view(), y.shape());
    assert_eq!(shape.dims(), [2, 3, 3, 3]);
    for len in [0, shape.len() - 1, shape.len() + 1] {
        let mut argmax = vec![0; len];
        let (out, argmax) = (y.view_mut(), Some(&mut argmax[..]));
        let result = plan.forward_relu_pool_into(x, w, None, out, argmax, &mut workspace);
        let Err(ConvError::Argmax { actual, expected, .. }) = result else { panic!("{result:?}") };
        assert_eq!((actual, expected), (len, shape.len()));
    }
    let out = unpooled.view_mut();
    let result = plan.forward_relu_pool_into(x, w, None, out, None, &mut workspace);
    assert!(matches!(result, Err(ConvError::Shape { what: "the output", .. })), "{result:?}");
    let bias = Some(&[0.0; 4][..]);
    let result = plan.forward_relu_pool_into(x, w, bias, y.view_mut(), None, &mut workspace);
    assert!(matches!(result, Err(ConvError::Bias { .. })), "{result:?}");
    let empty = Tensor4::<f32>::zeros(plan.input_shape(0).expect("it fits"));
    let mut none = Tensor4::zeros(plan.pooled_shape(0).expect("it fits"));
    let (x, out) = (empty.view(), none.view_mut());
    let result = plan.forward_relu_pool_into(x, w, None, out, Some(&mut []), &mut workspace);
    assert_eq!(result, Ok(()));
}
