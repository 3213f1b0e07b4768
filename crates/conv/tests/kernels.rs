//! Every algorithm on the kernels of every instruction set of this CPU, against the naive
//! convolution in f64: shapes that fill tiles and registers, and such that just don't.

mod common;

use std::collections::BTreeMap;

use common::{
    Case, Outputs, all_options, assert_sums, dx_slack, on_every_set, seeded, slack, try_options,
    weights, weights_slack, wide_case,
};
use conv::{
    Algorithm, Conv2d, Conv2dPlan, ConvError, Epilogue, KernelSet, Numerics, Options, Update,
    Workspace,
};
use im2col::Window;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use tensor4::Tensor4;
use testkit::{cases, relative_rms};

/// How many random convolutions each algorithm runs on each set.
const CASES: u32 = 500;

/// The naive result in f64 of the inputs in f32.
fn reference(case: &Case) -> Tensor4<f64> {
    let inputs = case.inputs::<f32>();
    let bias: Vec<f64> = inputs.bias.iter().map(|&b| f64::from(b)).collect();
    let (x, w) = (inputs.x.cast::<f64>(), inputs.w.cast::<f64>());
    let plan = case.plan(Algorithm::Naive);
    plan.forward(x.view(), w.view(), Some(&bias), &mut Workspace::new()).expect("it fits")
}

/// The naive gradient by the data in f64 of the inputs in f32.
fn reference_dx(case: &Case) -> Tensor4<f64> {
    let inputs = case.inputs::<f32>();
    let (w, dy) = (inputs.w.cast::<f64>(), inputs.dy.cast::<f64>());
    let mut dx = Tensor4::zeros(inputs.x.shape());
    let plan = case.plan(Algorithm::Naive);
    plan.backward_data_into(w.view(), dy.view(), dx.view_mut(), &mut Workspace::new())
        .expect("it fits");
    dx
}

#[test]
fn every_algorithm_on_every_set_is_naive() {
    let mut gradients: BTreeMap<(&str, String, &str), usize> = BTreeMap::new();
    let mut workspace = Workspace::new();
    let prepare = |case: &Case| Some((case.inputs::<f32>(), reference(case), reference_dx(case)));
    on_every_set(cases(CASES) as usize, prepare, |case, (inputs, expected, expected_dx), plan| {
        let mut y = Tensor4::full(expected.shape(), f32::NAN);
        let (x, w) = (inputs.x.view(), inputs.w.view());
        plan.forward_into(x, w, Some(&inputs.bias), y.view_mut(), &mut workspace).expect("it fits");
        let error = relative_rms(y.data(), expected.data());
        // Few terms may cancel by chance; the bounds of the documentation are for many.
        let bound = 1e-6 * slack(plan) as f64;
        assert!(error <= bound, "{error:e}: {} {case:?}", plan.describe());

        let mut dx = Tensor4::full(expected_dx.shape(), f32::NAN);
        plan.backward_data_into(w, inputs.dy.view(), dx.view_mut(), &mut workspace)
            .expect("it fits");
        let error = relative_rms(dx.data(), expected_dx.data());
        let bound = 1e-6 * dx_slack(plan) as f64;
        assert!(error <= bound, "dx: {error:e}: {} {case:?}", plan.describe());
        let description = plan.describe();
        let (_, of_data) = description.split_once("by the data: ").expect("it says so");
        let phases = match of_data {
            _ if of_data.contains("all phases") => "all at once",
            _ if of_data.contains('+') => "phases",
            _ => "one",
        };
        let first = of_data.split(' ').next().expect("a word").to_owned();
        *gradients.entry((plan.kernel_set().name(), first, phases)).or_default() += 1;

        let packed = plan.pack_weights(w).expect("it fits");
        for epilogue in [Epilogue::None, Epilogue::Relu] {
            let expected: Vec<f32> = match epilogue {
                Epilogue::Relu => y.data().iter().map(|&y| y.max(0.0)).collect(),
                _ => y.data().to_vec(),
            };
            let mut other = Tensor4::full(y.shape(), f32::NAN);
            let bias = Some(&inputs.bias[..]);
            plan.forward_fused_into(x, w, bias, epilogue, other.view_mut(), &mut workspace)
                .expect("it fits");
            assert_eq!(other.data(), expected, "{epilogue:?} {} {case:?}", plan.describe());
            other.fill(f32::NAN);
            plan.forward_packed_into(x, &packed, bias, epilogue, other.view_mut(), &mut workspace)
                .expect("it fits");
            assert_eq!(other.data(), expected, "packed {} {case:?}", plan.describe());
        }
    });
    for set in KernelSet::available() {
        for (algorithm, phases) in [
            ("direct", "one"),
            ("direct", "phases"),
            ("winograd", "one"),
            ("winograd", "all at once"),
            ("depthwise", "one"),
            ("depthwise", "phases"),
        ] {
            let count = gradients.get(&(set.name(), algorithm.to_owned(), phases));
            assert!(count.is_some_and(|&n| n >= 50), "{algorithm}, {phases}: {gradients:?}");
        }
    }
}

