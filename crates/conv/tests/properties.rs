//! What holds for every convolution, on random ones.

mod common;

use std::collections::BTreeMap;

use common::{
    Case, Inputs, Outputs, assert_outputs, assert_sums, bits, case, convolve, dx_slack,
    large_cases, on_every_set_of, plans, run, seeded, slack, weights, weights_slack, wide_case,
};
use conv::{Algorithm, Conv2d, Conv2dPlan, ConvScalar, KernelSet, Update, Workspace};
use im2col::{Padding, Window};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tensor4::Tensor4;
use testkit::{cases, dot, shape, tensor};

/// How many random convolutions of each algorithm, on each set, have their gradients compared with
/// the forward pass.
const ADJOINTS: u32 = 500;

fn check_against_naive<T: ConvScalar>(what: &str, case: &Case) {
    let inputs = case.inputs::<T>();
    let expected = run(&case.plan(Algorithm::Naive), &inputs, &mut Workspace::new());
    for plan in plans(case.conv).filter(|plan| plan.algorithm() != Algorithm::Naive) {
        let actual = run(&plan, &inputs, &mut Workspace::new());
        assert_outputs(what, case, &plan, &actual, &expected);
    }
}

/// `a + factor * b`.
fn combine(a: &Tensor4<f64>, b: &Tensor4<f64>, factor: f64) -> Tensor4<f64> {
    a.zip_map(b, |a, b| a + factor * b).expect("two tensors of one shape")
}

/// A workspace whose every buffer another plan has filled with NaN.
fn poisoned<T: ConvScalar>() -> Workspace<T> {
    let mut workspace = Workspace::new();
    // Many images, so that there are partial sums as well.
    let other = Case::new(9, Conv2d::new(20, 40, 10, 40, Window::square(5).pad(2)));
    let Inputs { x, w, bias, dy } = other.inputs::<T>();
    let [x, w, dy] = [x, w, dy].map(|t| t.map(|_| T::NAN));
    let out = run(&other.plan(Algorithm::Im2colGemm), &Inputs { x, w, bias, dy }, &mut workspace);
    assert!(out.dw.data().iter().all(|dw| dw.is_nan()) && workspace.bytes() > 0);
    workspace
}

#[test]
fn large_cases_are_naive() {
    for (name, case) in large_cases() {
        check_against_naive::<f32>(name, &case);
    }
}

/// The properties say nothing about what the generator never makes.
#[test]
fn the_random_cases_hold_every_kind() {
    let mut runner = TestRunner::new(seeded());
    let mut seen = BTreeMap::new();
    for _ in 0..128 {
        let Case { n, conv, .. } = case().new_tree(&mut runner).unwrap().current();
        let Window { kernel_h, stride_h, stride_w, dilation_h, padding, .. } = conv.window;
        let Padding { top, bottom, .. } = padding;
        for (kind, holds) in [
            ("one image", n == 1),
            ("few images", (2..8).contains(&n)),
            ("many images", n >= 8),
            ("many images in uneven segments", n == 9),
            ("odd sizes", conv.in_h % 2 == 1 && conv.in_w % 2 == 1 && conv.in_h > 1),
            ("one pixel", conv.in_h == 1 && conv.in_w == 1),
            ("one channel", conv.in_channels == 1),
            ("one output channel", conv.out_channels == 1),
            ("stride above the kernel", stride_h > kernel_h),
            ("two strides", stride_h != stride_w),
            ("padding on one side", (top == 0) != (bottom == 0)),
            ("dilation", kernel_h > 1 && dilation_h > 1),
            ("groups", conv.groups > 1),
            ("depthwise", conv.groups > 1 && conv.groups == conv.in_channels),
            ("more input channels than one task takes", conv.in_channels / conv.groups > 16),
            ("more output channels than one task takes", conv.out_channels / conv.groups > 16),
        ] {
            *seen.entry(kind).or_insert(0) += usize::from(holds);
        }
    }
    let missing: Vec<_> = seen.iter().filter(|&(_, &count)| count == 0).collect();
    assert!(missing.is_empty(), "{missing:?}; there are {seen:?}");
}