#[test]
fn gradients_by_weights_are_naive_on_every_set() {
    let mut workspace = Workspace::new();
    let prepare = |case: &Case| Some((case.inputs::<f32>(), weights_reference(case)));
    on_every_set(cases(CASES) as usize, prepare, |case, (inputs, (dw, db)), plan| {
        let mut out = Outputs {
            y: Tensor4::full(inputs.dy.shape(), f32::NAN),
            dx: Tensor4::full(inputs.x.shape(), f32::NAN),
            dw: Tensor4::full(inputs.w.shape(), f32::NAN),
            db: vec![f32::NAN; inputs.bias.len()],
        };
        weights(plan, inputs, &mut out, Update::Overwrite, &mut workspace);
        let what = plan.describe();
        let bound = 1e-6 * weights_slack(plan) as f64;
        let error = relative_rms(out.dw.data(), dw.data());
        assert!(error <= bound, "{error:e} in dw: {what} {case:?}");
        let pixels = case.terms()[3];
        assert_sums(&format!("db: {what} {case:?}"), &out.db, db, pixels);

        if plan.backward_weights_algorithm() == Algorithm::Im2colGemm {
            return; // Its sums begin with what was there, and round otherwise.
        }
        let once = out.dw.clone();
        weights(plan, inputs, &mut out, Update::Accumulate, &mut workspace);
        let twice = once.map(|dw| dw + dw);
        assert_eq!(out.dw.data(), twice.data(), "accumulated: {what} {case:?}");
    });
}

/// The naive gradients in f64 of the inputs in f32.
fn weights_reference(case: &Case) -> (Tensor4<f64>, Vec<f32>) {
    let inputs = case.inputs::<f32>();
    let (x, dy) = (inputs.x.cast::<f64>(), inputs.dy.cast::<f64>());
    let (mut dw, mut db) = (Tensor4::zeros(inputs.w.shape()), vec![0.0; inputs.bias.len()]);
    case.plan(Algorithm::Naive)
        .backward_weights_into(
            x.view(),
            dy.view(),
            dw.view_mut(),
            Some(&mut db),
            Update::Overwrite,
            &mut Workspace::new(),
        )
        .expect("it fits");
    (dw, db.into_iter().map(|db| db as f32).collect())
}

/// The bounds that `Numerics` documents, at the depth that it documents.
#[test]
fn errors_stay_within_the_documented_bounds() {
    let window = Window::square(3).pad(1);
    for channels in [64, 512] {
        let case = Case::new(1, Conv2d::new(channels, 13, 14, 40, window));
        let inputs = case.inputs::<f32>();
        let expected = reference(&case);
        let mut ran = 0;
        for set in KernelSet::available() {
            for options in all_options(set) {
                let Some(plan) = try_options(case.conv, options) else { continue };
                if options.algorithm == Algorithm::Naive {
                    continue; // Its sums are not fused; it promises nothing.
                }
                let y = plan
                    .forward(
                        inputs.x.view(),
                        inputs.w.view(),
                        Some(&inputs.bias),
                        &mut Workspace::new(),
                    )
                    .expect("it fits");
                let error = relative_rms(y.data(), expected.data());
                let strict = options.numerics == Numerics::Strict;
                let fast = plan.algorithm() == Algorithm::Winograd && !strict;
                let bound = if fast { 4e-6 } else { 1e-6 };
                assert!(error <= bound, "{error:e}: {}", plan.describe());
                ran += 1;
            }
        }
        assert!(ran >= 4, "only {ran} plans");
    }
}