#[test]
fn no_images_no_channels_no_rows() {
    let padded = Window::square(3).pad(2);
    let deep = Conv2d::new(64, 30, 30, 0, Window::square(3));
    for (what, case) in [
        ("no images", Case::new(0, Conv2d::new(2, 4, 4, 3, padded))),
        ("no input channels", Case::new(2, Conv2d::new(0, 4, 4, 3, padded))),
        ("no input channels, many images", Case::new(9, Conv2d::new(0, 4, 4, 4, padded).groups(2))),
        ("no output channels", Case::new(2, Conv2d::new(2, 4, 4, 0, padded))),
        ("no output channels, several chunks", Case::new(2, deep)),
        (
            "no output channels, many images",
            Case::new(9, Conv2d::new(2, 4, 4, 0, padded).groups(2)),
        ),
        ("no rows", Case::new(2, Conv2d::new(2, 0, 4, 3, padded))),
        ("no columns, many images", Case::new(9, Conv2d::new(2, 4, 0, 3, padded))),
    ] {
        check_against_naive::<f64>(what, &case);
        for plan in plans(case.conv) {
            // The sum of nothing: the bias, and no gradient.
            let inputs = case.inputs::<f64>();
            let out = run(&plan, &inputs, &mut Workspace::new());
            for (i, &y) in out.y.data().iter().enumerate() {
                let oc = i / out.y.shape().plane_len() % inputs.bias.len();
                assert_eq!(y, inputs.bias[oc], "{what}, {}", plan.algorithm());
            }
            assert!(out.dx.data().iter().chain(out.dw.data()).all(|&d| d == 0.0), "{what}");
        }
    }
}

/// `<conv(x), dy> = <x, dx> = <w, dw>`. In f64, where nothing hides a product too few.
fn assert_adjoint(case: &Case, inputs: &Inputs<f64>, plan: &Conv2dPlan) {
    let Inputs { x, w, dy, .. } = inputs;
    let mut workspace = Workspace::new();
    let y = convolve(plan, x.view(), w.view(), &mut workspace);
    let Outputs { dx, dw, db, .. } = run(plan, inputs, &mut workspace);
    // By Cauchy and Schwarz: an error of y, relative to its norm, is at most one of the product
    // relative to both norms.
    let norms = |a: &[f64], b: &[f64]| (dot(a, a) * dot(b, b)).sqrt();
    let forward = dot(y.data(), dy.data());
    let error_forward = slack(plan) as f64 * norms(y.data(), dy.data());
    for (what, backward, error) in [
        ("dx", dot(x.data(), dx.data()), dx_slack(plan) as f64 * norms(x.data(), dx.data())),
        ("dw", dot(w.data(), dw.data()), weights_slack(plan) as f64 * norms(w.data(), dw.data())),
    ] {
        let tolerance = 8.0 * f64::EPSILON * (error_forward + error);
        let error = (forward - backward).abs();
        let plan = plan.describe();
        assert!(
            error <= tolerance,
            "{what}: {forward} and {backward} are {error:e} > {tolerance:e} apart: {plan} {case:?}"
        );
    }
    let [n, oc, ..] = dy.dims();
    let sum = |oc| (0..n).map(|n| dy.plane(n, oc).iter().sum::<f64>()).sum::<f64>();
    let expected: Vec<f64> = (0..oc).map(sum).collect();
    assert_sums("db", &db, &expected, case.terms()[3]);
}