/// Sums and weights so large that im2col + GEMM cuts them, planes below and above those that it
/// computes side by side, with groups and without.
#[test]
fn im2col_and_gemm_cut_large_weights_right() {
    let same = Window::square(3).pad(1);
    for (n, conv) in [
        (5, Conv2d::new(300, 5, 6, 260, same)),
        (1, Conv2d::new(300, 21, 20, 260, same)),
        (2, Conv2d::new(900, 4, 5, 600, same.stride(2)).groups(2)),
        (3, Conv2d::new(40, 7, 7, 2000, same.dilation(2).pad(2))),
        (2, Conv2d::new(1, 90, 91, 3, Window::square(83).pad(3))),
    ] {
        let case = Case::new(n, conv);
        let inputs = case.inputs::<f32>();
        let expected = reference(&case);
        for set in KernelSet::available() {
            let options = Options::with_algorithm(Algorithm::Im2colGemm).kernels(set);
            let plan = try_options(conv, options).expect("it serves every convolution");
            let (x, w, bias) = (inputs.x.view(), inputs.w.view(), Some(&inputs.bias[..]));
            let mut workspace = Workspace::new();
            let y = plan.forward(x, w, bias, &mut workspace).expect("it fits");
            let error = relative_rms(y.data(), expected.data());
            assert!(error <= 1e-6, "{error:e}: {}", plan.describe());

            let packed = plan.pack_weights(w).expect("it fits");
            let mut other = Tensor4::full(y.shape(), f32::NAN);
            let out = other.view_mut();
            plan.forward_packed_into(x, &packed, bias, Epilogue::Relu, out, &mut workspace)
                .expect("it fits");
            let relu: Vec<f32> = y.data().iter().map(|&y| y.max(0.0)).collect();
            assert_eq!(other.data(), relu, "packed {}", plan.describe());
        }
    }
}

/// Planes of several bands, with and without pixels that fill no register, in place and under a stride.
#[test]
fn kernels_of_one_tap_over_large_planes_are_naive() {
    let one = Window::new(1, 1);
    for (n, conv) in [
        (2, Conv2d::new(130, 29, 31, 40, one)),
        (1, Conv2d::new(512, 16, 16, 9, one)),
        (1, Conv2d::new(513, 12, 12, 33, one)),
        (3, Conv2d::new(6, 13, 13, 70, one).groups(2)),
        (2, Conv2d::new(200, 47, 33, 21, one.stride(2))),
        (1, Conv2d::new(40, 24, 23, 50, one.strides(3, 2))),
        (1, Conv2d::new(40, 24, 23, 50, one.strides(1, 2))),
        (1, Conv2d::new(3, 60, 24, 5, one.strides(2, 1))),
    ] {
        let case = Case::new(n, conv);
        let inputs = case.inputs::<f32>();
        let (expected, expected_dx) = (reference(&case), reference_dx(&case));
        for set in KernelSet::available() {
            let options = Options::with_algorithm(Algorithm::Direct).kernels(set);
            let plan = try_options(conv, options).expect("it serves narrow kernels");
            let (x, w, bias) = (inputs.x.view(), inputs.w.view(), Some(&inputs.bias[..]));
            let mut workspace = Workspace::new();
            let y = plan.forward(x, w, bias, &mut workspace).expect("it fits");
            let error = relative_rms(y.data(), expected.data());
            assert!(error <= 1e-6, "{error:e}: {}", plan.describe());

            let mut dx = Tensor4::full(expected_dx.shape(), f32::NAN);
            plan.backward_data_into(w, inputs.dy.view(), dx.view_mut(), &mut workspace)
                .expect("it fits");
            let error = relative_rms(dx.data(), expected_dx.data());
            assert!(error <= 1e-6, "dx: {error:e}: {}", plan.describe());
        }
    }
}

/// In f64 nothing hides a wrong transform: its error would be far above that of rounding.
#[test]
fn all_forms_of_winograd_are_exact_in_f64() {
    const FORMS: usize = 6;
    const ENOUGH: usize = 50;
    let mut runner = TestRunner::new(seeded());
    let mut ran: BTreeMap<String, usize> = BTreeMap::new();
    let windows = [(2, 1), (3, 1), (4, 1), (5, 1), (3, 2), (7, 2), (8, 2), (11, 4), (10, 3)];
    for (kernel, stride) in windows.into_iter().cycle().take(10 * CASES as usize) {
        if ran.len() == FORMS && ran.values().all(|&n| n >= ENOUGH) {
            return;
        }
        let mut case = wide_case().new_tree(&mut runner).expect("most cases fit").current();
        let padding = case.conv.window.padding;
        let dilated = if stride == 1 { case.conv.window.dilation_w } else { 1 };
        case.conv.window =
            Window::square(kernel).stride(stride).padding(padding).dilations(1, dilated);
        if Conv2dPlan::new(case.conv, Options::default()).is_err() {
            continue;
        }
        for numerics in [Numerics::Fast, Numerics::Strict] {
            let options = Options::with_algorithm(Algorithm::Winograd).numerics(numerics);
            let Some(plan) = try_options(case.conv, options) else { continue };
            let inputs = case.inputs::<f64>();
            let (x, w, bias) = (inputs.x.view(), inputs.w.view(), Some(&inputs.bias[..]));
            let mut workspace = Workspace::new();
            let y = plan.forward(x, w, bias, &mut workspace).expect("it fits");
            let naive = case.plan(Algorithm::Naive);
            let expected = naive.forward(x, w, bias, &mut workspace).expect("it fits");
            let error = relative_rms(y.data(), expected.data());
            assert!(error <= 1e-14, "{error:e}: {} {case:?}", plan.describe());
            let gradient = |plan: &Conv2dPlan| {
                let mut out = Outputs {
                    y: Tensor4::zeros(y.shape()),
                    dx: Tensor4::zeros(inputs.x.shape()),
                    dw: Tensor4::full(inputs.w.shape(), f64::NAN),
                    db: vec![f64::NAN; inputs.bias.len()],
                };
                weights(plan, &inputs, &mut out, Update::Overwrite, &mut Workspace::new());
                out
            };
            let (dw, expected) = (gradient(&plan), gradient(&naive));
            let error = relative_rms(dw.dw.data(), expected.dw.data());
            assert!(error <= 1e-13, "{error:e} in dw: {} {case:?}", plan.describe());
            let description = plan.describe();
            let form = description.split("; ").find_map(|part| part.strip_prefix("as "));
            *ran.entry(form.expect("it names its form").to_owned()).or_default() += 1;
        }
    }
    panic!("not every form ran {ENOUGH} times: {ran:?}");
}

#[test]
fn weights_packed_for_one_form_of_winograd_are_refused_by_the_other() {
    let case = Case::new(1, Conv2d::new(16, 9, 9, 16, Window::square(3).pad(1)));
    let inputs = case.inputs::<f32>();
    let [fast, strict] = [Numerics::Fast, Numerics::Strict].map(|numerics| {
        let options = Options::with_algorithm(Algorithm::Winograd).numerics(numerics);
        Conv2dPlan::new(case.conv, options).expect("it fits")
    });
    for (plan, other, name) in [(fast, strict, "F(4x4, 3x3)"), (strict, fast, "F(2x2, 3x3)")] {
        assert!(plan.describe().contains(name), "{}", plan.describe());
        let packed = plan.pack_weights(inputs.w.view()).expect("it fits");
        let mut y = Tensor4::zeros(inputs.dy.shape());
        let (x, mut workspace) = (inputs.x.view(), Workspace::new());
        let result = other.forward_packed_into(
            x,
            &packed,
            None,
            Epilogue::None,
            y.view_mut(),
            &mut workspace,
        );
        assert!(matches!(result, Err(ConvError::Packed { .. })), "{result:?}");
    }
}