#[test]
fn gradients_are_the_adjoints_of_forward_on_every_set() {
    let kind = prop_oneof![case(), wide_case()];
    let (adjoints, mut naive) = (cases(ADJOINTS) as usize, 0);
    let prepare = |case: &Case| {
        let inputs = case.inputs::<f64>();
        if naive < adjoints {
            naive += 1;
            assert_adjoint(case, &inputs, &case.plan(Algorithm::Naive));
        }
        Some(inputs)
    };
    let mut ran: BTreeMap<[&str; 2], usize> = BTreeMap::new();
    // The algorithm of a gradient need not be that of the forward pass: where there are few sets, more
    // cases make up for it.
    let cases = (3 * adjoints / KernelSet::available().len()).max(adjoints);
    on_every_set_of(kind, cases, prepare, |case, inputs, plan| {
        assert_adjoint(case, inputs, plan);
        let gradients = [plan.backward_data_algorithm(), plan.backward_weights_algorithm()];
        *ran.entry(gradients.map(Algorithm::name)).or_default() += 1;
    });
    for algorithm in ["direct", "winograd", "depthwise", "im2col-gemm"] {
        for direction in 0..2 {
            let count: usize =
                ran.iter().filter(|(pair, _)| pair[direction] == algorithm).map(|(_, n)| n).sum();
            assert!(count >= adjoints, "{algorithm} ran {count} times: {ran:?}");
        }
    }
}

proptest! {
    #![proptest_config(seeded())]

    #[test]
    fn every_algorithm_is_naive(case in case()) {
        check_against_naive::<f64>("f64", &case);
        check_against_naive::<f32>("f32", &case);
    }

    #[test]
    fn linear_in_the_input_and_in_the_weight(case in case(), factor in -2.0..2.0_f64) {
        let Inputs { x, w, .. } = case.inputs::<f64>();
        let x2 = tensor::<f64>(x.shape(), !case.seed);
        let w2 = tensor::<f64>(w.shape(), !case.seed ^ 1);
        // Products of up to 3, and three roundings more.
        let terms = 4 * case.terms()[0] + 8;
        for plan in plans(case.conv) {
            let mut workspace = Workspace::new();
            let mut conv = |x: &Tensor4<f64>, w: &Tensor4<f64>| {
                convolve(&plan, x.view(), w.view(), &mut workspace)
            };
            let y = conv(&x, &w);
            let in_x = combine(&y, &conv(&x2, &w), factor);
            assert_sums("x", conv(&combine(&x, &x2, factor), &w).data(), in_x.data(), terms * slack(&plan));
            let in_w = combine(&y, &conv(&x, &w2), factor);
            assert_sums("w", conv(&x, &combine(&w, &w2, factor)).data(), in_w.data(), terms * slack(&plan));
        }
    }

    /// An input that moves by a stride moves the output by a pixel, where no window reaches over
    /// a border before or after.
    #[test]
    fn shifting_the_input_shifts_the_output(case in case(), one_pixel in any::<bool>()) {
        let Case { mut conv, .. } = case;
        if one_pixel {
            conv.window = conv.window.stride(1);
        }
        let Window { kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, padding, .. } =
            conv.window;
        let (extent_h, extent_w) = (dilation_h * (kernel_h - 1) + 1, dilation_w * (kernel_w - 1) + 1);
        // Large enough for at least one window of that kind.
        conv.in_h += extent_h + 2 * stride_h;
        conv.in_w += extent_w + 2 * stride_w;
        let case = Case { n: 1 + case.n % 2 * 8, conv, ..case };
        let Inputs { x, w, .. } = case.inputs::<f64>();
        let fresh = tensor::<f64>(x.shape(), !case.seed);
        let moved = Tensor4::from_fn(x.shape(), |n, c, h, w| {
            let before = h.checked_sub(stride_h).zip(w.checked_sub(stride_w));
            before.map_or(fresh[(n, c, h, w)], |(h, w)| x[(n, c, h, w)])
        });
        for plan in plans(case.conv) {
            let mut workspace = Workspace::new();
            let y = convolve(&plan, x.view(), w.view(), &mut workspace);
            let y_moved = convolve(&plan, moved.view(), w.view(), &mut workspace);
            let inside = |o: usize, stride: usize, extent: usize, pad: usize, len: usize| {
                o * stride >= pad && o * stride - pad + extent + stride <= len
            };
            let [n, oc, out_h, out_w] = y.dims();
            let rows: Vec<_> = (0..out_h)
                .filter(|&oh| inside(oh, stride_h, extent_h, padding.top, conv.in_h))
                .collect();
            let cols: Vec<_> = (0..out_w)
                .filter(|&ow| inside(ow, stride_w, extent_w, padding.left, conv.in_w))
                .collect();
            prop_assert!(!rows.is_empty() && !cols.is_empty());
            let (mut before, mut after) = (Vec::new(), Vec::new());
            for (n, oc) in (0..n).flat_map(|n| (0..oc).map(move |oc| (n, oc))) {
                for (&oh, &ow) in rows.iter().flat_map(|oh| cols.iter().map(move |ow| (oh, ow))) {
                    before.push(y[(n, oc, oh, ow)]);
                    after.push(y_moved[(n, oc, oh + 1, ow + 1)]);
                }
            }
            assert_sums("y", &after, &before, case.terms()[0] * slack(&plan));
        }
    }

    #[test]
    fn a_batch_is_its_images_one_by_one(case in case()) {
        let inputs = case.inputs::<f64>();
        for plan in plans(case.conv) {
            let mut workspace = Workspace::new();
            let batch = run(&plan, &inputs, &mut workspace);
            let mut single = Outputs {
                y: Tensor4::zeros(batch.y.shape()),
                dx: Tensor4::zeros(batch.dx.shape()),
                dw: Tensor4::zeros(batch.dw.shape()),
                db: vec![0.0; batch.db.len()],
            };
            for i in 0..case.n {
                let image = Inputs {
                    x: inputs.x.view().batch(i..i + 1).unwrap().to_tensor(),
                    dy: inputs.dy.view().batch(i..i + 1).unwrap().to_tensor(),
                    ..inputs.clone()
                };
                let out = run(&plan, &image, &mut workspace);
                single.y.view_mut().image_mut(i).copy_from_slice(out.y.data());
                single.dx.view_mut().image_mut(i).copy_from_slice(out.dx.data());
                weights(&plan, &image, &mut single, Update::Accumulate, &mut workspace);
            }
            assert_outputs("batch", &case, &plan, &batch, &single);
        }
    }

    /// That `Overwrite` does not read is seen in every test: `run` begins with NaN.
    #[test]
    fn accumulate_adds(case in case()) {
        let inputs = case.inputs::<f64>();
        let before = tensor::<f64>(inputs.w.shape(), !case.seed);
        let db_before = tensor::<f64>(shape(1, 1, 1, inputs.bias.len()), !case.seed ^ 1);
        for plan in plans(case.conv) {
            let mut workspace = Workspace::new();
            let gradient = run(&plan, &inputs, &mut workspace);
            let mut sum = gradient.clone();
            (sum.dw, sum.db) = (before.clone(), db_before.data().to_vec());
            weights(&plan, &inputs, &mut sum, Update::Accumulate, &mut workspace);
            let mut expected = gradient.clone();
            expected.dw = combine(&before, &gradient.dw, 1.0);
            for (db, before) in expected.db.iter_mut().zip(db_before.data()) {
                *db += before;
            }
            assert_outputs("sum", &case, &plan, &sum, &expected);

            // Without db nothing changes for dw.
            let mut dw = Tensor4::full(inputs.w.shape(), f64::NAN);
            let (x, dy, update) = (inputs.x.view(), inputs.dy.view(), Update::Overwrite);
            plan.backward_weights_into(x, dy, dw.view_mut(), None, update, &mut workspace).unwrap();
            prop_assert_eq!(&dw, &gradient.dw);
        }
    }

    #[test]
    fn a_used_workspace_gives_the_same_bytes(cases in prop::collection::vec(case(), 1..4)) {
        let mut used = poisoned::<f32>();
        for case in cases {
            let inputs = case.inputs::<f32>();
            for plan in plans(case.conv) {
                let fresh = run(&plan, &inputs, &mut Workspace::new());
                let again = run(&plan, &inputs, &mut used);
                prop_assert_eq!(bits(&again), bits(&fresh), "{}", plan.describe());
            }
        }
    }
}
